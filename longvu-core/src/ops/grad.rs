//! Gradients through the CPU kernels: each operation with its backward pass, recorded on burn's graph.
//!
//! Functions take tensors for which [`applies`] holds. What a backward pass needs of the forward pass are its inputs,
//! which the graph shares; nothing else is kept.

use std::{fmt, sync::Arc};

use burn::{
    backend::{
        Autodiff, BackendTypes, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::{DType, Device, Shape, Tensor, TensorData},
};
use longvu_kernels::{BatchShape, RowOrder, WeightMatrix, backward};

use super::cpu;

/// A tensor on the CPU's autodiff graph.
type Tracked = <Autodiff<Flex> as BackendTypes>::FloatTensorPrimitive;
type Primitive = <Flex as BackendTypes>::FloatTensorPrimitive;

/// Whether `x` is on the CPU in f32, on the graph of gradients, and the kernels are on.
pub(super) fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && cpu::cpu_kernels() && x.device() == Device::flex().autodiff()
}

/// The inputs of one operation: their places on the graph, and their elements in order.
struct Inputs<const N: usize> {
    tracked: [Tracked; N],
    elements: [Primitive; N],
}

impl<const N: usize> Inputs<N> {
    fn slice(&self, i: usize) -> &[f32] {
        slice(&self.elements[i])
    }
}

fn slice(elements: &Primitive) -> &[f32] {
    elements.as_slice().unwrap_or_default()
}

/// `None` if the tensor is elsewhere, which [`applies`] excludes.
fn tracked<const D: usize>(x: Tensor<D>) -> Option<Tracked> {
    x.try_into_primitive::<Autodiff<Flex>>().ok()
}

fn inputs<const N: usize>(tracked: [Option<Tracked>; N]) -> Option<Inputs<N>> {
    if tracked.iter().any(Option::is_none) {
        return None;
    }
    let elements = tracked.each_ref().map(|x| x.as_ref().map(|x| x.primitive().to_contiguous()));
    let (tracked, elements): (Vec<_>, Vec<_>) =
        (tracked.into_iter().flatten().collect(), elements.into_iter().flatten().collect());
    Some(Inputs { tracked: tracked.try_into().ok()?, elements: elements.try_into().ok()? })
}

/// From the gradient of an operation's output to those of its inputs, of which only the wanted ones are computed.
type Pullback<const N: usize> = Arc<dyn Fn(&[f32], [bool; N]) -> [Option<Vec<f32>>; N] + Send + Sync>;

/// What the graph keeps of an operation.
#[derive(Clone)]
struct Recorded<const N: usize> {
    pullback: Pullback<N>,
    shapes: [Shape; N],
}

impl<const N: usize> fmt::Debug for Recorded<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("shapes", &self.shapes).finish_non_exhaustive()
    }
}

/// The backward step of every operation here.
#[derive(Debug)]
struct Step;

impl<const N: usize> Backward<Flex, N> for Step {
    type State = Recorded<N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let outputs = (ops.state.pullback)(slice(&grad), wanted);
        for ((parent, output), shape) in ops.parents.into_iter().zip(outputs).zip(ops.state.shapes) {
            if let (Some(parent), Some(output)) = (parent, output) {
                grads.register::<Flex>(parent.id, Primitive::from_data(TensorData::new(output, shape)));
            }
        }
    }
}

/// Puts an operation on the graph.
fn record<const N: usize, const D: usize>(
    inputs: [Tracked; N],
    output: Vec<f32>,
    dims: [usize; D],
    pullback: impl Fn(&[f32], [bool; N]) -> [Option<Vec<f32>>; N] + Send + Sync + 'static,
) -> Tensor<D> {
    let shapes = inputs.each_ref().map(TensorMetadata::shape);
    let nodes = inputs.each_ref().map(Tracked::node);
    let output = Primitive::from_data(TensorData::new(output, dims));
    let output = match Step.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(Recorded { pullback: Arc::new(pullback), shapes }, output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// A buffer for `len` elements, if wanted.
fn wanted(is_wanted: bool, len: usize) -> Option<Vec<f32>> {
    is_wanted.then(|| vec![0.0; len])
}

/// An element-wise function, and its backward pass from inputs and the output's gradient, in place.
pub(super) fn map<const D: usize>(
    x: Tensor<D>,
    forward: fn(&mut [f32]),
    backward: fn(&[f32], &mut [f32]),
) -> Option<Tensor<D>> {
    let dims = x.dims();
    let inputs = inputs([tracked(x)])?;
    let mut out = inputs.slice(0).to_vec();
    forward(&mut out);
    let Inputs { tracked, elements: [x] } = inputs;
    Some(record(tracked, out, dims, move |grad, _| {
        let mut grad = grad.to_vec();
        backward(slice(&x), &mut grad);
        [Some(grad)]
    }))
}

/// `silu(gate) * up`.
pub(super) fn silu_mul<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Option<Tensor<D>> {
    let dims = gate.dims();
    let inputs = inputs([tracked(gate), tracked(up)])?;
    let mut out = inputs.slice(0).to_vec();
    longvu_kernels::silu_mul_in_place(&mut out, inputs.slice(1));
    let Inputs { tracked, elements: [gate, up] } = inputs;
    Some(record(tracked, out, dims, move |grad, _| {
        let (mut grad_gate, mut grad_up) = (vec![0.0; grad.len()], vec![0.0; grad.len()]);
        backward::silu_mul_backward(slice(&gate), slice(&up), grad, &mut grad_gate, &mut grad_up);
        [Some(grad_gate), Some(grad_up)]
    }))
}

/// `silu(gate) * up` of halves that lie side by side in the last dimension.
pub(super) fn swiglu<const D: usize>(fused: Tensor<D>) -> Option<Tensor<D>> {
    let mut dims = fused.dims();
    dims[D - 1] /= 2;
    let inner = dims[D - 1];
    let inputs = inputs([tracked(fused)])?;
    let mut out = vec![0.0; dims.iter().product()];
    longvu_kernels::swiglu(inputs.slice(0), inner, None, &mut out);
    let Inputs { tracked, elements: [fused] } = inputs;
    Some(record(tracked, out, dims, move |grad, _| {
        let mut grad_fused = vec![0.0; 2 * grad.len()];
        backward::swiglu_backward(slice(&fused), grad, inner, &mut grad_fused);
        [Some(grad_fused)]
    }))
}

/// Layer normalisation.
pub(super) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Option<Tensor<D>> {
    let dims = x.dims();
    let eps = eps as f32;
    let inputs = inputs([tracked(x), tracked(weight), tracked(bias)])?;
    let mut out = vec![0.0; dims.iter().product()];
    longvu_kernels::layer_norm(inputs.slice(0), inputs.slice(1), Some(inputs.slice(2)), eps, &mut out);
    let Inputs { tracked, elements: [x, weight, _] } = inputs;
    Some(record(tracked, out, dims, move |grad, _| {
        let (x, weight) = (slice(&x), slice(&weight));
        let mut grad_x = vec![0.0; x.len()];
        let (mut grad_weight, mut grad_bias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
        backward::layer_norm_backward(x, weight, eps, grad, &mut grad_x, &mut grad_weight, &mut grad_bias);
        [Some(grad_x), Some(grad_weight), Some(grad_bias)]
    }))
}

/// Root-mean-square normalisation.
pub(super) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    let dims = x.dims();
    let eps = eps as f32;
    let inputs = inputs([tracked(x), tracked(weight)])?;
    let mut out = vec![0.0; dims.iter().product()];
    longvu_kernels::rms_norm(inputs.slice(0), inputs.slice(1), eps, &mut out);
    let Inputs { tracked, elements: [x, weight] } = inputs;
    Some(record(tracked, out, dims, move |grad, _| {
        let (x, weight) = (slice(&x), slice(&weight));
        let (mut grad_x, mut grad_weight) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
        backward::rms_norm_backward(x, weight, eps, grad, &mut grad_x, &mut grad_weight);
        [Some(grad_x), Some(grad_weight)]
    }))
}

/// `x @ weight^T + bias`.
pub(super) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Option<Tensor<D>> {
    let mut dims = x.dims();
    let [outputs, width] = weight.dims();
    dims[D - 1] = outputs;
    // Without a bias the weight stands in for it on the graph, and gets nothing by that name.
    let Some(bias) = bias else {
        let inputs = inputs([tracked(x), tracked(weight)])?;
        let out = product(&inputs.elements, None, width, dims.iter().product());
        let Inputs { tracked, elements: [x, weight] } = inputs;
        return Some(record(tracked, out, dims, move |grad, [to_x, to_weight]| {
            let [grad_x, grad_weight, _] = product_backward(&x, &weight, width, grad, [to_x, to_weight, false]);
            [grad_x, grad_weight]
        }));
    };
    let inputs = inputs([tracked(x), tracked(weight), tracked(bias)])?;
    let out = product(&inputs.elements[..2], Some(inputs.slice(2)), width, dims.iter().product());
    let Inputs { tracked, elements: [x, weight, _] } = inputs;
    Some(record(tracked, out, dims, move |grad, wanted| product_backward(&x, &weight, width, grad, wanted)))
}

fn product(x_and_weight: &[Primitive], bias: Option<&[f32]>, width: usize, len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    if let [x, weight] = x_and_weight
        && len > 0
    {
        longvu_kernels::linear(WeightMatrix::F32(slice(weight)), width, slice(x), bias, &mut out);
    }
    out
}

fn product_backward(
    x: &Primitive,
    weight: &Primitive,
    width: usize,
    grad: &[f32],
    [to_x, to_weight, to_bias]: [bool; 3],
) -> [Option<Vec<f32>>; 3] {
    let (x, weight) = (slice(x), slice(weight));
    let mut grads =
        [wanted(to_x, x.len()), wanted(to_weight, weight.len()), wanted(to_bias, weight.len() / width.max(1))];
    let [grad_x, grad_weight, grad_bias] = &mut grads;
    backward::linear_backward(
        weight,
        width,
        x,
        grad,
        grad_x.as_deref_mut(),
        grad_weight.as_deref_mut(),
        grad_bias.as_deref_mut(),
    );
    grads
}

/// Rotates `[batch, positions, heads, head_dim]` by tables `[positions, head_dim / 2]`.
pub(super) fn rotary(x: Tensor<4>, cos: &Tensor<2>, sin: &Tensor<2>) -> Option<Tensor<4>> {
    let dims = x.dims();
    let [_, positions, heads, head_dim] = dims;
    let tables = inputs([tracked(cos.clone()), tracked(sin.clone())])?.elements;
    let inputs = inputs([tracked(x)])?;
    let mut out = inputs.slice(0).to_vec();
    let sequence = (positions * heads * head_dim).max(1);
    for x in out.chunks_mut(sequence) {
        longvu_kernels::rotary(x, heads, head_dim, RowOrder::PositionsFirst, slice(&tables[0]), slice(&tables[1]));
    }
    Some(record(inputs.tracked, out, dims, move |grad, _| {
        let mut grad = grad.to_vec();
        for grad in grad.chunks_mut(sequence) {
            let (cos, sin) = (slice(&tables[0]), slice(&tables[1]));
            backward::rotary_backward(grad, heads, head_dim, RowOrder::PositionsFirst, cos, sin);
        }
        [Some(grad)]
    }))
}

/// Attention of `[batch, heads, queries, head_dim]` on `[batch, kv_heads, keys, head_dim]`.
pub(super) fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causal: bool) -> Option<Tensor<4>> {
    // By position, as projections leave them: no copies.
    let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2));
    let dims = query.dims();
    let [batch, queries, heads, head_dim] = dims;
    let [_, keys, kv_heads, _] = key.dims();
    let shape = BatchShape { batch, queries, keys, heads, kv_heads, head_dim };
    let scale = (head_dim as f32).powf(-0.5);
    let inputs = inputs([tracked(query), tracked(key), tracked(value)])?;
    let mut out = vec![0.0; dims.iter().product()];
    longvu_kernels::attention_batch(shape, inputs.slice(0), inputs.slice(1), inputs.slice(2), &mut out, scale, causal);
    let Inputs { tracked, elements: [query, key, value] } = inputs;
    let out = record(tracked, out, dims, move |grad, _| {
        let [query, key, value] = [slice(&query), slice(&key), slice(&value)];
        let mut grads = [query, key, value].map(|x| vec![0.0; x.len()]);
        let [grad_query, grad_key, grad_value] = &mut grads;
        backward::attention_backward_batch(
            shape, query, key, value, grad, grad_query, grad_key, grad_value, scale, causal,
        );
        grads.map(Some)
    });
    Some(out.swap_dims(1, 2))
}

/// The weighted sum of `-log softmax(logits)[target]` over rows, a single number.
pub(super) fn cross_entropy(logits: Tensor<2>, targets: &[u32], weights: &[f32]) -> Option<Tensor<1>> {
    let inputs = inputs([tracked(logits)])?;
    let mut grad_logits = vec![0.0; inputs.slice(0).len()];
    let loss = backward::softmax_cross_entropy(inputs.slice(0), targets, weights, &mut grad_logits);
    Some(record(inputs.tracked, vec![loss], [1], move |grad, _| {
        let scale = grad.first().copied().unwrap_or_default();
        [Some(grad_logits.iter().map(|g| g * scale).collect())]
    }))
}
