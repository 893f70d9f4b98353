//! Products of many rows in few bits, against f64 sums of the operands as they are rounded.

use super::{assert_close, assert_same_on_any_threads, noise, same_bits};
use crate::amx::emulator;
use crate::isa::Isa;
use crate::linear::to_write;
use crate::quant::{multiply_on_amx, multiply_quantised};
use crate::simd::Level;
use crate::tiles::words::{Elements, Pairs, Rounded};
use crate::tiles::{Activation, Kind, Rows, Sink, Weights, amx, multiply_dense};
use crate::{QuantBits, QuantFormat, QuantMatrix, ScaleType};
use half::{bf16, f16};
use proptest::prelude::*;

/// What the machine has, and something less that it has too.
fn present() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_present())
}

fn product(weights: &[f32], inputs: usize, x: &[f32]) -> Vec<f64> {
    let dot = |row: &[f32], weights: &[f32]| row.iter().zip(weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
    x.chunks(inputs).flat_map(|row| weights.chunks(inputs).map(move |weights| dot(row, weights))).collect()
}

fn bits(weights: &[f32]) -> Vec<u16> {
    weights.iter().map(|&w| bf16::from_f32(w).to_bits()).collect()
}

fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| bf16::from_f32(x).to_f32()).collect()
}

/// Activations as 8-bit integers with a step for each group of a row.
fn steps(x: &[f32], inputs: usize, group: usize) -> Vec<f32> {
    let round = |x: &[f32]| {
        let step = x.iter().fold(0.0, |max: f32, x| max.max(x.abs())) / 127.0;
        x.iter().map(move |x| (x / step).round_ties_even() * step).collect::<Vec<_>>()
    };
    x.chunks(inputs).flat_map(|row| row.chunks(group).flat_map(round)).collect()
}

/// Quantised weights as they are multiplied.
fn restored(matrix: &QuantMatrix) -> Vec<f32> {
    let mut restored = vec![0.0; matrix.outputs() * matrix.inputs()];
    matrix.dequantize(0, &mut restored);
    restored
}

/// Outputs in a buffer.
fn sink<'a>(level: Level, out: &'a mut [f32], outputs: usize, kind: Kind<'a>) -> Sink<'a> {
    // SAFETY: tiles write nothing but outputs.
    Sink::new(level, unsafe { to_write(out) }, outputs, kind)
}

/// Outputs as they are.
fn plain(out: &mut [f32], outputs: usize) -> Sink<'_> {
    sink(Level::best(), out, outputs, Kind::Plain(None, Activation::None))
}

/// Outputs of rows in bfloat16; `None` where the machine has no such products.
fn in_bf16(isa: Isa, weights: &[u16], inputs: usize, x: &[f32]) -> Option<Vec<f32>> {
    let mut out = vec![f32::NAN; x.len() / inputs * (weights.len() / inputs)];
    let mut sink = plain(&mut out, weights.len() / inputs);
    let done = isa.bf16_products().is_some() && multiply_dense(isa, &[Weights::Bf16(weights)], inputs, x, &mut sink);
    done.then_some(out)
}

fn in_int8(isa: Isa, matrix: &QuantMatrix, x: &[f32]) -> Option<Vec<f32>> {
    let mut out = vec![f32::NAN; x.len() / matrix.inputs() * matrix.outputs()];
    let mut sink = plain(&mut out, matrix.outputs());
    (isa.int8_products().is_some() && multiply_quantised(isa, &[matrix], x, &mut sink)).then_some(out)
}

const FORMATS: [QuantFormat; 4] = [
    QuantFormat { bits: QuantBits::Int8, group: 64, affine: false, scales: ScaleType::F16 },
    QuantFormat { bits: QuantBits::Int4, group: 32, affine: false, scales: ScaleType::F16 },
    QuantFormat { bits: QuantBits::Int8, group: 128, affine: true, scales: ScaleType::F32 },
    QuantFormat { bits: QuantBits::Int4, group: 64, affine: true, scales: ScaleType::F32 },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn bf16_products_are_those_of_the_rounded_operands(
        seed: u64,
        rows in 1usize..50,
        outputs in 1usize..150,
        inputs in 1usize..1300,
    ) {
        let (weights, x) = (rounded(&noise(seed, outputs * inputs, 1.0)), noise(seed ^ 1, rows * inputs, 1.0));
        let expected = product(&weights, inputs, &rounded(&x));
        for isa in present() {
            if let Some(out) = in_bf16(isa, &bits(&weights), inputs, &x) {
                assert_close(&out, &expected, 2e-4, 0.0);
            }
        }
    }

    #[test]
    fn f32_products_of_any_storage_are_exact(
        seed: u64,
        rows in 1usize..50,
        outputs in 1usize..150,
        inputs in 1usize..1300,
    ) {
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let halves: Vec<u16> = weights.iter().map(|&w| f16::from_f32(w).to_bits()).collect();
        let kept: Vec<f32> = halves.iter().map(|&bits| f16::from_bits(bits).to_f32()).collect();
        let brains = rounded(&weights);
        let expected = [product(&weights, inputs, &x), product(&kept, inputs, &x), product(&brains, inputs, &x)];
        for isa in present() {
            let storage = [Weights::F32(&weights), Weights::F16(&halves), Weights::Bf16(&bits(&brains))];
            for (i, (weights, expected)) in storage.into_iter().zip(&expected).enumerate() {
                let mut out = vec![f32::NAN; rows * outputs];
                let done = multiply_dense(isa, &[weights], inputs, &x, &mut plain(&mut out, outputs));
                assert_eq!(done, isa > Isa::Portable);
                if done && (i < 2 || isa.bf16_products().is_none()) {
                    assert_close(&out, expected, 2e-4, 0.0);
                }
            }
        }
    }

    #[test]
    fn without_8_bit_products_quantised_weights_are_restored(
        seed: u64,
        rows in 1usize..30,
        outputs in 1usize..100,
        inputs in 1usize..700,
        format in 0..FORMATS.len(),
    ) {
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let matrix = QuantMatrix::quantize(FORMATS[format], &weights, inputs);
        let restored = restored(&matrix);
        for isa in present().filter(|&isa| isa == Isa::Avx512 || isa == Isa::Portable) {
            let mut out = vec![f32::NAN; rows * outputs];
            let done = multiply_quantised(isa, &[&matrix], &x, &mut plain(&mut out, outputs));
            assert_eq!(done, isa > Isa::Portable);
            if done {
                assert_close(&out, &product(&restored, inputs, &x), 2e-4, 0.0);
            }
        }
    }

    #[test]
    fn int8_products_are_those_of_the_rounded_operands(
        seed: u64,
        rows in 1usize..30,
        outputs in 1usize..150,
        inputs in 1usize..1300,
        format in 0..FORMATS.len(),
    ) {
        let format = FORMATS[format];
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let matrix = QuantMatrix::quantize(format, &weights, inputs);
        let restored = restored(&matrix);
        let expected = product(&restored, inputs, &steps(&x, inputs, format.group));
        // A value between two steps may go to either.
        let tolerance = 2e-4 + 2.0 / 127.0;
        for isa in present() {
            if let Some(out) = in_int8(isa, &matrix, &x) {
                assert_close(&out, &expected, tolerance, 0.0);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others_nor_on_threads() {
    let (inputs, outputs, rows) = (700, 200, 37);
    let (weights, x) = (noise(1, outputs * inputs, 1.0), noise(2, rows * inputs, 1.0));
    for isa in present() {
        let all = in_bf16(isa, &bits(&weights), inputs, &x);
        for first in [0, 5, rows - 1] {
            let alone = in_bf16(isa, &bits(&weights), inputs, &x[first * inputs..]);
            assert_eq!(all.is_some(), alone.is_some());
            if let (Some(all), Some(alone)) = (&all, alone) {
                assert!(same_bits(&all[first * outputs..], &alone), "{isa} from {first}");
            }
        }
        assert_same_on_any_threads(|| in_bf16(isa, &bits(&weights), inputs, &x).unwrap_or_default());
        for format in FORMATS {
            let matrix = QuantMatrix::quantize(format, &weights, inputs);
            let (all, alone) = (in_int8(isa, &matrix, &x), in_int8(isa, &matrix, &x[5 * inputs..]));
            if let (Some(all), Some(alone)) = (all, alone) {
                assert!(same_bits(&all[5 * outputs..], &alone), "{isa} {format:?}");
            }
            assert_same_on_any_threads(|| in_int8(isa, &matrix, &x).unwrap_or_default());
        }
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row_and_an_outlier_in_its_group() {
    let (inputs, outputs, rows) = (256, 40, 16);
    let weights = noise(1, outputs * inputs, 1.0);
    let mut x = noise(2, rows * inputs, 1.0);
    x[3 * inputs + 7] = f32::INFINITY;
    x[4 * inputs + 200] = f32::NAN;
    // A channel a thousand times greater than the others, as towers and decoders have them.
    x[5 * inputs + 70] = 1000.0;
    let matrix = QuantMatrix::quantize(FORMATS[0], &weights, inputs);
    let restored = restored(&matrix);
    let exact = product(&restored, inputs, &x[5 * inputs..6 * inputs]);
    for isa in present() {
        for out in [in_bf16(isa, &bits(&weights), inputs, &x), in_int8(isa, &matrix, &x)].into_iter().flatten() {
            for (row, out) in out.chunks(outputs).enumerate() {
                let finite = out.iter().all(|x| x.is_finite());
                assert_eq!(finite, row != 3 && row != 4, "{isa}, row {row}");
            }
        }
        if let Some(out) = in_int8(isa, &matrix, &x) {
            // Of four groups, one has steps of 1000 / 127: 64 activations that round to 0 or a step, and one exact.
            let loss = |(a, e): (&f32, &f64)| (f64::from(*a) - e).abs();
            let worst = out[5 * outputs..][..outputs].iter().zip(&exact).map(loss).fold(0.0, f64::max);
            assert!(worst < 64f64.sqrt() * 2.0, "{isa}: {worst}");
        }
    }
}

#[test]
fn products_on_amx_are_those_of_the_rounded_operands() {
    // Where there is no AMX, its instructions are emulated, in a process of this test's own.
    emulator::with_amx("tests::tiles::products_on_amx_are_those_of_the_rounded_operands", |amx| {
        let level = Level::best();
        for [rows, inputs, outputs] in [[1, 1, 1], [33, 700, 150], [64, 512, 128], [17, 1100, 33], [100, 64, 300]] {
            let (weights, x) = (rounded(&noise(1, outputs * inputs, 1.0)), noise(2, rows * inputs, 1.0));
            let mut out = vec![f32::NAN; rows * outputs];
            let (bits, elements) = (bits(&weights), |part: Rows| &x[part.first * inputs..][..part.count * inputs]);
            let (pairs, rounding) =
                (Pairs(Elements::new(&bits, inputs)), |part| Rounded(Elements::new(elements(part), inputs)));
            amx::multiply((amx, level), [rows, inputs], pairs, rounding, &mut plain(&mut out, outputs));
            assert_close(&out, &product(&weights, inputs, &rounded(&x)), 2e-4, 0.0);
            for format in FORMATS {
                let matrix = QuantMatrix::quantize(format, &weights, inputs);
                let restored = restored(&matrix);
                out.fill(f32::NAN);
                multiply_on_amx((amx, level), &[&matrix], &x, &mut plain(&mut out, outputs));
                assert_close(&out, &product(&rounded(&restored), inputs, &rounded(&x)), 2e-4, 0.0);
                let mut expected = vec![0.0; rows * outputs];
                crate::silu_mul(&out, &out, &mut expected);
                let mut gated = vec![f32::NAN; rows * outputs];
                let kind = Kind::Gated(None);
                multiply_on_amx((amx, level), &[&matrix, &matrix], &x, &mut sink(level, &mut gated, outputs, kind));
                assert_close(&gated, &super::wide(&expected), 1e-6, 1e-6);
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_done_to_outputs_is_what_is_done_afterwards(
        seed: u64,
        rows in 1usize..40,
        inner in 1usize..150,
        inputs in 1usize..700,
        biased: bool,
    ) {
        let (gate, up) = (noise(seed, inner * inputs, 0.1), noise(seed ^ 1, inner * inputs, 0.1));
        let x = noise(seed ^ 2, rows * inputs, 1.0);
        let biases = [noise(seed ^ 3, inner, 1.0), noise(seed ^ 4, inner, 1.0)];
        for isa in present() {
            let level = Level::of(isa);
            let brains = [bits(&gate), bits(&up)];
            let of_floats = [[Weights::F32(&gate), Weights::F32(&up)], [Weights::Bf16(&brains[0]), Weights::Bf16(&brains[1])]];
            let quantised = FORMATS.map(|format| [&gate, &up].map(|w| QuantMatrix::quantize(format, w, inputs)));
            let multiply = |kind: usize, part: &[usize], sink: &mut Sink<'_>| match kind.checked_sub(of_floats.len()) {
                None => multiply_dense(isa, &part.iter().map(|&i| of_floats[kind][i]).collect::<Vec<_>>(), inputs, &x, sink),
                Some(q) => multiply_quantised(isa, &part.iter().map(|&i| &quantised[q][i]).collect::<Vec<_>>(), &x, sink),
            };
            for kind in 0..of_floats.len() + FORMATS.len() {
                let bias = |i: usize| biased.then_some(&biases[i][..]);
                let mut parts = [vec![0.0; rows * inner], vec![0.0; rows * inner]];
                let done = multiply(kind, &[0], &mut sink(level, &mut parts[0], inner, Kind::Plain(bias(0), Activation::None)));
                multiply(kind, &[1], &mut sink(level, &mut parts[1], inner, Kind::Plain(bias(1), Activation::None)));
                let mut gated = vec![f32::NAN; rows * inner];
                let pair = biased.then_some([&biases[0][..], &biases[1][..]]);
                assert_eq!(multiply(kind, &[0, 1], &mut sink(level, &mut gated, inner, Kind::Gated(pair))), done);
                let mut activated = vec![f32::NAN; rows * inner];
                multiply(kind, &[0], &mut sink(level, &mut activated, inner, Kind::Plain(bias(0), Activation::GeluTanh)));
                if done {
                    let mut expected = vec![0.0; rows * inner];
                    crate::silu_mul(&parts[0], &parts[1], &mut expected);
                    assert_close(&gated, &super::wide(&expected), 1e-6, 1e-6);
                    crate::gelu_tanh(&mut parts[0], None);
                    assert_close(&activated, &super::wide(&parts[0]), 1e-6, 1e-6);
                }
            }
        }
    }
}
