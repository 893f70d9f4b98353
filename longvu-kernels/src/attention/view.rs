//! Rows of heads in a larger buffer.

use core::marker::PhantomData;

/// Where the rows of `[heads, positions, head_dim]` lie.
#[derive(Clone, Copy, Debug)]
struct Layout {
    shape: [usize; 3],
    head_stride: usize,
    position_stride: usize,
}

impl Layout {
    /// Checks that the last row ends within `len`.
    fn new(len: usize, shape: [usize; 3], [head_stride, position_stride]: [usize; 2]) -> Self {
        let [heads, positions, head_dim] = shape;
        assert!(head_dim > 0, "no elements in a head");
        if heads > 0 && positions > 0 {
            let last = (heads - 1)
                .checked_mul(head_stride)
                .zip((positions - 1).checked_mul(position_stride))
                .and_then(|(head, position)| head.checked_add(position)?.checked_add(head_dim));
            assert!(last.is_some_and(|end| end <= len), "{shape:?} does not fit {len} elements");
        }
        Self { shape, head_stride, position_stride }
    }

    #[inline(always)]
    fn offset(&self, head: usize, position: usize) -> usize {
        assert!(head < self.shape[0] && position < self.shape[1], "row {head}, {position} of {:?}", self.shape);
        head * self.head_stride + position * self.position_stride
    }

    /// Whether no two rows share an element.
    fn is_disjoint(&self) -> bool {
        let ([heads, positions, head_dim], [outer, inner]) = (self.shape, [self.head_stride, self.position_stride]);
        let nested = |count: usize, inner: usize, outer: usize, outer_count: usize| {
            (count <= 1 || inner >= head_dim)
                && (outer_count <= 1 || outer >= count.saturating_sub(1) * inner + head_dim)
        };
        nested(positions, inner, outer, heads) || nested(heads, outer, inner, positions)
    }
}

/// Strides of `[heads, positions, head_dim]` without gaps.
fn by_head([_, positions, head_dim]: [usize; 3]) -> [usize; 2] {
    [positions * head_dim, head_dim]
}

/// Strides of `[positions, heads, head_dim]` without gaps.
fn by_position([heads, _, head_dim]: [usize; 3]) -> [usize; 2] {
    [head_dim, heads * head_dim]
}

/// Queries, keys or values: `[heads, positions, head_dim]`, the rows anywhere in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    data: &'a [f32],
    layout: Layout,
}

impl<'a> Heads<'a> {
    /// `shape` is `[heads, positions, head_dim]`, `strides` the elements from one head to the next and from one position
    /// to the next. A cache with room for more positions has a head stride of `capacity * head_dim`.
    ///
    /// # Panics
    /// If the last row does not lie in `data`.
    #[must_use]
    pub fn new(data: &'a [f32], shape: [usize; 3], strides: [usize; 2]) -> Self {
        Self { data, layout: Layout::new(data.len(), shape, strides) }
    }

    /// Rows that lie as `[heads, positions, head_dim]`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[must_use]
    pub fn by_head(data: &'a [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, by_head(shape))
    }

    /// Rows that lie as `[positions, heads, head_dim]`; `shape` is still `[heads, positions, head_dim]`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[must_use]
    pub fn by_position(data: &'a [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, by_position(shape))
    }

    /// `[heads, positions, head_dim]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.layout.shape
    }

    /// One row.
    #[inline(always)]
    pub(crate) fn row(&self, head: usize, position: usize) -> &'a [f32] {
        &self.data[self.layout.offset(head, position)..][..self.layout.shape[2]]
    }
}

/// The rows that attention writes: [`Heads`] that do not overlap.
#[derive(Debug)]
pub struct HeadsMut<'a> {
    data: *mut f32,
    layout: Layout,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]`; shared references give out rows through an unsafe function alone.
unsafe impl Send for HeadsMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for HeadsMut<'_> {}

impl<'a> HeadsMut<'a> {
    /// As [`Heads::new`].
    ///
    /// # Panics
    /// If the last row does not lie in `data`, or rows overlap.
    #[must_use]
    pub fn new(data: &'a mut [f32], shape: [usize; 3], strides: [usize; 2]) -> Self {
        let layout = Layout::new(data.len(), shape, strides);
        assert!(layout.is_disjoint(), "rows of {layout:?} overlap");
        Self { data: data.as_mut_ptr(), layout, borrow: PhantomData }
    }

    /// Rows that lie as `[heads, positions, head_dim]`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[must_use]
    pub fn by_head(data: &'a mut [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, by_head(shape))
    }

    /// Rows that lie as `[positions, heads, head_dim]`; `shape` is still `[heads, positions, head_dim]`.
    ///
    /// # Panics
    /// If `data` is too short.
    #[must_use]
    pub fn by_position(data: &'a mut [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, by_position(shape))
    }

    /// `[heads, positions, head_dim]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.layout.shape
    }

    /// One row.
    ///
    /// # Safety
    /// No other reference to the same row may be alive.
    #[expect(clippy::mut_from_ref, reason = "tasks write different rows of one output")]
    pub(crate) unsafe fn row(&self, head: usize, position: usize) -> &mut [f32] {
        let offset = self.layout.offset(head, position);
        // SAFETY: the layout was checked against the slice's length; rows are disjoint, and the caller has the only
        // reference to this one.
        unsafe { core::slice::from_raw_parts_mut(self.data.add(offset), self.layout.shape[2]) }
    }
}
