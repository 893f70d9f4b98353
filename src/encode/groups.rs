//! Frames that go through a tower together, and those that have what came of another.

use burn::tensor::Tensor;
use longvu_core::ops::select_rows;

use crate::encoded::video::select;

/// Frames in a row: some that go through a tower together, and those that repeat one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Positions of those that go through; none where all repeat the frame before the group.
    pub fresh: Vec<usize>,
    /// For each frame its place among `fresh`, or 0 for the frame before the group.
    rows: Vec<usize>,
}

impl Group {
    /// Frames of the group.
    pub fn frames(&self) -> usize {
        self.rows.len()
    }

    /// Frames that repeat another.
    pub fn repeats(&self) -> usize {
        self.rows.len() - self.fresh.len()
    }
}

/// Divides frames, of which `sources` says whose pixels they have, into groups of which at most `most` go through a tower.
/// The frame before them had those of `last`.
fn divide(mut last: Option<usize>, sources: &[usize], most: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (position, &source) in sources.iter().enumerate() {
        let repeats = last.replace(source) == Some(source);
        match groups.last_mut() {
            Some(group) if repeats => group.rows.push(group.fresh.len().saturating_sub(1)),
            None if repeats => groups.push(Group { fresh: Vec::new(), rows: vec![0] }),
            Some(group) if (1..most).contains(&group.fresh.len()) => {
                group.rows.push(group.fresh.len());
                group.fresh.push(position);
            }
            _ => groups.push(Group { fresh: vec![position], rows: vec![0] }),
        }
    }
    groups
}

/// A tower's way through a clip: what came of a frame stands until the next that does not repeat it.
pub(crate) struct Pass<T> {
    /// Whose pixels the last frame had, and what came of them: a row of each tensor.
    last: Option<(usize, T)>,
}

impl<T> Default for Pass<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<T: Rows> Pass<T> {
    /// The next frames in groups of at most `most` that go through; `sources` says whose pixels each of them has.
    pub fn groups(&self, sources: &[usize], most: usize) -> Vec<Group> {
        divide(self.last.as_ref().map(|(source, _)| *source), sources, most)
    }

    /// Rows for every frame of the next group: `see` makes those of the frames that go through. `source` is whose pixels the
    /// group's last frame has.
    pub fn see(&mut self, group: &Group, source: usize, see: impl FnOnce(&[usize]) -> T) -> T {
        let made = match self.last.take() {
            Some((_, last)) if group.fresh.is_empty() => last,
            _ => see(&group.fresh),
        };
        let made = made.rows(&group.rows);
        self.last = Some((source, made.clone().rows(&[group.frames() - 1])));
        made
    }
}

/// Tensors with a row for each frame.
pub(crate) trait Rows: Clone {
    /// The rows at the given positions, some of them more than once perhaps; ascending.
    #[must_use]
    fn rows(self, rows: &[usize]) -> Self;
}

impl<const D: usize> Rows for Tensor<D> {
    fn rows(self, rows: &[usize]) -> Self {
        select(self, rows)
    }
}

impl<T: Rows> Rows for Option<T> {
    fn rows(self, rows: &[usize]) -> Self {
        self.map(|tensors| tensors.rows(rows))
    }
}

impl<T: Rows, U: Rows> Rows for (T, U) {
    fn rows(self, rows: &[usize]) -> Self {
        (self.0.rows(rows), self.1.rows(rows))
    }
}

impl<T: Rows, const N: usize> Rows for [T; N] {
    fn rows(self, rows: &[usize]) -> Self {
        self.map(|tensors| tensors.rows(rows))
    }
}

/// The rows at ascending positions, of which there are some; in place where they follow each other.
pub(crate) fn pick<const D: usize>(features: &Tensor<D>, positions: &[usize]) -> Tensor<D> {
    match *positions {
        [first, .., last] if last - first < positions.len() => features.clone().narrow(0, first, positions.len()),
        [only] => features.clone().narrow(0, only, 1),
        _ => select_rows(features.clone(), positions),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    use super::*;

    fn group(fresh: &[usize], rows: &[usize]) -> Group {
        Group { fresh: fresh.to_vec(), rows: rows.to_vec() }
    }

    #[test]
    fn repeats_go_with_the_frame_before_them() {
        let sources = [3, 3, 6, 6, 6, 9, 10, 10];
        let two = [group(&[], &[0, 0]), group(&[2, 5], &[0, 0, 0, 1]), group(&[6], &[0, 0])];
        assert_eq!(divide(Some(3), &sources, 2), two);
        assert_eq!(divide(Some(2), &sources, 2)[0], group(&[0, 2], &[0, 0, 1, 1, 1]));
        let single = [group(&[0], &[0, 0]), group(&[2], &[0, 0, 0]), group(&[5], &[0]), group(&[6], &[0, 0])];
        assert_eq!(divide(None, &sources, 1), single);
        assert!(divide(Some(3), &[], 2).is_empty());
        assert_eq!((single[1].frames(), single[1].repeats()), (3, 2));
    }

    /// A value for each position.
    fn tower(positions: impl IntoIterator<Item = usize>) -> Tensor<2> {
        let values: Vec<f32> = positions.into_iter().flat_map(|position| [position as f32, 0.5]).collect();
        Tensor::from_data(TensorData::new(values.clone(), [values.len() / 2, 2]), &crate::default_device())
    }

    proptest! {
        /// Whatever windows and batches are, each frame gets what its source would get on its own, and each source is seen once.
        #[test]
        fn every_frame_has_what_came_of_its_source(
            repeats in prop::collection::vec(any::<bool>(), 1..40), window in 1_usize..9, most in 1_usize..6,
        ) {
            let mut sources: Vec<usize> = (0..repeats.len()).collect();
            (1..sources.len()).filter(|&frame| repeats[frame]).for_each(|frame| sources[frame] = sources[frame - 1]);
            let (mut pass, mut found, mut seen) = (Pass::default(), Vec::new(), Vec::new());
            for window in sources.chunks(window) {
                let mut done = 0;
                for group in pass.groups(window, most) {
                    done += group.frames();
                    prop_assert!(group.fresh.len() <= most);
                    let rows: Tensor<2> = pass.see(&group, window[done - 1], |fresh| {
                        seen.extend(fresh.iter().map(|&position| window[position]));
                        tower(fresh.iter().map(|&position| window[position]))
                    });
                    found.extend(rows.into_data().iter::<f32>());
                }
                prop_assert_eq!(done, window.len());
            }
            let expected: Vec<f32> = tower(sources.iter().copied()).into_data().iter::<f32>().collect();
            prop_assert_eq!(found, expected);
            sources.dedup();
            prop_assert_eq!(seen, sources);
        }
    }

    #[test]
    fn rows_are_picked_in_place_or_one_by_one() {
        for positions in [&[1, 2, 3][..], &[0, 2, 3], &[4], &[3, 4]] {
            let found = pick(&tower(0..5), positions).into_data();
            assert_eq!(found, tower(positions.iter().copied()).into_data(), "{positions:?}");
        }
    }
}
