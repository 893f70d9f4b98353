//! AMX where there is none to look for: a token that cannot exist, so that what needs one compiles everywhere.

use super::operands::Operands;
use std::fmt;

/// Proof that AMX works, which nothing has here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amx {}

/// Why there is no AMX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absence;

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("used on Linux on x86-64 only")
    }
}

impl Amx {
    pub(crate) fn detect() -> Option<Self> {
        None
    }

    pub(crate) fn status() -> Result<Self, Absence> {
        Err(Absence)
    }
}

pub(super) fn configure(amx: Amx) {
    match amx {}
}

pub(super) fn release(amx: Amx) {
    match amx {}
}

pub(super) unsafe fn bf16(amx: Amx, _lower: bool, _right: bool, _operands: &Operands) {
    match amx {}
}

pub(super) unsafe fn int8(amx: Amx, _lower: bool, _right: bool, _operands: &Operands) {
    match amx {}
}
