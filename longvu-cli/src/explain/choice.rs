//! Which frames are shown of a video that has too many.

use longvu::{FrameFate, FrameUse, VisualExplanation};

/// Frames of a run that are shown in a row.
pub const STRIP: usize = 120;

/// Frames of a run whose tokens are shown, where a stage dropped some of them, and where none did.
pub const GRIDS: [usize; 2] = [48, 12];

/// The frames to show of a run, ascending: at most [`STRIP`], evenly spread. Half of them may be frames that the prompt has
/// nothing of, and the others may be frames that it has; what one half leaves is for the other.
pub fn strip(visual: &VisualExplanation) -> Vec<&FrameUse> {
    halves(visual.frames.iter().collect(), STRIP, |frame| frame.tokens > 0)
}

/// The frames whose tokens are shown: at most [`GRIDS`] of those in the strip that the prompt has something of. Half of them may be
/// frames at full resolution.
pub fn grids(visual: &VisualExplanation) -> Vec<&FrameUse> {
    let used: Vec<&FrameUse> = strip(visual).into_iter().filter(|frame| frame.tokens > 0).collect();
    let [most, whole] = GRIDS;
    halves(used, if visual.fusion.spatial.is_some() { most } else { whole }, |frame| frame.fate == FrameFate::Full)
}

/// At most `most` frames, ascending, of which half may be frames that `is_first` and the others other ones; what one half leaves
/// is for the other.
fn halves(frames: Vec<&FrameUse>, most: usize, is_first: impl Fn(&FrameUse) -> bool) -> Vec<&FrameUse> {
    let (first, second): (Vec<&FrameUse>, Vec<&FrameUse>) = frames.into_iter().partition(|frame| is_first(frame));
    let first = spread(&first, (most / 2).max(most.saturating_sub(second.len())));
    let second = spread(&second, most - first.len());
    let mut shown = [first, second].concat();
    shown.sort_by_key(|frame| frame.info.sample);
    shown
}

/// At most `most` of the items, evenly spread, the first among them.
pub fn spread<T: Clone>(items: &[T], most: usize) -> Vec<T> {
    let count = items.len().min(most);
    (0..count).map(|i| items[i * items.len() / count].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_all_there_and_many_are_spread() {
        assert_eq!(spread(&[1, 2, 3], 5), [1, 2, 3]);
        assert_eq!(spread(&(0..100).collect::<Vec<_>>(), 4), [0, 25, 50, 75]);
        assert!(spread::<u8>(&[], 3).is_empty() && spread(&[1], 0).is_empty());
    }
}
