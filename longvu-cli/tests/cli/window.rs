//! Memory of encoding is set by a window and the frames that may wait, not by the video's length.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use crate::support::{ffmpeg, longvu, model};

/// Encodes `file`; the peak of memory in MB.
fn peak(file: &Path, flags: &[&str]) -> f64 {
    let mut command = longvu();
    command.arg("encode").arg(file).arg("--out").arg(file.with_extension("longvu")).arg("--model").arg(model());
    command.arg("--quiet").args(flags).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    // The system's own record of the peak, which only grows; a child that has ended has none any more.
    while child.try_wait().unwrap().is_none() {
        if let Some(found) = fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
            peak = found;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(peak > 0.0);
    peak
}

fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1e3)
}

/// Makes a video of a moving test picture.
fn make(path: &Path, size: &str, rate: usize, seconds: usize) {
    let source = format!("-f lavfi -i testsrc2=size={size}:rate={rate} -t {seconds}");
    ffmpeg(&format!("{source} -c:v libx264 -preset ultrafast -crf 35 -pix_fmt yuv420p"), path);
}

/// The flag with which every frame is kept, as of a video that never repeats itself.
const KEEP_ALL: [&str; 2] = ["--dino-threshold", "2"];

#[cfg(target_os = "linux")]
#[test]
fn a_longer_video_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let [short, long] = [("short.mp4", 32), ("long.mp4", 96)].map(|(name, seconds)| {
        let path = folder.path().join(name);
        make(&path, "160x90", 1, seconds);
        peak(&path, &[&KEEP_ALL[..], &["--waiting-frames", "8"]].concat())
    });
    assert!(long < short * 1.1, "{short} MB for 32 frames, {long} MB for 96");
}

/// Ten minutes and an hour at 1080p, one frame a second, with the usual settings and with every frame kept.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "makes ten minutes of video, and decodes over two hours"]
fn an_hour_takes_what_ten_minutes_take() {
    let folder = tempfile::tempdir().unwrap();
    let [short, long] = ["ten-minutes.mp4", "hour.mp4"].map(|name| folder.path().join(name));
    make(&short, "1920x1080", 25, 600);
    ffmpeg(&format!("-stream_loop 5 -i {} -c copy", short.display()), &long);
    for flags in [&[][..], &KEEP_ALL] {
        let (short, long) = (peak(&short, flags), peak(&long, flags));
        assert!(long < 1000.0 && long < short * 1.1, "{short} MB for ten minutes, {long} MB for an hour: {flags:?}");
    }
}
