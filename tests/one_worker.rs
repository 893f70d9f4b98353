//! Loading and encoding from the workers of rayon's pool, which has a single one here: work that a worker waits for must
//! not need a worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use longvu::{EncodedVideo, Frame, LongVu, LongVuBuilder, Quantize, Residency};
use rayon::prelude::*;

fn builder() -> LongVuBuilder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/miniature");
    LongVu::builder(folder.to_str().unwrap())
}

/// Frames so large that they are resized in parallel.
fn frames(seed: usize) -> Vec<Frame> {
    let (width, height) = (2200, 2000);
    let rgb = |t: usize| (0..(width * height * 3) as usize).map(|i| ((i * 7 + t * 31 + seed) % 251) as u8).collect();
    (0..3).map(|t| Frame::new(t, t as f64, width, height, rgb(t)).unwrap()).collect()
}

fn bytes(video: &EncodedVideo) -> Vec<u8> {
    video.features().into_data().as_bytes().to_vec()
}

/// Runs `work`, which is to end, on another thread.
fn within<T: Send + 'static>(seconds: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    std::thread::spawn(move || done.send(work()));
    match result.recv_timeout(Duration::from_secs(seconds)) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("nobody goes on: every worker waits"),
        Err(RecvTimeoutError::Disconnected) => panic!("the work panicked"),
    }
}

#[test]
fn many_videos_are_encoded_by_one_worker() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    for residency in [Residency::Whole, Residency::OnDemand] {
        let videos = within(120, move || {
            let seeds = [3_usize, 5, 7, 9];
            let models: Vec<LongVu> =
                (0..2).into_par_iter().map(|_| builder().residency(residency).load().unwrap()).collect();
            let each = |&seed: &usize| models[seed % 2].encode(frames(seed)).unwrap();
            let together: Vec<EncodedVideo> = seeds.par_iter().map(each).collect();
            let alone: Vec<EncodedVideo> = seeds.iter().map(each).collect();
            let answer = |video: &EncodedVideo| models[0].ask(video, "What?").unwrap();
            let answers: Vec<String> = together.par_iter().map(answer).collect();
            (together, alone, answers)
        });
        let (together, alone, answers) = videos;
        assert!(together.iter().zip(&alone).all(|(a, b)| bytes(a) == bytes(b)), "{residency:?}");
        assert_eq!(answers.len(), 4);
    }
    a_thread_loads_what_the_worker_waits_for();
}

/// A part is loaded by a thread that is no worker, while the only worker waits for it.
fn a_thread_loads_what_the_worker_waits_for() {
    for attempt in 0..20 {
        within(60, move || {
            // Quantising is done in parallel, however small the weights.
            let model = builder().weights(Quantize::Int8).residency(Residency::OnDemand).load().unwrap();
            std::thread::scope(|scope| {
                let load = || model.decoder().map(drop).unwrap();
                let thread = scope.spawn(load);
                // Later and later, so that one of the attempts comes in the middle.
                std::thread::sleep(Duration::from_micros(150 * attempt));
                [(); 2].par_iter().for_each(|()| load());
                thread.join().unwrap();
            });
        });
    }
}
