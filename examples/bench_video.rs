//! Times decoding a video and preparing its frames for both towers, as `benches/peers/decord_pillow.py` does with decord and
//! Pillow, and prints one JSON line.
//!
//! `cargo run --release --example bench_video -- FILE [FPS]`
#![allow(clippy::print_stdout)]

use std::{error::Error, sync::mpsc::sync_channel, thread, time::Instant};

use longvu::{
    checkpoint::config::{PreprocessorConfig, TowerFamily},
    video::{DecodedFrame, Sampling, Video, VideoOptions},
    vision::Preprocessor,
};

/// Frames between the decoder's thread and the one that resizes: 6 MB each at 1080p.
const FRAMES_AHEAD: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: bench_video FILE [FPS]")?;
    let fps: f64 = arguments.next().map_or(Ok(1.0), |fps| fps.parse())?;
    let towers = [(TowerFamily::Siglip, 384), (TowerFamily::Dinov2, 378)]
        .map(|(family, size)| Preprocessor::new(PreprocessorConfig::published(family, size)));

    let start = Instant::now();
    let video = Video::open_with(file, VideoOptions::default().with_sampling(Sampling::Fps(fps)))?;
    let opened = start.elapsed().as_secs_f64();
    let mut frames = video.frames()?;
    let (sender, receiver) = sync_channel::<Result<DecodedFrame, longvu::video::Error>>(FRAMES_AHEAD);
    let decoder = thread::spawn(move || {
        for frame in frames.by_ref() {
            if sender.send(frame).is_err() {
                break;
            }
        }
        frames.stats().decoded
    });
    let (mut prepared, mut preprocess) = (0, 0.0);
    for frame in receiver {
        let (frame, start) = (frame?, Instant::now());
        for tower in &towers {
            tower.resize(&frame.rgb, frame.width, frame.height)?;
        }
        preprocess += start.elapsed().as_secs_f64();
        prepared += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let decoded = decoder.join().map_err(|_| "the decoder's thread panicked")?;

    println!(
        "{{\"case\": \"video\", \"frames\": {prepared}, \"decoded\": {decoded}, \"seconds\": {seconds:.3}, \
         \"open_seconds\": {opened:.3}, \"preprocess_seconds\": {preprocess:.3}, \"cpu_seconds\": {}, \"peak_gib\": {}}}",
        cpu_seconds().map_or("null".into(), |seconds| format!("{seconds:.2}")),
        peak_gib().map_or("null".into(), |gib| format!("{gib:.3}")),
    );
    Ok(())
}

/// Peak resident memory, where the system tells it as Linux does.
fn peak_gib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / f64::from(1 << 20))
}

/// Processor time of all threads, where the system tells it as Linux does, in its hundredths of a second.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15; the second is a name in brackets that may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}
