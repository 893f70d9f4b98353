//! `longvu serve`, the real program, asked over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faults;
mod hang_up;
mod protocol;
mod safety;
mod stopping;
mod support;
mod work;
