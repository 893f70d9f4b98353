//! What `longvu doctor` examines: whether a device computes what the CPU does, and how fast.

mod check;
mod examination;
mod operations;
mod parts;
mod place;
#[cfg(all(feature = "miniature", feature = "train"))]
mod questions;
mod rates;
mod report;
mod stages;

#[cfg(all(feature = "miniature", feature = "train"))]
pub use self::questions::Questions;
pub use self::{
    check::Size,
    examination::{Examination, attempt},
    rates::{Rate, measure},
    report::{Machine, Report, fault, print},
};
