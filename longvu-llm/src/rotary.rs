//! Rotary position embeddings in the rotate-half form of Qwen2 and Llama.

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_checkpoint::config::{DecoderConfig, RopeScaling};

/// The rotation frequencies of one attention head.
#[derive(Debug, Clone)]
pub struct RotaryEmbedding {
    /// Radians a position, for each of the `head_dim / 2` pairs.
    frequencies: Vec<f32>,
}

impl RotaryEmbedding {
    /// Frequencies `theta^(-2i / head_dim)`, scaled if the configuration says so.
    pub fn new(config: &DecoderConfig) -> Self {
        let dim = config.head_size();
        let frequency = |i: usize| 1.0 / (config.rope_theta as f32).powf((2 * i) as f32 / dim as f32);
        let mut frequencies: Vec<f32> = (0..dim / 2).map(frequency).collect();
        if let Some(scaling) = config.rope_scaling.as_ref().filter(|s| s.kind() == "llama3") {
            frequencies.iter_mut().for_each(|f| *f = scaled(f64::from(*f), scaling) as f32);
        }
        Self { frequencies }
    }

    /// Cosines and sines of `positions`, each `[positions, head_dim / 2]` in float32.
    pub fn tables(&self, positions: impl IntoIterator<Item = usize>, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let angle = |p: usize| self.frequencies.iter().map(move |f| p as f32 * f);
        let angles: Vec<f32> = positions.into_iter().flat_map(angle).collect();
        let count = angles.len() / self.frequencies.len().max(1);
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&a| f(a)).collect();
            Tensor::from_data(TensorData::new(values, [count, self.frequencies.len()]), (device, DType::F32))
        };
        (table(f32::cos), table(f32::sin))
    }
}

/// The `llama3` rule: wavelengths that the original context never completed are stretched by `factor`.
fn scaled(frequency: f64, scaling: &RopeScaling) -> f64 {
    let context = scaling.original_max_position_embeddings as f64;
    let turns = context * frequency / std::f64::consts::TAU;
    if turns > scaling.high_freq_factor {
        frequency
    } else if turns < scaling.low_freq_factor {
        frequency / scaling.factor
    } else {
        let blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
        (1.0 - blend) * frequency / scaling.factor + blend * frequency
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longvu_core::ops;

    fn llama3(factor: f64) -> RopeScaling {
        let published = r#"{"rope_type": "llama3", "factor": 0.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 8192}"#;
        let mut scaling: RopeScaling = serde_json::from_str(published).unwrap();
        scaling.factor = factor;
        scaling
    }

    /// Llama-3.2's scaling: the extremes of the rule, and that the blend joins them without a jump.
    #[test]
    fn llama3_scaling_keeps_fast_and_stretches_slow_frequencies() {
        let scaling = llama3(32.0);
        assert_eq!(scaled(1.0, &scaling), 1.0);
        assert_eq!(scaled(1e-6, &scaling), 1e-6 / 32.0);
        let at = |turns: f64| scaled(turns * std::f64::consts::TAU / 8192.0, &scaling) * 8192.0 / std::f64::consts::TAU;
        assert!((at(4.0) - 4.0).abs() < 1e-9);
        assert!((at(1.0) - 1.0 / 32.0).abs() < 1e-9);
        assert!(at(2.0) > at(1.0) && at(2.0) < at(4.0));
    }

    #[test]
    fn rotation_keeps_lengths_and_position_zero() {
        let device = Device::default();
        let config: DecoderConfig = serde_json::from_str(
            r#"{"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
                "vocab_size": 4, "rms_norm_eps": 1e-6, "rope_theta": 10000.0}"#,
        )
        .unwrap();
        let rotary = RotaryEmbedding::new(&config);
        let (cos, sin) = rotary.tables(0..5, &device);
        let x = Tensor::<4>::from_data([[[[1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]; 5]], &device);
        let rotated = ops::rotary(x.clone(), &cos, &sin);
        let first: f32 = (rotated.clone() - x.clone()).narrow(1, 0, 1).abs().max().into_scalar();
        let lengths: f32 = (rotated.square().sum_dim(3) - x.square().sum_dim(3)).abs().max().into_scalar();
        assert!(first < 1e-6 && lengths < 1e-3, "{first} {lengths}");
    }
}
