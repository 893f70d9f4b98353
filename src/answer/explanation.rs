//! What became of every sampled frame, every cell of its grid and every position of the window, for pictures of them.

use std::ops::Range;

use serde::Serialize;

use crate::{
    Answer, EncodedVideo, Error, FrameInfo, LongVu, Result, VisualKind,
    compress::{FusionReport, Layout, TemporalReport},
    vision::KeptCells,
};

/// What the three stages did for an answer, as data.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Each video or image, in the prompt's order.
    pub visuals: Vec<VisualExplanation>,
    /// Where the window's positions went.
    pub window: WindowUse,
}

/// What the three stages did to a video or image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VisualExplanation {
    /// Whether it was a video or an image.
    pub kind: VisualKind,
    /// Width and height of the frames in pixels.
    pub dimensions: (u32, u32),
    /// The tokens of a frame at full resolution.
    pub full: TokenGrid,
    /// The tokens of a frame at low resolution.
    pub low: TokenGrid,
    /// Every sampled frame.
    pub frames: Vec<FrameUse>,
    /// The temporal stage's report; its windows' similarities if the model was [told
    /// to](crate::LongVuBuilder::temporal_similarity) report them.
    pub temporal: TemporalReport,
    /// The later stages' report, which counts frames as [`FrameUse::place`] does.
    pub fusion: FusionReport,
}

/// How a frame's tokens lie in the square grid that its padded picture is divided into: row by row, each with a newline after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenGrid {
    /// Rows and columns of the whole grid.
    pub side: usize,
    /// Rows of which there are tokens; the others were cut with the padding.
    pub rows: Range<usize>,
    /// Columns of which there are tokens.
    pub columns: Range<usize>,
}

impl TokenGrid {
    fn new(side: usize, cells: KeptCells) -> Self {
        Self { side, rows: cells.rows, columns: cells.columns }
    }

    /// Tokens of a row, of which the last is the newline.
    pub fn row_len(&self) -> usize {
        self.columns.len() + 1
    }

    /// Tokens of a whole frame, newlines included.
    pub fn tokens(&self) -> usize {
        self.rows.len() * self.row_len()
    }

    /// Row and column of the token at `position` of a frame's; `None` for newlines, and for positions that there are not.
    pub fn cell(&self, position: usize) -> Option<(usize, usize)> {
        let (row, column) = (position / self.row_len(), position % self.row_len());
        (row < self.rows.len() && column < self.columns.len())
            .then(|| (self.rows.start + row, self.columns.start + column))
    }
}

/// What a prompt has of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FrameFate {
    /// Nothing: the temporal stage dropped it.
    TemporalDropped,
    /// Nothing: others were picked by their scores against the question.
    QueryDropped,
    /// Nothing: the spatial stage left none of its tokens.
    SpatialDropped,
    /// Tokens of the coarser grid.
    Low,
    /// Tokens of the finer grid.
    Full,
}

/// A sampled frame, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FrameUse {
    /// Which frame it is.
    #[serde(flatten)]
    pub info: FrameInfo,
    /// What the prompt has of it.
    pub fate: FrameFate,
    /// Position among the frames that came to the later stages.
    pub place: Option<usize>,
    /// The temporal stage's score.
    pub temporal_score: Option<f32>,
    /// The score against the question, if there was one.
    pub query_score: Option<f32>,
    /// Its tokens in the prompt, newlines included.
    pub tokens: usize,
    /// Newlines among them.
    pub newlines: usize,
}

/// Where the positions of the language model's window went; what is named here adds up to [`window`](Self::window).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WindowUse {
    /// All positions.
    pub window: usize,
    /// Text of the prompt.
    pub text: usize,
    /// Tokens of frames at low resolution, without newlines.
    pub low: usize,
    /// Tokens of frames at full resolution, without newlines.
    pub full: usize,
    /// Newlines after the rows of frames.
    pub newlines: usize,
    /// Positions that no prompt may take, for the answer.
    pub reserved: usize,
    /// What is left.
    pub spare: usize,
}

impl LongVu {
    /// Tells what the stages did to `visuals` for `answer`, which must be this model's about them.
    ///
    /// # Errors
    /// [`Error::PlaceholderCount`] for another number of videos and images than the answer was about.
    pub fn explain(&self, visuals: &[&EncodedVideo], answer: &Answer) -> Result<Explanation> {
        let (places, given) = (answer.reports.len(), visuals.len());
        if places != given {
            return Err(Error::PlaceholderCount { places, given });
        }
        let prompts = answer.reports.iter().zip(&answer.selected);
        let visuals: Vec<VisualExplanation> = visuals
            .iter()
            .zip(prompts)
            .map(|(visual, (report, selected))| self.explain_visual(visual, report, selected))
            .collect();
        let budget = self.budget();
        let mut window = WindowUse {
            window: budget.max_len,
            text: answer.prompt_tokens - answer.visual_tokens.min(answer.prompt_tokens),
            reserved: budget.inference_max_length,
            spare: budget.max_len.saturating_sub(budget.inference_max_length).saturating_sub(answer.prompt_tokens),
            ..WindowUse::default()
        };
        for frame in visuals.iter().flat_map(|visual| &visual.frames) {
            window.newlines += frame.newlines;
            let tokens = frame.tokens - frame.newlines;
            match frame.fate {
                FrameFate::Full => window.full += tokens,
                _ => window.low += tokens,
            }
        }
        Ok(Explanation { visuals, window })
    }

    fn explain_visual(&self, visual: &EncodedVideo, report: &FusionReport, selected: &[usize]) -> VisualExplanation {
        let (size, side) = (visual.size_pair(), self.parts.config.query_side());
        let low = self.parts.config.lowres_token;
        let mut explanation = VisualExplanation {
            kind: visual.kind,
            dimensions: visual.dimensions,
            full: TokenGrid::new(side, size.kept_cells(side)),
            low: TokenGrid::new(low, size.scaled(side, low).kept_cells(low)),
            frames: Vec::new(),
            temporal: visual.temporal.clone(),
            fusion: report.clone(),
        };
        let frame = |info: &FrameInfo| explanation.frame(*info, selected.binary_search(&info.sample).ok());
        explanation.frames = visual.samples.iter().map(frame).collect();
        explanation
    }
}

impl VisualExplanation {
    /// The grid of a frame at one of the resolutions; `None` for frames that the prompt has nothing of.
    pub fn grid(&self, fate: FrameFate) -> Option<&TokenGrid> {
        match fate {
            FrameFate::Full => Some(&self.full),
            FrameFate::Low => Some(&self.low),
            FrameFate::TemporalDropped | FrameFate::QueryDropped | FrameFate::SpatialDropped => None,
        }
    }

    /// Positions of a frame's tokens that the spatial stage left; `None` where it did not run.
    pub fn kept(&self, frame: &FrameUse) -> Option<&[usize]> {
        self.fusion.spatial.as_ref()?.kept.get(frame.place?).map(Vec::as_slice)
    }

    fn frame(&self, info: FrameInfo, place: Option<usize>) -> FrameUse {
        let FusionReport { layout, query, spatial, tokens_per_frame, .. } = &self.fusion;
        let tokens = place.and_then(|place| tokens_per_frame.get(place)).copied().unwrap_or(0);
        let query = query.as_ref();
        let raised = |place| query.is_some_and(|query| query.full.binary_search(&place).is_ok());
        let fate = match place {
            None => FrameFate::TemporalDropped,
            Some(place) if tokens == 0 && *layout == Layout::Picked && !raised(place) => FrameFate::QueryDropped,
            Some(_) if tokens == 0 => FrameFate::SpatialDropped,
            Some(place) if *layout != Layout::QueryGuided || raised(place) => FrameFate::Full,
            Some(_) => FrameFate::Low,
        };
        let mut frame = FrameUse {
            info,
            fate,
            place,
            temporal_score: self.temporal.scores.get(info.sample).copied(),
            query_score: place.and_then(|place| query?.scores.get(place).copied()),
            tokens,
            newlines: 0,
        };
        if let Some(grid) = self.grid(fate) {
            frame.newlines = match (spatial, self.kept(&frame)) {
                (Some(_), Some(kept)) => kept.iter().filter(|&&position| grid.cell(position).is_none()).count(),
                _ => grid.rows.len(),
            };
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::SizePair;

    #[test]
    fn tokens_lie_in_rows_with_newlines_between() {
        // A video of 2:1: the package cuts columns where rows are padded.
        let grid = TokenGrid::new(12, SizePair::of_video(640, 320).kept_cells(12));
        assert_eq!((grid.rows.clone(), grid.columns.clone(), grid.row_len(), grid.tokens()), (0..12, 3..9, 7, 84));
        assert_eq!((grid.cell(0), grid.cell(5), grid.cell(7)), (Some((0, 3)), Some((0, 8)), Some((1, 3))));
        assert_eq!((grid.cell(6), grid.cell(83), grid.cell(84)), (None, None, None));
        let cells: std::collections::BTreeSet<_> = (0..84).filter_map(|position| grid.cell(position)).collect();
        assert_eq!(cells.len(), 72);
    }
}
