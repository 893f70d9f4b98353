//! longvu in other people's programs: an HTTP server, and a study with a stage of its own.

pub mod server;
pub mod study;
