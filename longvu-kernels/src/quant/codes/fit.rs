//! The scale and offset of a group of weights.

use super::{MIDDLE, QuantBits, QuantFormat, ScaleType};
use crate::simd::{Kernel, LANES, Level, Simd};
use half::f16;

/// What the weight of greatest size is tried as, among 4-bit codes from -8 to 7. As -8.5 it is cut off, and all others are
/// rounded more finely; as -7 it has its mirror image among the codes.
///
/// One of -8 and -7 gives weights that are multiples of a step already back as they are, if one of them is eight or seven
/// steps long.
const GREATEST: [f32; 3] = [-MIDDLE, -8.5, -7.0];

/// Vectors of the largest group.
const VECTORS: usize = 128 / LANES;

/// The scale and offset of a group of at most 128 weights, rounded as they will be stored; NaN if a weight is not finite.
pub(in super::super) fn fit(format: QuantFormat, group: &[f32]) -> (f32, f32) {
    Level::best().run(Fit { format, group })
}

struct Fit<'a> {
    format: QuantFormat,
    group: &'a [f32],
}

impl Kernel for Fit<'_> {
    type Out = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f32, f32) {
        let Self { format, group } = self;
        let mut weights = [s.splat(0.0); VECTORS];
        let (whole, rest) = group.as_chunks::<LANES>();
        for (vector, whole) in weights.iter_mut().zip(whole) {
            *vector = s.load(whole);
        }
        if !rest.is_empty() {
            // What stands for no weight takes no part in errors, and is neither the least nor the greatest.
            let fill = if format.affine { rest[0] } else { 0.0 };
            weights[whole.len()] = s.load_part(rest, fill);
        }
        let weights = &weights[..group.len().div_ceil(LANES)];
        let round = |x: f32| if format.scales == ScaleType::F16 { f16::from_f32(x).to_f32() } else { x };
        let Some((min, max)) = extremes(s, weights) else { return (f32::NAN, 0.0) };
        match (format.bits, format.affine) {
            (QuantBits::Int8, false) => (round(max.max(-min) / 127.0), 0.0),
            (QuantBits::Int4, false) => (round(search(s, weights, if -min > max { min } else { max })), 0.0),
            (QuantBits::Int8, true) => {
                let scale = round((max - min) / 255.0);
                (scale, round(min + 128.0 * scale))
            }
            (QuantBits::Int4, true) => (round((max - min) / 15.0), round(min)),
        }
    }
}

/// The least and the greatest weight, if all are finite.
#[inline(always)]
fn extremes<S: Simd>(s: S, weights: &[S::F]) -> Option<(f32, f32)> {
    let zero = s.splat(0.0);
    let (first, rest) = weights.split_first()?;
    let (mut least, mut greatest) = (s.sub(zero, *first), *first);
    let mut nothing = s.mul(*first, zero);
    for &x in rest {
        greatest = s.max(x, greatest);
        least = s.max(s.sub(zero, x), least);
        nothing = s.fma(x, zero, nothing);
    }
    (s.sum(nothing) == 0.0).then(|| (-s.max_lane(least), s.max_lane(greatest)))
}

/// The scale of symmetric 4-bit codes with the least square error, among those that [`GREATEST`] gives and those that fit the
/// codes of each best.
#[inline(always)]
fn search<S: Simd>(s: S, weights: &[S::F], greatest: f32) -> f32 {
    let mut best = (f32::INFINITY, greatest / GREATEST[0]);
    for code in GREATEST {
        let mut scale = greatest / code;
        for _ in 0..2 {
            let (error, better) = measure(s, weights, scale);
            if error < best.0 {
                best = (error, scale);
            }
            scale = better;
        }
    }
    best.1
}

/// The square error of codes with a scale, and the scale that has the least with the same codes.
#[inline(always)]
fn measure<S: Simd>(s: S, weights: &[S::F], scale: f32) -> (f32, f32) {
    let zero = s.splat(0.0);
    let inverse = s.splat(if scale == 0.0 { 0.0 } else { 1.0 / scale });
    let (least, most, step) = (s.splat(-MIDDLE), s.splat(MIDDLE - 1.0), s.splat(-scale));
    let [mut errors, mut products, mut squares] = [zero; 3];
    for &x in weights {
        let code = s.round(s.min(s.max(s.mul(x, inverse), least), most));
        let error = s.fma(code, step, x);
        errors = s.fma(error, error, errors);
        products = s.fma(code, x, products);
        squares = s.fma(code, code, squares);
    }
    let [error, product, square, _] = s.sum4([errors, products, squares, zero]);
    (error, if square > 0.0 { product / square } else { scale })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::noise;

    /// They add in other orders, which may decide between scales that are as good.
    #[test]
    fn every_level_fits_as_well() {
        for len in [5, 16, 32, 52, 128] {
            for affine in [false, true] {
                for bits in [QuantBits::Int4, QuantBits::Int8] {
                    let format = QuantFormat { bits, group: 128, affine, scales: ScaleType::F16 };
                    let group = noise(len as u64, len, 0.1);
                    let found = |level: Level| level.run(Fit { format, group: &group });
                    let (scale, offset) = found(Level::Portable);
                    for level in Level::all() {
                        let (other, other_offset) = found(level);
                        assert!(
                            (other - scale).abs() <= 2e-3 * scale.abs(),
                            "{other} for {scale}, {len} of {format:?}"
                        );
                        assert!((other_offset - offset).abs() <= 1e-4, "{other_offset} for {offset}, {format:?}");
                    }
                }
            }
        }
    }
}
