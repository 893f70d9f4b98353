//! Encoded videos as files: safetensors with everything that answering needs, and what shaped it.

use std::{
    fs::{self, File},
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Tensor, TensorData};
use safetensors::{Dtype as FileDtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    EncodeTimings, EncodedVideo, Error, FrameInfo, LongVu, Result, VisualKind, compress::TemporalReport, core,
    encoding_settings::EncodingSettings,
};

/// The layout that this version writes and reads.
const VERSION: u64 = 1;

/// The metadata key by which such a file is known.
const KEY: &str = "longvu_encoded_video";

/// Longest header that is looked at: an hour's takes a thousandth of it.
const MAX_HEADER: u64 = 1 << 24;

const AGAIN: &str = "encode the video again with `longvu encode`";

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    kind: VisualKind,
    dimensions: (u32, u32),
    settings: EncodingSettings,
    notes: std::collections::BTreeMap<String, String>,
    /// SHA-256 of the tensors' bytes.
    checksum: String,
    /// The version of this crate, for information.
    written_by: String,
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

    fn len(&self) -> usize {
        match &self.contents {
            Contents::Bytes(bytes) => bytes.len(),
            Contents::Features(features) => features.shape().num_elements() * features.dtype().size(),
        }
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
    /// Writes the encoded video to `path`, to be read by [`LongVu::load_encoded`].
    ///
    /// The file appears under its name once it is complete; one that was there is replaced.
    ///
    /// # Errors
    /// A place that cannot be written to, a full disk.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        // A link is followed, for it is its target that is meant.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            let reason = "there is something that is not a file; name another place".to_owned();
            return Err(core::Error::Write { path, reason }.into());
        }
        let failed = |error: std::io::Error| core::Error::Write {
            path: path.clone(),
            reason: format!("{error}; make room, or name another place"),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = temporary_in(folder).map_err(failed)?;
        self.write_to(file.as_file()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
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
            notes: self.notes.clone(),
            checksum: format!("{:x}", checksum.finalize()),
            written_by: env!("CARGO_PKG_VERSION").into(),
        };
        let mut table = Map::new();
        table.insert("__metadata__".into(), json!({ KEY: serde_json::to_string(&header)? }));
        let mut offset = 0;
        for entry in &entries {
            let Entry { name, dtype, shape, .. } = entry;
            let end = offset + entry.len();
            table.insert((*name).into(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] }));
            offset = end;
        }
        let mut table = Value::Object(table).to_string();
        // Readers that map the file want the tensors aligned.
        table.extend(std::iter::repeat_n(' ', table.len().next_multiple_of(8) - table.len()));
        let mut out = BufWriter::new(file);
        out.write_all(&(table.len() as u64).to_le_bytes())?;
        out.write_all(table.as_bytes())?;
        entries.iter().try_for_each(|entry| entry.each(|bytes| out.write_all(bytes)))?;
        out.flush()?;
        // Some file systems report a full disk only when asked to store for good.
        file.sync_all()
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
        Ok(vec![
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
        ])
    }

    /// Whether the file at `path` is a saved encoded video, or the beginning of one, judged by its content.
    pub fn is_saved_at(path: impl AsRef<Path>) -> bool {
        matches!(metadata(path.as_ref()), Ok(Metadata::Encoded))
    }
}

/// A file that vanishes unless it is given a name, with the permissions of any new file.
pub(crate) fn temporary_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".longvu-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// What the beginning of a file says that it is.
enum Metadata {
    Encoded,
    OtherSafetensors,
    Foreign,
}

fn metadata(path: &Path) -> std::io::Result<Metadata> {
    let mut file = File::open(path)?;
    let mut len = [0; 8];
    if file.read_exact(&mut len).is_err() {
        return Ok(Metadata::Foreign);
    }
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(len).min(MAX_HEADER)).read_to_end(&mut header)?;
    if header.first() != Some(&b'{') {
        return Ok(Metadata::Foreign);
    }
    let mark = format!("\"{KEY}\":");
    let known = header.windows(mark.len()).any(|window| window == mark.as_bytes());
    let safetensors = header.windows(14).any(|window| window == b"\"data_offsets\"");
    Ok(match (known, safetensors) {
        (true, _) => Metadata::Encoded,
        (false, true) => Metadata::OtherSafetensors,
        (false, false) => Metadata::Foreign,
    })
}

impl LongVu {
    /// Reads an encoded video that [`EncodedVideo::save`] wrote; it answers as the video did.
    ///
    /// # Errors
    /// [`Error::BadEncoding`] for a file that is something else, cut short or damaged, and [`Error::EncodingMismatch`]
    /// for one of another version, model, dtype, temporal stage or window.
    pub fn load_encoded(&self, path: impl AsRef<Path>) -> Result<EncodedVideo> {
        let path = path.as_ref();
        let bad = |reason: &str| Error::BadEncoding { path: path.to_owned(), reason: reason.to_owned() };
        match metadata(path).map_err(core::Error::io(path))? {
            Metadata::Encoded => {}
            Metadata::OtherSafetensors => {
                return Err(bad(
                    "this safetensors file holds no encoded video (weights, perhaps); name the file that \
                                `longvu encode` wrote",
                ));
            }
            Metadata::Foreign => {
                return Err(bad("this is no encoded video, or its beginning is damaged; name the file that `longvu \
                                encode` wrote"));
            }
        }
        let bytes = fs::read(path).map_err(core::Error::io(path))?;
        Reader { path: path.to_owned(), bytes }.read(self)
    }
}

/// A file that is read.
struct Reader {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Reader {
    fn bad(&self, reason: impl std::fmt::Display) -> Error {
        Error::BadEncoding { path: self.path.clone(), reason: format!("{reason}; {AGAIN}") }
    }

    fn read(&self, model: &LongVu) -> Result<EncodedVideo> {
        let header = self.header()?;
        model.encoding_settings().check(&header.settings, &self.path)?;
        let (start, _) = SafeTensors::read_metadata(&self.bytes).map_err(|error| self.damaged(&error))?;
        let file = SafeTensors::deserialize(&self.bytes).map_err(|error| self.damaged(&error))?;
        if format!("{:x}", Sha256::digest(&self.bytes[8 + start..])) != header.checksum {
            return Err(self.bad("the file is damaged: its contents do not have the checksum that it states"));
        }
        let index = self.positions(&file, "samples.index")?;
        let timestamps = self.numbers(&file, "samples.timestamp", FileDtype::F64, f64::from_le_bytes)?;
        let samples = index.iter().zip(timestamps).enumerate();
        let samples: Vec<_> =
            samples.map(|(sample, (&index, timestamp))| FrameInfo { sample, index, timestamp }).collect();
        let held = self.positions(&file, "frames.sample")?;
        let frames: Option<Vec<_>> = held.iter().map(|&sample| samples.get(sample).copied()).collect();
        let features = self.tensor(&file)?;
        let encoded = EncodedVideo {
            kind: header.kind,
            frames: frames.ok_or_else(|| self.bad("it names frames that it does not have"))?,
            reduced: self.positions(&file, "frames.reduced")?,
            dimensions: header.dimensions,
            temporal: TemporalReport {
                frames: samples.len(),
                scores: self.numbers(&file, "temporal.scores", FileDtype::F32, f32::from_le_bytes)?,
                selected: self.positions(&file, "temporal.selected")?,
            },
            samples,
            features: Tensor::from_data(features.clone(), (model.device(), features.dtype())),
            timings: EncodeTimings::default(),
            settings: header.settings,
            notes: header.notes,
        };
        self.check(&encoded, model)?;
        Ok(encoded)
    }

    fn damaged(&self, error: &safetensors::SafeTensorError) -> Error {
        let size = self.bytes.len();
        self.bad(format!("the file is cut short or damaged ({error}, {size} bytes)"))
    }

    /// The metadata, whatever follows it.
    fn header(&self) -> Result<Header> {
        let short = || self.bad("the file is cut short in its header");
        let (len, rest) = self.bytes.split_first_chunk().ok_or_else(short)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| short())?;
        let table = rest.get(..len).ok_or_else(short)?;
        let unreadable = |error: serde_json::Error| self.bad(format!("its header is damaged ({error})"));
        let table: Value = serde_json::from_slice(table).map_err(unreadable)?;
        let header = table.pointer(&format!("/__metadata__/{KEY}")).and_then(Value::as_str).unwrap_or_default();
        let header: Value = serde_json::from_str(header).map_err(unreadable)?;
        let version = header.get("version").and_then(Value::as_u64);
        if version != Some(VERSION) {
            return Err(Error::EncodingMismatch {
                path: self.path.clone(),
                what: "format version".into(),
                found: version.map_or("none".into(), |version| version.to_string()),
                expected: VERSION.to_string(),
                advice: "encode the video again with this version of longvu, or ask with the version that wrote it",
            });
        }
        serde_json::from_value(header).map_err(unreadable)
    }

    fn view<'a>(&self, file: &SafeTensors<'a>, name: &str, dtype: Option<FileDtype>) -> Result<TensorView<'a>> {
        let view = file.tensor(name).map_err(|error| self.damaged(&error))?;
        if dtype.is_some_and(|dtype| dtype != view.dtype()) {
            return Err(self.bad(format!("its `{name}` are {:?}, which they cannot be", view.dtype())));
        }
        Ok(view)
    }

    fn numbers<T, const N: usize>(
        &self,
        file: &SafeTensors<'_>,
        name: &str,
        dtype: FileDtype,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let view = self.view(file, name, Some(dtype))?;
        Ok(view.data().as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect())
    }

    fn positions(&self, file: &SafeTensors<'_>, name: &str) -> Result<Vec<usize>> {
        let numbers = self.numbers(file, name, FileDtype::U64, u64::from_le_bytes)?;
        let numbers: Result<Vec<usize>, _> = numbers.into_iter().map(usize::try_from).collect();
        numbers.map_err(|_| self.bad(format!("its `{name}` are beyond all bounds")))
    }

    fn tensor(&self, file: &SafeTensors<'_>) -> Result<TensorData> {
        let view = self.view(file, "features", None)?;
        let dtype = match view.dtype() {
            FileDtype::F32 => DType::F32,
            FileDtype::F16 => DType::F16,
            FileDtype::BF16 => DType::BF16,
            other => return Err(self.bad(format!("its features are {other:?}, which features cannot be"))),
        };
        if view.shape().len() != 3 {
            return Err(self.bad(format!("its features have the shape {:?}", view.shape())));
        }
        Ok(TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype))
    }

    /// Checks that the parts agree, for answering relies on it.
    fn check(&self, encoded: &EncodedVideo, model: &LongVu) -> Result<()> {
        let EncodedVideo { samples, frames, reduced, temporal, dimensions, .. } = encoded;
        let [rows, cells, channels] = encoded.features.dims();
        let below = |positions: &[usize], end: usize| {
            positions.is_sorted_by(|a, b| a < b) && positions.last().is_some_and(|&last| last < end)
        };
        let held: Vec<usize> = frames.iter().map(|info| info.sample).collect();
        let config = model.config();
        let sound = rows == frames.len()
            && (cells, channels) == (config.query_side().pow(2), config.vision_hidden_size)
            && below(&held, samples.len())
            && below(reduced, rows)
            && below(&temporal.selected, samples.len())
            && (temporal.scores.is_empty() || temporal.scores.len() == samples.len())
            && dimensions.0 > 0
            && dimensions.1 > 0;
        if sound { Ok(()) } else { Err(self.bad("its parts do not fit each other")) }
    }
}
