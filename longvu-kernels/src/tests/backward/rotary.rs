use super::{assert_gradient, dot};
use crate::RowOrder;
use crate::backward::rotary_backward;
use crate::rotary::rotary_at;
use crate::simd::Level;
use crate::tests::noise;
use proptest::prelude::*;

/// Rotates `[heads, positions, 2 * half]` or `[positions, heads, 2 * half]`.
fn forward(x: &[f64], [heads, half]: [usize; 2], order: RowOrder, cos: &[f32], sin: &[f32]) -> Vec<f64> {
    let mut out = x.to_vec();
    for (row, x) in x.chunks(2 * half).enumerate() {
        let position = if order == RowOrder::HeadsFirst { row % (cos.len() / half) } else { row / heads };
        for i in 0..half {
            let (cos, sin) = (f64::from(cos[position * half + i]), f64::from(sin[position * half + i]));
            out[row * 2 * half + i] = x[i] * cos - x[half + i] * sin;
            out[row * 2 * half + half + i] = x[half + i] * cos + x[i] * sin;
        }
    }
    out
}

proptest! {
    #[test]
    fn gradients_of_rotations(seed: u64, heads in 1usize..4, positions in 1usize..6, half in 1usize..40) {
        let len = heads * positions * 2 * half;
        let (x, grad) = (noise(seed, len, 2.0), noise(seed ^ 1, len, 1.0));
        let angles = noise(seed ^ 2, positions * half, 3.0);
        let cos: Vec<f32> = angles.iter().map(|x| x.cos()).collect();
        let sin: Vec<f32> = angles.iter().map(|x| x.sin()).collect();
        for order in [RowOrder::HeadsFirst, RowOrder::PositionsFirst] {
            let loss = |x: &[f64]| dot(&forward(x, [heads, half], order, &cos, &sin), &grad);
            for level in Level::all() {
                let mut y = grad.clone();
                rotary_at::<true>(level, &mut y, heads, 2 * half, order, &cos, &sin);
                assert_gradient(&y, &x, 1e-6, loss);
                // Forth and back again.
                rotary_at::<false>(level, &mut y, heads, 2 * half, order, &cos, &sin);
                prop_assert!(y.iter().zip(&grad).all(|(a, b)| (a - b).abs() < 1e-6));
            }
            let mut y = grad.clone();
            rotary_backward(&mut y, heads, 2 * half, order, &cos, &sin);
            assert_gradient(&y, &x, 1e-6, loss);
        }
    }
}
