//! What parameters are before training.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// Row-major values of tensor `name` of `shape`: a function of name, shape and `seed` alone.
///
/// Scales are 1 and shifts 0; matrices are normal with a deviation of `1 / sqrt(fan_in)`, half of it where a block's
/// output joins the residual stream; position tables are normal with the usual deviation of 0.02.
pub fn initial_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if let Some(constant) = constant(name, shape) {
        return vec![constant; count];
    }
    let mut rng = rng(name, seed);
    let deviation = deviation(name, shape);
    (0..count).map(|_| normal(&mut rng) * deviation).collect()
}

fn constant(name: &str, shape: &[usize]) -> Option<f32> {
    match name {
        // SigLIP's own: pairs begin as surely unmatched, as most of them are.
        "logit_scale" => Some(10f32.ln()),
        "logit_bias" => Some(-10.0),
        _ if name.ends_with("bias") => Some(0.0),
        _ if name.ends_with("image_newline") || name.ends_with("cls_token") => None,
        _ if shape.len() == 1 => Some(1.0),
        _ => None,
    }
}

/// Ends of the names of matrices whose output is added to the residual stream.
const OUTPUTS: [&str; 9] = [
    "o_proj.weight",
    "out_proj.weight",
    "down_proj.weight",
    "fc2.weight",
    "weights_out.weight",
    "output.dense.weight",
    "proj_out.linear_2.weight",
    "mlp.2.weight",
    ".proj.weight",
];

fn deviation(name: &str, shape: &[usize]) -> f32 {
    let is_position = ["position_embedding", "pos_embed", "cls_token"].into_iter().any(|part| name.contains(part));
    if is_position {
        return 0.02;
    }
    let fan_in: usize = if shape.len() > 1 { shape[1..].iter().product() } else { shape.iter().product() };
    let whole = 1.0 / (fan_in.max(1) as f32).sqrt();
    if OUTPUTS.into_iter().any(|end| name.ends_with(end)) { whole / 2.0 } else { whole }
}

fn rng(name: &str, seed: u64) -> StdRng {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    StdRng::from_seed(digest.into())
}

/// The Box-Muller transform, of which one value is used.
fn normal(rng: &mut StdRng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_name_and_seed() {
        let matrix = initial_values("model.layers.0.mlp.up_proj.weight", &[64, 256], 1);
        assert_eq!(matrix, initial_values("model.layers.0.mlp.up_proj.weight", &[64, 256], 1));
        assert_ne!(matrix, initial_values("model.layers.0.mlp.up_proj.weight", &[64, 256], 2));
        assert_ne!(matrix, initial_values("model.layers.1.mlp.up_proj.weight", &[64, 256], 1));
        let deviation = (matrix.iter().map(|x| x * x).sum::<f32>() / matrix.len() as f32).sqrt();
        assert!((deviation * 16.0 - 1.0).abs() < 0.03, "{deviation}");
        assert_eq!(initial_values("norm.weight", &[3], 1), [1.0; 3]);
        assert_eq!(initial_values("norm.bias", &[3], 1), [0.0; 3]);
        assert!(initial_values("model.image_newline", &[8], 1).iter().all(|&x| x != 0.0));
    }
}
