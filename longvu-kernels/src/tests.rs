//! Every kernel at every level of the machine, against plain f64 code.

mod activation;
mod attention;
mod backward;
mod bf16;
mod gemv;
mod linear;
mod norm;
mod quant;
mod rows;
mod similarity;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tiles;

/// Numbers from `-size` to `size`.
pub(crate) fn noise(seed: u64, len: usize, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..len).map(|_| next()).collect()
}

/// Asserts that every element is within `absolute + relative * |expected|`, or NaN where a NaN is expected.
pub(crate) fn assert_close(actual: &[f32], expected: &[f64], absolute: f64, relative: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let a = f64::from(a);
        let same = a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= absolute + relative * e.abs();
        assert!(same, "element {i}: {a:e} for {e:e}");
    }
}

/// Whether all elements are the same to the bit.
pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Runs `work` on pools of one and of three threads, and asserts that the results are the same to the bit.
pub(crate) fn assert_same_on_any_threads(work: impl Fn() -> Vec<f32> + Sync) {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&work).into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(on(1), on(3));
}
