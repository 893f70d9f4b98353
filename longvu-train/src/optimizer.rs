//! How parameters follow their gradients.

use burn::{
    optim::{
        AdamW, AdamWConfig, AdamWState, AdjustLrFn, Muon, MuonConfig, Optimizer, decay::WeightDecayConfig,
        momentum::MomentumConfig,
    },
    tensor::Tensor,
};

/// Settings of AdamW that stay the same over a stage.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AdamWSettings {
    /// Decay of the mean of gradients.
    pub beta_1: f32,
    /// Decay of the mean of their squares.
    pub beta_2: f32,
    /// Added to the root of the latter.
    pub epsilon: f32,
    /// Decoupled weight decay, of matrices alone: norms, biases and embeddings have none.
    pub weight_decay: f32,
    /// Greatest norm of all gradients together.
    pub max_grad_norm: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.98, epsilon: 1e-8, weight_decay: 0.05, max_grad_norm: 1.0 }
    }
}

impl AdamWSettings {
    /// Sets [`beta_1`](Self::beta_1).
    #[must_use]
    pub fn with_beta_1(mut self, beta_1: f32) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// Sets [`beta_2`](Self::beta_2).
    #[must_use]
    pub fn with_beta_2(mut self, beta_2: f32) -> Self {
        self.beta_2 = beta_2;
        self
    }

    /// Sets [`epsilon`](Self::epsilon).
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Sets [`weight_decay`](Self::weight_decay).
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f32) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets [`max_grad_norm`](Self::max_grad_norm).
    #[must_use]
    pub fn with_max_grad_norm(mut self, max_grad_norm: f64) -> Self {
        self.max_grad_norm = max_grad_norm;
        self
    }
}

/// Settings of [Muon](https://arxiv.org/abs/2502.16982), which steps along the nearest orthogonal matrix to the mean of a
/// matrix' gradients. What is no matrix, and tables of embeddings, are left to AdamW; a learning rate serves both.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MuonSettings {
    /// Decay of the sum of gradients.
    pub momentum: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

impl Default for MuonSettings {
    fn default() -> Self {
        Self { momentum: 0.95, weight_decay: 0.05 }
    }
}

impl MuonSettings {
    /// Sets [`momentum`](Self::momentum).
    #[must_use]
    pub fn with_momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets [`weight_decay`](Self::weight_decay).
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f32) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

/// What an optimizer remembers of a parameter, `[elements]` each.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there are a few hundred, beside what they hold")]
pub(crate) enum Moments {
    AdamW(AdamWState<1>),
    Muon { velocity: Tensor<1> },
}

/// How a parameter is to be stepped.
#[derive(Clone, Copy)]
pub(crate) enum ParameterKind {
    /// Multiplies activations, `[rows, columns]`.
    Matrix([usize; 2]),
    /// Multiplies activations, and has another number of dimensions.
    Kernel,
    /// A norm, a bias, or a table that is looked up or added.
    Other,
}

/// The optimizers of a step.
pub(crate) struct Optimizers {
    decaying: AdamW,
    other: AdamW,
    muon: Option<(Muon, f32)>,
}

impl Optimizers {
    pub fn new(adamw: &AdamWSettings, muon: Option<&MuonSettings>) -> Self {
        let [decaying, other] = [adamw.weight_decay, 0.0].map(|weight_decay| {
            AdamWConfig::new()
                .with_beta_1(adamw.beta_1)
                .with_beta_2(adamw.beta_2)
                .with_epsilon(adamw.epsilon)
                .with_weight_decay(weight_decay)
                .build()
        });
        let muon = muon.map(|settings| {
            // The momentum is kept here, as that of the library cannot be read for a checkpoint.
            let none = MomentumConfig { momentum: 0.0, dampening: 0.0, nesterov: false };
            let config = MuonConfig::new()
                .with_momentum(none)
                .with_weight_decay(Some(WeightDecayConfig { penalty: settings.weight_decay }))
                .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
            (config.build(), settings.momentum)
        });
        Self { decaying, other, muon }
    }

    /// The value `[elements]` and what is remembered after a step along `grad`.
    pub fn step(
        &self,
        lr: f64,
        kind: ParameterKind,
        value: Tensor<1>,
        grad: Tensor<1>,
        moments: Option<Moments>,
    ) -> (Tensor<1>, Option<Moments>) {
        if let (ParameterKind::Matrix(shape), Some((muon, momentum))) = (kind, &self.muon) {
            let velocity = match moments {
                Some(Moments::Muon { velocity }) => velocity.mul_scalar(*momentum) + grad.clone(),
                _ => grad.clone(),
            };
            let elements = shape[0] * shape[1];
            let ahead = grad + velocity.clone().mul_scalar(*momentum);
            let (value, _) = muon.step(lr, value.reshape(shape), ahead.reshape(shape), None);
            return (value.reshape([elements]), Some(Moments::Muon { velocity }));
        }
        let optimizer = if matches!(kind, ParameterKind::Other) { &self.other } else { &self.decaying };
        let state = match moments {
            Some(Moments::AdamW(state)) => Some(state),
            _ => None,
        };
        let (value, state) = optimizer.step(lr, value, grad, state);
        (value, state.map(Moments::AdamW))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, TensorData};
    use longvu::default_device;

    use super::*;

    fn normal(elements: usize, device: &Device) -> Tensor<1> {
        Tensor::random([elements], Distribution::Normal(0.0, 1.0), device)
    }

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn muon_steps_along_an_orthogonal_matrix() {
        let device = default_device();
        let optimizers = Optimizers::new(
            &AdamWSettings::default(),
            Some(&MuonSettings { weight_decay: 0.0, ..MuonSettings::default() }),
        );
        let shape = [8, 24];
        let value = normal(8 * 24, &device);
        let (stepped, moments) =
            optimizers.step(0.01, ParameterKind::Matrix(shape), value.clone(), normal(8 * 24, &device), None);
        assert!(matches!(moments, Some(Moments::Muon { .. })));
        // Rows as long as each other, and at right angles, but for what five iterations leave.
        let update = (value - stepped).reshape(shape).div_scalar(0.01 * 0.2 * f64::from(24.0f32).sqrt());
        let products = values(update.clone().matmul(update.transpose()).reshape([64]));
        for (index, product) in products.into_iter().enumerate() {
            let expected = if index % 9 == 0 { 0.4..1.6 } else { -0.35..0.35 };
            assert!(expected.contains(&product), "{product} at {index}");
        }
    }

    #[test]
    fn muon_remembers_earlier_gradients() {
        let device = default_device();
        let optimizers = Optimizers::new(&AdamWSettings::default(), Some(&MuonSettings::default()));
        let step = |grad: Tensor<1>, moments| {
            optimizers.step(0.01, ParameterKind::Matrix([2, 2]), Tensor::zeros([4], &device), grad, moments)
        };
        let grad = |values: [f32; 4]| Tensor::<1>::from_data(TensorData::from(values), &device);
        let (_, moments) = step(grad([1.0, 0.0, 0.0, 0.0]), None);
        let (_, moments) = step(grad([0.0, 0.0, 0.0, 1.0]), moments);
        let Some(Moments::Muon { velocity }) = moments else { panic!("a matrix was left to AdamW") };
        assert_eq!(values(velocity), [0.95, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_no_matrix_is_left_to_adamw() {
        let device = default_device();
        let (value, grad) = (normal(6, &device), normal(6, &device));
        let step = |muon: Option<&MuonSettings>, kind| {
            let optimizers = Optimizers::new(&AdamWSettings::default(), muon);
            values(optimizers.step(0.01, kind, value.clone(), grad.clone(), None).0)
        };
        let muon = MuonSettings::default();
        for kind in [ParameterKind::Kernel, ParameterKind::Other] {
            assert_eq!(step(Some(&muon), kind), step(None, kind));
        }
        assert_ne!(step(None, ParameterKind::Kernel), step(None, ParameterKind::Other), "weight decay");
        assert_ne!(step(Some(&muon), ParameterKind::Matrix([2, 3])), step(None, ParameterKind::Matrix([2, 3])));
    }
}
