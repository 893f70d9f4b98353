//! Which cells of a token grid show the frame and which its padding.

use serde::Serialize;

/// The size of a frame in the order that unpadding uses.
///
/// For a video the published package passes (height, width) where its formulas read (width, height), so that rows
/// are cut where columns are padded and the other way round. The released weights were trained with that, and
/// results depend on it; an image has the order right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SizePair {
    /// First size in pixels.
    pub a: usize,
    /// Second size in pixels.
    pub b: usize,
}

impl SizePair {
    /// The pair of a video frame.
    pub fn of_video(width: u32, height: u32) -> Self {
        Self { a: height as usize, b: width as usize }
    }

    /// The pair of an image.
    pub fn of_image(width: u32, height: u32) -> Self {
        Self { a: width as usize, b: height as usize }
    }

    /// The pair divided by `from / to`, truncated, which the low-resolution grid is unpadded with.
    #[must_use]
    pub fn scaled(self, from: usize, to: usize) -> Self {
        let ratio = from as f64 / to as f64;
        let scale = |x: usize| ((x as f64 / ratio) as usize).max(1);
        Self { a: scale(self.a), b: scale(self.b) }
    }

    /// The cells of a `side x side` grid that are not padding; all of them for a frame so elongated that none would
    /// be left, as the package does.
    pub fn kept_cells(self, side: usize) -> KeptCells {
        let (a, b) = (self.a.max(1) as f64, self.b.max(1) as f64);
        let kept = |along: f64, across: f64| {
            let new = (across * (side as f64 / along)) as usize;
            let pad = side.saturating_sub(new) / 2;
            if 2 * pad < side { pad..side - pad } else { 0..side }
        };
        if a / b > 1.0 {
            KeptCells { rows: kept(a, b), columns: 0..side }
        } else {
            KeptCells { rows: 0..side, columns: kept(b, a) }
        }
    }
}

/// Rows and columns of a token grid that show the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCells {
    /// Kept rows.
    pub rows: std::ops::Range<usize>,
    /// Kept columns.
    pub columns: std::ops::Range<usize>,
}

impl KeptCells {
    /// Tokens of the frame with one newline token per row.
    pub fn tokens_with_newlines(&self) -> usize {
        self.rows.len() * (self.columns.len() + 1)
    }

    /// Whether the cell in `row` and `column` is kept.
    pub fn contains(&self, row: usize, column: usize) -> bool {
        self.rows.contains(&row) && self.columns.contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn square_frames_keep_everything() {
        let pair = SizePair::of_video(384, 384);
        assert_eq!(pair.kept_cells(12).tokens_with_newlines(), 12 * 13);
        assert_eq!(pair.scaled(12, 8).kept_cells(8).tokens_with_newlines(), 72);
    }

    #[test]
    fn a_thread_of_a_frame_keeps_its_whole_grid() {
        assert_eq!(SizePair::of_video(16_384, 16).kept_cells(12).tokens_with_newlines(), 12 * 13);
    }

    proptest! {
        #[test]
        fn kept_cells_lie_in_the_middle(w in 1u32..5000, h in 1u32..5000, side in 1usize..30) {
            let cells = SizePair::of_image(w, h).kept_cells(side);
            prop_assert_eq!(cells.rows.start, side - cells.rows.end);
            prop_assert_eq!(cells.columns.start, side - cells.columns.end);
            if w == h {
                prop_assert_eq!(cells, KeptCells { rows: 0..side, columns: 0..side });
            }
        }
    }
}
