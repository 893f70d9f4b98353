//! The facade as an application uses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod attention;
mod batch;
mod chat_cache;
mod decoder;
mod encoded_file;
mod explained;
mod facade;
mod other_stages;
mod repeats;
mod several;
mod stages;
mod stopped;
mod streaming;
mod support;
mod text_files;
