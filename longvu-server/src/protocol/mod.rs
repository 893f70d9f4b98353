//! The OpenAI protocol: what requests say, and how they are answered.

pub(crate) mod content;
pub(crate) mod extension;
pub(crate) mod fields;
pub(crate) mod request;
pub(crate) mod response;
