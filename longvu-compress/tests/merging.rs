//! Pruners that merge tokens against values worked out with NumPy: `reference/merging.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::{Device, Tensor, TensorData};
use longvu_compress::{FastVid, HoliTom, SpatialReduction, TokenPruner, VisionZip};
use serde_json::Value;

const ROWS: usize = 3;
const COLUMNS: usize = 4;
const HIDDEN: usize = 8;

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// A frame's values with those of a newline after each row.
fn with_newlines(values: &[f32], width: usize, newline: f32) -> Vec<f32> {
    values.chunks(COLUMNS * width).flat_map(|row| [row, &vec![newline; width]].concat()).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::default())
}

/// Places of visual tokens that stay, and those tokens in a row.
fn left(pruner: &dyn TokenPruner, case: &Value, attention: bool) -> (Vec<Vec<usize>>, Vec<f32>) {
    let frames = case["frames"].as_u64().unwrap() as usize;
    let count = ROWS * (COLUMNS + 1);
    let tokens = tensor(with_newlines(&numbers(&case["tokens"]), HIDDEN, 0.25), [frames, count, HIDDEN]);
    let received = tensor(with_newlines(&numbers(&case["attention"]), 1, 0.0), [frames, count]);
    let mut reduction = SpatialReduction::new(pruner, frames, usize::MAX).unwrap().with_row_len(Some(COLUMNS + 1));
    for start in (0..frames).step_by(reduction.chunk()) {
        let len = reduction.chunk().min(frames - start);
        let received = attention.then(|| received.clone().narrow(0, start, len));
        reduction.push_with(tokens.clone().narrow(0, start, len), received).unwrap();
    }
    let (tokens, report) = reduction.finish().unwrap();
    let tokens: Vec<f32> = tokens.into_data().iter::<f32>().collect();
    let newline = |place: &usize| place % (COLUMNS + 1) == COLUMNS;
    let visual = report.kept.iter().flatten().zip(tokens.chunks(HIDDEN)).filter(|(place, token)| {
        assert!(!newline(place) || *token == [0.25; HIDDEN], "newlines are never merged");
        !newline(place)
    });
    let tokens = visual.flat_map(|(_, token)| token.to_vec()).collect();
    let kept = report.kept.iter().map(|kept| kept.iter().filter(|place| !newline(place)).map(|i| i - i / 5).collect());
    (kept.collect(), tokens)
}

#[test]
fn what_stays_and_what_is_merged_is_what_the_papers_formulas_give() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("reference/merging.json")).unwrap();
    let fastvid = FastVid::default().with_segments(3);
    let holitom = HoliTom::default().with_retained(0.3);
    let pruners: [(&str, &dyn TokenPruner, bool); 6] = [
        ("fastvid", &fastvid.with_retained(0.5), true),
        ("fastvid_alone", &fastvid.with_retained(0.25).with_beta(0.2), false),
        ("holitom", &holitom, true),
        ("holitom_mixed", &holitom.with_retained(0.4).with_d(0.5), true),
        ("visionzip", &VisionZip::default().with_retained(0.5).with_contextual(0.3), true),
        ("holitom_alone", &holitom.with_tau(0.65).with_k(3), false),
    ];
    for case in &cases {
        for (name, pruner, attention) in pruners {
            let (kept, tokens) = left(pruner, case, attention);
            let expected = &case[name];
            let what = format!("{name} of {} frames", case["frames"]);
            assert_eq!(serde_json::to_value(kept).unwrap(), expected["kept"], "{what}");
            let expected = numbers(&expected["tokens"]);
            assert_eq!(tokens.len(), expected.len(), "{what}");
            let difference = tokens.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference < 1e-4, "{what}: {difference}");
        }
    }
}
