#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(dead_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod decode;
mod encodings;
mod error;
mod media;
