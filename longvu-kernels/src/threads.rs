//! How work is cut into tasks. The cuts depend on sizes alone, never on the number of threads, so that results do not
//! either; the tasks of matrix products, in which no sum depends on the cut, do.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use rayon::prelude::*;

/// Elements of a task of element-wise work: about 10 µs, ten times what handing it to a thread costs.
const TASK: usize = 1 << 15;

/// Rows of `width` elements for one task.
pub(crate) fn rows_per_task(rows: usize, width: usize) -> usize {
    if rows * width < 2 * TASK { rows.max(1) } else { (TASK / width.max(1)).max(1) }
}

/// Runs `work` on every item, on the calling thread if there is only one.
pub(crate) fn for_each<T: Send>(items: Vec<T>, work: impl Fn(T) + Send + Sync) {
    if items.len() < 2 {
        items.into_iter().for_each(work);
    } else {
        items.into_par_iter().for_each(work);
    }
}

/// Runs `work` on every item, on all threads if there is `enough` to do.
pub(crate) fn for_each_if<I>(enough: bool, items: I, work: impl Fn(<I as IntoParallelIterator>::Item) + Send + Sync)
where
    I: IntoParallelIterator + IntoIterator<Item = <I as IntoParallelIterator>::Item>,
{
    for_each_with_if(enough, items, || (), |(), item| work(item));
}

/// [`for_each_if`] with something that is made once for many items.
pub(crate) fn for_each_with_if<I, T>(
    enough: bool,
    items: I,
    make: impl Fn() -> T + Send + Sync,
    work: impl Fn(&mut T, <I as IntoParallelIterator>::Item) + Send + Sync,
) where
    I: IntoParallelIterator + IntoIterator<Item = <I as IntoParallelIterator>::Item>,
{
    if enough {
        items.into_par_iter().for_each_init(make, work);
    } else {
        let mut made = make();
        items.into_iter().for_each(|item| work(&mut made, item));
    }
}

/// Whether [`in_pool`] has work on a thread of the pool.
static IN_POOL: AtomicBool = AtomicBool::new(false);

/// Runs `work` on a thread of the pool that kernels divide their work among: from elsewhere each of them would wake the pool
/// and wait, which takes a fiftieth of a tower's layer and an eighth of a token's time.
///
/// One work at a time; others stay on their own threads meanwhile. A thread of the pool that waits for a part of one would else
/// take up all of another, and a token wait for a foreign prompt's layer.
pub fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    struct Left;
    impl Drop for Left {
        fn drop(&mut self) {
            IN_POOL.store(false, Ordering::Release);
        }
    }
    if rayon::current_thread_index().is_some() || IN_POOL.swap(true, Ordering::Acquire) {
        return work();
    }
    let _left = Left;
    rayon::scope(|_| work())
}

/// So many zeros, written by all threads: one alone takes as long for a layer's activations as all take to normalise them.
#[must_use]
pub fn zeros(len: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    for_each(out.spare_capacity_mut()[..len].chunks_mut(TASK).collect(), |chunk| {
        chunk.fill(MaybeUninit::new(0.0));
    });
    // SAFETY: every chunk was filled.
    unsafe { out.set_len(len) };
    out
}

/// Cuts rows of `width` elements into tasks, and gives `work` the first row and the rows of each.
pub(crate) fn for_rows(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Send + Sync) {
    if x.is_empty() {
        return;
    }
    let rows = rows_per_task(x.len() / width, width);
    for_each(x.chunks_mut(rows * width).enumerate().collect(), |(i, chunk)| work(i * rows, chunk));
}
