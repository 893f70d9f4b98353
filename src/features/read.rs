//! Files of features: reading them, as many frames at a time as are looked at.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_checkpoint::SafetensorsHeader;
use longvu_core::{
    ops::{self, Interpolation},
    text,
};
use safetensors::{Dtype as FileDtype, tensor::TensorInfo};

use super::{FeatureKind, HEADER_BYTES, Header, INDICES, KEY, TIMESTAMPS, VERSION};
use crate::{
    Error, FrameInfo, Preset, Result, VisualKind, checkpoint,
    compress::{Budget, CompressionSettings},
    vision::KeptCells,
};

/// Features of a clip's frames in a file that [`LongVu::save_features`](crate::LongVu::save_features) wrote, or that has the same
/// layout. Nothing of a model is needed to read it.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    file: File,
    /// Where the tensors' bytes begin.
    start: u64,
    tensors: Vec<(String, TensorInfo)>,
    header: Header,
    frames: Vec<FrameInfo>,
}

impl FeatureFile {
    /// Opens the file at `path` and reads everything but the features.
    ///
    /// # Errors
    /// [`Error::BadFeatures`] for a file that is something else, cut short or damaged, and for tensors of shapes that frames do
    /// not have.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source| checkpoint::Error::Read { path: path.to_owned(), source };
        let file = checkpoint::files::open_regular(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut begin = BufReader::new(&file);
        let mut first = [0; SafetensorsHeader::STATED];
        if begin.read_exact(&mut first).is_err() || begin.fill_buf().map_err(failed)?.first() != Some(&b'{') {
            return Err(refuse(path, format!("this is no safetensors file, or its beginning is damaged; {AGAIN}")));
        }
        let len = SafetensorsHeader::stated_len(first, size, HEADER_BYTES)
            .map_err(|_| refuse(path, format!("the file is cut short in its header, or that is damaged; {AGAIN}")))?;
        let mut json = vec![0; len];
        begin.read_exact(&mut json).map_err(failed)?;
        let table = SafetensorsHeader::parse(&json)
            .map_err(|error| refuse(path, format!("its header is damaged ({error}); {AGAIN}")))?;
        let header = header(path, &table)?;
        let start = (SafetensorsHeader::STATED + len) as u64;
        let (has, states) = (size - start, table.data_len() as u64);
        if has != states {
            return Err(refuse(path, format!("the file is cut short or damaged ({has} bytes of {states}); {AGAIN}")));
        }
        drop(begin);
        let mut opened =
            Self { path: path.to_owned(), file, start, tensors: table.tensors(), header, frames: Vec::new() };
        opened.frames = opened.read_frames()?;
        opened.check_shapes()?;
        Ok(opened)
    }

    /// The frames, ascending in time.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// Whether they are a video's or an image.
    pub fn kind(&self) -> VisualKind {
        self.header.kind
    }

    /// Width and height of the frames in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.header.dimensions
    }

    /// The token budget of the model that saw the frames.
    pub fn budget(&self) -> Budget {
        self.header.budget()
    }

    /// The stages' settings by `preset`, with the thresholds of the model that saw the frames where that takes them from there.
    pub fn settings(&self, preset: Preset) -> CompressionSettings {
        preset.settings(self.header.dino_threshold, self.header.drop_threshold)
    }

    /// Remarks by name: where the video came from, how it was sampled.
    pub fn notes(&self) -> &std::collections::BTreeMap<String, String> {
        &self.header.notes
    }

    /// Features of the frames at the given positions, `[rows, cells, channels]`, in float32.
    ///
    /// # Errors
    /// [`Error::BadFeatures`] where the file has none of this kind, or some that are no finite numbers; what reading fails with.
    pub fn features(&self, kind: FeatureKind, rows: &[usize], device: &Device) -> Result<Tensor<3>> {
        let info = self.tensor(kind.name())?;
        let (frames, cells, channels) = shape(info).ok_or_else(|| self.misshapen(kind.name(), info))?;
        let frame_bytes = cells * channels * dtype(info.dtype).map_or(0, |dtype| dtype.size());
        let mut bytes = vec![0; rows.len() * frame_bytes];
        for (row, into) in rows.iter().zip(bytes.chunks_mut(frame_bytes.max(1))) {
            let row = Some(*row)
                .filter(|row| *row < frames)
                .ok_or_else(|| self.bad(format!("frame {row} of {frames} was asked for; positions count from 0")))?;
            self.read_at((info.data_offsets.0 + row * frame_bytes) as u64, into)?;
        }
        let dtype = dtype(info.dtype).ok_or_else(|| self.misshapen(kind.name(), info))?;
        let data = TensorData::from_bytes_vec(bytes, [rows.len(), cells, channels], dtype).convert::<f32>();
        let values = data.as_slice::<f32>().map_err(|error| self.bad(error))?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let (row, value) = (rows[place / (cells * channels)], values[place]);
            let name = kind.name();
            return Err(self.bad(format!("its `{name}` have {value} in frame {row}; compute them in f32")));
        }
        Ok(Tensor::from_data(data, (device, DType::F32)))
    }

    /// Sides of the aggregated grid at full and at low resolution.
    ///
    /// # Errors
    /// As [`FeatureFile::features`].
    pub fn sides(&self) -> Result<[usize; 2]> {
        let name = FeatureKind::Aggregated.name();
        let info = self.tensor(name)?;
        let (_, cells, _) = shape(info).ok_or_else(|| self.misshapen(name, info))?;
        Ok([cells.isqrt(), self.header.lowres_token])
    }

    /// Places of the cells that are no padding, in a frame's grid at full or at low resolution.
    ///
    /// # Errors
    /// As [`FeatureFile::features`].
    pub fn places(&self, low: bool) -> Result<Vec<usize>> {
        let [full_side, low_side] = self.sides()?;
        let side = if low { low_side } else { full_side };
        let KeptCells { rows, columns, .. } = self.kept_cells(low)?;
        Ok(rows.flat_map(|row| columns.clone().map(move |column| row * side + column)).collect())
    }

    /// Aggregated cells of the frames at the given positions that are no padding, `[rows, places, channels]`. At low resolution the
    /// grid is resampled first, as before the projector.
    ///
    /// # Errors
    /// As [`FeatureFile::features`].
    pub fn cells(&self, rows: &[usize], low: bool, device: &Device) -> Result<Tensor<3>> {
        let [side, low_side] = self.sides()?;
        let mut grid = self.features(FeatureKind::Aggregated, rows, device)?;
        let mut now = side;
        if low {
            grid = ops::resample_grid(grid, side, low_side, Interpolation::Bilinear, None);
            now = low_side;
        }
        let kept = self.kept_cells(low)?;
        let [frames, _, channels] = grid.dims();
        let grid = grid.reshape([frames, now, now, channels]);
        let grid = grid.narrow(1, kept.rows.start, kept.rows.len()).narrow(2, kept.columns.start, kept.columns.len());
        Ok(grid.reshape([frames, kept.rows.len() * kept.columns.len(), channels]))
    }

    fn kept_cells(&self, low: bool) -> Result<KeptCells> {
        let ([side, low_side], size) = (self.sides()?, self.header.kind.size_pair(self.header.dimensions));
        Ok(if low { size.scaled(side, low_side).kept_cells(low_side) } else { size.kept_cells(side) })
    }

    fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        let found = self.tensors.iter().find(|(known, _)| known == name);
        found.map(|(_, info)| info).ok_or_else(|| self.bad(format!("it has no tensor `{name}`")))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(self.start + offset)).and_then(|_| file.read_exact(into));
        Ok(read.map_err(checkpoint::Error::read(&self.path))?)
    }

    fn read_frames(&self) -> Result<Vec<FrameInfo>> {
        let timestamps = self.numbers(TIMESTAMPS, FileDtype::F64, f64::from_le_bytes)?;
        let indices = self.numbers(INDICES, FileDtype::I64, i64::from_le_bytes)?;
        if timestamps.is_empty() || timestamps.len() != indices.len() {
            let (times, positions) = (timestamps.len(), indices.len());
            return Err(self.bad(format!("it has {times} timestamps and {positions} indices; give each frame one")));
        }
        if !timestamps.iter().all(|time| time.is_finite()) {
            return Err(self.bad("its `timestamps` are not all finite numbers"));
        }
        let frames = indices.into_iter().zip(timestamps).enumerate().map(|(sample, (index, timestamp))| {
            let index = usize::try_from(index).map_err(|_| self.bad(format!("it has a frame of index {index}")))?;
            Ok(FrameInfo { sample, index, timestamp })
        });
        frames.collect()
    }

    fn numbers<T>(&self, name: &str, dtype: FileDtype, read: impl Fn([u8; 8]) -> T) -> Result<Vec<T>> {
        let info = self.tensor(name)?;
        if info.dtype != dtype || info.shape.len() != 1 {
            return Err(self.misshapen(name, info));
        }
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.read_at(info.data_offsets.0 as u64, &mut bytes)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| read(*bytes)).collect())
    }

    /// Refuses features that are not of these frames, or of no square grid.
    fn check_shapes(&self) -> Result<()> {
        for kind in FeatureKind::ALL {
            let Ok(info) = self.tensor(kind.name()) else { continue };
            let fits = shape(info).is_some_and(|(frames, cells, channels)| {
                frames == self.frames.len() && cells > 0 && cells.isqrt().pow(2) == cells && channels > 0
            });
            if !fits || dtype(info.dtype).is_none() {
                return Err(self.misshapen(kind.name(), info));
            }
        }
        let (low, (width, height)) = (self.header.lowres_token, self.header.dimensions);
        let side = self.sides().map_or(usize::MAX, |[side, _]| side);
        if low == 0 || low > side || width == 0 || height == 0 {
            return Err(
                self.bad(format!("frames of {width} x {height} pixels and a low-resolution grid of {low} x {low}"))
            );
        }
        Ok(())
    }

    fn misshapen(&self, name: &str, info: &TensorInfo) -> Error {
        let frames = self.frames.len();
        let expected = match name {
            TIMESTAMPS => "F64 and [frames]".to_owned(),
            INDICES => "I64 and [frames]".to_owned(),
            _ => format!("F32, F16 or BF16 and [{frames} frames, side * side, channels]"),
        };
        self.bad(format!("its `{name}` are {:?} of the shape {:?}; they must be {expected}", info.dtype, info.shape))
    }

    fn bad(&self, reason: impl std::fmt::Display) -> Error {
        refuse(&self.path, format!("{reason}; {AGAIN}"))
    }
}

const AGAIN: &str = "write the features again with `LongVu::save_features`";

fn refuse(path: &Path, reason: String) -> Error {
    Error::BadFeatures { path: path.to_owned(), reason }
}

fn header(path: &Path, table: &SafetensorsHeader) -> Result<Header> {
    let Some(note) = table.note(KEY) else {
        let reason =
            format!("this safetensors file holds no features (weights, perhaps): its metadata have no `{KEY}`");
        return Err(refuse(path, format!("{reason}; {AGAIN}")));
    };
    let value: serde_json::Value = serde_json::from_str(note)
        .map_err(|error| refuse(path, format!("its metadata are damaged ({error}); {AGAIN}")))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(VERSION) {
        let found = version.map_or("none".to_owned(), |version| version.to_string());
        return Err(refuse(path, format!("its version is {found}, and this one reads {VERSION}; {AGAIN}")));
    }
    serde_json::from_value(value).map_err(|error| {
        refuse(path, format!("its metadata are damaged ({}); {AGAIN}", text::told(&error.to_string())))
    })
}

fn shape(info: &TensorInfo) -> Option<(usize, usize, usize)> {
    match info.shape[..] {
        [frames, cells, channels] => Some((frames, cells, channels)),
        _ => None,
    }
}

fn dtype(dtype: FileDtype) -> Option<DType> {
    match dtype {
        FileDtype::F32 => Some(DType::F32),
        FileDtype::F16 => Some(DType::F16),
        FileDtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}
