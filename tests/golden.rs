//! Every case of the golden data, against the tolerances that came with it.
//!
//! The cases are what the published Python package returned for small random weights; which cases there are, and
//! their settings, is read from the folder: `tests/golden`, or `LONGVU_GOLDEN_DIR`. `LONGVU_TEST_DEVICE` names the
//! device to run on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod cases;
