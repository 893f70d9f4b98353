//! Encoded videos that are kept, in memory and on disk, and encodings that several requests wait for.

mod disk;
mod entry;
mod flight;
mod key;
mod memory;
mod pictures;
mod shots;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use store::FolderError;
pub(crate) use {
    entry::{Entry, Origin},
    flight::{Advance, Job},
    key::Key,
    shots::Shots,
    store::{Encodings, Found},
};
