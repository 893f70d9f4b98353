//! A thread's tiles, configured for as long as a task needs them.

use super::operands::{BLOCK_OUTPUTS, Dot, Lhs, MAX_OUTPUTS, MAX_ROWS, Operands, Out, TILE_ROWS};
use super::{Amx, kernel};
use crate::simd::Aligned;
use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many [`Tiles`] the thread has: a task that waits for others may run one of them, with tiles too.
    static USERS: Cell<usize> = const { Cell::new(0) };
}

/// The tiles of this thread. Make one for each task: threads without any are cheaper to switch between.
///
/// Other code that uses AMX must not run on the thread meanwhile, since it would leave them configured in its own way.
pub(crate) struct Tiles {
    amx: Amx,
    /// Tiles belong to a thread.
    thread: PhantomData<*const ()>,
}

impl Tiles {
    /// Configures this thread's tiles.
    pub(crate) fn new(amx: Amx) -> Self {
        USERS.set(USERS.get() + 1);
        kernel::configure(amx);
        Self { amx, thread: PhantomData }
    }

    /// `out[r, o] = sum over i of a[r, i] * b[o, i]`, added to what `out` has if `add`. `b` has one or two blocks of packed
    /// weights, one for every sixteen outputs that are begun, all of as many steps. Fastest where rows and outputs are
    /// multiples of sixteen: other sums take a way round.
    ///
    /// # Panics
    /// If there are not as many blocks as `out` needs, they differ in size or are no steps, or `a` has too few elements.
    pub(crate) fn multiply<D: Dot>(&self, a: Lhs<'_, D::A>, b: &[&[D::B]], out: Out<'_, D::C>, add: bool) {
        let (rows, outputs) = (out.rows.next_multiple_of(TILE_ROWS), out.outputs.next_multiple_of(BLOCK_OUTPUTS));
        let steps = check::<D>(&a, b, rows, outputs);
        let (lower, right) = (rows > TILE_ROWS, outputs > BLOCK_OUTPUTS);
        let mut operands = Operands {
            a: a.data.as_ptr().cast(),
            a_stride: bytes::<D::A>(a.stride),
            a_step: bytes::<D::A>(a.step),
            b: [b[0].as_ptr().cast(), b[b.len() - 1].as_ptr().cast()],
            c: out.data.cast(),
            c_stride: bytes::<D::C>(out.stride),
            steps,
            add,
        };
        if (rows, outputs) == (out.rows, out.outputs) {
            // SAFETY: `check` has looked at the lengths, `Out` promises its memory, and `self` proves the configuration.
            unsafe { D::run(self.amx, lower, right, &operands) }
            return;
        }
        let mut whole = Aligned([[D::C::default(); MAX_OUTPUTS]; MAX_ROWS]);
        let row = |r: usize| out.data.wrapping_add(r * out.stride);
        if add {
            for (r, whole) in whole.0[..out.rows].iter_mut().enumerate() {
                // SAFETY: `Out` promises so many elements, in memory of its own.
                unsafe { row(r).copy_to_nonoverlapping(whole.as_mut_ptr(), out.outputs) }
            }
        }
        operands.c = whole.0.as_mut_ptr().cast();
        operands.c_stride = size_of_val(&whole.0[0]);
        // SAFETY: as above, and `whole` has room for two tiles of rows and two blocks of outputs.
        unsafe { D::run(self.amx, lower, right, &operands) }
        for (r, whole) in whole.0[..out.rows].iter().enumerate() {
            // SAFETY: as above.
            unsafe { row(r).copy_from_nonoverlapping(whole.as_ptr(), out.outputs) }
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        USERS.set(USERS.get() - 1);
        if USERS.get() == 0 {
            kernel::release(self.amx);
        }
    }
}

/// Checks what is read for `rows` and `outputs` in whole tiles; returns the steps.
fn check<D: Dot>(a: &Lhs<'_, D::A>, b: &[&[D::B]], rows: usize, outputs: usize) -> usize {
    assert!(b.len() * BLOCK_OUTPUTS == outputs, "{} blocks of weights for {outputs} outputs", b.len());
    let (size, step) = (b[0].len(), D::DEPTH * BLOCK_OUTPUTS);
    assert!(
        size > 0 && size.is_multiple_of(step) && b.iter().all(|b| b.len() == size),
        "blocks of {size} and {} weights, in steps of {step}",
        b[b.len() - 1].len()
    );
    let steps = size / step;
    assert!(
        a.reach(rows, steps).is_some_and(|end| end <= a.data.len()),
        "{rows} rows, {} apart, of {steps} steps, {} apart, in {} activations",
        a.stride,
        a.step,
        a.data.len()
    );
    steps
}

/// The bytes of so many elements; wraps for distances that are not used, because there is one row or one step.
fn bytes<T>(count: usize) -> usize {
    count.wrapping_mul(size_of::<T>())
}
