//! Downloads, against a server on this machine that speaks the Hub's protocol.
//!
//! What decides about them is the environment, so each case runs this program again as a process of its own: the
//! test `child` does what its environment says and prints what happened.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod cases;
mod chunks;
mod client;
mod server;
mod stopping;
