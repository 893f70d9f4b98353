//! Stages 2 and 3 together: from a video's kept frames to the visual tokens of one prompt.

use burn::tensor::Tensor;
use serde::Serialize;

use crate::{
    Budget, Error, FramePicker, FrameScorer, Others, QueryReport, Result, SpatialReduction, SpatialReport, TokenPruner,
    query::score_and_pick, query_guided,
};

/// Frames whose tokens can be had at two resolutions.
pub trait FrameTokens {
    /// Number of frames.
    fn frames(&self) -> usize;

    /// Tokens of one frame at full resolution, newlines included.
    fn full_len(&self) -> usize;

    /// Tokens of a row of a frame's grid at full and at low resolution, of which the last is a newline; `None` without newlines.
    fn row_lens(&self) -> Option<[usize; 2]> {
        None
    }

    /// All frames, or those at the given positions, at full resolution: `[frames, full_len, hidden_size]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where somebody watches who wants no more.
    fn full(&self, frames: Option<&[usize]>) -> Result<Tensor<3>>;

    /// All frames at low resolution: `[frames, low_len, hidden_size]`.
    ///
    /// # Errors
    /// As [`FrameTokens::full`].
    fn low(&self) -> Result<Tensor<3>>;

    /// Attention that the tokens of the frames at the given positions received in the vision tower, 0 for newlines, as they are
    /// in a prompt of this layout: at low resolution where it is [`Layout::QueryGuided`]. `[frames, tokens]`, or `None` where it
    /// isn't known. Asked for pruners that [need](TokenPruner::needs_attention) it.
    ///
    /// # Errors
    /// As [`FrameTokens::full`].
    fn attention(&self, _frames: &[usize], _layout: Layout) -> Result<Option<Tensor<2>>> {
        Ok(None)
    }
}

/// At which resolution a video's frames went into the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layout {
    /// Every frame at full resolution.
    Full,
    /// Every frame at low resolution, the best raised to full.
    QueryGuided,
    /// Picked frames at full resolution, and none of the others.
    Picked,
}

/// The stages that run when a question is known.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct LaterStages<'a> {
    /// Scores frames against the question.
    pub scorer: &'a dyn FrameScorer,
    /// Picks frames by their scores.
    pub picker: &'a dyn FramePicker,
    /// Drops tokens that repeat.
    pub pruner: &'a dyn TokenPruner,
}

impl<'a> LaterStages<'a> {
    /// Stage 2 as a score and a choice by it, and stage 3.
    pub fn new(scorer: &'a dyn FrameScorer, picker: &'a dyn FramePicker, pruner: &'a dyn TokenPruner) -> Self {
        Self { scorer, picker, pruner }
    }
}

/// What stages 2 and 3 did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FusionReport {
    /// Frames that came in.
    pub frames: usize,
    /// The layout chosen.
    pub layout: Layout,
    /// Frames at full resolution.
    pub full_frames: usize,
    /// Visual tokens before the spatial stage.
    pub tokens_before: usize,
    /// Visual tokens in the prompt.
    pub tokens_after: usize,
    /// Tokens that each frame has in the prompt.
    pub tokens_per_frame: Vec<usize>,
    /// Stage 2, when it ran.
    pub query: Option<QueryReport>,
    /// Stage 3, when it ran.
    pub spatial: Option<SpatialReport>,
}

impl FusionReport {
    /// Frames that the prompt has anything of: the picked ones, or all that came in.
    pub fn prompt_frames(&self) -> usize {
        if self.layout == Layout::Picked { self.full_frames } else { self.frames }
    }
}

/// The visual part of a prompt.
#[non_exhaustive]
pub struct VisualTokens {
    /// `[tokens, hidden_size]`, in time order.
    pub tokens: Tensor<2>,
    /// How they came about.
    pub report: FusionReport,
}

impl VisualTokens {
    /// All tokens of frames of one resolution in a row.
    ///
    /// # Shapes
    /// - `tokens`: `[frames, tokens, hidden_size]`
    pub fn whole(tokens: Tensor<3>, layout: Layout) -> Self {
        let [frames, len, hidden] = tokens.dims();
        Self { tokens: tokens.reshape([frames * len, hidden]), report: unreduced(frames, len, layout) }
    }

    fn with_query(mut self, query: Option<QueryReport>) -> Self {
        self.report.query = query;
        self
    }
}

/// Fits a video's frames into the room that a prompt leaves.
///
/// Few frames go in at full resolution; more at low resolution, the best raised to full by stage 2; more still at
/// full resolution with repeated tokens dropped by stage 3, which also steps in whenever the rest overflows. With a picker
/// that drops the [others](FramePicker::others), frames that do not all fit are as many of the picked ones as do.
///
/// `text_len` is the prompt's length with each placeholder counted as one, `text_ids` its length without them.
///
/// # Shapes
/// - `text`: `[text_tokens, hidden_size]`, embeddings of the prompt after the placeholder
///
/// # Errors
/// A stage's own, and what a stage or `frames` returns that does not fit what was asked for.
pub fn fuse<F: FrameTokens>(
    frames: &F,
    text: Tensor<2>,
    (text_len, text_ids): (usize, usize),
    budget: &Budget,
    stages: LaterStages<'_>,
) -> Result<VisualTokens> {
    let LaterStages { scorer, picker, pruner } = stages;
    let (count, hidden) = (frames.frames(), text.dims()[1]);
    let room = budget.room(text_ids);
    let fitting = room / frames.full_len().max(1);
    if picker.others() == Others::Dropped && (1..count).contains(&fitting) {
        return picked(frames, text, fitting, scorer, picker);
    }
    let row_lens = frames.row_lens();
    let mixed = budget.highres
        && !pruner.always()
        && (budget.high_frames(text_len)..=budget.low_frames(text_len)).contains(&count);
    if !mixed {
        let len = frames.full_len();
        if count * len <= room && !pruner.always() {
            return Ok(VisualTokens::whole(sized(frames.full(None)?, [count, len, hidden])?, Layout::Full));
        }
        let chunk = |frames_at: &[usize]| {
            let tokens = sized(frames.full(Some(frames_at))?, [frames_at.len(), len, hidden])?;
            Ok((tokens, attention(frames, frames_at, Layout::Full, pruner)?))
        };
        let layout = (Layout::Full, row_lens.map(|[full, _]| full));
        return prune((count, len), chunk, layout, None, room, pruner);
    }
    let low = frames.low()?;
    let (len, full_len) = (low.dims()[1], frames.full_len());
    let low = sized(low, [count, len, hidden])?;
    let query = query_guided(scorer, picker, low.clone(), text, room, full_len)?;
    if query.full.is_empty() {
        if count * len <= room {
            return Ok(VisualTokens::whole(low, Layout::QueryGuided).with_query(Some(query)));
        }
        let chunk = |frames_at: &[usize]| {
            let tokens = low.clone().narrow(0, frames_at[0], frames_at.len());
            Ok((tokens, attention(frames, frames_at, Layout::QueryGuided, pruner)?))
        };
        let layout = (Layout::QueryGuided, row_lens.map(|[_, low]| low));
        return prune((count, len), chunk, layout, Some(query), room, pruner);
    }
    let full = sized(frames.full(Some(&query.full))?, [query.full.len(), full_len, hidden])?;
    Ok(interleave(low, full, query))
}

/// `most` frames at full resolution, and no others.
fn picked<F: FrameTokens>(
    frames: &F,
    text: Tensor<2>,
    most: usize,
    scorer: &dyn FrameScorer,
    picker: &dyn FramePicker,
) -> Result<VisualTokens> {
    let (count, hidden, len) = (frames.frames(), text.dims()[1], frames.full_len());
    let low = frames.low()?;
    let low_len = low.dims()[1];
    let query = score_and_pick(scorer, picker, sized(low, [count, low_len, hidden])?, text, most)?;
    let rows = query.full.as_slice();
    let full = sized(frames.full(Some(rows))?, [rows.len(), len, hidden])?;
    let mut visual = VisualTokens::whole(full, Layout::Picked);
    visual.report.frames = count;
    visual.report.full_frames = rows.len();
    visual.report.tokens_before = count * len;
    visual.report.tokens_per_frame =
        (0..count).map(|frame| if rows.binary_search(&frame).is_ok() { len } else { 0 }).collect();
    Ok(visual.with_query(Some(query)))
}

/// What the tower attended to in the frames at the given positions, for a pruner that goes by it.
fn attention<F: FrameTokens>(
    frames: &F,
    frames_at: &[usize],
    layout: Layout,
    pruner: &dyn TokenPruner,
) -> Result<Option<Tensor<2>>> {
    if pruner.needs_attention() { frames.attention(frames_at, layout) } else { Ok(None) }
}

/// The tokens, if they have the shape that was asked for.
fn sized(tokens: Tensor<3>, expected: [usize; 3]) -> Result<Tensor<3>> {
    let found = tokens.dims();
    if found == expected { Ok(tokens) } else { Err(Error::BadTokens { found, expected }) }
}

/// Replaces the raised frames' low-resolution tokens by their full ones, in time order.
fn interleave(low: Tensor<3>, full: Tensor<3>, query: QueryReport) -> VisualTokens {
    let [frames, low_len, hidden] = low.dims();
    let [_, full_len, _] = full.dims();
    let mut parts = Vec::with_capacity(frames);
    let mut tokens_per_frame = Vec::with_capacity(frames);
    let mut raised = 0;
    for frame in 0..frames {
        if query.full.get(raised) == Some(&frame) {
            parts.push(full.clone().narrow(0, raised, 1).reshape([full_len, hidden]));
            tokens_per_frame.push(full_len);
            raised += 1;
        } else {
            parts.push(low.clone().narrow(0, frame, 1).reshape([low_len, hidden]));
            tokens_per_frame.push(low_len);
        }
    }
    let total = tokens_per_frame.iter().sum();
    let report = FusionReport {
        frames,
        layout: Layout::QueryGuided,
        full_frames: raised,
        tokens_before: total,
        tokens_after: total,
        tokens_per_frame,
        query: Some(query),
        spatial: None,
    };
    VisualTokens { tokens: Tensor::cat(parts, 0), report }
}

/// The report of `frames` frames of `len` tokens each.
fn unreduced(frames: usize, len: usize, layout: Layout) -> FusionReport {
    FusionReport {
        frames,
        layout,
        full_frames: if layout == Layout::Full { frames } else { 0 },
        tokens_before: frames * len,
        tokens_after: frames * len,
        tokens_per_frame: vec![len; frames],
        query: None,
        spatial: None,
    }
}

/// Lays frames of one resolution out in a row without repeated tokens, as many as fit.
///
/// Frames come in chunks, and of each only what is kept stays in memory: all of a long video's tokens would be
/// many times the prompt.
fn prune(
    (frames, len): (usize, usize),
    chunk: impl Fn(&[usize]) -> Result<(Tensor<3>, Option<Tensor<2>>)>,
    (layout, row_len): (Layout, Option<usize>),
    query: Option<QueryReport>,
    room: usize,
    pruner: &dyn TokenPruner,
) -> Result<VisualTokens> {
    let mut report = FusionReport { query, ..unreduced(frames, len, layout) };
    let mut reduction = SpatialReduction::new(pruner, frames, room)?.with_row_len(row_len);
    let all: Vec<usize> = (0..frames).collect();
    all.chunks(reduction.chunk()).try_for_each(|frames_at| {
        let (tokens, attention) = chunk(frames_at)?;
        reduction.push_with(tokens, attention)
    })?;
    let Some((tokens, spatial)) = reduction.finish() else {
        return Ok(VisualTokens::whole(chunk(&all)?.0, layout).with_query(report.query));
    };
    report.tokens_after = spatial.tokens_after;
    report.tokens_per_frame = spatial.kept.iter().map(Vec::len).collect();
    report.spatial = Some(spatial);
    Ok(VisualTokens { tokens, report })
}
