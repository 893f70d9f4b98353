use super::{assert_close, assert_same_on_any_threads, noise, wide};
use crate::cosine::cosine_at;
use crate::gram::gram_at;
use crate::simd::Level;
use crate::{cosine_with_first, gram};
use proptest::prelude::*;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn threads_change_nothing() {
    let x = noise(1, 5 * 30_001, 1.0);
    assert_same_on_any_threads(|| {
        let mut out = vec![0.0; 25];
        gram(&x, 30_001, &mut out);
        out.into_iter().map(|x| x as f32).collect()
    });
    let x = noise(2, 6 * 50 * 601, 1.0);
    assert_same_on_any_threads(|| {
        let mut out = vec![0.0; 50 * 5];
        cosine_with_first(&x, 6, 601, 1e-8, &mut out);
        out
    });
}

#[test]
fn rows_without_length_have_cosine_0() {
    let mut x = noise(3, 2 * 3 * 20, 1.0);
    x[..20].fill(0.0);
    x[80..100].fill(0.0);
    let mut out = [1.0; 3];
    cosine_with_first(&x, 2, 20, 1e-8, &mut out);
    assert_eq!((out[0], out[1]), (0.0, 0.0));
    assert!(out[2] != 0.0);
}

#[test]
fn nothing_in_nothing_out() {
    gram(&[], 3, &mut []);
    cosine_with_first(&[], 3, 4, 1e-8, &mut []);
    cosine_with_first(&[1.0; 8], 1, 4, 1e-8, &mut []);
}

proptest! {
    #[test]
    fn products_of_rows_equal_the_reference(seed: u64, rows in 1usize..20, width in 1usize..700) {
        let x = noise(seed, rows * width, 2.0);
        let wide = wide(&x);
        let row = |i: usize| &wide[i * width..][..width];
        let expected: Vec<f64> = (0..rows * rows).map(|k| dot(row(k / rows), row(k % rows))).collect();
        for level in Level::all() {
            let mut out = vec![f64::NAN; rows * rows];
            gram_at(level, &x, width, &mut out);
            let narrow: Vec<f32> = out.iter().map(|&x| x as f32).collect();
            assert_close(&narrow, &expected, 1e-6 * 4.0 * width as f64, 0.0);
        }
    }

    #[test]
    fn cosines_equal_the_reference(seed: u64, frames in 1usize..6, rows in 1usize..40, width in 1usize..100) {
        let x = noise(seed, frames * rows * width, 2.0);
        let wide = wide(&x);
        let row = |f: usize, r: usize| &wide[(f * rows + r) * width..][..width];
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a).sqrt().max(1e-3) * dot(b, b).sqrt().max(1e-3));
        let places = (0..rows).flat_map(|r| (1..frames).map(move |f| (f, r)));
        let expected: Vec<f64> = places.map(|(f, r)| cosine(row(f, r), row(0, r))).collect();
        for level in Level::all() {
            let mut out = vec![f32::NAN; expected.len()];
            cosine_at(level, &x, frames, width, 1e-3, &mut out);
            assert_close(&out, &expected, 1e-6, 0.0);
        }
    }
}
