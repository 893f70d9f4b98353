//! The few layers that the models are made of, with the state dict's names and layouts.
//!
//! A linear weight stays `[d_output, d_input]` as PyTorch stores it: a file's bytes need no transposition, and a
//! one-row product reads each weight row in one sweep.

use burn::{
    module::{Module, Param},
    tensor::{DType, Int, Tensor},
};
use longvu_core::{
    QuantizedMatrix,
    ops::{self, Activation, Precision, Weight},
};

use crate::Weights;

/// A linear layer's weight, `[d_output, d_input]`.
#[derive(Module, Debug)]
#[non_exhaustive]
pub enum LinearWeight {
    /// In floating point.
    Dense(Param<Tensor<2>>),
    /// In groups of integers.
    Quantized(QuantizedMatrix),
}

impl LinearWeight {
    /// Gives `work` the weight as operations take it.
    fn with<T>(&self, work: impl FnOnce(Weight<'_>) -> T) -> T {
        match self {
            Self::Dense(weight) => work(Weight::Dense(&weight.val())),
            Self::Quantized(weight) => work(Weight::Quantized(weight)),
        }
    }
}

/// A linear layer, with or without a bias.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`.
    pub weight: LinearWeight,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Takes `weight` and, if `bias`, `bias` from `weights`.
    pub fn new(weights: &Weights, d_input: usize, d_output: usize, bias: bool) -> Self {
        let weight = weights.linear_weight("weight", [d_output, d_input]);
        Self { weight, bias: bias.then(|| weights.tensor("bias", [d_output])) }
    }

    /// What activations beside this layer may be multiplied in: what it loses anyway, they need not keep.
    pub fn precision(&self) -> Precision {
        match &self.weight {
            LinearWeight::Dense(weight) if weight.val().dtype() != DType::BF16 => Precision::F32,
            _ => Precision::Bf16,
        }
    }

    /// `[..., d_input]` to `[..., d_output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_activated(x, Activation::None)
    }

    /// [`Linear::forward`], and an activation of what comes out.
    pub fn forward_activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        let bias = self.bias.as_ref().map(|b| b.val());
        self.weight.with(|weight| ops::linear_activated(x, weight, bias, activation))
    }

    /// `silu(gate) * up` of a layer whose outputs are those of gate and up, side by side: `[..., d_input]` to
    /// `[..., d_output / 2]`.
    pub fn forward_swiglu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let biases: Vec<_> = self.bias.iter().map(|b| b.val()).collect();
        self.weight.with(|weight| ops::linear_gated(x, &[weight], &biases))
    }
}

/// `silu(gate) * up` of two layers, the hidden layer of a SwiGLU feed-forward.
pub fn gated<const D: usize>(gate: &Linear, up: &Linear, x: Tensor<D>) -> Tensor<D> {
    if gate.bias.is_some() != up.bias.is_some() {
        return ops::silu_mul(gate.forward(x.clone()), up.forward(x));
    }
    let biases: Vec<_> = gate.bias.iter().chain(&up.bias).map(|b| b.val()).collect();
    gate.weight.with(|gate| up.weight.with(|up| ops::linear_gated(x, &[gate, up], &biases)))
}

/// Layer normalisation with scale and shift.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNorm {
    /// Takes `weight` and `bias` from `weights`.
    pub fn new(weights: &Weights, channels: usize, eps: f64) -> Self {
        Self { weight: weights.tensor("weight", [channels]), bias: weights.tensor("bias", [channels]), eps }
    }

    /// Normalises the last dimension.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}

/// Root-mean-square normalisation with a scale.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    eps: f64,
}

impl RmsNorm {
    /// Takes `weight` from `weights`.
    pub fn new(weights: &Weights, channels: usize, eps: f64) -> Self {
        Self { weight: weights.tensor("weight", [channels]), eps }
    }

    /// Normalises the last dimension.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::rms_norm(x, self.weight.val(), self.eps)
    }
}

/// A table of vectors looked up by id.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocabulary, channels]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Takes `weight` from `weights`.
    pub fn new(weights: &Weights, vocabulary: usize, channels: usize) -> Self {
        Self { weight: weights.matrix("weight", [vocabulary, channels]) }
    }

    /// Ids `[tokens]` to vectors `[tokens, channels]`.
    pub fn forward(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        self.weight.val().select(0, ids)
    }
}
