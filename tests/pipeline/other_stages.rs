//! Handles to one model with other stages: what loading with those stages gives, and the weights once.

use std::sync::Arc;

use longvu::{
    Answer, EncodedVideo, Error, GenerationConfig, LongVu, LongVuBuilder, Preset, PromptCache, Residency,
    StageSettings, Workload,
    compress::{FastV, FrameSelector, Methods, NamedStage, StageError, StageName, StageSpec, WindowSelection},
    llm::Conversation,
    plan::{ItemKind, Stage},
};

use crate::support::{bits, builder, features, frames, model};

/// Keeps the first of each four frames.
#[derive(Debug)]
struct FirstOfFour;

impl FrameSelector for FirstOfFour {
    fn window(&self) -> usize {
        4
    }

    fn applies(&self, _: usize, _: usize) -> bool {
        true
    }

    fn select_window(&self, features: burn::tensor::Tensor<3>) -> Result<WindowSelection, StageError> {
        Ok(WindowSelection::new(vec![0.0; features.dims()[0]], vec![0]))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

fn spec(text: &str) -> StageSpec {
    text.parse().unwrap()
}

fn settings() -> StageSettings {
    StageSettings::default()
}

fn config() -> GenerationConfig {
    GenerationConfig::default().with_max_new_tokens(6)
}

fn ask(model: &LongVu, video: &EncodedVideo) -> Answer {
    model.stream(&[video], "What happens here?", &config()).unwrap().finish().unwrap()
}

type Applied = fn(LongVuBuilder) -> LongVuBuilder;

#[test]
fn they_compute_what_loading_with_those_stages_computes() {
    let own = NamedStage::new("own", "the first of four", &[]);
    let methods = || Methods::default().with_selector(own, |_| Ok(FirstOfFour)).unwrap();
    let shared = builder("qwen").methods(methods()).load().unwrap();
    let cases: Vec<(Applied, StageSettings)> = vec![
        (|b| b, settings()),
        (|b| b.preset(Preset::Paper), settings().with_preset(Preset::Paper)),
        (
            |b| b.preset(Preset::Mlvu).dino_threshold(0.2).drop_threshold(0.3),
            settings().with_preset(Preset::Mlvu).with_dino_threshold(0.2).with_drop_threshold(0.3),
        ),
        (|b| b.visual_tokens(700), settings().with_visual_tokens(700)),
        (
            |b| {
                b.named_stage(StageName::Temporal, spec("uniform:max_frames=5"))
                    .named_stage(StageName::QueryGuided, spec("bolt"))
                    .named_stage(StageName::Decoder, spec("fastv:k=1,r=0.5"))
            },
            settings()
                .with_named_stage(StageName::Temporal, spec("uniform:max_frames=5"))
                .with_named_stage(StageName::QueryGuided, spec("bolt"))
                .with_named_stage(StageName::Decoder, spec("fastv:k=1,r=0.5")),
        ),
        (
            |b| b.named_stage(StageName::Spatial, spec("evs:q=0.5")),
            settings().with_named_stage(StageName::Spatial, spec("evs:q=0.5")),
        ),
        (|b| b.temporal_stage(Arc::new(FirstOfFour)), settings().with_named_stage(StageName::Temporal, spec("own"))),
    ];
    for (apply, settings) in cases {
        let (loaded, handle) = (apply(builder("qwen")).load().unwrap(), shared.with_stages(&settings).unwrap());
        let [expected, found] = [&loaded, &handle].map(|model| model.encode(frames(20, 48, 36)).unwrap());
        assert_eq!(bits(&found), bits(&expected), "{settings:?}");
        assert_eq!(found.temporal_report(), expected.temporal_report(), "{settings:?}");
        let [expected, found] = [(&loaded, &expected), (&handle, &found)].map(|(model, video)| ask(model, video));
        assert_eq!(found.generated_ids, expected.generated_ids, "{settings:?}");
        assert_eq!(found.selected, expected.selected);
        assert_eq!(serde_json::to_value(&found.reports).unwrap(), serde_json::to_value(&expected.reports).unwrap());
        assert_eq!(found.decoder, expected.decoder);
        assert_eq!(handle.budget(), loaded.budget());
    }
}

#[test]
fn weights_and_counters_are_shared() {
    let model = model();
    let other = model.with_stages(&settings().with_preset(Preset::Paper)).unwrap();
    assert!(Arc::ptr_eq(&model.decoder().unwrap(), &other.decoder().unwrap()));
    assert!(Arc::ptr_eq(&model.siglip().unwrap(), &other.siglip().unwrap()));
    other.encode(frames(3, 32, 32)).unwrap();
    assert_eq!(model.work_counters(), other.work_counters());
    assert_eq!(model.work_counters().dinov2_frames, 3);
    assert_eq!((model.preset(), other.preset()), (Preset::Package, Preset::Paper));
}

#[test]
fn what_is_not_set_stays() {
    let model = builder("qwen").dino_threshold(0.5).temporal_similarity(true).load().unwrap();
    let other = model.with_stages(&settings().with_preset(Preset::MvBench)).unwrap();
    let stages = other.compression_settings();
    assert_eq!((stages.temporal.threshold, stages.spatial.threshold), (0.5, 0.8));
    let next = other.with_stages(&settings().with_drop_threshold(0.4)).unwrap().compression_settings();
    assert_eq!((next.temporal.threshold, next.spatial.threshold), (0.5, 0.4));
    // A stage of one's own stays until a name or another value replaces it.
    let own = builder("qwen").temporal_stage(Arc::new(FirstOfFour)).load().unwrap();
    let kept = |model: &LongVu| model.encode(frames(8, 32, 32)).unwrap().temporal_report().selected.len();
    assert_eq!(kept(&own.with_stages(&settings().with_preset(Preset::Paper)).unwrap()), 2);
    let named =
        own.with_stages(&settings().with_named_stage(StageName::Temporal, spec("uniform:max_frames=3"))).unwrap();
    assert_eq!(kept(&named), 3);
    assert_eq!(kept(&named.with_stages(&settings().with_temporal_stage(Arc::new(FirstOfFour))).unwrap()), 2);
    assert_eq!(kept(&own), 2, "the first handle is as it was");
}

#[test]
fn videos_of_another_temporal_stage_are_refused() {
    let model = model();
    let video = features(&model, 4);
    for (settings, alike) in [
        (settings(), true),
        (settings().with_drop_threshold(0.2), true),
        (settings().with_named_stage(StageName::QueryGuided, spec("bolt")), true),
        (settings().with_dino_threshold(0.2), false),
        (settings().with_preset(Preset::Paper), false),
        (settings().with_visual_tokens(600), false),
        (settings().with_named_stage(StageName::Spatial, spec("visionzip")), false),
    ] {
        let other = model.with_stages(&settings).unwrap();
        assert_eq!(other.encoding_fingerprint() == model.encoding_fingerprint(), alike, "{settings:?}");
        match (alike, other.ask(&video, "What?")) {
            (true, Ok(_)) | (false, Err(Error::EncodingMismatch { .. } | Error::NoAttention)) => {}
            (_, answer) => panic!("{settings:?}: {answer:?}"),
        }
    }
    let fingerprint = model.encoding_fingerprint();
    assert!(fingerprint.len() == 32 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(crate::support::model().encoding_fingerprint(), fingerprint, "the same the next time");
    assert!(builder("llama").load().unwrap().encoding_fingerprint() != fingerprint);
}

#[test]
fn bad_settings_are_refused_as_in_loading() {
    let model = model();
    let refused = |settings: StageSettings| model.with_stages(&settings).unwrap_err();
    assert_eq!(refused(settings().with_dino_threshold(f64::NAN)).settings(), ["dino_threshold"]);
    assert_eq!(refused(settings().with_drop_threshold(f64::INFINITY)).settings(), ["drop_threshold"]);
    assert_eq!(refused(settings().with_decoder_stage(FastV::default().with_k(3))).settings(), ["decoder_stage"]);
    let named =
        |stage, text| (settings().with_named_stage(stage, spec(text)), builder("qwen").named_stage(stage, spec(text)));
    for (settings, builder) in [named(StageName::Temporal, "none-such"), named(StageName::Spatial, "evs:q=7")] {
        assert_eq!(refused(settings).to_string(), builder.load().unwrap_err().to_string());
    }
    let both = settings()
        .with_named_stage(StageName::QueryGuided, spec("bolt"))
        .with_named_stage(StageName::Spatial, spec("evs"));
    assert_eq!(refused(both).settings(), ["spatial_stage"]);
}

/// With FastV later layers hold less of a prompt than a handle without it needs, and other tokens of it.
#[test]
fn a_prompts_cache_goes_from_handle_to_handle_and_changes_no_answer() {
    let plain = model();
    let fastv = |r| plain.with_stages(&settings().with_decoder_stage(FastV::default().with_k(1).with_r(r))).unwrap();
    let tight = plain.with_stages(&settings().with_drop_threshold(0.1)).unwrap();
    let video = features(&plain, 3);
    let (mut cache, mut conversation) = (PromptCache::default(), Conversation::new(1));
    let handles = [plain.clone(), fastv(0.5), plain.clone(), tight, fastv(0.9)];
    let mut reused = Vec::new();
    for (model, question) in handles.iter().zip(["What?", "And then?", "Why?", "Who?", "Where?"]) {
        conversation.push_user(question);
        let expected = model.reply(&[&video], &conversation, &config()).unwrap();
        let found = model.reply_from(&mut cache, &[&video], &conversation, &config()).unwrap();
        let [mut expected, mut found] = [expected, found];
        let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off(&expected.next_logits(), &found.next_logits()) < 1e-3, "{question}");
        let answer;
        (answer, cache) = found.finish_with_cache().unwrap();
        assert_eq!(answer.generated_ids, expected.finish().unwrap().generated_ids, "{question}");
        reused.push(answer.cached_tokens);
        conversation.push_assistant(answer.text);
    }
    let visual = 3 * 156;
    assert!(reused[3] > visual, "a handle without FastV goes on from another's: {reused:?}");
    assert!(reused[1] < visual && reused[2] < visual && reused[4] < visual, "{reused:?}");
}

#[test]
fn a_loaded_model_forecasts_as_its_builder_does() {
    let workload = Workload::default().with_frames(30);
    for residency in [Residency::Whole, Residency::Towers, Residency::OnDemand] {
        let builder = builder("qwen").residency(residency).tower_batch(2);
        let expected = builder.plan(workload, Some(1 << 30)).unwrap();
        let model = builder.load().unwrap();
        let plan = model.plan(workload, Some(1 << 30));
        assert_eq!(plan, expected);
        let fullest = plan.stages.iter().filter(|stage| stage.stage != Stage::Load);
        let without = |kinds: &[ItemKind]| {
            let rest = |stage: &longvu::plan::StageMemory| {
                stage.items.iter().filter(|item| !kinds.contains(&item.kind)).map(|item| item.bytes).sum::<u64>()
            };
            fullest.clone().map(rest).max().unwrap()
        };
        match residency {
            Residency::Whole => {
                let expected = without(&[ItemKind::Program, ItemKind::Weights, ItemKind::Reading]);
                assert_eq!(plan.beyond_weights(), expected);
            }
            _ => {
                let beyond = plan.beyond_weights();
                assert!(
                    beyond > without(&[ItemKind::Program, ItemKind::Weights]),
                    "weights may have to come: {beyond}"
                );
                assert!(beyond < plan.peak);
            }
        }
        let fastv = model.with_stages(&settings().with_decoder_stage(FastV::default().with_k(1))).unwrap();
        assert!(fastv.plan(workload, None).settings.decoder_stage);
    }
}
