//! The golden cases, one module for each kind.

mod fused;
mod lm;
mod models;
mod preprocess;
mod run;
mod select;
mod support;
mod towers;

use support::{Case, assert_close, cases, checkpoint_file, device, golden_dir, load, relative_error};
