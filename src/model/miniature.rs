//! The model that ships with the library.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use longvu_checkpoint::{atomic, memory};

use crate::{Error, LongVu, Result};

/// Its files by their places in the model's folder, as `longvu train` wrote them.
const FILES: [(&str, &[u8]); 11] = [
    ("config.json", include_bytes!("../../models/miniature/config.json")),
    ("generation_config.json", include_bytes!("../../models/miniature/generation_config.json")),
    ("model.safetensors", include_bytes!("../../models/miniature/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../models/miniature/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../models/miniature/tokenizer_config.json")),
    ("siglip/config.json", include_bytes!("../../models/miniature/siglip/config.json")),
    ("siglip/model.safetensors", include_bytes!("../../models/miniature/siglip/model.safetensors")),
    ("siglip/preprocessor_config.json", include_bytes!("../../models/miniature/siglip/preprocessor_config.json")),
    ("dinov2/config.json", include_bytes!("../../models/miniature/dinov2/config.json")),
    ("dinov2/model.safetensors", include_bytes!("../../models/miniature/dinov2/model.safetensors")),
    ("dinov2/preprocessor_config.json", include_bytes!("../../models/miniature/dinov2/preprocessor_config.json")),
];

impl LongVu {
    /// Loads the model that is built in: a complete LongVU at a thousandth of the published size.
    ///
    /// It is asked short questions about drawn videos of coloured shapes, digits and letters, which
    /// [longvu-world](https://docs.rs/longvu-world) makes, and knows nothing else; `docs/miniature.md` says how well it
    /// answers them.
    ///
    /// # Errors
    /// As [`miniature_folder`].
    pub fn miniature() -> Result<Self> {
        let folder = miniature_folder()?;
        Self::builder(folder).load()
    }
}

/// A folder with the files of the model that is built in, for [`LongVu::builder`].
///
/// In a browser it is one [in memory](longvu_checkpoint::memory). Elsewhere it lies in the user's cache folder, or the system's temporary one where there is none to write to, is made when it is
/// first asked for, and mended if it has changed.
///
/// # Errors
/// [`Error::Unpack`] when neither folder can be written to.
pub fn miniature_folder() -> Result<PathBuf> {
    if cfg!(target_family = "wasm") {
        return Ok(in_memory());
    }
    let bases = dirs::cache_dir().map(|caches| caches.join("longvu")).into_iter();
    let name = concat!("miniature-", env!("CARGO_PKG_VERSION"));
    let mut failure = None;
    for base in bases.chain([std::env::temp_dir().join("longvu")]) {
        let folder = base.join(name);
        match unpack(&folder) {
            Ok(()) => return Ok(folder),
            Err(source) => failure = Some((folder, source)),
        }
    }
    let (folder, source) = failure.unwrap_or_else(|| (PathBuf::new(), io::ErrorKind::InvalidFilename.into()));
    Err(Error::Unpack { folder, source })
}

/// The files in memory, where they are anyway.
fn in_memory() -> PathBuf {
    FILES.iter().fold(PathBuf::new(), |_, (name, bytes)| memory::put("miniature", name, *bytes))
}

/// Makes the files of `folder` what they should be.
fn unpack(folder: &Path) -> io::Result<()> {
    FILES.iter().try_for_each(|(name, bytes)| place(&folder.join(name), bytes))
}

/// Puts a file in place all at once, unless it is there: others may be doing the same, or reading it.
fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent)?;
    atomic::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_in_place_and_mended() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("caches/miniature");
        let names = || {
            let of = |folder: &Path| fs::read_dir(folder).unwrap().count();
            (of(&folder), of(&folder.join("siglip")))
        };
        unpack(&folder).unwrap();
        assert_eq!(names(), (7, 3));
        fs::write(folder.join("config.json"), "{").unwrap();
        fs::remove_file(folder.join("siglip/model.safetensors")).unwrap();
        unpack(&folder).unwrap();
        assert_eq!(names(), (7, 3));
        assert!(FILES.iter().all(|(name, bytes)| fs::read(folder.join(name)).unwrap() == *bytes));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(unpack(&file.join("miniature")).is_err());
    }

    #[test]
    fn it_loads_from_memory() {
        let model = LongVu::builder(in_memory()).load().unwrap();
        assert!(model.decoder().is_ok());
    }

    #[test]
    fn it_is_small() {
        assert!(FILES.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 6 << 20);
    }
}
