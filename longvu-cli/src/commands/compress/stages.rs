//! The stages, one after the other, as far as they are named.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, bail};
use longvu::{
    Device, FeatureFile, FeatureKind,
    burn::tensor::Tensor,
    compress::{
        FramePicker, FrameSelector, Others, QueryReport, SpatialReduction, TemporalReduction, TemporalReport,
        TokenPruner, query_guided, score_and_pick,
    },
};

use super::{
    kept::{Kept, Seconds, Tokens},
    scores::{Given, Scores},
};

/// What runs.
pub struct Stages {
    pub selector: Option<Arc<dyn FrameSelector>>,
    pub later: Option<Later>,
    /// Tokens that fit.
    pub room: usize,
}

/// What follows the temporal stage.
pub enum Later {
    Query(Arc<dyn FramePicker>, Option<Scores>),
    Spatial(Arc<dyn TokenPruner>),
}

/// The frames that are left, and the clock.
struct Run<'a> {
    file: &'a FeatureFile,
    device: Device,
    frames: Vec<usize>,
    room: usize,
    seconds: Seconds,
}

impl Stages {
    /// Runs them.
    ///
    /// # Errors
    /// Features that cannot be read, stages that fail, and frames that do not fit at any resolution.
    pub fn run(self, file: &FeatureFile) -> Result<Kept> {
        let frames = (0..file.frames().len()).collect();
        let mut run =
            Run { file, device: longvu::default_device(), frames, room: self.room, seconds: Seconds::default() };
        let temporal = self.selector.map(|selector| run.temporal(selector.as_ref())).transpose()?;
        let (query, tokens) = match self.later {
            None => (None, None),
            Some(Later::Spatial(pruner)) => (None, Some(run.spatial(pruner.as_ref())?)),
            Some(Later::Query(picker, scores)) => {
                let (report, tokens) = run.query(picker.as_ref(), scores)?;
                (Some(report), Some(tokens))
            }
        };
        let Run { frames, seconds, .. } = run;
        Ok(Kept { samples: file.frames().to_vec(), frames, temporal, query, tokens, seconds })
    }
}

/// `work`, and the seconds it took added to `slot`.
fn timed<T>(slot: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *slot += start.elapsed().as_secs_f64();
    done
}

impl Run<'_> {
    fn temporal(&mut self, selector: &dyn FrameSelector) -> Result<TemporalReport> {
        let mut reduction = TemporalReduction::new(selector).map_err(longvu::Error::from)?;
        for window in self.frames.chunks(reduction.window()) {
            let features =
                timed(&mut self.seconds.read, || self.file.features(FeatureKind::Dinov2, window, &self.device))?;
            timed(&mut self.seconds.temporal, || reduction.push(features)).map_err(longvu::Error::from)?;
        }
        let report = reduction.finish();
        if report.selected.is_empty() {
            bail!("the temporal stage keeps no frame; raise its threshold");
        }
        self.frames.clone_from(&report.selected);
        Ok(report)
    }

    fn cells(&mut self, frames: &[usize], low: bool) -> Result<Tensor<3>> {
        timed(&mut self.seconds.read, || Ok(self.file.cells(frames, low, &self.device)?))
    }

    fn spatial(&mut self, pruner: &dyn TokenPruner) -> Result<Tokens> {
        if pruner.needs_attention() {
            bail!(
                "this spatial stage ranks tokens by the attention of the vision tower, which a file of features does not \
                 have; ask about the video itself, or take fastvid:d=1 or holitom:d=1, which need none"
            );
        }
        let ([side, _], places) = (self.file.sides()?, self.file.places(false)?);
        let frames = self.frames.clone();
        let reduction = SpatialReduction::new(pruner, frames.len(), self.room);
        let mut reduction = reduction.map_err(longvu::Error::from)?;
        for chunk in frames.chunks(reduction.chunk()) {
            let cells = self.cells(chunk, false)?;
            timed(&mut self.seconds.spatial, || reduction.push(cells)).map_err(longvu::Error::from)?;
        }
        let Some((tokens, report)) = timed(&mut self.seconds.spatial, || reduction.finish()) else {
            bail!("there is no frame to prune");
        };
        let positions = report.kept.iter().map(|kept| kept.iter().map(|&i| places[i]).collect()).collect();
        let sides = vec![side; frames.len()];
        Ok(Tokens { tokens, sides, full_side: side, positions, before: report.tokens_before })
    }

    fn query(&mut self, picker: &dyn FramePicker, scores: Option<Scores>) -> Result<(QueryReport, Tokens)> {
        let count = self.frames.len();
        let scored = scores.is_some();
        let scores = match scores {
            Some(scores) => scores.of(&self.frames, self.file.frames().len())?,
            None => vec![0.0; count],
        };
        let (full_len, low_len) = (self.file.places(false)?.len(), self.file.places(true)?.len());
        let frames = self.frames.clone();
        let low = self.cells(&frames, true)?;
        let text = Tensor::zeros([0, low.dims()[2]], &self.device);
        let (room, given, shown) = (self.room, Given(scores), low.clone());
        let report = timed(&mut self.seconds.query, || match picker.others() {
            Others::Dropped => score_and_pick(&given, picker, shown, text, room / full_len.max(1)),
            _ => query_guided(&given, picker, shown, text, room, full_len),
        });
        let mut report = report.map_err(longvu::Error::from)?;
        if !scored {
            // Nobody said any, and the choice looked at none.
            report.scores.clear();
        }
        let dropped = picker.others() == Others::Dropped;
        if (dropped && report.full.is_empty()) || (!dropped && report.full.is_empty() && count * low_len > room) {
            let least = if dropped { full_len } else { count * low_len };
            bail!("{room} tokens fit, and {least} are needed; raise --budget, or drop frames with --temporal");
        }
        let tokens = self.laid_out(&report.full, (!dropped).then_some(low))?;
        Ok((report, tokens))
    }

    /// The cells of the frames at the positions `full`, and of the others those of `low`, or none.
    fn laid_out(&mut self, full: &[usize], low: Option<Tensor<3>>) -> Result<Tokens> {
        let [side, low_side] = self.file.sides()?;
        let (places, low_places) = (self.file.places(false)?, self.file.places(true)?);
        let rows: Vec<usize> = full.iter().map(|&place| self.frames[place]).collect();
        let whole = if rows.is_empty() { None } else { Some(self.cells(&rows, false)?) };
        let (mut parts, mut sides, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for frame in 0..self.frames.len() {
            let (cells, side, places) = match (full.binary_search(&frame), &whole, &low) {
                (Ok(place), Some(whole), _) => (whole.clone().narrow(0, place, 1), side, places.clone()),
                (_, _, Some(low)) => (low.clone().narrow(0, frame, 1), low_side, low_places.clone()),
                _ => {
                    sides.push(0);
                    positions.push(Vec::new());
                    continue;
                }
            };
            let [_, count, channels] = cells.dims();
            parts.push(cells.reshape([count, channels]));
            sides.push(side);
            positions.push(places);
        }
        let before = self.frames.len() * places.len();
        Ok(Tokens { tokens: Tensor::cat(parts, 0), sides, full_side: side, positions, before })
    }
}
