//! Frames that repeat another: neither tower runs again, and nothing else changes.

use std::{collections::BTreeMap, fs, sync::Arc};

use burn::tensor::Tensor;
use longvu::{
    Clip, Dtype, EncodedVideo, Error, Frame, LongVu, Quantize, Repeats, StageSettings, TowerFrames, VisualKind,
    WeightFormat,
    compress::{FrameSelector, StageError, StageName, TemporalStage, WindowSelection},
};
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};

use crate::support::{bits, builder, frames, model};

/// Frames of which each shows the picture of a number.
fn showing(pictures: &[usize]) -> Vec<Frame> {
    let known = frames(pictures.iter().max().map_or(0, |most| most + 1), 32, 24);
    let frame = |(i, &picture): (usize, &usize)| Frame::new(i, i as f64, 32, 24, known[picture].rgb.clone()).unwrap();
    pictures.iter().enumerate().map(frame).collect()
}

/// A handle that takes frames for others as `repeats` says.
fn with(model: &LongVu, repeats: Repeats) -> LongVu {
    model.with_stages(&StageSettings::default().with_repeats(repeats)).unwrap()
}

fn encode(model: &LongVu, frames: Vec<Frame>, expected: Option<usize>) -> EncodedVideo {
    model.encode(Clip::from_frames(frames.into_iter().map(Ok), expected)).unwrap()
}

/// Whether two encodings are the same to the bit.
fn assert_same(found: &EncodedVideo, expected: &EncodedVideo) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.samples(), expected.samples());
    prop_assert_eq!(found.frames(), expected.frames());
    prop_assert_eq!(found.temporal_report(), expected.temporal_report());
    prop_assert!(bits(found) == bits(expected));
    let attention = |video: &EncodedVideo| video.attention().map(|attention| attention.into_data());
    prop_assert!(attention(found) == attention(expected));
    Ok(())
}

/// Drops every second frame of a window of five, when the video overflows the budget, and keeps nine at most.
struct Odd;

impl FrameSelector for Odd {
    fn window(&self) -> usize {
        5
    }

    fn applies(&self, frames: usize, limit: usize) -> bool {
        frames >= limit
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        // The scores tell every bit of the features.
        let sums: Vec<f32> = features.clone().sum_dims(&[1, 2]).into_data().iter::<f32>().collect();
        Ok(WindowSelection::new(sums, (0..features.dims()[0]).step_by(2).collect()))
    }

    fn max_frames(&self) -> usize {
        9
    }
}

/// Runs of equal frames within windows and across them, around frames that are dropped, waiting in memory, on disk and not
/// at all, in batches of one and of several.
#[test]
fn a_repeat_has_to_the_bit_what_it_would_have_of_its_own() {
    let small = |waiting, batch, weights| {
        let builder = builder("qwen").temporal_stage(Arc::new(Odd)).max_len(336).tower_batch(batch).weights(weights);
        builder.named_stage(StageName::Spatial, "visionzip".parse().unwrap()).waiting_frames(waiting).load().unwrap()
    };
    let full = WeightFormat::default();
    let (half, quantized) = (Dtype::Bf16.into(), Quantize::Int8.into());
    let models =
        [small(usize::MAX, 1, full), small(0, 1, full), small(3, 4, full), small(0, 3, half), small(3, 2, quantized)];
    let run = (0_usize..3, 1_usize..5);
    let cases = (prop::collection::vec(run, 1..6), 0..models.len(), 0_usize..3);
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    let ran = TestRunner::new(config).run(&cases, |(runs, model, promise)| {
        let pictures: Vec<usize> = runs.iter().flat_map(|&(picture, times)| vec![picture; times]).collect();
        let (model, count) = (&models[model], pictures.len());
        let expected = [None, Some(count), Some(3)][promise];
        let every = encode(&with(model, Repeats::Off), showing(&pictures), expected);
        prop_assert_eq!((every.tower_frames().dinov2, every.tower_frames().dinov2_repeats), (count, 0));
        prop_assert_eq!(every.tower_frames().siglip_repeats, 0);
        let before = model.work_counters();
        let video = encode(model, showing(&pictures), expected);
        assert_same(&video, &every)?;
        let (mut shown, work, towers) = (pictures, model.work_counters(), video.tower_frames());
        shown.dedup();
        prop_assert_eq!((towers.dinov2, towers.dinov2_repeats), (shown.len(), count - shown.len()));
        prop_assert_eq!(towers.siglip + towers.siglip_repeats, every.tower_frames().siglip);
        prop_assert_eq!(work.dinov2_frames - before.dinov2_frames, towers.dinov2 as u64);
        prop_assert_eq!(work.dinov2_repeats - before.dinov2_repeats, towers.dinov2_repeats as u64);
        prop_assert_eq!(work.siglip_frames - before.siglip_frames, towers.siglip as u64);
        prop_assert_eq!(work.siglip_repeats - before.siglip_repeats, towers.siglip_repeats as u64);
        prop_assert_eq!(work.aggregator_frames - before.aggregator_frames, towers.siglip as u64);
        Ok(())
    });
    ran.unwrap();
}

/// LongVU's own stage, over windows of 16: slides that change within windows and last over their ends.
#[test]
fn slides_go_through_the_towers_once_each() {
    let stage = TemporalStage::default().with_threshold(0.99).with_always(true);
    let model = builder("qwen").temporal_stage(Arc::new(stage)).load().unwrap();
    let slides: Vec<usize> = (0..50).map(|frame| frame / 11 * 3).collect();
    let video = encode(&model, showing(&slides), Some(50));
    assert_same(&video, &encode(&with(&model, Repeats::Off), showing(&slides), Some(50))).unwrap();
    let TowerFrames { dinov2, dinov2_repeats, siglip, siglip_repeats, .. } = video.tower_frames();
    assert_eq!((dinov2, dinov2_repeats), (5, 45));
    let mut kept: Vec<usize> = video.frames().iter().map(|frame| slides[frame.sample]).collect();
    assert_eq!((siglip + siglip_repeats, video.frames().len()), (kept.len(), kept.len()));
    kept.dedup();
    assert_eq!(siglip, kept.len(), "a slide again goes through again only where another was kept between");
    assert!(siglip_repeats > 0);
    // Of one picture a window's middle frame stays.
    let still = encode(&model, showing(&[7; 40]), None);
    assert_eq!(still.frames().iter().map(|frame| frame.sample).collect::<Vec<_>>(), [8, 24, 36]);
    let TowerFrames { dinov2, siglip, siglip_repeats, .. } = still.tower_frames();
    assert_eq!((dinov2, siglip, siglip_repeats), (1, 1, 2));
}

#[test]
fn an_image_repeats_nothing() {
    let (model, picture) = (model(), showing(&[4]).remove(0));
    let image = model.encode(picture.clone()).unwrap();
    assert_same(&image, &with(&model, Repeats::Off).encode(picture).unwrap()).unwrap();
    let TowerFrames { dinov2, dinov2_repeats, siglip, siglip_repeats, .. } = image.tower_frames();
    assert_eq!((image.kind(), dinov2, dinov2_repeats, siglip, siglip_repeats), (VisualKind::Image, 1, 0, 1, 0));
}

/// A picture in which every fifth byte is a little brighter each time.
fn brightening(steps: &[u8]) -> Vec<Frame> {
    let frame = |(i, &step): (usize, &u8)| {
        let rgb = (0..32 * 24 * 3).map(|byte| 100 + if byte % 5 == 0 { step } else { 0 }).collect();
        Frame::new(i, i as f64, 32, 24, rgb).unwrap()
    };
    steps.iter().enumerate().map(frame).collect()
}

/// Frames within some levels are looked at as if they were the frame that they are compared with.
#[test]
fn near_repeats_are_taken_for_the_last_frame_that_was_none() {
    let model = model();
    let steps = [0, 1, 2, 9, 10, 18, 40, 40, 38];
    let off = with(&model, Repeats::Off);
    let exact = encode(&model, brightening(&steps), None);
    assert_eq!((exact.tower_frames().dinov2_repeats, exact.repeats_remark()), (1, None));
    // Squares are a little further apart than frames: resizing overshoots.
    for (levels, taken_for) in [(4, [0, 0, 0, 9, 9, 18, 40, 40, 40]), (12, [0, 0, 0, 0, 0, 18, 40, 40, 40])] {
        let near = with(&model, Repeats::Within(levels));
        let video = encode(&near, brightening(&steps), Some(steps.len()));
        assert_same(&video, &encode(&off, brightening(&taken_for), None)).unwrap();
        let mut shown = taken_for.to_vec();
        shown.dedup();
        let TowerFrames { dinov2, dinov2_repeats, siglip, .. } = video.tower_frames();
        assert_eq!((dinov2, dinov2_repeats, siglip), (shown.len(), steps.len() - shown.len(), shown.len()));
        let remark = video.repeats_remark().unwrap();
        assert!(remark.starts_with(&format!("{dinov2_repeats} of 9 frames")), "{remark}");
        assert!(remark.ends_with(&format!("at most {levels} of 255 levels")), "{remark}");
        assert!(bits(&video) != bits(&exact));
    }
}

#[test]
fn what_changes_features_tells_encodings_apart() {
    let model = model();
    let [off, same, near] = [Repeats::Off, Repeats::Within(0), Repeats::Within(3)].map(|repeats| with(&model, repeats));
    assert_eq!((model.repeats(), near.repeats()), (Repeats::default(), Repeats::Within(3)));
    assert_eq!(off.encoding_fingerprint(), model.encoding_fingerprint());
    assert_eq!(same.encoding_fingerprint(), model.encoding_fingerprint());
    assert_ne!(near.encoding_fingerprint(), model.encoding_fingerprint());

    let folder = tempfile::tempdir().unwrap();
    let [plain, nearly] = ["plain.longvu", "near.longvu"].map(|name| folder.path().join(name));
    encode(&off, showing(&[1, 1, 2]), None).save(&plain).unwrap();
    encode(&near, showing(&[1, 1, 2]), None).save(&nearly).unwrap();
    assert_eq!(model.load_encoded(&plain).unwrap().tower_frames().dinov2, 3);
    let loaded = near.load_encoded(&nearly).unwrap();
    assert_eq!((loaded.tower_frames().dinov2, loaded.tower_frames().dinov2_repeats), (2, 1));
    assert!(loaded.repeats_remark().unwrap().starts_with("1 of 3 frames"));
    for (model, path, found, expected) in
        [(&near, &plain, "0 levels", "3 levels"), (&model, &nearly, "3 levels", "0 levels")]
    {
        let error = model.load_encoded(path).unwrap_err();
        assert!(matches!(error, Error::EncodingMismatch { .. }) && error.settings() == ["repeats"], "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("difference of {found}, and here it is {expected}")), "{text}");
    }
}

/// A file of features has every frame's own: only frames that are the same to the bit are not looked at again.
#[test]
fn features_in_files_are_every_frames_own() {
    let (model, folder) = (model(), tempfile::tempdir().unwrap());
    let mut shown = brightening(&[0, 0, 1, 1, 1]);
    shown.extend(showing(&[1, 1]));
    let file = |repeats, batch| {
        let model = if batch == 1 { model.clone() } else { builder("qwen").tower_batch(batch).load().unwrap() };
        let path = folder.path().join("clip.safetensors");
        let clip = Clip::from_frames(shown.clone().into_iter().map(Ok), None);
        let saved = with(&model, repeats).save_features(clip, &path, &BTreeMap::new()).unwrap();
        (fs::read(path).unwrap(), saved.towers)
    };
    let (every, towers) = file(Repeats::Off, 1);
    assert_eq!((towers.dinov2, towers.dinov2_repeats, towers.siglip_repeats), (7, 0, 0));
    for (repeats, batch) in [(Repeats::default(), 1), (Repeats::Within(5), 1), (Repeats::default(), 3)] {
        let (found, towers) = file(repeats, batch);
        let TowerFrames { dinov2, dinov2_repeats, siglip, siglip_repeats, .. } = towers;
        assert_eq!((dinov2, dinov2_repeats, siglip, siglip_repeats), (3, 4, 3, 4));
        assert!(found == every, "{repeats} {batch}");
    }
}
