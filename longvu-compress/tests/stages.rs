//! Stages that fail, and stages that return what does not fit: each has its error, and nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use burn::tensor::{Device, Tensor};
use longvu_compress::{
    Budget, Candidates, Error, FramePicker, FrameScorer, FrameSelector, FrameTokens, KeepTokens, LaterStages, Layout,
    Others, PrunedTokens, QueryStage, Result, ScoreNothing, SpatialReduction, SpatialStage, StageError, StageName,
    TemporalReduction, TokenChunk, TokenPruner, TopK, VisionZip, VisualTokens, WindowSelection, fuse, query_guided,
    spatial_reduction,
};

/// Stages that return what they are told, or fail.
struct Told<T> {
    at_once: usize,
    returns: Option<T>,
}

impl<T: Clone> Told<T> {
    fn returned(&self) -> Result<T, StageError> {
        self.returns.clone().ok_or_else(|| "the camera is on fire".into())
    }
}

impl FrameSelector for Told<(Vec<f32>, Vec<usize>)> {
    fn window(&self) -> usize {
        self.at_once
    }

    fn applies(&self, _: usize, _: usize) -> bool {
        true
    }

    fn select_window(&self, _: Tensor<3>) -> Result<WindowSelection, StageError> {
        let (scores, kept) = self.returned()?;
        Ok(WindowSelection::new(scores, kept))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

impl FrameScorer for Told<Vec<f32>> {
    fn score(&self, _: Tensor<3>, _: Tensor<2>) -> Result<Vec<f32>, StageError> {
        self.returned()
    }
}

impl TokenPruner for Told<Vec<Vec<usize>>> {
    fn chunk(&self) -> usize {
        self.at_once
    }

    fn prune(&self, _: &TokenChunk) -> Result<PrunedTokens, StageError> {
        self.returned().map(PrunedTokens::new)
    }
}

/// Frames of 6 tokens, or 2 at low resolution, of `HIDDEN` channels; `spare` more of each than they tell.
struct Made {
    frames: usize,
    spare: usize,
}

const HIDDEN: usize = 4;

impl FrameTokens for Made {
    fn frames(&self) -> usize {
        self.frames
    }

    fn full_len(&self) -> usize {
        6
    }

    fn full(&self, frames: Option<&[usize]>) -> Result<Tensor<3>> {
        Ok(ones([frames.map_or(self.frames, <[usize]>::len), 6 + self.spare, HIDDEN]))
    }

    fn low(&self) -> Result<Tensor<3>> {
        Ok(ones([self.frames + self.spare, 2, HIDDEN]))
    }

    fn attention(&self, frames: &[usize], layout: Layout) -> Result<Option<Tensor<2>>> {
        assert_eq!(layout, Layout::Full);
        // The last of each frame's tokens count most; none are known of a video of 7 frames.
        let received = Tensor::from_data([[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]], &Device::default());
        Ok((self.frames != 7).then(|| received.repeat_dim(0, frames.len() + self.spare)))
    }
}

fn ones<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::ones(shape, &Device::default())
}

/// What is wrong with a stage, after the stage's name was checked.
fn reason<T>(result: Result<T>, expected: StageName) -> String {
    match result.err().expect("nonsense is refused") {
        Error::BadStage { stage, reason } if stage == expected => reason,
        other => panic!("{other}"),
    }
}

fn temporal(at_once: usize, scores: &[f32], kept: &[usize]) -> String {
    let stage = Told { at_once, returns: Some((scores.to_vec(), kept.to_vec())) };
    reason(TemporalReduction::run(&stage, ones([3, 2, HIDDEN])), StageName::Temporal)
}

#[test]
fn a_selection_must_be_one_of_its_window() {
    let fine = [0.0; 3];
    for (said, found) in [
        ("0 as the number of frames", temporal(0, &fine, &[0])),
        ("2 scores for 3 frames", temporal(3, &fine[..2], &[0])),
        ("NaN for the frame at position 1", temporal(3, &[0.0, f32::NAN, 0.0], &[0])),
        ("kept frames 2, 1", temporal(3, &fine, &[0, 2, 1])),
        ("kept frames 1, 1", temporal(3, &fine, &[1, 1])),
        ("kept position of 3 among 3 frames", temporal(3, &fine, &[0, 3])),
    ] {
        assert!(found.contains(said), "{found}");
    }
    // The last window is shorter than the others, and a selection of a full one is none of it.
    let found = temporal(2, &[0.0; 2], &[0, 1]);
    assert!(found.contains("2 scores for 1 frames"), "{found}");
}

#[test]
fn each_frame_has_a_score_that_is_a_number() {
    let score = |scores: &[f32]| {
        let stage = Told { at_once: 0, returns: Some(scores.to_vec()) };
        reason(
            query_guided(&stage, &TopK::default(), ones([3, 2, HIDDEN]), ones([5, HIDDEN]), 12, 6),
            StageName::QueryGuided,
        )
    };
    for (said, found) in [
        ("4 scores for 3 frames", score(&[0.0; 4])),
        ("0 scores for 3 frames", score(&[])),
        ("NaN for the frame at position 2", score(&[0.0, 1.0, f32::NAN])),
    ] {
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn each_frame_has_a_list_of_its_tokens() {
    let lists = |at_once, kept: &[&[usize]]| {
        let returns = Some(kept.iter().map(|kept| kept.to_vec()).collect());
        reason(spatial_reduction(&Told { at_once, returns }, ones([2, 5, HIDDEN]), 100), StageName::Spatial)
    };
    for (said, found) in [
        ("0 as the number of frames", lists(0, &[&[0], &[0]])),
        ("for 1 frames, and was given 2", lists(2, &[&[0]])),
        ("for 3 frames, and was given 2", lists(2, &[&[0], &[], &[]])),
        ("kept tokens 3, 2", lists(2, &[&[0], &[3, 2]])),
        ("kept tokens 4, 4", lists(2, &[&[4, 4], &[]])),
        ("kept position of 5 among 5 tokens", lists(2, &[&[], &[5]])),
    ] {
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn a_stage_that_fails_is_the_source_of_the_error() {
    let features = || ones([3, 2, HIDDEN]);
    let selector = Told::<(Vec<f32>, Vec<usize>)> { at_once: 4, returns: None };
    let scorer = Told::<Vec<f32>> { at_once: 0, returns: None };
    let pruner = Told::<Vec<Vec<usize>>> { at_once: 4, returns: None };
    for (stage, error) in [
        (StageName::Temporal, TemporalReduction::run(&selector, features()).err()),
        (StageName::QueryGuided, query_guided(&scorer, &TopK::default(), features(), ones([1, HIDDEN]), 12, 6).err()),
        (StageName::Spatial, spatial_reduction(&pruner, features(), 1).err()),
    ] {
        let error = error.expect("it failed");
        assert_eq!(error.to_string(), format!("the {stage} stage failed"));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the camera is on fire");
        assert_eq!(error.kind(), longvu_core::ErrorKind::Internal);
    }
}

/// A window with room for `visual_tokens`: of 24 of them, 3 frames are at full resolution and 24 at low.
fn budget(visual_tokens: usize) -> Budget {
    Budget::new(visual_tokens).with_inference_max_length(0).with_image_token_len(6).with_lowres_token(1)
}

#[test]
fn stages_are_checked_wherever_frames_are_fused() {
    let fuse = |frames, room, scorer: &dyn FrameScorer, pruner: &dyn TokenPruner| {
        let top = TopK::default();
        let stages = LaterStages::new(scorer, &top, pruner);
        fuse(&Made { frames, spare: 0 }, ones([1, HIDDEN]), (0, 0), &budget(room), stages).map(|fused| fused.report)
    };
    let too_few = Told { at_once: 0, returns: Some(vec![0.0]) };
    let chunkless = Told { at_once: 0, returns: Some(vec![vec![0]]) };
    reason(fuse(8, 24, &too_few, &KeepTokens), StageName::QueryGuided);
    reason(fuse(30, 24, &QueryStage, &chunkless), StageName::Spatial);
    assert_eq!(fuse(8, 24, &ScoreNothing, &KeepTokens).unwrap().full_frames, 2);
    assert_eq!(fuse(30, 24, &ScoreNothing, &SpatialStage::default()).unwrap().tokens_after, 24);
}

#[test]
fn tokens_have_the_sizes_that_frames_tell() {
    for (frames, room) in [(2, 24), (8, 24), (30, 24)] {
        let fuse = |spare| {
            let frames = Made { frames, spare };
            let (top, spatial) = (TopK::default(), SpatialStage::default());
            let stages = LaterStages::new(&QueryStage, &top, &spatial);
            fuse(&frames, ones([1, HIDDEN]), (0, 0), &budget(room), stages)
        };
        assert!(fuse(0).is_ok());
        assert!(matches!(fuse(1), Err(Error::BadTokens { .. })));
    }
}

#[test]
fn attention_comes_with_the_tokens_to_pruners_that_need_it() {
    let fuse = |frames, spare, pruner: &dyn TokenPruner| {
        let top = TopK::default();
        let stages = LaterStages::new(&ScoreNothing, &top, pruner);
        fuse(&Made { frames, spare }, ones([1, HIDDEN]), (0, 0), &budget(60), stages).map(|fused| fused.report)
    };
    let zip = VisionZip::default().with_retained(0.5).with_contextual(0.0);
    assert_eq!(fuse(9, 0, &zip).unwrap().spatial.unwrap().kept, vec![vec![3, 4, 5]; 9]);
    let error = fuse(7, 0, &zip).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("came without it"));
    let mut reduction = SpatialReduction::new(&zip, 2, 9).unwrap();
    let error = reduction.push_with(ones([2, 6, HIDDEN]), Some(ones([2, 5]))).unwrap_err();
    assert!(matches!(error, Error::BadAttention { found: [2, 5], expected: [2, 6] }), "{error}");
}

/// Picks what it is told to, and drops the others or keeps them.
struct Picks(Vec<usize>, Others);

impl FramePicker for Picks {
    fn pick(&self, _: &Candidates<'_>, _: usize) -> Result<Vec<usize>, StageError> {
        Ok(self.0.clone())
    }

    fn others(&self) -> Others {
        self.1
    }
}

/// Eight frames of 6 tokens where 24 fit: four of them whole, or two whole and six small.
fn picked(picks: &[usize], others: Others) -> Result<VisualTokens> {
    let picker = Picks(picks.to_vec(), others);
    let stages = LaterStages::new(&QueryStage, &picker, &KeepTokens);
    fuse(&Made { frames: 8, spare: 0 }, ones([1, HIDDEN]), (0, 0), &budget(24), stages)
}

#[test]
fn other_frames_stay_small_or_go() {
    let small = picked(&[1, 7], Others::LowResolution).unwrap().report;
    assert_eq!((small.layout, small.tokens_per_frame), (Layout::QueryGuided, vec![2, 6, 2, 2, 2, 2, 2, 6]));
    let gone = picked(&[0, 3, 4, 7], Others::Dropped).unwrap();
    assert_eq!(gone.tokens.dims(), [24, HIDDEN]);
    assert_eq!((gone.report.layout, gone.report.tokens_per_frame), (Layout::Picked, vec![6, 0, 0, 6, 6, 0, 0, 6]));
    assert_eq!((gone.report.tokens_before, gone.report.tokens_after, gone.report.full_frames), (48, 24, 4));
}

#[test]
fn picked_frames_must_be_some_of_those_there() {
    for (picks, said) in [
        (&[1, 1][..], "1, 1"),
        (&[2, 1], "2, 1"),
        (&[8], "8 among 8"),
        (&[0, 1, 2, 3, 4], "5 picked frames where 4 fit"),
    ] {
        let found = reason(picked(picks, Others::Dropped), StageName::QueryGuided);
        assert!(found.contains(said), "{found}");
    }
    assert!(reason(picked(&[0, 1, 2], Others::LowResolution), StageName::QueryGuided).contains("where 2 fit"));
}
