use super::{assert_close, assert_same_on_any_threads, noise, wide};
use crate::norm::{Parameters, add_norm_at, norm_at};
use crate::simd::Level;
use crate::{add_layer_norm, add_rms_norm, layer_norm, rms_norm};
use proptest::prelude::*;

pub(super) fn reference(x: &[f64], parameters: Parameters<'_>) -> Vec<f64> {
    let width = parameters.weight.len();
    let mut out = Vec::new();
    for row in x.chunks(width) {
        let mean = if parameters.centre { row.iter().sum::<f64>() / width as f64 } else { 0.0 };
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = (variance + f64::from(parameters.eps)).sqrt().recip();
        for (i, x) in row.iter().enumerate() {
            let bias = parameters.bias.map_or(0.0, |bias| f64::from(bias[i]));
            out.push((x - mean) * inverse * f64::from(parameters.weight[i]) + bias);
        }
    }
    out
}

#[test]
fn rows_of_one_value_give_the_bias() {
    for value in [0.0, 3.0, -1e20] {
        let (x, weight, bias) = ([value; 37], [2.0; 37], [0.5; 37]);
        let mut out = [0.0; 37];
        layer_norm(&x, &weight, Some(&bias), 1e-6, &mut out);
        if value.abs() < 1e10 {
            assert_close(&out, &[0.5; 37], 1e-3, 0.0);
        }
    }
    let mut out = [1.0; 37];
    rms_norm(&[0.0; 37], &[2.0; 37], 1e-6, &mut out);
    assert_eq!(out, [0.0; 37]);
}

#[test]
fn threads_change_nothing() {
    let (x, weight) = (noise(1, 601 * 301, 6.0), noise(2, 301, 1.0));
    assert_same_on_any_threads(|| {
        let (mut residual, mut out) = (x.clone(), x.clone());
        add_layer_norm(&mut residual, &x, Some(&weight), &weight, None, 1e-6, &mut out);
        add_rms_norm(&mut residual, &out.clone(), &weight, 1e-6, &mut out);
        out
    });
}

proptest! {
    #[test]
    fn norms_equal_the_reference(seed: u64, rows in 1usize..5, width in 1usize..200, shift in -20.0f32..20.0) {
        let mut x = noise(seed, rows * width, 3.0);
        x.iter_mut().for_each(|x| *x += shift);
        let (delta, scale) = (noise(seed ^ 3, rows * width, 3.0), noise(seed ^ 4, width, 1.0));
        let (weight, bias) = (noise(seed ^ 1, width, 2.0), noise(seed ^ 2, width, 1.0));
        for (bias, centre) in [(None, false), (Some(&bias[..]), true), (None, true)] {
            let parameters = Parameters { weight: &weight, bias, centre, eps: 1e-3 };
            for level in Level::all() {
                let mut out = vec![0.0; x.len()];
                norm_at(level, &x, parameters, &mut out);
                assert_close(&out, &reference(&wide(&x), parameters), 1e-4, 1e-5);
                for scale in [None, Some(&scale[..])] {
                    let mut residual = x.clone();
                    add_norm_at(level, &mut residual, (&delta, scale), parameters, &mut out);
                    let sum = |i| f64::from(x[i]) + f64::from(delta[i]) * scale.map_or(1.0, |s| f64::from(s[i % width]));
                    let sums: Vec<f64> = (0..x.len()).map(sum).collect();
                    assert_close(&residual, &sums, 1e-5, 1e-6);
                    assert_close(&out, &reference(&wide(&residual), parameters), 1e-4, 1e-5);
                }
            }
        }
    }
}
