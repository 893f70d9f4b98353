//! `fused_*`: towers' features and a prompt to the language model's whole input.

use burn::tensor::Tensor;
use longvu::{VisualKind, llm::PromptIds};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Case, assert_close, cases, device, models::model};

#[derive(Deserialize)]
struct Settings {
    kind: String,
    config: Map<String, Value>,
    visual_start: usize,
    visual_tokens: usize,
}

/// Width and height from the size pair, whose order differs between videos and images.
fn dimensions(case: &Case, kind: VisualKind) -> (u32, u32) {
    let [a, b] = case.ints("image_size")[..] else { panic!("image_size is no pair") };
    match kind {
        VisualKind::Video => (b as u32, a as u32),
        VisualKind::Image => (a as u32, b as u32),
    }
}

fn check(case: &Case) {
    let settings: Settings = case.settings();
    let kind = if case.has("selected_frames") { VisualKind::Video } else { VisualKind::Image };
    let model = model(&settings.kind, &settings.config);
    let siglip: Tensor<3> = case.tensor("siglip", &device());
    let dinov2: Tensor<3> = case.tensor("dinov2", &device());
    let encoded = model.encode_features(kind, siglip, dinov2, dimensions(case, kind)).unwrap();
    let prompt = PromptIds::from_raw(case.ints("prompt_ids")).unwrap();
    let prepared = model.prepare(&prompt, &[&encoded]).unwrap();

    let place = prompt.as_slice().iter().position(|&id| id < 0);
    assert_eq!(place, Some(settings.visual_start), "{}", case.name);
    assert_eq!(prepared.visual_tokens(), settings.visual_tokens, "{}", case.name);
    if kind == VisualKind::Video {
        assert_eq!(prepared.selected[0], case.indices("selected_frames"), "{}", case.name);
    }
    let shape = case.shape("inputs_embeds");
    assert_eq!(prepared.inputs_embeds.dims().to_vec(), shape, "{}", case.name);
    assert_close(&case.name, prepared.inputs_embeds, &case.floats("inputs_embeds"), 1e-4);
}

#[test]
fn input_embeddings() {
    for case in cases("fused_") {
        check(&case);
    }
}
