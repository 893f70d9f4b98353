//! The synthetic rule against values made elsewhere.

use std::sync::Arc;

use longvu_checkpoint::{Synthetic, synthetic_value, synthetic_values};
use longvu_core::Dtype;

use crate::support::*;

const SAMPLES: [(&str, &[usize]); 5] = [
    ("encoder.layer.0.attention.attention.query.weight", &[1536, 1536]),
    ("a.bias", &[64]),
    ("n.weight", &[64]),
    ("x.lambda1", &[64]),
    ("embed_tokens.weight", &[100, 64]),
];

#[test]
fn the_rule_gives_the_reference_values_to_the_bit() {
    let reference = tensors(&golden("full/rule_samples.safetensors"));
    assert_eq!(reference.len(), SAMPLES.len());
    for (name, shape) in SAMPLES {
        let expected: Vec<u32> = reference[name].values.iter().map(|v| v.to_bits()).collect();
        assert_eq!(expected.len(), 64);
        let all = synthetic_values(name, shape);
        assert_eq!(all.len(), shape.iter().product::<usize>());
        assert_eq!(all[..64].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected, "{name}");
        for (i, value) in all.iter().enumerate().step_by(1 + all.len() / 100) {
            assert_eq!(synthetic_value(name, shape, i).to_bits(), value.to_bits(), "{name} {i}");
        }
    }
}

#[test]
fn the_rule_loads_in_every_type() {
    let layout: Vec<_> = SAMPLES.map(|(name, shape)| (name.to_owned(), shape.to_vec())).to_vec();
    for dtype in Dtype::ALL {
        let (loaded, report) = load_source(Arc::new(Synthetic), &layout, dtype).unwrap();
        assert_eq!(report.parameters, 1536 * 1536 + 3 * 64 + 6400);
        for (name, data) in loaded {
            let shape = data.shape().to_vec();
            let held = held(&shape, dtype);
            let expected = synthetic_values(&name, &shape).into_iter().map(|v| rounded(v, held));
            assert!(data.iter::<f32>().eq(expected), "{name} as {dtype}");
        }
    }
}

#[test]
fn shapes_without_elements_or_dimensions_have_values_too() {
    assert!(synthetic_values("x", &[0, 4]).is_empty());
    assert!(synthetic_values("x", &[4, 0]).is_empty());
    assert_eq!(synthetic_values("x", &[]).len(), 1);
}
