//! Where operations that follow each other run.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::cpu;

/// Channels from which the kernels of one row divide their work; narrower layers are done before a thread has woken.
#[cfg(feature = "flex")]
const WIDE: usize = 512;

/// `work(x)`: several operations, such as those of a layer. On the CPU they run on a thread of the pool that the kernels divide
/// their work among, where each starts at once.
pub fn in_pool<const D: usize, T: Send>(x: Tensor<D>, work: impl FnOnce(Tensor<D>) -> T + Send) -> T {
    #[cfg(feature = "flex")]
    if x.dims()[D - 1] >= WIDE && cpu::applies(&x) {
        return longvu_kernels::in_pool(|| work(x));
    }
    work(x)
}
