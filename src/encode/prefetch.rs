//! Decoding and resizing ahead of the towers, each on a thread of its own.
//!
//! Where there are no threads, in a browser, a frame is decoded and resized when it is asked for.
//!
//! A full-size frame is handed from the decoder straight to the resizer, so that at most two exist, however far the
//! towers are behind. Resized frames wait in a bounded channel. Frames come out in order, whatever the threads' timing.

use std::{
    any::Any,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use web_time::Instant;

use crate::{
    Error, Frame, FrameInfo, Result,
    encode::{
        clip::FrameSource,
        repeats::{Comparison, Pixels, Repeats},
    },
    encoded::video::add,
    model::counters::Work,
    threads::{Crew, THREADS},
    vision::Preprocessor,
};

/// A frame ready for both towers.
pub(crate) struct Prepared {
    pub info: FrameInfo,
    /// Width and height before resizing.
    pub dimensions: (u32, u32),
    /// What the towers see of it.
    pub pixels: Pixels,
}

/// Resizes frames for SigLIP and for DINOv2, and finds those that repeat another.
pub(crate) struct Resizer {
    siglip: Preprocessor,
    dinov2: Preprocessor,
    comparison: Comparison,
}

impl Resizer {
    pub fn new(siglip: &Preprocessor, dinov2: &Preprocessor, repeats: Repeats) -> Self {
        Self { siglip: siglip.clone(), dinov2: dinov2.clone(), comparison: Comparison::new(repeats) }
    }

    fn resize(&mut self, sample: usize, frame: &Frame) -> Result<Prepared> {
        let (rgb, width, height) = (&frame.rgb, frame.width, frame.height);
        let siglip = self.siglip.resize(rgb, width, height)?;
        let dinov2 = self.dinov2.resize(rgb, width, height)?;
        Ok(Prepared {
            info: FrameInfo { sample, index: frame.index, timestamp: frame.timestamp },
            dimensions: (width, height),
            pixels: self.comparison.next(sample, siglip, dinov2),
        })
    }
}

/// The frames of a source, decoded and resized on other threads where there are any.
///
/// Dropping it ends the threads and waits for them; a source that is busy with a frame finishes that frame first.
pub(crate) struct PreparedFrames {
    place: Place,
    /// Seconds of work of the threads that have ended.
    pub decode_seconds: f64,
    pub resize_seconds: f64,
}

/// Where frames are made ready.
enum Place {
    /// On two threads; each tells in the end how many seconds it worked.
    Threads {
        /// Gone once the source has ended or nobody wants more.
        frames: Option<Receiver<Result<Prepared>>>,
        decoding: Option<JoinHandle<f64>>,
        resizing: Option<JoinHandle<f64>>,
    },
    /// On the caller's, when it asks.
    Here {
        /// Gone once it has ended or failed.
        source: Option<FrameSource>,
        resizer: Box<Resizer>,
        sample: usize,
        work: Arc<Work>,
    },
}

/// The most frames that wait resized, each some 3 MB: a stage's window may be the whole video.
const MOST_AHEAD: usize = 64;

impl PreparedFrames {
    /// Starts both threads; `ahead` resized frames may wait, or [`MOST_AHEAD`].
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(source: FrameSource, resizer: Resizer, ahead: usize, work: &Arc<Work>) -> Result<Self> {
        if !THREADS {
            return Ok(Self::start_here(source, resizer, work));
        }
        let (decoded, full_size) = sync_channel(0);
        let (resized, frames) = sync_channel(ahead.min(MOST_AHEAD));
        let counters = (Arc::clone(work), Arc::clone(work));
        let crew = Crew::for_waiting();
        let decoding = spawn("longvu-decode", move || decode(source, &decoded, &counters.0))?;
        // Should this thread fail to start, the other finds its channel closed and ends.
        let resizing = spawn("longvu-resize", move || resize(&full_size, &resized, resizer, crew, &counters.1))?;
        let place = Place::Threads { frames: Some(frames), decoding: Some(decoding), resizing: Some(resizing) };
        Ok(Self { place, decode_seconds: 0.0, resize_seconds: 0.0 })
    }

    /// Makes each frame ready when it is asked for.
    fn start_here(source: FrameSource, resizer: Resizer, work: &Arc<Work>) -> Self {
        let (source, resizer, work) = (Some(source), Box::new(resizer), Arc::clone(work));
        Self { place: Place::Here { source, resizer, sample: 0, work }, decode_seconds: 0.0, resize_seconds: 0.0 }
    }

    /// The next frame; `None` once the source has ended.
    ///
    /// # Errors
    /// The source's own, frames of unusable sizes, and a panic on either thread.
    pub fn next(&mut self) -> Result<Option<Prepared>> {
        let frames = match &mut self.place {
            Place::Here { .. } => return self.next_here(),
            Place::Threads { frames: Some(frames), .. } => frames,
            Place::Threads { frames: None, .. } => return Ok(None),
        };
        match frames.recv() {
            Ok(frame) => frame.map(Some),
            // Both threads have ended: in order, or by a panic.
            Err(_) => self.join().map(|()| None),
        }
    }

    fn next_here(&mut self) -> Result<Option<Prepared>> {
        let Place::Here { source: place, resizer, sample, work } = &mut self.place else { return Ok(None) };
        let Some(mut source) = place.take() else { return Ok(None) };
        let start = Instant::now();
        let frame = source.next();
        add(&mut self.decode_seconds, start);
        let Some(frame) = frame.transpose()? else { return Ok(None) };
        work.frames_decoded.add(1);
        let start = Instant::now();
        let prepared = resizer.resize(*sample, &frame)?;
        add(&mut self.resize_seconds, start);
        *sample += 1;
        *place = Some(source);
        Ok(Some(prepared))
    }

    /// At most `count` frames, fewer only at the source's end; `asked` after each whether to go on.
    ///
    /// # Errors
    /// As [`PreparedFrames::next`], and those of `asked`.
    pub fn window(&mut self, count: usize, asked: impl Fn() -> Result<()>) -> Result<Vec<Prepared>> {
        let mut window = Vec::with_capacity(count.min(MOST_AHEAD));
        while window.len() < count {
            match self.next()? {
                Some(frame) => window.push(frame),
                None => break,
            }
            asked()?;
        }
        Ok(window)
    }

    /// Ends the threads. Without a receiver the resizer's next send fails, and without it the decoder's.
    fn join(&mut self) -> Result<()> {
        let Place::Threads { frames, decoding, resizing } = &mut self.place else { return Ok(()) };
        *frames = None;
        let resized = resizing.take().map(JoinHandle::join).transpose();
        let decoded = decoding.take().map(JoinHandle::join).transpose();
        self.decode_seconds += decoded.map_err(|panic| panicked("decoding", panic.as_ref()))?.unwrap_or(0.0);
        self.resize_seconds += resized.map_err(|panic| panicked("resizing", panic.as_ref()))?.unwrap_or(0.0);
        Ok(())
    }
}

impl Drop for PreparedFrames {
    fn drop(&mut self) {
        // Whoever drops it early has an error of their own to report.
        let _ = self.join();
    }
}

/// Starts a thread whose events go where the caller's go.
fn spawn(name: &str, work: impl FnOnce() -> f64 + Send + 'static) -> Result<JoinHandle<f64>> {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let run = move || tracing::dispatcher::with_default(&dispatch, work);
    thread::Builder::new().name(name.into()).spawn(run).map_err(|source| Error::Thread { source })
}

fn panicked(work: &'static str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Panicked { work, message: text.unwrap_or("no message").to_owned() }
}

/// Takes frames from the source until it ends, fails, or nobody listens; returns the seconds that the source took.
fn decode(mut source: FrameSource, out: &SyncSender<Result<Frame>>, work: &Work) -> f64 {
    let mut seconds = 0.0;
    loop {
        let start = Instant::now();
        let frame = source.next();
        add(&mut seconds, start);
        let Some(frame) = frame else { return seconds };
        let last = frame.is_err();
        work.frames_decoded.add(usize::from(!last));
        if out.send(frame).is_err() || last {
            return seconds;
        }
    }
}

/// Resizes frames until there are none, one fails, or nobody listens; returns the seconds that resizing took.
fn resize(
    frames: &Receiver<Result<Frame>>,
    out: &SyncSender<Result<Prepared>>,
    mut resizer: Resizer,
    crew: Crew,
    work: &Work,
) -> f64 {
    let mut seconds = 0.0;
    for (sample, frame) in frames.iter().enumerate() {
        let start = Instant::now();
        let prepared = frame.and_then(|frame| crew.run(|| resizer.resize(sample, &frame)));
        add(&mut seconds, start);
        let last = prepared.is_err();
        work.frames_resized.add(usize::from(!last));
        if out.send(prepared).is_err() || last {
            return seconds;
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use longvu_checkpoint::config::{PreprocessorConfig, TowerFamily};

    fn resizer() -> Resizer {
        let preprocessor = |family| Preprocessor::new(PreprocessorConfig::published(family, 8));
        Resizer::new(&preprocessor(TowerFamily::Siglip), &preprocessor(TowerFamily::Dinov2), Repeats::default())
    }

    fn frame(index: usize) -> Result<Frame> {
        Frame::new(index, index as f64, 4, 2, vec![index as u8; 24])
    }

    fn start(source: impl Iterator<Item = Result<Frame>> + Send + 'static, ahead: usize) -> PreparedFrames {
        PreparedFrames::start(Box::new(source), resizer(), ahead, &Arc::default()).unwrap()
    }

    /// As where there are no threads.
    fn start_here(source: impl Iterator<Item = Result<Frame>> + Send + 'static, _ahead: usize) -> PreparedFrames {
        PreparedFrames::start_here(Box::new(source), resizer(), &Arc::default())
    }

    /// Counts the sources that are alive, and what was taken from them.
    struct Watched<I>(I, Arc<AtomicUsize>, Arc<AtomicUsize>);

    impl<I: Iterator> Iterator for Watched<I> {
        type Item = I::Item;
        fn next(&mut self) -> Option<I::Item> {
            self.2.fetch_add(1, Ordering::SeqCst);
            self.0.next()
        }
    }

    impl<I> Drop for Watched<I> {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn frames_come_in_order_and_resized() {
        for mut frames in [start((0..50).map(frame), 3), start_here((0..50).map(frame), 3)] {
            let first = frames.window(16, || Ok(())).unwrap();
            assert_eq!(first.len(), 16);
            assert_eq!((first[15].info.sample, first[15].dimensions), (15, (4, 2)));
            assert_eq!((first[15].pixels.siglip.len(), first[15].pixels.dinov2.len()), (8 * 8 * 3, 8 * 8 * 3));
            let rest: Vec<_> = frames.window(100, || Ok(())).unwrap().iter().map(|f| f.info.index).collect();
            assert_eq!(rest, Vec::from_iter(16..50));
            assert!(frames.next().unwrap().is_none() && frames.next().unwrap().is_none());
            assert!(frames.decode_seconds > 0.0 && frames.resize_seconds > 0.0);
        }
    }

    #[test]
    fn dropping_it_early_ends_the_threads_and_stays_within_bounds() {
        let (alive, taken) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
        let mut frames = start(Watched((0..).map(frame), alive.clone(), taken.clone()), 2);
        frames.next().unwrap();
        thread::sleep(std::time::Duration::from_millis(50));
        drop(frames);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "the source is dropped with the threads");
        // One was received, two wait, and each thread holds one.
        assert!(taken.load(Ordering::SeqCst) <= 5, "{taken:?}");
    }

    #[test]
    fn errors_come_after_the_frames_before_them() {
        let source = || (0..3).map(frame).chain([Err(Error::NoFrames)]).chain((4..9).map(frame));
        let bad = || std::iter::once(Ok(Frame { rgb: vec![0; 5], ..frame(0).unwrap() }));
        for (mut frames, mut bad) in
            [(start(source(), 8), start(bad(), 1)), (start_here(source(), 8), start_here(bad(), 1))]
        {
            for sample in 0..3 {
                assert_eq!(frames.next().unwrap().unwrap().info.sample, sample);
            }
            assert!(matches!(frames.next(), Err(Error::NoFrames)));
            assert!(matches!(frames.next(), Ok(None)));
            assert!(matches!(bad.next(), Err(Error::Vision(_))));
        }
    }

    #[test]
    fn a_panicking_source_is_an_error() {
        let source = (0..5).map(|i| if i == 2 { panic!("the camera is on fire") } else { frame(i) });
        let mut frames = start(source, 8);
        assert!(frames.next().unwrap().is_some() && frames.next().unwrap().is_some());
        let message = frames.next().err().unwrap().to_string();
        assert!(message.contains("decoding") && message.contains("the camera is on fire"), "{message}");
    }

    /// Counts events.
    struct Counting(Arc<AtomicUsize>);

    impl tracing::Subscriber for Counting {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn what_a_source_logs_goes_where_the_callers_log_goes() {
        let events = Arc::new(AtomicUsize::new(0));
        tracing::subscriber::with_default(Counting(events.clone()), || {
            let source = (0..3).map(|i| {
                tracing::warn!(i, "a frame");
                frame(i)
            });
            assert_eq!(start(source, 8).window(9, || Ok(())).unwrap().len(), 3);
        });
        assert_eq!(events.load(Ordering::SeqCst), 3);
    }
}
