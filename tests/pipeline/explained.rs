//! What `LongVu::explain` tells: the stages' reports, frame by frame and position by position.

use longvu::{
    Answer, EncodedVideo, Error, FrameFate, GenerationConfig, LongVu,
    compress::{Layout, StageName, StageSpec},
};

use crate::support::{builder, frames, model};

fn answer(model: &LongVu, video: &EncodedVideo) -> Answer {
    let config = GenerationConfig::default().with_max_new_tokens(1);
    model.stream(&[video], "What?", &config).unwrap().finish().unwrap()
}

fn named(stages: &[(StageName, &str)], budget: usize) -> LongVu {
    let mut builder = builder("qwen").temporal_similarity(true).visual_tokens(budget);
    for (stage, spec) in stages {
        builder = builder.named_stage(*stage, spec.parse::<StageSpec>().unwrap());
    }
    builder.load().unwrap()
}

/// Stages by name.
type Stages = &'static [(StageName, &'static str)];

/// Square frames and others, in every layout, with and without a spatial stage.
#[test]
fn it_adds_up_whatever_the_stages_do() {
    let cases: [(Stages, usize, usize, Layout); 5] = [
        (&[], 2, 900, Layout::Full),
        (&[], 9, 900, Layout::QueryGuided),
        (&[(StageName::QueryGuided, "bolt")], 9, 500, Layout::Picked),
        (&[(StageName::Spatial, "evs")], 9, 500, Layout::Full),
        (&[(StageName::Temporal, "long-vu:always=true,threshold=0.5")], 20, 300, Layout::Full),
    ];
    for (stages, count, budget, layout) in cases {
        let model = named(stages, budget);
        for (width, height) in [(64, 64), (96, 54)] {
            let video = model.encode(frames(count, width, height)).unwrap();
            let answer = answer(&model, &video);
            let told = model.explain(&[&video], &answer).unwrap();
            let case = format!("{stages:?} {count} {width}x{height}");
            let window = told.window;
            let parts = [window.text, window.low, window.full, window.newlines, window.reserved, window.spare];
            assert_eq!(parts.iter().sum::<usize>(), window.window, "{case}");
            assert_eq!(window.low + window.full + window.newlines, answer.visual_tokens, "{case}");
            let visual = &told.visuals[0];
            if (width, height) == (64, 64) {
                assert_eq!(visual.fusion.layout, layout, "{case}");
            }
            assert_eq!(visual.frames.len(), count);
            for frame in &visual.frames {
                let Some(grid) = visual.grid(frame.fate) else {
                    assert_eq!((frame.tokens, frame.newlines), (0, 0), "{case}");
                    continue;
                };
                match visual.kept(frame) {
                    Some(kept) => {
                        let cells = kept.iter().filter(|&&position| grid.cell(position).is_some()).count();
                        assert_eq!((kept.len(), cells + frame.newlines), (frame.tokens, frame.tokens), "{case}");
                    }
                    None => assert_eq!(frame.tokens, grid.tokens(), "{case}"),
                }
            }
            let of = |fate| visual.frames.iter().filter(|frame| frame.fate == fate).count();
            // Of a frame at full resolution nothing may be left.
            let empty = if visual.fusion.layout == Layout::Full { of(FrameFate::SpatialDropped) } else { 0 };
            assert_eq!(of(FrameFate::Full) + empty, visual.fusion.full_frames, "{case}");
            let windows = visual.temporal.windows.iter().map(|window| window.similarity.len());
            assert_eq!(windows.sum::<usize>(), count, "{case}");
        }
    }
}

#[test]
fn frames_that_the_temporal_stage_dropped_have_no_place() {
    let model = named(&[(StageName::Temporal, "long-vu:always=true,threshold=0.5")], 300);
    let video = model.encode(vec![frames(1, 64, 64).remove(0); 16]).unwrap();
    let told = model.explain(&[&video], &answer(&model, &video)).unwrap();
    let kept: Vec<usize> =
        told.visuals[0].frames.iter().filter(|frame| frame.place.is_some()).map(|frame| frame.info.sample).collect();
    assert_eq!(kept, [8]);
    assert!(told.visuals[0].frames.iter().all(|f| (f.fate == FrameFate::TemporalDropped) == f.place.is_none()));
    assert_eq!(told.visuals[0].temporal.threshold, Some(0.5));
}

#[test]
fn a_loaded_video_is_explained_by_the_same_threshold() {
    let (model, folder) = (model(), tempfile::tempdir().unwrap());
    let (video, path) = (model.encode(frames(5, 64, 64)).unwrap(), folder.path().join("clip.longvu"));
    video.save(&path).unwrap();
    let loaded = model.load_encoded(&path).unwrap();
    assert!(video.temporal_report().threshold.is_some() && video.temporal_report().windows.is_empty());
    assert_eq!(loaded.temporal_report(), video.temporal_report());
}

#[test]
fn an_answer_about_others_is_refused() {
    let model = model();
    let video = model.encode(frames(3, 64, 64)).unwrap();
    let answer = answer(&model, &video);
    let error = model.explain(&[], &answer).unwrap_err();
    assert!(matches!(error, Error::PlaceholderCount { places: 1, given: 0 }), "{error}");
}
