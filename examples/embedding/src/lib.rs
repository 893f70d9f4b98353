//! longvu in other people's programs: an HTTP server, another in which longvu's own is mounted, and a study with
//! a stage of its own.

pub mod mounting;
pub mod server;
pub mod study;
