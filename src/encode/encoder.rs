//! From frames to an [`EncodedVideo`]: decode, DINOv2, temporal stage, SigLIP, aggregator.
//!
//! Frames arrive in windows of the temporal stage, decoded and resized ahead on other threads. DINOv2 sees every frame;
//! what the stage drops goes at once. SigLIP sees kept frames only: at once where it is certain that they stay, else
//! when the video has ended; until then they wait, some in memory and the others in a temporary file. A frame that repeats
//! the one before it has the same features as that: the temporal stage gets them for each, but neither tower runs again.

use std::sync::Arc;

use burn::tensor::Tensor;
use longvu_core::{Step, WatchedStep};
use web_time::Instant;

use crate::{
    EncodeTimings, EncodedVideo, Error, FrameInfo, IntoClip, LongVu, Result, TowerFrames, VisualKind,
    compress::{self, StageName, TemporalReduction, TemporalReport},
    encode::{
        clip::Clip,
        gathered::Gathered,
        groups::{Group, Pass, pick},
        prefetch::{Prepared, PreparedFrames, Resizer},
        waiting::{Looked, Waiting, Window},
    },
    encoded::video::{add, select},
    model::{residency::Residency, stages::Stages},
    vision::{Dinov2, Siglip, SizePair},
};

/// Prompt tokens of the shortest conceivable prompt: the placeholder alone.
const SHORTEST_PROMPT: usize = 1;

impl LongVu {
    /// Encodes a video, an image, or frames of the caller's.
    ///
    /// # Errors
    /// A source that cannot be read or has no frames, frames of unusable sizes, a panic in the source, a temporal stage that
    /// fails or keeps no frame, a disk without room for the frames that wait, and a [watcher](LongVu::watched) that says to
    /// stop: it is asked after each frame that is decoded and after each batch of frames through a tower.
    pub fn encode(&self, input: impl IntoClip) -> Result<EncodedVideo> {
        let start = Instant::now();
        let Clip { kind, expected, frames } = input.into_clip()?;
        let parts = &self.parts;
        let window = TemporalReduction::new(self.stages.selector.as_ref())?.window();
        let (siglip, dinov2) = (&parts.siglip.preprocessor, &parts.dinov2.preprocessor);
        let resizer = Resizer::new(siglip, dinov2, self.stages.repeats);
        let looking = self.watch.step(Step::Look, "", expected.map(|frames| frames as u64));
        let mut frames = PreparedFrames::start(frames, resizer, window, &parts.work)?;
        let mut next = frames.window(window, || Ok(looking.done(0)?))?;
        let dimensions = next.first().ok_or(Error::NoFrames)?.dimensions;
        let mut encoder = Encoder::new(self, kind, expected, dimensions)?;
        add(&mut encoder.timings.wait, start);
        while !next.is_empty() {
            encoder.look(next, &looking)?;
            let waited = Instant::now();
            let looked = encoder.samples.len() as u64;
            next = frames.window(window, || Ok(looking.done(looked)?))?;
            add(&mut encoder.timings.wait, waited);
        }
        encoder.timings.decode = frames.decode_seconds;
        encoder.timings.preprocess = frames.resize_seconds;
        let mut encoded = encoder.finish()?;
        add(&mut encoded.timings.wall, start);
        Ok(encoded)
    }

    /// Builds an [`EncodedVideo`] from the towers' features, for studies of what comes after them.
    ///
    /// # Shapes
    /// - `siglip`, `dinov2`: `[frames, feature_side^2, channels]` of each tower, for every sampled frame
    ///
    /// # Errors
    /// No frames, or a temporal stage that fails or keeps none.
    pub fn encode_features(
        &self,
        kind: VisualKind,
        siglip: Tensor<3>,
        dinov2: Tensor<3>,
        dimensions: (u32, u32),
    ) -> Result<EncodedVideo> {
        let sampled = dinov2.dims()[0];
        if sampled == 0 {
            return Err(Error::NoFrames);
        }
        let stages = &self.stages;
        let temporal = match kind {
            VisualKind::Video => reduction(stages)?.reduce(dinov2.clone())?,
            VisualKind::Image => whole(sampled),
        };
        check_selection(&temporal, stages)?;
        let features = self.parts.aggregator.forward(siglip, dinov2, kind.size_pair(dimensions));
        self.parts.work.aggregator_frames.add(sampled);
        let samples: Vec<_> = (0..sampled).map(|i| FrameInfo { sample: i, index: i, timestamp: 0.0 }).collect();
        Ok(EncodedVideo {
            kind,
            features,
            frames: samples.clone(),
            samples,
            reduced: temporal.selected.clone(),
            dimensions,
            temporal,
            timings: EncodeTimings::default(),
            towers: TowerFrames::default(),
            settings: self.encoding_settings(),
            notes: Default::default(),
            attention: None,
        })
    }
}

/// The temporal stage, which has seen no frame yet.
fn reduction(stages: &Stages) -> Result<TemporalReduction<'_>> {
    Ok(TemporalReduction::new(stages.selector.as_ref())?.with_similarity(stages.similarity))
}

/// The report of a stage that did not run.
fn whole(frames: usize) -> TemporalReport {
    TemporalReport::new(frames, Vec::new(), (0..frames).collect())
}

fn check_selection(report: &TemporalReport, stages: &Stages) -> Result<()> {
    if !report.selected.is_empty() {
        return Ok(());
    }
    if stages.own_selector {
        let reason = "no frame of the whole video; keep one or more".into();
        return Err(compress::Error::BadStage { stage: StageName::Temporal, reason }.into());
    }
    Err(Error::Setting {
        name: "dino_threshold",
        value: "so low that it drops every frame".into(),
        expected: "raise it; similarities lie between -1 and 1, and 0.83 is the published value",
    })
}

struct Encoder<'a> {
    model: &'a LongVu,
    /// Gone before the waiting frames go through SigLIP.
    dinov2: Option<Arc<Dinov2>>,
    /// There from the first frame on that goes through it.
    siglip: Option<Arc<Siglip>>,
    kind: VisualKind,
    /// Frames that the source promised. A wrong number costs work or memory, and changes no result.
    expected: Option<usize>,
    reduction: TemporalReduction<'a>,
    /// Frames that the temporal stage kept of the windows so far.
    kept: usize,
    /// Every frame looked at.
    samples: Vec<FrameInfo>,
    /// What DINOv2 made of the last of them.
    looked: Pass<Tensor<3>>,
    /// Whether frames go that a reduction drops: no prompt can use every frame of a video as long as this.
    dropping: bool,
    waiting: Waiting,
    /// What a reduction keeps of the last windows in `waiting`, while nothing is dropped.
    selections: Vec<Vec<usize>>,
    /// Frames through the aggregator, in order and before those in `waiting`.
    done: Vec<FrameInfo>,
    /// What came of the last of them.
    aggregated: Pass<Aggregated>,
    features: Gathered,
    /// What SigLIP attended to in them, `[frames, cells]` a batch, where the spatial stage goes by it.
    attention: Vec<Tensor<2>>,
    /// Width and height of the frames.
    dimensions: (u32, u32),
    size: SizePair,
    timings: EncodeTimings,
    towers: TowerFrames,
}

/// Aggregated frames, and what SigLIP attended to in them where that is asked for.
type Aggregated = (Tensor<3>, Option<Tensor<2>>);

impl<'a> Encoder<'a> {
    fn new(model: &'a LongVu, kind: VisualKind, expected: Option<usize>, dimensions: (u32, u32)) -> Result<Self> {
        Ok(Self {
            model,
            dinov2: Some(model.dinov2()?),
            siglip: None,
            kind,
            expected,
            reduction: reduction(&model.stages)?,
            kept: 0,
            samples: Vec::new(),
            looked: Pass::default(),
            dropping: false,
            waiting: Waiting::new(model.parts.spill.clone()),
            selections: Vec::new(),
            done: Vec::new(),
            aggregated: Pass::default(),
            features: Gathered::new(&model.parts.device),
            attention: Vec::new(),
            dimensions,
            size: kind.size_pair(dimensions),
            timings: EncodeTimings::default(),
            towers: TowerFrames::default(),
        })
    }

    /// Runs DINOv2 and the temporal stage on a window.
    fn look(&mut self, prepared: Vec<Prepared>, looking: &WatchedStep<'_>) -> Result<()> {
        let features = self.dinov2(&prepared, looking)?;
        let start = Instant::now();
        let kept = match self.kind {
            VisualKind::Video => self.reduction.push(features.clone())?.kept,
            VisualKind::Image => (0..prepared.len()).collect(),
        };
        add(&mut self.timings.temporal, start);
        self.kept += kept.len();
        self.samples.extend(prepared.iter().map(|frame| frame.info));
        let looked = |Prepared { info, pixels, .. }| Looked { info, source: pixels.source, siglip: pixels.siglip };
        let frames = prepared.into_iter().map(looked).collect();
        let mut window = Window { frames, dinov2: features.cast(self.model.parts.aggregator.dtype()) };
        if self.is_dropping() {
            self.waiting.keep_last(&std::mem::take(&mut self.selections));
            window.keep(&kept);
        } else {
            self.selections.push(kept);
        }
        if self.waiting_is_pointless() {
            let looked = self.samples.len() as u64;
            self.selections.clear();
            // Whoever watches hears of looking, and is asked about each batch all the same.
            let going_on = || Ok(looking.done(looked)?);
            self.aggregate_waiting(|_| true, |_| going_on())?;
            return self.aggregate(window, |_| going_on());
        }
        let start = Instant::now();
        self.waiting.push(window)?;
        add(&mut self.timings.spill, start);
        Ok(())
    }

    fn dinov2(&mut self, window: &[Prepared], looking: &WatchedStep<'_>) -> Result<Tensor<3>> {
        let (parts, start) = (&self.model.parts, Instant::now());
        let tower = match &self.dinov2 {
            Some(tower) => Arc::clone(tower),
            None => self.model.dinov2()?,
        };
        let sources: Vec<usize> = window.iter().map(|frame| frame.pixels.source).collect();
        let (mut features, mut done) = (Vec::new(), 0);
        for group in self.looked.groups(&sources, parts.tower_batch) {
            done += group.frames();
            features.push(self.looked.see(&group, sources[done - 1], |fresh| {
                let pixels: Vec<&[u8]> = fresh.iter().map(|&i| window[i].pixels.dinov2.as_slice()).collect();
                let pixels = parts.dinov2.preprocessor.pixel_values(&pixels, &parts.device, parts.weights.dtype);
                tower.features(pixels, parts.config.feature_side())
            }));
            self.towers.dinov2 += group.fresh.len();
            self.towers.dinov2_repeats += group.repeats();
            parts.work.dinov2_frames.add(group.fresh.len());
            parts.work.dinov2_repeats.add(group.repeats());
            looking.done((self.samples.len() + done) as u64)?;
        }
        let features = Tensor::cat(features, 0);
        add(&mut self.timings.dinov2, start);
        Ok(features)
    }

    fn is_dropping(&mut self) -> bool {
        let stages = &self.model.stages;
        let limit = stages.budget.temporal_limit(SHORTEST_PROMPT);
        self.dropping |= self.kind == VisualKind::Video && stages.selector.applies(self.samples.len(), limit);
        self.dropping
    }

    /// Whether every waiting frame will be needed, if the source keeps its promise: the video will be too short for the
    /// temporal stage to drop anything, or for its cap on the number of frames to matter.
    ///
    /// Where the towers take turns in memory, every frame waits until DINOv2 has seen the last.
    fn waiting_is_pointless(&self) -> bool {
        if self.model.parts.residency == Residency::OnDemand {
            return false;
        }
        let stages = &self.model.stages;
        let seen = self.samples.len();
        match self.expected {
            _ if self.kind == VisualKind::Image => true,
            Some(expected) if expected < seen => false,
            None => false,
            Some(expected) if self.dropping => {
                expected < self.reduction.window() || self.kept + (expected - seen) <= stages.selector.max_frames()
            }
            Some(expected) => !stages.selector.applies(expected, stages.budget.temporal_limit(SHORTEST_PROMPT)),
        }
    }

    /// Runs SigLIP and the aggregator on the waiting frames that are wanted; `told` gets the number of frames done so far.
    fn aggregate_waiting(
        &mut self,
        wanted: impl Fn(&FrameInfo) -> bool,
        told: impl Fn(usize) -> Result<()>,
    ) -> Result<()> {
        loop {
            let start = Instant::now();
            let window = self.waiting.pop(&wanted)?;
            add(&mut self.timings.spill, start);
            let Some(window) = window else { return Ok(()) };
            self.aggregate(window, &told)?;
        }
    }

    /// SigLIP and the aggregator on the frames of one window, batch by batch; `told` gets the number of frames done so far.
    fn aggregate(&mut self, window: Window, told: impl Fn(usize) -> Result<()>) -> Result<()> {
        let parts = &self.model.parts;
        let tower = match &self.siglip {
            Some(tower) => Arc::clone(tower),
            None => Arc::clone(self.siglip.insert(self.model.siglip()?)),
        };
        let sources: Vec<usize> = window.frames.iter().map(|frame| frame.source).collect();
        let mut done = 0;
        for group in self.aggregated.groups(&sources, parts.tower_batch) {
            done += group.frames();
            let (features, attention) = self.aggregated.see(&group, sources[done - 1], |fresh| {
                aggregate(self.model, &tower, &window, fresh, self.size, &mut self.timings)
            });
            self.features.push(features);
            self.attention.extend(attention);
            self.count_aggregated(&group);
            told(self.done.len() + done)?;
        }
        self.done.extend(window.frames.into_iter().map(|frame| frame.info));
        Ok(())
    }

    fn count_aggregated(&mut self, group: &Group) {
        let work = &self.model.parts.work;
        let (frames, repeats) = (group.fresh.len(), group.repeats());
        self.towers.siglip += frames;
        self.towers.siglip_repeats += repeats;
        work.siglip_frames.add(frames);
        work.siglip_repeats.add(repeats);
        work.aggregator_frames.add(frames);
    }

    /// Aggregates what is left, now that the temporal stage's last word is known.
    fn finish(mut self) -> Result<EncodedVideo> {
        let unused = reduction(&self.model.stages)?;
        let temporal = match self.kind {
            VisualKind::Video => std::mem::replace(&mut self.reduction, unused).finish(),
            VisualKind::Image => whole(self.samples.len()),
        };
        check_selection(&temporal, &self.model.stages)?;
        let dropping = self.dropping;
        let wanted = |info: &FrameInfo| !dropping || temporal.selected.binary_search(&info.sample).is_ok();
        let total = self.done.len() + self.waiting.count(wanted);
        self.dinov2 = None;
        let model = self.model;
        let aggregating = model.watch.step(Step::Aggregate, "", Some(total as u64));
        self.aggregate_waiting(wanted, |done| Ok(aggregating.done(done as u64)?))?;
        let features = self.features.finish().ok_or(Error::NoFrames)?;
        // Frames aggregated early on a promise that the source broke may have to go after all.
        let rows: Vec<usize> = (0..self.done.len()).filter(|&row| wanted(&self.done[row])).collect();
        let features = select(features, &rows);
        let attention = (!self.attention.is_empty()).then(|| select(Tensor::cat(self.attention, 0), &rows));
        let frames: Vec<FrameInfo> = rows.iter().map(|&row| self.done[row]).collect();
        let reduced =
            (0..frames.len()).filter(|&i| temporal.selected.binary_search(&frames[i].sample).is_ok()).collect();
        Ok(EncodedVideo {
            kind: self.kind,
            features,
            frames,
            samples: self.samples,
            reduced,
            dimensions: self.dimensions,
            temporal,
            timings: self.timings,
            towers: self.towers,
            settings: self.model.encoding_settings(),
            notes: Default::default(),
            attention,
        })
    }
}

/// The frames at the positions `fresh` of a window through SigLIP and the aggregator.
fn aggregate(
    model: &LongVu,
    tower: &Siglip,
    window: &Window,
    fresh: &[usize],
    size: SizePair,
    timings: &mut EncodeTimings,
) -> Aggregated {
    let (parts, start) = (&model.parts, Instant::now());
    let side = parts.config.feature_side();
    let pixels: Vec<&[u8]> = fresh.iter().map(|&i| window.frames[i].siglip.as_slice()).collect();
    let pixels = parts.siglip.preprocessor.pixel_values(&pixels, &parts.device, parts.weights.dtype);
    let (siglip, attention) = if model.stages.pruner.needs_attention() {
        let (siglip, attention) = tower.features_with_attention(pixels, side);
        (siglip, Some(parts.aggregator.means_beneath(attention)))
    } else {
        (tower.features(pixels, side), None)
    };
    add(&mut timings.siglip, start);
    let start = Instant::now();
    let features = parts.aggregator.forward(siglip, pick(&window.dinov2, fresh), size);
    add(&mut timings.aggregator, start);
    (features, attention)
}
