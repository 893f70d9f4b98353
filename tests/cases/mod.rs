//! The golden cases, one module for each kind.

mod fastv;
mod fused;
mod lm;
mod models;
mod preprocess;
mod run;
mod select;
mod storage;
mod support;
mod towers;

use support::{Case, assert_close, cases, checkpoint_file, device, golden_dir, load, load_as, relative_error};
