//! Pruners against values worked out with NumPy: `reference/pruners.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::{Device, Tensor, TensorData};
use longvu_compress::{DivPrune, DyCoke, Evs, SpatialReduction, TokenPruner, VidCom2};
use serde_json::Value;

const ROWS: usize = 3;
const COLUMNS: usize = 4;
const HIDDEN: usize = 8;

/// Visual tokens with a newline after each row.
fn with_newlines(visual: &[f32], frames: usize) -> Tensor<3> {
    let rows = visual.chunks(COLUMNS * HIDDEN).map(|row| [row, &[0.5; HIDDEN]].concat());
    let values: Vec<f32> = rows.flatten().collect();
    let shape = [frames, ROWS * (COLUMNS + 1), HIDDEN];
    Tensor::from_data(TensorData::new(values, shape), &Device::default())
}

#[test]
fn what_stays_is_what_the_papers_formulas_leave() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("reference/pruners.json")).unwrap();
    for case in cases {
        let frames = case["frames"].as_u64().unwrap() as usize;
        let visual: Vec<f32> =
            case["tokens"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect();
        let tokens = with_newlines(&visual, frames);
        let pruners: [(&str, &dyn TokenPruner); 4] = [
            ("dycoke", &DyCoke::default()),
            ("evs", &Evs::default()),
            ("vidcom2", &VidCom2::default()),
            ("divprune", &DivPrune::default()),
        ];
        for (name, pruner) in pruners {
            let mut reduction = SpatialReduction::new(pruner, frames, usize::MAX).unwrap();
            reduction = reduction.with_row_len(Some(COLUMNS + 1));
            for chunk in tokens.clone().split(reduction.chunk().min(frames), 0) {
                reduction.push(chunk).unwrap();
            }
            let kept = serde_json::to_value(reduction.finish().unwrap().1.kept).unwrap();
            assert_eq!(kept, case[name], "{name} of {frames} frames");
        }
    }
}
