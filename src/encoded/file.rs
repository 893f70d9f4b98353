//! Encoded videos as files: safetensors with everything that answering needs, and what shaped it. Writing them.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
};

use burn::tensor::{DType, Tensor};
use longvu_checkpoint::{SafetensorsHeader, atomic::FileDraft};
use safetensors::Dtype as FileDtype;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    EncodedVideo, Result, VisualKind, checkpoint,
    encoded::{settings::EncodingSettings, video::TowerFrames},
};

/// The layout that this version writes and reads.
pub(crate) const VERSION: u64 = 1;

/// The metadata key by which such a file is known.
pub(crate) const KEY: &str = "longvu_encoded_video";

/// Bytes of the header within which that key stands: metadata come first.
const MARK_WITHIN: u64 = 1 << 12;

/// The metadata.
#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub version: u64,
    pub kind: VisualKind,
    pub dimensions: (u32, u32),
    pub settings: EncodingSettings,
    #[serde(default)]
    pub towers: TowerFrames,
    pub notes: std::collections::BTreeMap<String, String>,
    /// SHA-256 of the tensors' bytes.
    pub checksum: String,
    /// The version of this crate, for information.
    pub written_by: String,
}

/// A tensor of the file.
struct Entry {
    name: &'static str,
    dtype: FileDtype,
    shape: Vec<usize>,
    contents: Contents,
}

enum Contents {
    Bytes(Vec<u8>),
    /// Taken from the device a frame at a time: all of them may be most of what a run holds.
    Features(Box<Tensor<3>>),
}

impl Entry {
    fn new<const N: usize>(
        name: &'static str,
        dtype: FileDtype,
        values: impl ExactSizeIterator<Item = [u8; N]>,
    ) -> Self {
        let shape = vec![values.len()];
        Self { name, dtype, shape, contents: Contents::Bytes(values.flatten().collect()) }
    }

    /// Gives all bytes to `take`, in order.
    fn each(&self, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        match &self.contents {
            Contents::Bytes(bytes) => take(bytes),
            Contents::Features(features) => (0..features.dims()[0])
                .try_for_each(|frame| take(Tensor::clone(features).narrow(0, frame, 1).into_data().as_bytes())),
        }
    }
}

impl EncodedVideo {
    /// Writes the encoded video to `path`, to be read by [`LongVu::load_encoded`](crate::LongVu::load_encoded).
    ///
    /// The file appears under its name once it is complete; one that was there is replaced.
    ///
    /// # Errors
    /// A place that cannot be written to, a full disk.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |source| checkpoint::Error::Write { path: path.to_owned(), source };
        let draft = FileDraft::new(path).map_err(failed)?;
        self.write_to(draft.file()).map_err(failed)?;
        draft.commit().map_err(failed)?;
        Ok(())
    }

    fn write_to(&self, file: &File) -> std::io::Result<()> {
        let entries = self.entries()?;
        let mut checksum = Sha256::new();
        for entry in &entries {
            entry.each(|bytes| {
                checksum.update(bytes);
                Ok(())
            })?;
        }
        let header = Header {
            version: VERSION,
            kind: self.kind,
            dimensions: self.dimensions,
            settings: self.settings.clone(),
            towers: self.towers,
            notes: self.notes.clone(),
            checksum: format!("{:x}", checksum.finalize()),
            written_by: env!("CARGO_PKG_VERSION").into(),
        };
        let tensors = entries.iter().map(|entry| (entry.name.to_owned(), entry.dtype, entry.shape.clone()));
        let header = SafetensorsHeader::new((KEY, &serde_json::to_string(&header)?), tensors);
        let mut out = BufWriter::new(file);
        header.map_err(std::io::Error::other)?.write(&mut out)?;
        entries.iter().try_for_each(|entry| entry.each(|bytes| out.write_all(bytes)))?;
        out.flush()
    }

    /// The tensors, those of wide numbers first.
    fn entries(&self) -> std::io::Result<Vec<Entry>> {
        let positions = |name, values: Vec<usize>| {
            Entry::new(name, FileDtype::U64, values.into_iter().map(|value| (value as u64).to_le_bytes()))
        };
        let (frames, samples) = (&self.frames, &self.samples);
        let scores = &self.temporal.scores;
        let features = self.features.clone();
        let dtype = match features.dtype() {
            DType::F32 => FileDtype::F32,
            DType::F16 => FileDtype::F16,
            DType::BF16 => FileDtype::BF16,
            other => return Err(std::io::Error::other(format!("features of {other:?} have no place in such a file"))),
        };
        let mut entries = vec![
            positions("samples.index", samples.iter().map(|info| info.index).collect()),
            Entry::new("samples.timestamp", FileDtype::F64, samples.iter().map(|info| info.timestamp.to_le_bytes())),
            positions("frames.sample", frames.iter().map(|info| info.sample).collect()),
            positions("frames.reduced", self.reduced.clone()),
            positions("temporal.selected", self.temporal.selected.clone()),
            Entry::new("temporal.scores", FileDtype::F32, scores.iter().map(|score| score.to_le_bytes())),
            Entry {
                name: "features",
                dtype,
                shape: features.dims().to_vec(),
                contents: Contents::Features(Box::new(features)),
            },
        ];
        if let Some(attention) = &self.attention {
            let values: Vec<f32> = attention.clone().into_data().iter::<f32>().collect();
            let entry = Entry::new("attention", FileDtype::F32, values.into_iter().map(f32::to_le_bytes));
            entries.insert(entries.len() - 1, Entry { shape: attention.dims().to_vec(), ..entry });
        }
        Ok(entries)
    }

    /// Whether the file at `path` is a saved encoded video, or the beginning of one, judged by its first bytes.
    pub fn is_saved_at(path: impl AsRef<Path>) -> bool {
        let first = |file: File| {
            let mut bytes = Vec::new();
            file.take(SafetensorsHeader::STATED as u64 + MARK_WITHIN).read_to_end(&mut bytes).map(|_| bytes)
        };
        let mark = format!("\"{KEY}\":");
        checkpoint::files::open_regular(path.as_ref()).and_then(first).is_ok_and(|bytes| {
            bytes.get(SafetensorsHeader::STATED) == Some(&b'{')
                && bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
        })
    }
}
