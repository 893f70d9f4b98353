//! Encoding as a stream: threads, early aggregation and the temporary file change no result, and work is counted.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::tensor::Tensor;
use longvu::{
    Clip, EncodedVideo, Error, Frame, LongVu, Watch, WorkCounters,
    compress::{FrameSelector, StageError, WindowSelection},
};

use crate::support::{bits, builder, frames, model};

/// Drops the middle frame of each window of three, when the video overflows the budget, and keeps four at most.
struct Thirds;

impl FrameSelector for Thirds {
    fn window(&self) -> usize {
        3
    }

    fn applies(&self, frames: usize, limit: usize) -> bool {
        frames >= limit
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let frames = features.dims()[0];
        Ok(WindowSelection::new(vec![0.5; frames], (0..frames).filter(|&i| i != 1).collect()))
    }

    fn max_frames(&self) -> usize {
        4
    }
}

/// A model in whose window four frames overflow.
fn small(waiting: usize) -> LongVu {
    let builder = builder("qwen").temporal_stage(Arc::new(Thirds)).max_len(336).waiting_frames(waiting);
    let model = builder.load().unwrap();
    assert_eq!(model.budget().temporal_limit(1), 4);
    model
}

fn encode(model: &LongVu, count: usize, expected: Option<usize>) -> (EncodedVideo, WorkCounters) {
    let frames = frames(count, 32, 24).into_iter().map(Ok);
    let before = model.work_counters();
    assert_eq!(before, WorkCounters::default());
    let video = model.encode(Clip::from_frames(frames, expected)).unwrap();
    (video, model.work_counters())
}

fn held(video: &EncodedVideo) -> Vec<usize> {
    video.frames().iter().map(|frame| frame.sample).collect()
}

/// The first window is undecided, then the stage drops, and in the end the cap binds. Whatever waits where, and
/// whatever the source promised, the result is the same to the bit.
#[test]
fn memory_disk_and_promises_change_nothing() {
    let (reference, work) = encode(&small(usize::MAX), 9, None);
    assert_eq!(held(&reference), [0, 2, 5, 6]);
    assert_eq!((work.frames_decoded, work.frames_resized, work.dinov2_frames), (9, 9, 9));
    assert_eq!((work.siglip_frames, work.aggregator_frames), (4, 4), "only frames that stay");
    // A promise of 3 frames lets the first window through, whose middle frame has to go after all.
    for (waiting, expected, aggregated) in [(0, Some(9), 4), (3, None, 4), (0, Some(3), 5)] {
        let (video, work) = encode(&small(waiting), 9, expected);
        assert_eq!(held(&video), held(&reference), "{waiting} {expected:?}");
        assert_eq!(bits(&video), bits(&reference), "{waiting} {expected:?}");
        assert_eq!(video.temporal_report(), reference.temporal_report());
        assert_eq!(work.siglip_frames, aggregated, "{waiting} {expected:?}");
    }
}

/// Frames that surely stay do not wait: were they to, the folder that does not exist would be missed.
#[test]
fn what_surely_stays_does_not_wait() {
    let folderless = |count, expected| {
        let builder = builder("qwen").temporal_stage(Arc::new(Thirds)).max_len(336);
        let model = builder.waiting_frames(0).waiting_folder("/nonexistent/place").load().unwrap();
        model.encode(Clip::from_frames(frames(count, 32, 24).into_iter().map(Ok), expected))
    };
    // Shorter than anything drops; and dropped from the first window on, with no more than the cap left.
    assert_eq!(held(&folderless(3, Some(3)).unwrap()), [0, 1, 2]);
    let error = folderless(3, None).unwrap_err();
    assert!(matches!(error, Error::Spill { .. }) && error.to_string().contains("/nonexistent/place"), "{error}");
}

#[test]
fn a_second_question_does_no_work_again() {
    let model = model();
    let video = model.encode(frames(3, 48, 48)).unwrap();
    model.ask(&video, "What is it?").unwrap();
    let before = model.work_counters();
    assert_eq!((before.frames_decoded, before.dinov2_frames, before.siglip_frames), (3, 3, 3));
    model.ask(&video, "And what colour?").unwrap();
    let mut after = model.work_counters();
    assert!(after.prompt_positions > before.prompt_positions);
    after.prompt_positions = before.prompt_positions;
    assert_eq!(after, before);
}

#[test]
fn steps_are_timed_beside_each_other() {
    let timings = model().encode(frames(3, 640, 480)).unwrap().timings();
    let longvu::EncodeTimings { decode, preprocess, wait, dinov2, siglip, aggregator, wall, .. } = timings;
    assert!([decode, preprocess, wait, dinov2, siglip, aggregator].iter().all(|&seconds| seconds > 0.0));
    assert!(wait + dinov2 + siglip + aggregator <= wall, "{timings:?}");
    assert_eq!(timings.total(), wall);
}

/// A source that counts itself while it lives.
struct Camera {
    alive: Arc<AtomicUsize>,
    frames: std::vec::IntoIter<Frame>,
}

impl Camera {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { alive: alive.clone(), frames: frames(40, 16, 16).into_iter() }
    }
}

impl Iterator for Camera {
    type Item = longvu::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.frames.next().map(Ok)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn no_thread_outlives_an_encoding_that_ends_early() {
    let (model, alive) = (model(), Arc::new(AtomicUsize::new(0)));
    let watch = Watch::new(|progress| {
        assert!(progress.done < 1, "the caller has seen enough");
        ControlFlow::Continue(())
    });
    let clip = Clip::from_frames(Camera::new(&alive), None);
    assert!(catch_unwind(AssertUnwindSafe(|| model.watched(watch).encode(clip))).is_err());
    assert_eq!(alive.load(Ordering::SeqCst), 0);

    let spilling = small(0);
    let blank = |mut frame: Frame| {
        frame.rgb.clear();
        frame
    };
    let clip = Clip::from_frames(Camera::new(&alive).map(move |frame| frame.map(blank)), None);
    assert!(matches!(spilling.encode(clip), Err(Error::Vision(_))));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_panicking_source_is_an_error() {
    let source = (0..3).map(|i| if i == 1 { panic!("the camera is gone") } else { Ok(frames(1, 8, 8).remove(0)) });
    let error = model().encode(Clip::from_frames(source, None)).unwrap_err();
    assert!(matches!(error, Error::Panicked { .. }) && error.to_string().contains("the camera is gone"), "{error}");
}
