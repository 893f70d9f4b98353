use super::{assert_close, assert_same_on_any_threads, noise, wide};
use crate::rotary::rotary_at;
use crate::simd::Level;
use crate::softmax::softmax_at;
use crate::{RowOrder, patchify, rotary, softmax};
use proptest::prelude::*;

fn softmax_reference(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}

#[test]
fn hidden_and_invalid_elements() {
    const HIDDEN: f32 = f32::NEG_INFINITY;
    for level in Level::all() {
        for len in [1, 5, 16, 37] {
            let mut row = vec![HIDDEN; len];
            row[len - 1] = -3.0;
            softmax_at(level, &mut row, len);
            assert_eq!(row[len - 1], 1.0);
            assert!(row[..len - 1].iter().all(|&x| x == 0.0));
            for bad in [HIDDEN, f32::NAN, f32::INFINITY] {
                let mut row = vec![HIDDEN; len];
                row[len / 2] = bad;
                softmax_at(level, &mut row, len);
                assert!(row[len / 2].is_nan(), "{row:?}");
            }
            let mut row = vec![f32::MAX; len];
            row[0] = f32::MIN;
            let expected = softmax_reference(&wide(&row));
            softmax_at(level, &mut row, len);
            assert_close(&row, &expected, 1e-30, 1e-6);
        }
    }
}

#[test]
fn threads_change_nothing() {
    let (x, cos, sin) = (noise(1, 40 * 51 * 66, 6.0), noise(2, 51 * 33, 1.0), noise(3, 51 * 33, 1.0));
    assert_same_on_any_threads(|| {
        let mut y = x.clone();
        rotary(&mut y, 40, 66, RowOrder::HeadsFirst, &cos, &sin);
        softmax(&mut y, 66);
        y
    });
}

#[test]
fn patches_lie_as_a_convolution_reads_them() {
    let (channels, height, width, patch) = (2, 7, 9, 3);
    let image: Vec<f32> = (0..channels * height * width).map(|i| i as f32).collect();
    let mut out = vec![0.0; 2 * 3 * channels * patch * patch];
    patchify(&image, channels, height, width, patch, &mut out);
    let mut expected = Vec::new();
    for (y, x) in [(0, 0), (0, 3), (0, 6), (3, 0), (3, 3), (3, 6)] {
        for c in 0..channels {
            for i in 0..patch * patch {
                expected.push(image[(c * height + y + i / patch) * width + x + i % patch]);
            }
        }
    }
    assert_eq!(out, expected);
}

proptest! {
    #[test]
    fn softmax_equals_the_reference(seed: u64, rows in 1usize..5, columns in 1usize..90, size in 0.1f32..60.0) {
        let mut x = noise(seed, rows * columns, size);
        for i in (0..x.len()).step_by(7).filter(|i| i % columns != 0) {
            x[i] = f32::NEG_INFINITY;
        }
        let expected: Vec<f64> = wide(&x).chunks(columns).flat_map(softmax_reference).collect();
        for level in Level::all() {
            let mut y = x.clone();
            softmax_at(level, &mut y, columns);
            // A rounded difference from the maximum, of 120 at most.
            assert_close(&y, &expected, 1e-36, 6e-6);
        }
    }

    #[test]
    fn rotary_equals_the_reference(seed: u64, heads in 1usize..5, positions in 1usize..9, half in 1usize..40) {
        let head_dim = 2 * half;
        let x = noise(seed, heads * positions * head_dim, 2.0);
        let (cos, sin) = (noise(seed ^ 1, positions * half, 1.0), noise(seed ^ 2, positions * half, 1.0));
        for order in [RowOrder::HeadsFirst, RowOrder::PositionsFirst] {
            let expected: Vec<f64> = (0..x.len()).map(|i| {
                let (row, j) = (i / head_dim, i % head_dim);
                let position = if order == RowOrder::HeadsFirst { row % positions } else { row / heads };
                let angle = position * half + j % half;
                let (cos, sin) = (f64::from(cos[angle]), f64::from(sin[angle]));
                let (sign, other) = if j < half { (-1.0, i + half) } else { (1.0, i - half) };
                f64::from(x[i]) * cos + sign * f64::from(x[other]) * sin
            }).collect();
            for level in Level::all() {
                let mut y = x.clone();
                rotary_at::<false>(level, &mut y, heads, head_dim, order, &cos, &sin);
                assert_close(&y, &expected, 1e-6, 1e-6);
            }
        }
    }
}
