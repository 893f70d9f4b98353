#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admission;
mod answering;
mod api_error;
mod auth;
mod chat;
mod config;
mod decode;
mod encodings;
mod error;
mod media;
mod metrics;
mod page;
mod protocol;
mod router;
mod routes;
mod serve;
mod state;

pub use config::{ApiKey, ServerConfig};
pub use decode::{DecodeError, Isolation, init};
pub use encodings::FolderError;
pub use error::{Error, Result};
pub use serve::Server;

/// For this crate's own tests.
#[doc(hidden)]
pub mod internals {
    pub use crate::decode::{DecodeError, DecodeLimits, Decoder, Decoding, Killer, Warnings, enter_sandbox};
}
