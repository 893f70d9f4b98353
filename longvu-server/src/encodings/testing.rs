//! A model, frames drawn by hand, and what is made of them.

use std::{fs, path::Path, sync::OnceLock};

use longvu::{Clip, Frame, LongVu};

use crate::encodings::{Entry, Key, Shots};

/// The miniature, loaded once.
pub(super) fn model() -> LongVu {
    static MODEL: OnceLock<LongVu> = OnceLock::new();
    MODEL.get_or_init(|| LongVu::miniature().unwrap()).clone()
}

pub(super) fn key(name: &str) -> Key {
    Key::new(name, "fingerprint", "fps=1")
}

/// A square that wanders over a background of changing colour.
pub(super) fn frames(count: usize) -> impl Iterator<Item = longvu::Result<Frame>> + Send + 'static {
    (0..count).map(|t| {
        let pixel = |i: usize| match (i % 64 / 8 == t % 8, i / 64 / 8 == t % 6) {
            (true, true) => [250, 240, 20],
            _ => [(40 * t % 256) as u8, 60, 90],
        };
        Frame::new(t, t as f64, 64, 48, (0..64 * 48).flat_map(pixel).collect())
    })
}

/// What a request would make of so many frames.
pub(super) fn entry(model: &LongVu, count: usize) -> Entry {
    let (shown, shots) = Shots::of(frames(count));
    let video = model.encode(Clip::from_frames(shown, Some(count))).unwrap();
    Entry { video, pictures: shots.pictures(), warnings: Vec::new() }
}

/// The names of a folder's files, in order.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}
