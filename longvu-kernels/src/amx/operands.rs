//! The operands of a product on tiles: their shapes, and that they lie where the slices they came from have memory.

use super::{Amx, kernel};
use std::marker::PhantomData;

/// Rows of activations of a product.
pub(crate) const MAX_ROWS: usize = 2 * TILE_ROWS;
/// Outputs of a product.
pub(crate) const MAX_OUTPUTS: usize = 2 * BLOCK_OUTPUTS;
/// Outputs of a block of packed weights.
pub(crate) const BLOCK_OUTPUTS: usize = TILE_BYTES / 4;

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 16;
/// Bytes of a row of a tile.
pub(super) const TILE_BYTES: usize = 64;

/// Products of some types, and how they are summed.
pub(crate) trait Dot {
    /// Activations.
    type A: Copy;
    /// Weights.
    type B: Copy;
    /// Sums.
    type C: Copy + Default;
    /// Inputs of a step.
    const DEPTH: usize = TILE_BYTES / size_of::<Self::A>();

    /// Multiplies on two tiles of rows if `lower`, else on one, and on two blocks of outputs if `right`, else on one.
    ///
    /// # Safety
    /// Tiles have to be configured. `operands` have to point to that many rows and blocks; nothing else may use the memory
    /// of `c` meanwhile.
    #[doc(hidden)]
    unsafe fn run(amx: Amx, lower: bool, right: bool, operands: &Operands);
}

/// bf16, as bits, summed in `f32`: within a step all even inputs and all odd inputs, each by fused multiplications from
/// zero on, then these two, then what was there before. Numbers below the normal ones are zero, in and out.
pub(crate) struct Bf16;

/// Unsigned activations times signed weights, summed in `i32`, which wraps.
pub(crate) struct Int8;

impl Dot for Bf16 {
    type A = u16;
    type B = u16;
    type C = f32;

    unsafe fn run(amx: Amx, lower: bool, right: bool, operands: &Operands) {
        // SAFETY: what the caller promises.
        unsafe { kernel::bf16(amx, lower, right, operands) }
    }
}

impl Dot for Int8 {
    type A = u8;
    type B = i8;
    type C = i32;

    unsafe fn run(amx: Amx, lower: bool, right: bool, operands: &Operands) {
        // SAFETY: what the caller promises.
        unsafe { kernel::int8(amx, lower, right, operands) }
    }
}

/// Activations: step `s` of row `r` begins at element `r * stride + s * step`. They are read to the next multiple of
/// sixteen rows.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a, T> {
    pub data: &'a [T],
    pub stride: usize,
    pub step: usize,
}

impl<'a, T> Lhs<'a, T> {
    /// Rows one after the other, `stride` elements apart.
    pub(crate) fn by_row(data: &'a [T], stride: usize) -> Self {
        Self { data, stride, step: TILE_BYTES / size_of::<T>() }
    }

    /// `[steps][rows][inputs of a step]`: what a step reads lies together, where rows a power of two apart would evict each
    /// other from the first cache.
    pub(crate) fn by_step(data: &'a [T], rows: usize) -> Self {
        let stride = TILE_BYTES / size_of::<T>();
        Self { data, stride, step: rows * stride }
    }

    /// Elements that `rows` rows and `steps` steps, at least one each, reach to; `None` where that does not fit a `usize`.
    pub(super) fn reach(&self, rows: usize, steps: usize) -> Option<usize> {
        let rows = (rows - 1).checked_mul(self.stride)?;
        let steps = (steps - 1).checked_mul(self.step)?;
        rows.checked_add(steps)?.checked_add(TILE_BYTES / size_of::<T>())
    }
}

/// Where sums go: `rows` by `outputs` elements, a row being `stride` elements after the one before.
pub(crate) struct Out<'c, T> {
    pub(super) data: *mut T,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) outputs: usize,
    lifetime: PhantomData<&'c mut [T]>,
}

impl<'c, T> Out<'c, T> {
    /// The elements at the start of `data`. Others between and after them are left as they are.
    ///
    /// # Panics
    /// If the sizes are none, more than [`MAX_ROWS`] and [`MAX_OUTPUTS`], or beyond `stride` or the end of `data`.
    pub(crate) fn new(data: &'c mut [T], stride: usize, rows: usize, outputs: usize) -> Self {
        let fits = |end: usize| end <= data.len();
        assert!(
            rows.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(outputs)).is_some_and(fits),
            "{rows} rows of {outputs} outputs, {stride} apart, in {} elements",
            data.len()
        );
        // SAFETY: the rows end where the slice does, or before.
        unsafe { Self::from_raw(data.as_mut_ptr(), stride, rows, outputs) }
    }

    /// [`Out::new`] for rows that threads share, each having some of their outputs.
    ///
    /// # Safety
    /// For `'c`, the `rows` runs of `outputs` elements have to be valid for reads and writes, and used by nobody else.
    ///
    /// # Panics
    /// If the sizes are none, more than [`MAX_ROWS`] and [`MAX_OUTPUTS`], or `outputs` beyond `stride`.
    pub(crate) unsafe fn from_raw(data: *mut T, stride: usize, rows: usize, outputs: usize) -> Self {
        assert!(
            (1..=MAX_ROWS).contains(&rows) && (1..=MAX_OUTPUTS).contains(&outputs),
            "{rows} rows, {outputs} outputs"
        );
        assert!(outputs <= stride, "rows of {outputs} outputs, {stride} apart");
        Self { data, stride, rows, outputs, lifetime: PhantomData }
    }
}

/// What a kernel reads and writes, in bytes.
pub(crate) struct Operands {
    pub(super) a: *const u8,
    pub(super) a_stride: usize,
    pub(super) a_step: usize,
    /// The second is not used where there is one block.
    pub(super) b: [*const u8; 2],
    pub(super) c: *mut u8,
    pub(super) c_stride: usize,
    /// At least one.
    pub(super) steps: usize,
    /// Whether `c` is added to, or else overwritten.
    pub(super) add: bool,
}
