//! The fuzz targets on their corpus, and for a moment on random changes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Random changes of a target's corpus are tried for so long.
const MOMENT: Duration = Duration::from_secs(2);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Bytes set, bits flipped, parts cut, repeated and taken from another file.
fn change(random: &mut StdRng, data: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..random.random_range(1..6) {
        let end = data.len();
        let at = random.random_range(0..=end);
        let to = random.random_range(at..=end.min(at + 64));
        match random.random_range(0..6) {
            0 if at < end => data[at] ^= 1 << random.random_range(0..8),
            1 if at < end => data[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            2 => data.truncate(at),
            3 => drop(data.drain(at..to)),
            4 => data.splice(at..at, data[at..to].to_vec()).for_each(drop),
            _ if !other.is_empty() => {
                let from = random.random_range(0..other.len());
                let part = other[from..other.len().min(from + 32)].to_vec();
                data.splice(at..to, part);
            }
            _ => {}
        }
    }
}

fn run(name: &str, target: fn(&[u8])) {
    let files = corpus(name);
    for (path, data) in &files {
        let start = Instant::now();
        target(data);
        assert!(start.elapsed().as_secs() < 10, "{} takes too long", path.display());
    }
    let (start, mut random) = (Instant::now(), StdRng::seed_from_u64(7));
    while start.elapsed() < MOMENT {
        let mut data = files[random.random_range(0..files.len())].1.clone();
        let other = &files[random.random_range(0..files.len())].1;
        change(&mut random, &mut data, other);
        let one = Instant::now();
        target(&data);
        let name = std::env::temp_dir().join("longvu-slow-input");
        if one.elapsed().as_secs() >= 10 {
            fs::write(&name, &data).unwrap();
            panic!("{} takes too long", name.display());
        }
    }
}

macro_rules! tests {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            run(stringify!($name), targets::$name);
        }
    )*};
}

tests!(video, image, config, chat_template, tokenizer, safetensors, encoded, features, pickle, training_data, sampling);
