//! `select_*`: the temporal stage on made-up features.

use longvu::checkpoint::config::LongVuConfig;
use longvu::compress::{FrameSelector, TemporalReduction, TemporalStage};
use serde::Deserialize;

use super::{cases, checkpoint_file, device};

#[derive(Deserialize)]
struct Settings {
    threshold: f64,
    tokenizer_model_max_length: usize,
    text_len: usize,
}

#[test]
fn kept_frames() {
    let config = LongVuConfig::read(&checkpoint_file("longvu_qwen", "config.json")).unwrap();
    for case in cases("select_") {
        let settings: Settings = case.settings();
        let stage = TemporalStage::default().with_threshold(settings.threshold);
        let budget = longvu::budget(&config).with_max_len(settings.tokenizer_model_max_length);
        let features = case.tensor::<3>("features", &device());
        let frames = features.dims()[0];
        let found = if stage.applies(frames, budget.temporal_limit(settings.text_len)) {
            TemporalReduction::run(&stage, features).unwrap().selected
        } else {
            (0..frames).collect()
        };
        assert_eq!(found, case.indices("selected"), "{}", case.name);
    }
}
