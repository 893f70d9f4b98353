//! What leaves the program: both streams, files, progress bars and closing lines.

mod failed;
mod file;
pub mod hints;
mod progress;
mod streams;
pub mod summary;

pub use self::{
    failed::SomeFailed,
    file::{OutFile, is_same_file, is_same_place},
    progress::Progress,
    streams::{error, is_output_lost, is_reader_gone, json, line, note, text, warning},
};
