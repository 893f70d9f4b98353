use super::noise;
use crate::isa::Isa;
use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd, nearest_bf16};

/// The levels that [`Level::run_bf16`] may be called on.
fn levels() -> Vec<Level> {
    let apt = |isa: &Isa| isa.is_present() && (*isa < Isa::Avx512 || isa.bf16_products().is_some());
    Isa::ALL.into_iter().filter(apt).map(Level::of).collect()
}

struct Pair<const ACROSS: bool>([[f32; LANES]; 2]);

impl<const ACROSS: bool> Kernel for Pair<ACROSS> {
    type Out = [u32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [u32; LANES] {
        let mut out = [0; LANES];
        // SAFETY: it runs in `run_bf16`.
        unsafe { s.pair_bf16::<ACROSS>([s.load(&self.0[0]), s.load(&self.0[1])], &mut out) };
        out
    }
}

struct Exp2([f32; LANES]);

impl Kernel for Exp2 {
    type Out = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        s.store(&mut out, math::exp2_bf16(s, s.load(&self.0)));
        out
    }
}

#[test]
fn pairs_are_of_the_nearest_bf16() {
    // Ties to both sides, infinities, the greatest, and noise.
    let mut x =
        [[0.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e-30, 3.0]; 4];
    x[2].copy_from_slice(&noise(1, 8, 1e3));
    x[3].copy_from_slice(&noise(2, 8, 1e-3));
    let [low, high]: [[f32; LANES]; 2] =
        [[x[0], x[2]], [x[1], x[3]]].map(|half| std::array::from_fn(|i| half[i / 8][i % 8]));
    let words = |pair: &dyn Fn(usize) -> [f32; 2]| -> [u32; LANES] {
        std::array::from_fn(|i| nearest_bf16(pair(i)[0]) | nearest_bf16(pair(i)[1]) << 16)
    };
    let flat = [low, high].concat();
    for level in levels() {
        // SAFETY: AVX-512 is among the levels only beside products of bfloat16.
        let (across, neighbours) =
            unsafe { (level.run_bf16(Pair::<true>([low, high])), level.run_bf16(Pair::<false>([low, high]))) };
        assert_eq!(across, words(&|i| [low[i], high[i]]));
        assert_eq!(neighbours, words(&|i| [flat[2 * i], flat[2 * i + 1]]));
        // SAFETY: as above.
        let [nan, ..] = unsafe { level.run_bf16(Pair::<true>([[f32::NAN; LANES], low])) };
        assert!(f32::from_bits(nan << 16).is_nan());
    }
}

#[test]
fn powers_are_as_precise_as_bf16_needs() {
    let (mut greatest, count) = (0.0f64, 100_000);
    for level in Level::all() {
        for first in (0..count).step_by(LANES) {
            let x: [f32; LANES] = std::array::from_fn(|i| -126.0 * ((first + i) as f32 / count as f32));
            for (x, y) in x.iter().zip(level.run(Exp2(x))) {
                let expected = f64::from(*x).exp2();
                greatest = greatest.max((f64::from(y) - expected).abs() / expected);
            }
        }
        let edges = level.run(Exp2([0.0, f32::NEG_INFINITY, f32::MIN, f32::NAN].repeat(4).try_into().unwrap()));
        assert_eq!(edges[0], 1.0);
        assert!(edges[1] < 1e-38 && edges[2] < 1e-38 && edges[3].is_nan(), "{edges:?}");
    }
    assert!(greatest < 3.1e-6, "{greatest:e}");
}
