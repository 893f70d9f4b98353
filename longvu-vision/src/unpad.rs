//! Which cells of a token grid show the frame and which its padding.

use serde::Serialize;

use crate::{Error, Result};

/// The size of a frame in the order that unpadding uses.
///
/// For a video the published package passes (height, width) where its formulas read (width, height), so that rows
/// are cut where columns are padded and the other way round. The released weights were trained with that, and
/// results depend on it; an image has the order right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

    /// The cells of a `side x side` grid that are not padding.
    ///
    /// # Errors
    /// [`Error::TooElongated`] when none is left.
    pub fn kept_cells(self, side: usize) -> Result<KeptCells> {
        let cells = self.kept_or_none(side);
        if cells.rows.is_empty() || cells.columns.is_empty() {
            return Err(Error::TooElongated { a: self.a, b: self.b, side });
        }
        Ok(cells)
    }

    /// The same, possibly empty.
    pub(crate) fn kept_or_none(self, side: usize) -> KeptCells {
        let (a, b) = (self.a.max(1) as f64, self.b.max(1) as f64);
        let kept = |along: f64, across: f64| {
            let new = (across * (side as f64 / along)) as usize;
            let pad = side.saturating_sub(new) / 2;
            pad..side - pad
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
        assert_eq!(pair.kept_cells(12).unwrap().tokens_with_newlines(), 12 * 13);
        assert_eq!(pair.scaled(12, 8).kept_cells(8).unwrap().tokens_with_newlines(), 72);
    }

    #[test]
    fn a_thread_of_a_frame_is_refused() {
        let error = SizePair::of_video(16_384, 16).kept_cells(12).unwrap_err();
        assert!(error.to_string().contains("crop"), "{error}");
    }

    proptest! {
        #[test]
        fn kept_cells_lie_in_the_middle(w in 1u32..5000, h in 1u32..5000, side in 1usize..30) {
            let cells = SizePair::of_image(w, h).kept_or_none(side);
            prop_assert_eq!(cells.rows.start, side - cells.rows.end);
            prop_assert_eq!(cells.columns.start, side - cells.columns.end);
            if w == h {
                prop_assert_eq!(cells, KeptCells { rows: 0..side, columns: 0..side });
            }
        }
    }
}
