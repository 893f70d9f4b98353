//! Encoded videos as files: reading them.
//!
//! The header is checked against the model before anything else is read, and tensors come one by one into the memory that
//! they stay in.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Tensor, TensorData};
use longvu_checkpoint::{HeaderFault, SafetensorsHeader};
use safetensors::{Dtype as FileDtype, tensor::TensorInfo};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    EncodeTimings, EncodedVideo, Error, FrameInfo, LongVu, Result, VisualKind, checkpoint,
    compress::TemporalReport,
    encoded::{
        file::{Header, KEY, VERSION},
        limits::ENCODED_HEADER_BYTES,
    },
    plan::bytes,
};

const AGAIN: &str = "encode the video again";

/// The file's tensors beside the features.
const VECTORS: [&str; 6] =
    ["samples.index", "samples.timestamp", "frames.sample", "frames.reduced", "temporal.selected", "temporal.scores"];

impl LongVu {
    /// Reads an encoded video that [`EncodedVideo::save`] wrote; it answers as the video did.
    ///
    /// # Errors
    /// [`Error::BadEncoding`] for a file that is something else, cut short or damaged, and [`Error::EncodingMismatch`]
    /// for one of another version, model, dtype, temporal stage or window.
    pub fn load_encoded(&self, path: impl AsRef<Path>) -> Result<EncodedVideo> {
        Reader::open(path.as_ref(), self.parts.encoded_bytes)?.read(self)
    }
}

/// A file that is read from its beginning to its end.
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes of the file that follow the header.
    body: u64,
    /// Tensors, and the metadata.
    table: SafetensorsHeader,
}

/// The tensors' bytes and what the checksum over them comes to.
struct Contents {
    tensors: HashMap<String, (TensorInfo, Vec<u8>)>,
    checksum: String,
}

impl Reader {
    fn open(path: &Path, limit: u64) -> Result<Self> {
        let failed = |error| checkpoint::Error::read(path)(error);
        let file = checkpoint::files::open_regular(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::new(file);
        let mut first = [0; SafetensorsHeader::STATED];
        let begun = file.read_exact(&mut first).is_ok() && file.fill_buf().map_err(failed)?.first() == Some(&b'{');
        if !begun {
            let reason = "this is no encoded video, or its beginning is damaged; name one that was saved by `EncodedVideo::save`";
            return Err(refuse(path, reason));
        }
        let len = SafetensorsHeader::stated_len(first, size, ENCODED_HEADER_BYTES).map_err(|fault| match fault {
            HeaderFault::TooLong { stated } => {
                bad(path, format!("its header of {stated} bytes is over the limit of {ENCODED_HEADER_BYTES}"))
            }
            _ => bad(path, "the file is cut short in its header"),
        })?;
        if size > limit {
            let (found, allowed) = (bytes(size), bytes(limit));
            let reason = format!("it has {found}, and {allowed} are allowed; raise the limit if it is yours");
            return Err(refuse(path, reason));
        }
        let mut json = vec![0; len];
        file.read_exact(&mut json).map_err(failed)?;
        let table = SafetensorsHeader::parse(&json).map_err(|error| unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, body: size - (SafetensorsHeader::STATED + len) as u64, table })
    }

    fn refuse(&self, reason: impl Into<String>) -> Error {
        refuse(&self.path, reason)
    }

    fn bad(&self, reason: impl std::fmt::Display) -> Error {
        bad(&self.path, reason)
    }

    fn unreadable(&self, error: &serde_json::Error) -> Error {
        unreadable(&self.path, error)
    }

    fn read(mut self, model: &LongVu) -> Result<EncodedVideo> {
        let header = self.header()?;
        model.encoding_settings().check(&header.settings, Some(&self.path))?;
        let infos = self.infos()?;
        self.check_sizes(&infos, model)?;
        let contents = self.contents(infos)?;
        if contents.checksum != header.checksum {
            return Err(self.bad("the file is damaged: its contents do not have the checksum that it states"));
        }
        let encoded = self.assemble(header, contents, model)?;
        self.check(&encoded, model)?;
        Ok(encoded)
    }

    /// The metadata.
    fn header(&self) -> Result<Header> {
        let Some(header) = self.table.note(KEY) else {
            return Err(self.refuse(
                "this safetensors file holds no encoded video (weights, perhaps); name one that was saved by \
                 `EncodedVideo::save`",
            ));
        };
        let header: Value = serde_json::from_str(header).map_err(|error| self.unreadable(&error))?;
        let version = header.get("version").and_then(Value::as_u64);
        if version != Some(VERSION) {
            return Err(Error::EncodingMismatch {
                path: Some(self.path.clone()),
                what: "format version",
                found: version.map_or("none".into(), |version| version.to_string()),
                expected: VERSION.to_string(),
                advice: "encode the video again with this version of longvu, or ask with the version that wrote it",
                settings: &[],
            });
        }
        serde_json::from_value(header).map_err(|error| self.unreadable(&error))
    }

    /// The tensors in the order of their bytes, which follow each other and fill the file.
    fn infos(&self) -> Result<Vec<(String, TensorInfo)>> {
        let (states, has) = (self.table.data_len(), self.body);
        if states as u64 != has {
            return Err(self.bad(format!("the file is cut short or damaged ({has} bytes of {states})")));
        }
        Ok(self.table.tensors())
    }

    /// Refuses tensors that no video of this model has, before memory is taken for them.
    fn check_sizes(&self, infos: &[(String, TensorInfo)], model: &LongVu) -> Result<()> {
        let config = model.config();
        let frame = [config.query_side().pow(2), config.vision_hidden_size];
        for (name, info) in infos {
            let fits = match (name.as_str(), &info.shape[..]) {
                ("features", [_, rest @ ..]) => rest == frame,
                ("attention", [_, cells]) => *cells == frame[0],
                ("features" | "attention", _) => false,
                (name, shape) => shape.len() == 1 && VECTORS.contains(&name),
            };
            if !fits {
                return Err(self.bad(format!(
                    "its `{}` have the shape {:?}",
                    longvu_core::text::escape(name),
                    info.shape
                )));
            }
        }
        Ok(())
    }

    fn contents(&mut self, infos: Vec<(String, TensorInfo)>) -> Result<Contents> {
        let mut checksum = Sha256::new();
        let mut tensors = HashMap::new();
        for (name, info) in infos {
            let len = info.data_offsets.1 - info.data_offsets.0;
            let mut bytes = Vec::new();
            let reserved = bytes.try_reserve_exact(len).map_err(std::io::Error::from);
            let read = reserved.and_then(|()| {
                bytes.resize(len, 0);
                self.file.read_exact(&mut bytes)
            });
            read.map_err(checkpoint::Error::read(&self.path))?;
            checksum.update(&bytes);
            tensors.insert(name, (info, bytes));
        }
        Ok(Contents { tensors, checksum: format!("{:x}", checksum.finalize()) })
    }

    fn assemble(&self, header: Header, mut contents: Contents, model: &LongVu) -> Result<EncodedVideo> {
        let tensors = &mut contents.tensors;
        let index = self.positions(tensors, "samples.index")?;
        let timestamps = self.numbers(tensors, "samples.timestamp", FileDtype::F64, f64::from_le_bytes)?;
        let samples = index.iter().zip(timestamps).enumerate();
        let samples: Vec<_> =
            samples.map(|(sample, (&index, timestamp))| FrameInfo { sample, index, timestamp }).collect();
        let held = self.positions(tensors, "frames.sample")?;
        let frames: Option<Vec<_>> = held.iter().map(|&sample| samples.get(sample).copied()).collect();
        let features = self.features(tensors)?;
        let attention = self.attention(tensors, model)?;
        let options = (model.device(), features.dtype());
        // The settings agree, and so does the stage.
        let threshold = match header.kind {
            VisualKind::Video => model.stages.selector.threshold(),
            VisualKind::Image => None,
        };
        Ok(EncodedVideo {
            kind: header.kind,
            frames: frames.ok_or_else(|| self.bad("it names frames that it does not have"))?,
            reduced: self.positions(tensors, "frames.reduced")?,
            dimensions: header.dimensions,
            temporal: TemporalReport::new(
                samples.len(),
                self.numbers(tensors, "temporal.scores", FileDtype::F32, f32::from_le_bytes)?,
                self.positions(tensors, "temporal.selected")?,
            )
            .with_threshold(threshold),
            samples,
            features: Tensor::from_data(features, options),
            attention,
            timings: EncodeTimings::default(),
            towers: header.towers,
            settings: header.settings,
            notes: header.notes,
        })
    }

    fn take(&self, tensors: &mut HashMap<String, (TensorInfo, Vec<u8>)>, name: &str) -> Result<(TensorInfo, Vec<u8>)> {
        tensors.remove(name).ok_or_else(|| self.bad(format!("the file is damaged (`{name}` is missing)")))
    }

    fn numbers<T, const N: usize>(
        &self,
        tensors: &mut HashMap<String, (TensorInfo, Vec<u8>)>,
        name: &str,
        dtype: FileDtype,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let (info, bytes) = self.take(tensors, name)?;
        if info.dtype != dtype {
            return Err(self.bad(format!("its `{name}` are {:?}, which they cannot be", info.dtype)));
        }
        Ok(bytes.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect())
    }

    fn positions(&self, tensors: &mut HashMap<String, (TensorInfo, Vec<u8>)>, name: &str) -> Result<Vec<usize>> {
        let numbers = self.numbers(tensors, name, FileDtype::U64, u64::from_le_bytes)?;
        let numbers: Result<Vec<usize>, _> = numbers.into_iter().map(usize::try_from).collect();
        numbers.map_err(|_| self.bad(format!("its `{name}` are beyond all bounds")))
    }

    fn features(&self, tensors: &mut HashMap<String, (TensorInfo, Vec<u8>)>) -> Result<TensorData> {
        let (info, bytes) = self.take(tensors, "features")?;
        let dtype = match info.dtype {
            FileDtype::F32 => DType::F32,
            FileDtype::F16 => DType::F16,
            FileDtype::BF16 => DType::BF16,
            other => return Err(self.bad(format!("its features are {other:?}, which features cannot be"))),
        };
        Ok(TensorData::from_bytes_vec(bytes, info.shape, dtype))
    }

    /// Written only of videos that were encoded for it.
    fn attention(
        &self,
        tensors: &mut HashMap<String, (TensorInfo, Vec<u8>)>,
        model: &LongVu,
    ) -> Result<Option<Tensor<2>>> {
        let Some((info, _)) = tensors.get("attention") else { return Ok(None) };
        let shape = info.shape.clone();
        let values = self.numbers(tensors, "attention", FileDtype::F32, f32::from_le_bytes)?;
        Ok(Some(Tensor::from_data(TensorData::new(values, shape), model.device())))
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
            && encoded.attention.as_ref().is_none_or(|attention| attention.dims() == [rows, cells])
            && below(&held, samples.len())
            && below(reduced, rows)
            && below(&temporal.selected, samples.len())
            && (temporal.scores.is_empty() || temporal.scores.len() == samples.len())
            && dimensions.0 > 0
            && dimensions.1 > 0;
        if sound { Ok(()) } else { Err(self.bad("its parts do not fit each other")) }
    }
}

fn refuse(path: &Path, reason: impl Into<String>) -> Error {
    Error::BadEncoding { path: path.to_owned(), reason: reason.into() }
}

fn bad(path: &Path, reason: impl std::fmt::Display) -> Error {
    refuse(path, format!("{reason}; {AGAIN}"))
}

fn unreadable(path: &Path, error: &serde_json::Error) -> Error {
    bad(path, format!("its header is damaged ({error})"))
}
