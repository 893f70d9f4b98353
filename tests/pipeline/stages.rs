//! Stages of the caller's own that fail or return nonsense: the call says which stage, and why.

use std::{error::Error as _, sync::Arc};

use burn::tensor::Tensor;
use longvu::{
    Error, GenerationConfig, LongVu,
    compress::{
        self, Bolt, Evs, FramePicker, FrameScorer, FrameSelector, Layout, Methods, NamedStage, PrunedTokens,
        StageError, StageName, TokenChunk, TokenPruner, UniformFrames, WindowSelection,
    },
};

use crate::support::{builder, features, frames};

/// Windows of `.0` frames, of which the first is kept in any case.
struct Windows(usize);

impl FrameSelector for Windows {
    fn window(&self) -> usize {
        self.0
    }

    fn applies(&self, _: usize, _: usize) -> bool {
        true
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let scores = vec![0.0; features.dims()[0]];
        let kept = if scores.len() < 3 { vec![0, 2] } else { vec![0] };
        Ok(WindowSelection::new(scores, kept))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

/// Fails at whatever it is asked.
struct Burning;

#[derive(Debug, thiserror::Error)]
#[error("the camera is on fire")]
struct Fire;

impl FrameSelector for Burning {
    fn window(&self) -> usize {
        8
    }

    fn applies(&self, _: usize, _: usize) -> bool {
        false
    }

    fn select_window(&self, _: Tensor<3>) -> Result<WindowSelection, StageError> {
        Err(Fire.into())
    }

    fn max_frames(&self) -> usize {
        400
    }
}

impl FrameScorer for Burning {
    fn score(&self, _: Tensor<3>, _: Tensor<2>) -> Result<Vec<f32>, StageError> {
        Err(Fire.into())
    }
}

/// As a scorer, one score too many; as a pruner, a token too many of each frame.
struct OneTooMany;

impl FrameScorer for OneTooMany {
    fn score(&self, low_tokens: Tensor<3>, _: Tensor<2>) -> Result<Vec<f32>, StageError> {
        Ok(vec![0.0; low_tokens.dims()[0] + 1])
    }
}

impl TokenPruner for OneTooMany {
    fn chunk(&self) -> usize {
        8
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let [frames, count, _] = chunk.tokens.dims();
        Ok(PrunedTokens::new(vec![(0..=count).collect(); frames]))
    }
}

fn bad_stage<T>(result: longvu::Result<T>, expected: StageName) {
    match result.err().expect("nonsense is refused") {
        Error::Compress(compress::Error::BadStage { stage, .. }) if stage == expected => {}
        other => panic!("{other}"),
    }
}

fn burnt<T>(result: longvu::Result<T>) {
    let error = result.err().expect("the stage fails");
    assert!(matches!(error, Error::Compress(compress::Error::Stage { .. })), "{error}");
    assert!(error.source().is_some_and(|source| source.is::<Fire>()), "{error}");
}

fn ask(model: &LongVu, count: usize) -> longvu::Result<String> {
    model.ask(&features(model, count), "What is it?")
}

#[test]
fn temporal_stages() {
    let model = |window| builder("qwen").temporal_stage(Arc::new(Windows(window))).load().unwrap();
    bad_stage(model(0).encode(frames(3, 40, 40)), StageName::Temporal);
    assert_eq!(model(3).encode(frames(6, 40, 40)).unwrap().frames().len(), 2);
    bad_stage(model(3).encode(frames(8, 40, 40)), StageName::Temporal);
    burnt(builder("qwen").temporal_stage(Arc::new(Burning)).load().unwrap().encode(frames(3, 40, 40)));
}

#[test]
fn query_guided_stages() {
    let model = |scorer| builder("qwen").query_stage(scorer).load().unwrap();
    bad_stage(ask(&model(Arc::new(OneTooMany)), 8), StageName::QueryGuided);
    burnt(ask(&model(Arc::new(Burning)), 8));
    ask(&model(Arc::new(Burning)), 3).expect("few frames need no score");
}

#[test]
fn spatial_stages() {
    let model = builder("qwen").spatial_stage(Arc::new(OneTooMany)).load().unwrap();
    bad_stage(ask(&model, 30), StageName::Spatial);
}

#[test]
fn a_window_may_be_the_whole_video() {
    for window in [usize::MAX, 1_000_000_000_000] {
        let model = builder("qwen").temporal_stage(Arc::new(Windows(window))).load().unwrap();
        assert_eq!(model.encode(frames(5, 16, 16)).unwrap().temporal_report().selected, [0]);
    }
}

#[test]
fn thresholds_that_drop_everything_or_are_no_numbers_are_refused_by_name() {
    for builder in [builder("qwen").dino_threshold(f64::NAN), builder("qwen").drop_threshold(f64::INFINITY)] {
        let error = longvu::text::chain(&builder.load().unwrap_err());
        assert!(error.contains("_threshold") && (error.contains("NaN") || error.contains("inf")), "{error}");
    }
    let low = builder("qwen").preset(longvu::Preset::Paper).dino_threshold(-5.0).load().unwrap();
    assert_eq!(low.encode(frames(3, 16, 16)).unwrap_err().settings(), ["dino_threshold"]);
}

/// Twelve frames of 156 tokens where 700 fit: four stay, and which ones is the picker's choice.
#[test]
fn a_picker_chooses_anew_for_each_question() {
    let load = |picker: Arc<dyn FramePicker>| builder("qwen").max_len(760).frame_picker(picker).load().unwrap();
    let model = load(Arc::new(Bolt::default()));
    let video = features(&model, 12);
    let config = GenerationConfig::default().with_max_new_tokens(2);
    let answer = |model: &LongVu, question| model.stream(&[&video], question, &config).unwrap().finish().unwrap();
    let picked = |answer: &longvu::Answer| answer.reports[0].query.as_ref().unwrap().full.clone();
    let (first, second) = (answer(&model, "What is it?"), answer(&model, "And how many of them are red?"));
    let report = &first.reports[0];
    assert_eq!((report.layout, report.full_frames, report.tokens_after), (Layout::Picked, 4, 4 * 156));
    assert!(picked(&first) != picked(&second), "scores of two questions give other quantiles");
    let uniform = answer(&load(Arc::new(UniformFrames::default())), "What is it?");
    assert_eq!(picked(&uniform), [0, 3, 6, 9]);
}

/// A quarter of twelve frames' 144 tokens, which all would fit, and the newlines of rows that have any.
#[test]
fn a_pruner_of_the_whole_video_runs_although_all_fits() {
    let model = builder("qwen").max_len(2400).spatial_stage(Arc::new(Evs::default())).load().unwrap();
    let video = features(&model, 12);
    let config = GenerationConfig::default().with_max_new_tokens(2);
    let answer = model.stream(&[&video], "What is it?", &config).unwrap().finish().unwrap();
    let report = &answer.reports[0];
    assert_eq!((report.layout, report.tokens_before), (Layout::Full, 12 * 156));
    assert!((432..=432 + 12 * 12).contains(&answer.visual_tokens), "{}", answer.visual_tokens);
    assert_eq!(report.tokens_per_frame[0], 156, "the first frame is new");
}

/// One number bounds every combination of stages, and the videos of a prompt together.
#[test]
fn a_budget_of_visual_tokens_holds_whatever_the_stages() {
    let config = GenerationConfig::default().with_max_new_tokens(2);
    for (query, spatial) in
        [("long-vu", "long-vu"), ("bolt", "none"), ("long-vu:others=dropped", "none")].into_iter().chain(
            [
                "evs:q=fit",
                "dycoke:k=fit",
                "vidcom2:r=fit",
                "divprune:retained=fit",
                "fastvid:retained=fit,d=1",
                "holitom:retained=fit,d=1",
            ]
            .map(|name| ("long-vu", name)),
        )
    {
        let stages = builder("qwen")
            .named_stage(StageName::QueryGuided, query.parse().unwrap())
            .named_stage(StageName::Spatial, spatial.parse().unwrap());
        let model = stages.visual_tokens(700).load().unwrap();
        let videos = [features(&model, 9), features(&model, 4)];
        for videos in [vec![&videos[0]], vec![&videos[0], &videos[1]]] {
            let answer = model.stream(&videos, "What is it?", &config).unwrap().finish().unwrap();
            let used = answer.visual_tokens;
            assert!(used <= 700 && used > 350, "{query} {spatial}: {used} of {} videos", videos.len());
        }
    }
    let (bounded, free) = (builder("qwen").visual_tokens(700).load().unwrap(), builder("qwen").load().unwrap());
    let error = free.ask(&features(&bounded, 3), "What?").unwrap_err();
    assert_eq!(error.settings(), ["visual_tokens"], "{error}");
}

/// A caller's own stages beside the built-in ones, by name, and with settings.
#[test]
fn own_stages_are_used_by_name() {
    let first = NamedStage::new("first", "keeps the first frame of a window", &[("window", "4")]);
    let methods = Methods::default()
        .with_selector(first, |settings| Ok(Windows(settings.count("window")?)))
        .and_then(|methods| methods.with_pruner(first, |_| Ok(OneTooMany)))
        .unwrap();
    let named = |stage, spec: &str| builder("qwen").methods(methods.clone()).named_stage(stage, spec.parse().unwrap());
    for (spec, count, kept) in
        [("first", 7, vec![0, 4]), ("first:window=3", 6, vec![0, 3]), ("uniform:max_frames=3", 6, vec![0, 2, 4])]
    {
        let encoded = named(StageName::Temporal, spec).load().unwrap().encode(frames(count, 40, 40)).unwrap();
        assert_eq!(encoded.temporal_report().selected, kept, "{spec}");
    }
    bad_stage(ask(&named(StageName::Spatial, "first").load().unwrap(), 30), StageName::Spatial);
    let unknown = named(StageName::Spatial, "third").load().unwrap_err();
    assert!(unknown.to_string().contains("visionzip, first"), "{unknown}");
    // Whose names they are is said to the builder: nothing is registered for the whole program.
    let without = builder("qwen").named_stage(StageName::Spatial, "first".parse().unwrap()).load().unwrap_err();
    assert!(!without.to_string().contains("visionzip, first"), "{without}");
}
