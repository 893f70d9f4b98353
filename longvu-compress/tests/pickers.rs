//! Pickers against values worked out with NumPy: `reference/pickers.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use burn::tensor::{Device, Tensor, TensorData};
use longvu_compress::{Aks, Bolt, Candidates, FramePicker, KCenter, Mmr};
use serde_json::Value;

#[test]
fn picks_are_those_of_the_papers_formulas() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("reference/pickers.json")).unwrap();
    for case in cases {
        let numbers = |name: &str| -> Vec<f32> {
            case[name].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
        };
        let (scores, count) = (numbers("scores"), case["count"].as_u64().unwrap() as usize);
        let tokens = TensorData::new(numbers("tokens"), [scores.len(), 3, 5]);
        let frames = Candidates::new(&scores, Tensor::from_data(tokens, &Device::default()));
        let pickers: [(&str, &dyn FramePicker); 5] = [
            ("bolt", &Bolt::default()),
            ("aks", &Aks::default()),
            ("aks_low_threshold", &Aks::default().with_threshold(0.2).with_depth(3)),
            ("mmr", &Mmr::default()),
            ("k_center", &KCenter::default()),
        ];
        for (name, picker) in pickers {
            let picked = serde_json::to_value(picker.pick(&frames, count).unwrap()).unwrap();
            assert_eq!(picked, case[name], "{name}, {count} of {}", scores.len());
        }
    }
}
