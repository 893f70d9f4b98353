//! Functions of sixteen lanes. The polynomials were fitted for the least greatest relative error.

use crate::simd::Simd;

/// A polynomial, coefficients from the highest power down.
#[inline(always)]
fn horner<S: Simd>(s: S, x: S::F, coefficients: &[f32]) -> S::F {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

/// 2^x on [-1/2, 1/2]: 2e-9.
const EXP2: [f32; 7] =
    [1.535_336_2e-4, 1.339_887_6e-3, 9.618_437e-3, 5.550_332_4e-2, 2.402_264_7e-1, 6.931_472e-1, 1.0];

/// e^x on [-ln 2 / 2, ln 2 / 2]: 2e-9.
const EXP: [f32; 7] = [1.384_365_2e-3, 8.374_156e-3, 4.166_8e-2, 0.166_664_32, 4.999_999_4e-1, 1.0, 1.0];

/// 2^x, relative error 2e-7. Below -126.5 it gives 0, above 127.5 infinity; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.max(s.splat(-127.0), s.min(s.splat(128.0), x));
    let n = s.round(x);
    s.mul(horner(s, s.sub(x, n), &EXP2), s.power_of_two(n))
}

/// 2^x on [-1/2, 1/2]: 3e-6.
const EXP2_SHORT: [f32; 5] = [9.582_85e-3, 5.590_643e-2, 2.402_41e-1, 6.931_242e-1, 1.0];

/// 2^x for bfloat16, of x up to 0: relative error 3e-6, a thousandth of what rounding loses. Far below -126 it gives next to
/// nothing; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp2_bf16<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.max(s.splat(-127.0), x);
    let n = s.round(x);
    s.scale_by_power(horner(s, s.sub(x, n), &EXP2_SHORT), n)
}

/// e^x, relative error 2e-7. Below -87.7 it gives 0, above 88.4 infinity; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // ln 2 in two parts: the first has zeros at its end, so that its products with integers are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = s.max(s.splat(-88.0), s.min(s.splat(88.9), x));
    let n = s.round(s.mul(x, s.splat(core::f32::consts::LOG2_E)));
    let rest = s.fma(n, s.splat(-LN_2_HIGH), x);
    let rest = s.fma(n, s.splat(-LN_2_LOW), rest);
    s.mul(horner(s, rest, &EXP), s.power_of_two(n))
}

/// x / (1 + e^-x).
#[inline(always)]
pub(crate) fn silu<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(x, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// Phi(-|x|) and e^(-x^2 / 2), Phi being the distribution function of the standard normal distribution.
///
/// With a = |x| and u = 1 / (1 + 0.35 a), Phi(-a) = e^(-a^2 / 2) * u * p(u); the polynomial's error is 3e-8.
#[inline(always)]
fn normal_tail<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    const STEP: f32 = 0.35;
    const P: [f32; 9] = [
        -2.914_643_1e-2,
        1.439_741_4e-1,
        -2.557_192_4e-1,
        1.591_797_3e-1,
        -2.311_351_7e-2,
        1.055_094_7e-1,
        1.198_325_2e-1,
        1.398_619_1e-1,
        0.139_621_4,
    ];
    let one = s.splat(1.0);
    let a = s.abs(x);
    let u = s.div(one, s.fma(a, s.splat(STEP), one));
    let bell = exp(s, s.mul(s.mul(a, a), s.splat(-0.5)));
    (s.mul(s.mul(horner(s, u, &P), u), bell), bell)
}

/// x * Phi(x), Phi being the distribution function of the standard normal distribution.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let (tail, _) = normal_tail(s, x);
    s.mul(x, s.select_positive(x, s.sub(s.splat(1.0), tail), tail))
}

/// The derivative of [`gelu`], Phi(x) + x * phi(x), phi being the density of the standard normal distribution.
#[inline(always)]
pub(crate) fn gelu_derivative<S: Simd>(s: S, x: S::F) -> S::F {
    const INVERSE_ROOT_2_PI: f32 = 0.398_942_3;
    let x = clamp(s, x, 14.0);
    let (tail, bell) = normal_tail(s, x);
    let phi = s.mul(bell, s.splat(INVERSE_ROOT_2_PI));
    s.fma(x, phi, s.select_positive(x, s.sub(s.splat(1.0), tail), tail))
}

/// From `-limit` to `limit`; NaN stays NaN. A derivative that has reached 0 or 1 at the limit then stays there, where
/// infinity times 0 would make it NaN.
#[inline(always)]
fn clamp<S: Simd>(s: S, x: S::F, limit: f32) -> S::F {
    s.max(s.splat(-limit), s.min(s.splat(limit), x))
}

/// sigmoid(x) and its derivative, sigmoid(x) * sigmoid(-x); neither factor is a difference.
#[inline(always)]
fn sigmoid<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let one = s.splat(1.0);
    let power = exp(s, s.sub(s.splat(0.0), s.abs(x)));
    let large = s.div(one, s.add(one, power));
    let small = s.mul(power, large);
    (s.select_positive(x, large, small), s.mul(large, small))
}

/// [`silu`] and its derivative.
#[inline(always)]
pub(crate) fn silu_and_derivative<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let (value, slope) = sigmoid(s, x);
    (s.mul(x, value), s.fma(clamp(s, x, 89.0), slope, value))
}

/// x / 2 * (1 + tanh(y)), y = sqrt(2 / pi) * (x + 0.044715 x^3), which equals x / (1 + e^-2y).
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    const LINEAR: f32 = -1.595_769_2;
    const CUBIC: f32 = LINEAR * 0.044_715;
    let one = s.splat(1.0);
    let minus_2y = s.mul(x, s.fma(s.mul(x, x), s.splat(CUBIC), s.splat(LINEAR)));
    s.div(x, s.add(one, exp(s, minus_2y)))
}

/// The derivative of [`gelu_tanh`], which is x * sigmoid(z) with z = 2y.
#[inline(always)]
pub(crate) fn gelu_tanh_derivative<S: Simd>(s: S, x: S::F) -> S::F {
    const LINEAR: f32 = 1.595_769_2;
    const CUBIC: f32 = LINEAR * 0.044_715;
    let x = clamp(s, x, 10.0);
    let square = s.mul(x, x);
    let (value, slope) = sigmoid(s, s.mul(x, s.fma(square, s.splat(CUBIC), s.splat(LINEAR))));
    let inner = s.fma(square, s.splat(3.0 * CUBIC), s.splat(LINEAR));
    s.fma(s.mul(x, inner), slope, value)
}
