//! Resampling of square token grids, as PyTorch's `interpolate` does with `align_corners=False` and no antialias.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// How values between grid points are found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Interpolation {
    /// Two neighbours a dimension.
    Bilinear,
    /// Four neighbours a dimension, with the convolution parameter a = -0.75.
    Bicubic,
}

/// Resamples a `from x from` grid of tokens to `to x to`, in float32.
///
/// The source coordinate of output cell `i` is `(i + 0.5) / scale - 0.5`, where `scale` is `to / from` unless given:
/// PyTorch keeps the requested factor even when the output size is rounded down from it.
///
/// # Shapes
/// - `tokens`: `[batch, from * from, channels]`, row-major
/// - output: `[batch, to * to, channels]`, in the dtype of the input
pub fn resample_grid(
    tokens: Tensor<3>,
    from: usize,
    to: usize,
    interpolation: Interpolation,
    scale: Option<f64>,
) -> Tensor<3> {
    if from == to && scale.is_none() {
        return tokens;
    }
    let [batch, _, channels] = tokens.dims();
    let dtype = tokens.dtype();
    let scale = scale.unwrap_or(to as f64 / from as f64);
    let matrix = matrix(from, to, interpolation, scale, &tokens.device());
    // One product per axis: rows first, with the columns of a row side by side, then columns.
    let rows = tokens.cast(DType::F32).reshape([batch, from, from * channels]);
    let rows = matrix.clone().unsqueeze::<3>().expand([batch, to, from]).matmul(rows);
    let columns = rows.reshape([batch * to, from, channels]);
    let columns = matrix.unsqueeze::<3>().expand([batch * to, to, from]).matmul(columns);
    columns.reshape([batch, to * to, channels]).cast(dtype)
}

/// The weights of one axis, `[to, from]`.
fn matrix(from: usize, to: usize, interpolation: Interpolation, scale: f64, device: &Device) -> Tensor<2> {
    let mut weights = vec![0f32; to * from];
    for (i, row) in weights.chunks_mut(from).enumerate() {
        let source = (i as f64 + 0.5) / scale - 0.5;
        let taps = match interpolation {
            Interpolation::Bilinear => bilinear_taps(source.max(0.0)),
            Interpolation::Bicubic => bicubic_taps(source),
        };
        for (position, weight) in taps {
            // Beyond the edge the edge's own value is used.
            row[position.clamp(0, from as i64 - 1) as usize] += weight as f32;
        }
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), (device, DType::F32))
}

fn bilinear_taps(source: f64) -> Vec<(i64, f64)> {
    let (base, t) = (source.floor(), source.fract());
    vec![(base as i64, 1.0 - t), (base as i64 + 1, t)]
}

fn bicubic_taps(source: f64) -> Vec<(i64, f64)> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let base = source.floor();
    let t = source - base;
    let base = base as i64;
    vec![(base - 1, far(t + 1.0)), (base, near(t)), (base + 1, near(1.0 - t)), (base + 2, far(2.0 - t))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    };

    /// Compares with burn's own interpolation on a grid that is no special case.
    fn against_burn(from: usize, to: usize, ours: Interpolation, theirs: InterpolateMode) {
        let device = Device::default();
        let values: Vec<f32> = (0..2 * from * from * 3).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        let tokens = Tensor::<3>::from_data(TensorData::new(values, [2, from * from, 3]), &device);
        let image = tokens.clone().reshape([2, from, from, 3]).permute([0, 3, 1, 2]);
        let options = InterpolateOptions::new(theirs).with_output_size([to, to]).with_align_corners(false);
        let expected = interpolate(image, options).permute([0, 2, 3, 1]).reshape([2, to * to, 3]);
        let found = resample_grid(tokens, from, to, ours, None);
        let worst: f32 = (found - expected).abs().max().into_scalar();
        assert!(worst < 1e-5, "{from} to {to} {ours:?}: {worst}");
    }

    #[test]
    fn equals_burns_interpolation() {
        for (from, to) in [(27, 24), (12, 8), (5, 9), (37, 27)] {
            against_burn(from, to, Interpolation::Bilinear, InterpolateMode::Bilinear);
            against_burn(from, to, Interpolation::Bicubic, InterpolateMode::Bicubic);
        }
    }
}
