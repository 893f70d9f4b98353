//! The CPU kernels behind the operations: burn's flex tensors as slices, and slices as tensors.
//!
//! Burn's backend extension API gives the storage of a flex tensor without a copy. Every function here takes tensors
//! for which [`applies`] holds; the other operations of this module decide by it whether to call.

use std::sync::atomic::{AtomicU8, Ordering};

use burn::{
    backend::{BackendTypes, Flex},
    tensor::{DType, Device, Tensor, TensorData, bf16, f16},
};
use longvu_kernels::{Activation, Heads, HeadsMut, Isa, RowOrder, WeightMatrix, zeros};
use tracing::warn;

use super::operands::{Precision, Weight};

/// The storage of a tensor on the CPU.
type Primitive = <Flex as BackendTypes>::FloatTensorPrimitive;

const UNSET: u8 = 0;
const ON: u8 = 1;
const OFF: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNSET);

/// Whether the CPU device computes with this crate's kernels rather than burn's generic operations.
///
/// They are on unless the environment variable `LONGVU_KERNELS` is `off` or [`set_cpu_kernels`] turned them off. The variable
/// may also name instructions, as [`Isa`] does, beyond which the kernels then do not go.
pub fn cpu_kernels() -> bool {
    match STATE.load(Ordering::Relaxed) {
        UNSET => {
            let on = std::env::var("LONGVU_KERNELS").map_or(true, |value| read_setting(&value));
            STATE.store(if on { ON } else { OFF }, Ordering::Relaxed);
            on
        }
        state => state == ON,
    }
}

/// Limits the kernels to what `LONGVU_KERNELS` says; whether they are on.
fn read_setting(value: &str) -> bool {
    match value.trim() {
        "off" | "0" => return false,
        "" | "on" | "1" => {}
        name => match name.parse::<Isa>() {
            Ok(isa) if isa.is_present() => Isa::limit(Some(isa)),
            Ok(isa) => warn!("LONGVU_KERNELS asks for {isa}, which this machine lacks; {} is used", Isa::used()),
            Err(error) => warn!("LONGVU_KERNELS: {error}, or `off`; {} is used", Isa::used()),
        },
    }
    true
}

/// Turns the CPU kernels on or off for the whole process, to compare or to search for a fault.
pub fn set_cpu_kernels(on: bool) {
    // What the variable says of instructions holds all the same.
    cpu_kernels();
    STATE.store(if on { ON } else { OFF }, Ordering::Relaxed);
}

/// Whether `x` is on the CPU in f32, without gradients to track, and the kernels are on.
pub(super) fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && cpu_kernels() && x.device() == Device::flex() && primitive(x.clone()).is_some()
}

fn primitive<const D: usize>(x: Tensor<D>) -> Option<Primitive> {
    x.try_into_primitive::<Flex>().ok()
}

/// The elements of a tensor, in order: in place where they lie so, else copied.
enum Elements {
    Shared(Primitive),
    Copied(Vec<f32>),
}

impl Elements {
    fn of<const D: usize>(x: Tensor<D>) -> Self {
        match primitive(x.clone()) {
            Some(x) if x.as_slice::<f32>().is_some() => Self::Shared(x),
            _ => Self::Copied(to_vec(x)),
        }
    }

    fn as_slice(&self) -> &[f32] {
        match self {
            Self::Shared(x) => x.as_slice().unwrap_or_default(),
            Self::Copied(x) => x,
        }
    }
}

/// The elements, in the tensor's own buffer where nothing else needs it.
fn to_vec<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap_or_default()
}

fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, dims), (&Device::flex(), DType::F32))
}

/// Applies `kernel` to the elements of `x`, in place where nothing else needs them.
pub(super) fn map<const D: usize>(x: Tensor<D>, kernel: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let dims = x.dims();
    let mut values = to_vec(x);
    kernel(&mut values);
    tensor(values, dims)
}

/// `silu(gate) * up`.
pub(super) fn silu_mul<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    let dims = gate.dims();
    let mut values = to_vec(gate);
    longvu_kernels::silu_mul_in_place(&mut values, Elements::of(up).as_slice());
    tensor(values, dims)
}

/// `silu(gate) * up` of halves that lie side by side in the last dimension.
pub(super) fn swiglu<const D: usize>(fused: Tensor<D>) -> Tensor<D> {
    let mut dims = fused.dims();
    dims[D - 1] /= 2;
    let mut out = zeros(dims.iter().product());
    longvu_kernels::swiglu(Elements::of(fused).as_slice(), dims[D - 1], None, &mut out);
    tensor(out, dims)
}

/// `residual + delta * scale`.
pub(super) fn add_scaled<const D: usize>(residual: Tensor<D>, delta: Tensor<D>, scale: Option<Tensor<1>>) -> Tensor<D> {
    let dims = residual.dims();
    let mut values = to_vec(residual);
    let scale = scale.map(Elements::of);
    longvu_kernels::add_scaled(&mut values, Elements::of(delta).as_slice(), scale.as_ref().map(Elements::as_slice));
    tensor(values, dims)
}

/// Layer normalisation; root-mean-square normalisation where there is no bias.
pub(super) fn norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Option<Tensor<1>>, eps: f64) -> Tensor<D> {
    let dims = x.dims();
    let (x, weight, mut out) = (Elements::of(x), Elements::of(weight), zeros(dims.iter().product()));
    match bias.map(Elements::of) {
        Some(bias) => {
            longvu_kernels::layer_norm(x.as_slice(), weight.as_slice(), Some(bias.as_slice()), eps as f32, &mut out);
        }
        None => longvu_kernels::rms_norm(x.as_slice(), weight.as_slice(), eps as f32, &mut out),
    }
    tensor(out, dims)
}

/// A weight where it lies.
enum Stored<'a> {
    Dense(Primitive),
    Quantized(&'a longvu_kernels::QuantMatrix),
}

impl<'a> Stored<'a> {
    /// `None` if it lies elsewhere.
    fn of(weight: &Weight<'a>) -> Option<Self> {
        Some(match weight {
            Weight::Dense(weight) => Self::Dense(primitive((*weight).clone())?),
            Weight::Quantized(weight) => Self::Quantized(weight.kernel()),
        })
    }

    /// `None` if the dtype has no kernel.
    fn matrix(&self) -> Option<WeightMatrix<'_>> {
        Some(match self {
            Self::Dense(weight) => match weight.dtype() {
                DType::F32 => WeightMatrix::F32(weight.as_slice::<f32>()?),
                DType::F16 => WeightMatrix::F16(weight.as_slice::<f16>()?),
                DType::BF16 => WeightMatrix::Bf16(weight.as_slice::<bf16>()?),
                _ => return None,
            },
            Self::Quantized(matrix) => WeightMatrix::Quant(matrix),
        })
    }
}

/// The activation of `x @ weight^T + bias`; `None` if the weight's dtype has no kernel or it lies elsewhere.
pub(super) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: &Weight<'_>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Option<Tensor<D>> {
    let [outputs, inputs] = weight.dims();
    let stored = Stored::of(weight)?;
    let matrix = stored.matrix()?;
    let mut dims = x.dims();
    dims[D - 1] = outputs;
    let (x, bias) = (Elements::of(x), bias.map(Elements::of));
    let bias = bias.as_ref().map(Elements::as_slice);
    let out = if dims.contains(&0) {
        Vec::new()
    } else {
        longvu_kernels::linear_activated(matrix, inputs, x.as_slice(), bias, activation)
    };
    Some(tensor(out, dims))
}

/// `silu(x @ gate^T + bias) * (x @ up^T + bias)`, the weights being two or the halves of one; `None` if that is better
/// computed one after the other.
pub(super) fn linear_gated<const D: usize>(
    x: Tensor<D>,
    weights: &[Weight<'_>],
    biases: &[Tensor<1>],
) -> Option<Tensor<D>> {
    let [outputs, inputs] = weights.first()?.dims();
    let inner = if weights.len() == 1 { outputs / 2 } else { outputs };
    let stored = weights.iter().map(Stored::of).collect::<Option<Vec<_>>>()?;
    let matrices = stored.iter().map(Stored::matrix).collect::<Option<Vec<_>>>()?;
    let biases: Vec<_> = biases.iter().cloned().map(Elements::of).collect();
    let biases = match &biases[..] {
        [] => None,
        [fused] => Some(fused.as_slice().split_at(inner).into()),
        [gate, up, ..] => Some([gate.as_slice(), up.as_slice()]),
    };
    let mut dims = x.dims();
    dims[D - 1] = inner;
    if dims.contains(&0) {
        return None;
    }
    let x = Elements::of(x);
    longvu_kernels::linear_gated(&matrices, inputs, x.as_slice(), biases).map(|out| tensor(out, dims))
}

/// Rotates `[batch, positions, heads, head_dim]` by tables `[positions, head_dim / 2]`.
pub(super) fn rotary(x: Tensor<4>, cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<4> {
    let [_, _, heads, head_dim] = x.dims();
    let (cos, sin) = (Elements::of(cos.clone()), Elements::of(sin.clone()));
    let sequence = cos.as_slice().len() * 2 * heads;
    map(x, |x| {
        for x in x.chunks_mut(sequence.max(1)) {
            longvu_kernels::rotary(x, heads, head_dim, RowOrder::PositionsFirst, cos.as_slice(), sin.as_slice());
        }
    })
}

/// The rows of `[batch, heads, positions, head_dim]` where they lie, or copied if their elements are not neighbours.
struct Strided {
    tensor: Primitive,
    dims: [usize; 4],
    strides: [usize; 3],
    start: usize,
}

impl Strided {
    fn of(x: Tensor<4>) -> Option<Self> {
        let dims = x.dims();
        let tensor = primitive(x)?;
        let in_place =
            tensor.layout().strides().iter().all(|&s| s >= 0) && (tensor.layout().strides()[3] == 1 || dims[3] == 1);
        let tensor = if in_place { tensor } else { tensor.to_contiguous() };
        let strides = std::array::from_fn(|i| tensor.layout().strides()[i] as usize);
        let start = tensor.layout().start_offset();
        Some(Self { tensor, dims, strides, start })
    }

    fn sequence(&self, batch: usize) -> Heads<'_> {
        let [_, heads, positions, head_dim] = self.dims;
        let data = &self.tensor.storage::<f32>()[self.start + batch * self.strides[0]..];
        Heads::new(data, [heads, positions, head_dim], [self.strides[1], self.strides[2]])
    }
}

/// Attention of `[batch, heads, queries, head_dim]` on `[batch, kv_heads, keys, head_dim]`.
pub(super) fn attention(
    precision: Precision,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    causal: bool,
) -> Option<Tensor<4>> {
    let [batch, heads, queries, head_dim] = query.dims();
    let (query, key, value) = (Strided::of(query)?, Strided::of(key)?, Strided::of(value)?);
    let scale = (head_dim as f32).powf(-0.5);
    // By position, as the output projection reads it.
    let mut out = zeros(batch * heads * queries * head_dim);
    for (i, out) in out.chunks_mut((heads * queries * head_dim).max(1)).enumerate() {
        let mut out = HeadsMut::by_position(out, [heads, queries, head_dim]);
        let attend = match precision {
            Precision::F32 => longvu_kernels::attention,
            Precision::Bf16 => longvu_kernels::attention_bf16,
        };
        attend(query.sequence(i), key.sequence(i), value.sequence(i), &mut out, scale, causal);
    }
    Some(tensor(out, [batch, queries, heads, head_dim]).swap_dims(1, 2))
}

/// The cosine of every row with every row, `[rows, rows]`.
pub(super) fn cosine_similarity(x: Tensor<2>, eps: f64) -> Vec<f32> {
    let [rows, channels] = x.dims();
    let mut products = vec![0.0; rows * rows];
    longvu_kernels::gram(Elements::of(x).as_slice(), channels, &mut products);
    let norms: Vec<f64> = (0..rows).map(|i| products[i * rows + i].sqrt().max(eps)).collect();
    let cosine = |(k, product): (usize, &f64)| (product / (norms[k / rows] * norms[k % rows])) as f32;
    products.iter().enumerate().map(cosine).collect()
}

/// The cosine of every row of later frames with the first frame's, `[rows, frames - 1]`.
pub(super) fn cosine_with_first(x: Tensor<3>, eps: f64) -> Vec<f32> {
    let [frames, rows, channels] = x.dims();
    let mut out = zeros(rows * (frames - 1));
    longvu_kernels::cosine_with_first(Elements::of(x).as_slice(), frames, channels, eps as f32, &mut out);
    out
}
