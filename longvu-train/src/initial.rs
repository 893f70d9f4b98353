//! What parameters are before training.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// Row-major values of tensor `name` of `shape`: a function of name, shape and `seed` alone.
///
/// Scales are 1 and shifts 0; matrices are normal with a deviation of `1 / sqrt(fan_in)`, half of it where a block's
/// output joins the residual stream. Position tables are sines and cosines of row and column, so that neighbours are alike
/// from the first step on (arXiv 2205.01580: a plain ViT learns faster for it), beside a class token's row, if any.
pub fn initial_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if let Some(constant) = constant(name, shape) {
        return vec![constant; count];
    }
    let mut rng = rng(name, seed);
    let deviation = deviation(name, shape);
    let mut values: Vec<f32> = (0..count).map(|_| normal(&mut rng) * deviation).collect();
    if let ([.., rows, channels], true) = (shape, is_position_table(name)) {
        let side = rows.isqrt();
        let patches = values[(rows - side * side) * channels..].chunks_exact_mut(*channels);
        patches.enumerate().for_each(|(place, row)| position(place / side, place % side, row));
    }
    values
}

/// Sines and cosines of a row's and a column's place at wavelengths from 2 pi to 100 times as long.
fn position(row: usize, column: usize, values: &mut [f32]) {
    let quarter = (values.len() / 4).max(1);
    for (i, value) in values.iter_mut().enumerate() {
        let frequency = 100f32.powf(-((i % quarter) as f32) / quarter as f32);
        let place = if i / quarter < 2 { row } else { column } as f32 * frequency;
        *value = POSITION_SCALE * if (i / quarter).is_multiple_of(2) { place.sin() } else { place.cos() };
    }
}

/// Half of what a patch's own embedding is like.
const POSITION_SCALE: f32 = 0.5;

fn is_position_table(name: &str) -> bool {
    ["position_embedding", "pos_embed"].into_iter().any(|part| name.contains(part))
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

/// Whether a tensor's output is added to the residual stream, where zeros in its place change nothing.
pub(crate) fn joins_residual(name: &str) -> bool {
    OUTPUTS.into_iter().any(|end| name.ends_with(end))
}

fn deviation(name: &str, shape: &[usize]) -> f32 {
    if is_position_table(name) || name.contains("cls_token") {
        return 0.02;
    }
    let fan_in: usize = if shape.len() > 1 { shape[1..].iter().product() } else { shape.iter().product() };
    let whole = 1.0 / (fan_in.max(1) as f32).sqrt();
    if joins_residual(name) { whole / 2.0 } else { whole }
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

    #[test]
    fn neighbours_have_positions_that_are_alike() {
        let table = initial_values("embeddings.position_embeddings", &[1, 1 + 8 * 8, 96], 1);
        let row = |patch: usize| &table[(1 + patch) * 96..(2 + patch) * 96];
        let dot = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum::<f32>();
        assert!(table[..96].iter().all(|x| x.abs() < 0.1));
        assert!(dot(27, 27) > dot(27, 28) && dot(27, 28) > dot(27, 30));
        assert!((dot(27, 28) - dot(27, 35)).abs() < 1e-3 && (dot(27, 28) - dot(27, 26)).abs() < 1e-3);
    }
}
