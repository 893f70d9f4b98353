//! Where tensors come from.

use burn::tensor::TensorData;
use longvu_core::Dtype;

use crate::Result;

/// A collection of named tensors that a model can be loaded from.
pub trait TensorSource: Send + Sync {
    /// Where the tensors come from, for messages.
    fn describe(&self) -> String;

    /// All names, in no particular order; empty for a source that has whatever it is asked for.
    fn names(&self) -> Vec<String>;

    /// The shape of tensor `name`, or `None` when there is none.
    ///
    /// `wanted` is the shape that the model asks for; a source that has whatever it is asked for returns it.
    fn shape(&self, name: &str, wanted: &[usize]) -> Option<Vec<usize>>;

    /// The values of tensor `name`, of `shape` and converted to `dtype`.
    ///
    /// # Errors
    /// A damaged or unreadable file, or an element type that is no float.
    fn read(&self, name: &str, shape: &[usize], dtype: Dtype) -> Result<TensorData>;

    /// The values of tensor `name`, of `shape`, in f32, f16 or bf16: without a copy where the source has one of them.
    ///
    /// # Errors
    /// As [`TensorSource::read`].
    fn read_as_stored(&self, name: &str, shape: &[usize]) -> Result<TensorData> {
        self.read(name, shape, Dtype::F32)
    }
}
