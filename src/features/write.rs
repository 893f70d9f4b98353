//! Every frame through both towers and the aggregator, and into a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Seek, Write},
    path::Path,
    sync::Arc,
};

use burn::tensor::{DType, Tensor};
use longvu_checkpoint::{SafetensorsHeader, atomic::FileDraft};
use longvu_core::Step;
use safetensors::Dtype as FileDtype;
use web_time::Instant;

use super::{FeatureKind, Header, INDICES, KEY, TIMESTAMPS, VERSION};
use crate::{
    EncodeTimings, Error, FrameInfo, IntoClip, LongVu, Result, TowerFrames, checkpoint,
    encode::{
        clip::Clip,
        groups::Pass,
        prefetch::{Prepared, PreparedFrames, Resizer},
    },
    encoded::video::add,
    vision::{Dinov2, Siglip, SizePair},
};

/// What [`LongVu::save_features`] put into a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SavedFeatures {
    /// The frames, ascending in time.
    pub frames: Vec<FrameInfo>,
    /// Seconds that each step took; no stage ran.
    pub timings: EncodeTimings,
    /// Frames that went through the towers, and frames that repeat them to the bit.
    pub towers: TowerFrames,
}

impl LongVu {
    /// Puts every frame of a video, image, or source of the caller's through both towers and the aggregator, and writes what
    /// comes out to `path`, for [`FeatureFile`](crate::FeatureFile) and any other reader of safetensors. No stage runs.
    ///
    /// Both towers are in memory at once, and of the frames one batch at a time; until the end the features wait in nameless temporary files beside `path`.
    /// The file appears under its name once it is complete; one that was there is replaced. `notes` are kept with it.
    ///
    /// # Errors
    /// As [`LongVu::encode`], and a place that cannot be written to.
    pub fn save_features(
        &self,
        input: impl IntoClip,
        path: impl AsRef<Path>,
        notes: &BTreeMap<String, String>,
    ) -> Result<SavedFeatures> {
        let (path, start) = (path.as_ref(), Instant::now());
        let failed = |source| checkpoint::Error::Write { path: path.to_owned(), source };
        let mut draft = FileDraft::new(path).map_err(failed)?;
        let Clip { kind, expected, frames } = input.into_clip()?;
        let parts = &self.parts;
        let batch = parts.tower_batch;
        let (siglip, dinov2) = (&parts.siglip.preprocessor, &parts.dinov2.preprocessor);
        let resizer = Resizer::new(siglip, dinov2, self.stages.repeats.exact());
        let looking = self.watch.step(Step::Look, "", expected.map(|frames| frames as u64));
        let mut frames = PreparedFrames::start(frames, resizer, batch, &parts.work)?;
        let mut sinks = FeatureKind::ALL.map(|_| None);
        let (timings, counts) = (EncodeTimings::default(), TowerFrames::default());
        let mut saved = SavedFeatures { frames: Vec::new(), timings, towers: counts };
        let (mut dimensions, mut pass) = (None, Pass::default());
        let towers = (self.dinov2()?, self.siglip()?);
        loop {
            let waited = Instant::now();
            let next = frames.window(batch, || Ok(looking.done(saved.frames.len() as u64)?))?;
            add(&mut saved.timings.wait, waited);
            let Some(first) = next.first() else { break };
            let (width, height) = *dimensions.get_or_insert(first.dimensions);
            let size = kind.size_pair((width, height));
            let sources: Vec<usize> = next.iter().map(|frame| frame.pixels.source).collect();
            let mut done = 0;
            for group in pass.groups(&sources, batch) {
                done += group.frames();
                let features = pass.see(&group, sources[done - 1], |fresh| {
                    let batch: Vec<&Prepared> = fresh.iter().map(|&i| &next[i]).collect();
                    self.see(&batch, &towers, size, &mut saved.timings)
                });
                for (sink, features) in sinks.iter_mut().zip(features) {
                    Sink::push(sink, path, features).map_err(failed)?;
                }
                self.count(&mut saved.towers, group.fresh.len(), group.repeats());
            }
            saved.frames.extend(next.iter().map(|frame| frame.info));
            looking.done(saved.frames.len() as u64)?;
        }
        (saved.timings.decode, saved.timings.preprocess) = (frames.decode_seconds, frames.resize_seconds);
        let header = self.header(kind, dimensions.ok_or(Error::NoFrames)?, notes);
        write(&mut draft, &header, &saved.frames, sinks.into_iter().flatten().collect()).map_err(failed)?;
        draft.commit().map_err(failed)?;
        add(&mut saved.timings.wall, start);
        Ok(saved)
    }

    /// The features of a batch of frames, in the order of [`FeatureKind::ALL`].
    fn see(
        &self,
        batch: &[&Prepared],
        (dinov2, siglip): &(Arc<Dinov2>, Arc<Siglip>),
        size: SizePair,
        timings: &mut EncodeTimings,
    ) -> [Tensor<3>; 3] {
        let (parts, side) = (&self.parts, self.parts.config.feature_side());
        let (device, dtype) = (&parts.device, parts.weights.dtype);
        let start = Instant::now();
        let pixels: Vec<&[u8]> = batch.iter().map(|frame| frame.pixels.dinov2.as_slice()).collect();
        let pixels = parts.dinov2.preprocessor.pixel_values(&pixels, device, dtype);
        let dinov2 = dinov2.features(pixels, side);
        add(&mut timings.dinov2, start);
        let start = Instant::now();
        let pixels: Vec<&[u8]> = batch.iter().map(|frame| frame.pixels.siglip.as_slice()).collect();
        let pixels = parts.siglip.preprocessor.pixel_values(&pixels, device, dtype);
        let siglip = siglip.features(pixels, side);
        add(&mut timings.siglip, start);
        let start = Instant::now();
        let aggregated = parts.aggregator.forward(siglip.clone(), dinov2.clone(), size);
        add(&mut timings.aggregator, start);
        [dinov2, siglip, aggregated]
    }

    /// Counts frames through all towers, and frames that repeat them.
    fn count(&self, towers: &mut TowerFrames, frames: usize, repeats: usize) {
        (towers.dinov2, towers.siglip) = (towers.dinov2 + frames, towers.siglip + frames);
        towers.dinov2_repeats += repeats;
        towers.siglip_repeats += repeats;
        let work = &self.parts.work;
        for counter in [&work.dinov2_frames, &work.siglip_frames, &work.aggregator_frames] {
            counter.add(frames);
        }
        for counter in [&work.dinov2_repeats, &work.siglip_repeats] {
            counter.add(repeats);
        }
    }

    fn header(&self, kind: crate::VisualKind, dimensions: (u32, u32), notes: &BTreeMap<String, String>) -> Header {
        let (settings, config) = (self.encoding_settings(), self.config());
        Header {
            version: VERSION,
            kind,
            dimensions,
            max_len: settings.max_len,
            inference_max_length: settings.inference_max_length,
            image_token_len: config.image_token_len,
            lowres_token: config.lowres_token,
            highres: config.highres,
            dino_threshold: config.dino_threshold,
            drop_threshold: config.drop_threshold,
            dtype: settings.dtype,
            quantize: settings.quantize,
            checkpoint: settings.checkpoint,
            notes: notes.clone(),
            written_by: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Features of one kind that wait in a temporary file for their place.
struct Sink {
    file: BufWriter<File>,
    dtype: FileDtype,
    /// Cells and channels of a frame.
    frame: [usize; 2],
}

impl Sink {
    /// Adds frames, `[frames, cells, channels]`; the first ones open the file, in the folder of `path`.
    fn push(sink: &mut Option<Self>, path: &Path, features: Tensor<3>) -> io::Result<()> {
        let [_, cells, channels] = features.dims();
        let sink = match sink {
            Some(sink) => sink,
            None => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let file = tempfile::tempfile_in(folder.unwrap_or(Path::new(".")))?;
                let dtype = file_dtype(features.dtype())?;
                sink.insert(Self { file: BufWriter::new(file), dtype, frame: [cells, channels] })
            }
        };
        sink.file.write_all(features.into_data().as_bytes())
    }
}

fn file_dtype(dtype: DType) -> io::Result<FileDtype> {
    match dtype {
        DType::F32 => Ok(FileDtype::F32),
        DType::F16 => Ok(FileDtype::F16),
        DType::BF16 => Ok(FileDtype::BF16),
        other => Err(io::Error::other(format!("features of {other:?} have no place in such a file"))),
    }
}

/// Writes the whole file; tensors of wide numbers come first, so that all are aligned.
fn write(draft: &mut FileDraft, header: &Header, frames: &[FrameInfo], sinks: Vec<Sink>) -> io::Result<()> {
    let count = frames.len();
    let named = FeatureKind::ALL.iter().zip(&sinks);
    let features = named.map(|(kind, sink)| {
        let [cells, channels] = sink.frame;
        (kind.name().to_owned(), sink.dtype, vec![count, cells, channels])
    });
    let tensors =
        [(TIMESTAMPS.to_owned(), FileDtype::F64, vec![count]), (INDICES.to_owned(), FileDtype::I64, vec![count])];
    let layout = SafetensorsHeader::new((KEY, &serde_json::to_string(header)?), tensors.into_iter().chain(features));
    let mut out = BufWriter::new(draft);
    layout.map_err(io::Error::other)?.write(&mut out)?;
    frames.iter().try_for_each(|frame| out.write_all(&frame.timestamp.to_le_bytes()))?;
    frames.iter().try_for_each(|frame| out.write_all(&(frame.index as i64).to_le_bytes()))?;
    for sink in sinks {
        let mut file = sink.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, &mut out)?;
    }
    out.flush()
}
