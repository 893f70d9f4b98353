//! Files that are no videos, damaged ones, and odd ones.

use std::{fs, path::PathBuf};

use crate::support::{ask, damaged_video, ffmpeg, golden, longvu, model, run, run_with, video};

/// A media file in a folder that lives as long as it.
fn media(arguments: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    ffmpeg(arguments, &path);
    (folder, path)
}

#[test]
fn no_such_file() {
    run(&mut ask("nowhere.mp4", "What?")).fails(1, &["nowhere.mp4: no such file"]);
    let mut command = longvu();
    command.args(["chat", "nowhere.mp4", "-m"]).arg(model());
    run_with(&mut command, b"").fails(1, &["nowhere.mp4: no such file"]);
}

#[test]
fn not_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.mp4");
    fs::write(&path, "These are notes.\n".repeat(100)).unwrap();
    run(&mut ask(&path, "What?")).fails(1, &["notes.mp4: not a video FFmpeg can read", "check that it plays"]);
    fs::write(&path, "").unwrap();
    run(&mut ask(&path, "What?")).fails(1, &["notes.mp4: the file is empty"]);
    run(&mut ask(folder.path(), "What?")).fails(1, &["not a regular file"]);
    run(&mut ask(golden().join("checkpoint/longvu_qwen/config.json"), "What?"))
        .fails(1, &["not a video FFmpeg can read (it is text"]);
}

#[test]
fn a_damaged_video_is_answered_from_what_is_left() {
    let (_folder, path) = damaged_video();
    let run = run(&mut ask(&path, "What?"));
    assert!(
        run.stderr.lines().any(|line| line.starts_with("warning: ") && line.contains("damaged.ts")),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("frames sampled"), "{}", run.stderr);
    assert!(!run.ok().is_empty());
}

#[test]
fn a_truncated_video_is_answered_from_what_is_there() {
    let (_folder, path) = media("-f lavfi -i testsrc2=size=64x48:rate=5:duration=8 -movflags +faststart", "cut.mp4");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    let run = run(ask(&path, "What?").args(["--json", "--quiet"]));
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("cut short"), "{}", run.stderr);
    let json = run.json();
    assert!(!json["warnings"].as_array().unwrap().is_empty());
    let sampled = json["frames"]["sampled"].as_u64().unwrap();
    assert!((1..8).contains(&sampled), "{sampled}");
}

#[test]
fn a_video_without_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.mp4");
    let (_whole_folder, whole) = media("-f lavfi -i testsrc2=size=64x48:rate=5:duration=4", "whole.mp4");
    let whole = fs::read(whole).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    run(&mut ask(&path, "What?")).fails(1, &["index (moov box) is missing", "fetch it again"]);
}

#[test]
fn sound_alone() {
    let (_folder, path) = media("-f lavfi -i sine=duration=1", "sound.m4a");
    run(&mut ask(&path, "What?")).fails(1, &["sound.m4a: there is no video stream", "only audio"]);
}

#[test]
fn zero_frames() {
    let (_folder, path) = media("-f lavfi -i testsrc=size=64x48:rate=5:duration=1 -frames:v 0 -c:v mjpeg", "empty.avi");
    run(&mut ask(&path, "What?")).fails(1, &["empty.avi", "no frame"]);
}

#[test]
fn one_frame() {
    let (_folder, path) = media("-f lavfi -i testsrc=size=64x48:rate=5:duration=1 -frames:v 1", "one.mp4");
    let run = run(&mut ask(&path, "What?"));
    assert!(run.stderr.starts_with("1 frame sampled, 1 kept, 1 at full resolution"), "{}", run.stderr);
    run.ok();
}

#[test]
fn a_frame_rate_that_rounds_to_zero() {
    let json = run(ask(video("slow_half_fps.mp4"), "What?").args(["--fps", "1", "--json"])).json();
    assert_eq!(json["frames"]["sampled"], 6);
}

#[test]
fn a_picture_16384_pixels_wide() {
    let arguments = "-f lavfi -i testsrc=size=16384x1024:rate=1:duration=2 -c:v mjpeg -pix_fmt yuvj420p";
    let (_folder, path) = media(arguments, "wide.avi");
    let json = run(ask(&path, "What?").arg("--json")).json();
    assert_eq!(json["frames"]["sampled"], 2);
    let arguments = "-f lavfi -i testsrc=size=16384x16:rate=1:duration=1 -c:v mjpeg -pix_fmt yuvj420p";
    let (_folder, path) = media(arguments, "thin.avi");
    assert!(!run(&mut ask(&path, "What?")).ok().is_empty());
}

#[test]
fn times_past_the_end() {
    run(ask(video("video3.mp4"), "What?").args(["--start", "1:40"])).fails(1, &["100 s to the end", "lasts 5.120 s"]);
    run(ask(video("video3.mp4"), "What?").args(["--timestamps", "99"])).fails(1, &["99 s", "lasts 5.120 s"]);
}

/// A pipe that nobody writes to is no reason to wait.
#[test]
#[cfg(unix)]
fn pipes_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("clip.mp4");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let out = folder.path().join("clip.longvu");
    let (model, out) = (model(), out.as_path());
    for arguments in [
        &["ask".as_ref(), pipe.as_os_str(), "What?".as_ref(), "-m".as_ref(), model.as_os_str()][..],
        &["chat".as_ref(), pipe.as_os_str(), "-m".as_ref(), model.as_os_str()],
        &["encode".as_ref(), pipe.as_os_str(), "-o".as_ref(), out.as_os_str(), "-m".as_ref(), model.as_os_str()],
        &["probe".as_ref(), pipe.as_os_str()],
        &["plan".as_ref(), "-m".as_ref(), model.as_os_str(), "--video".as_ref(), pipe.as_os_str()],
    ] {
        let mut command = std::process::Command::new("timeout");
        command.args(["10", env!("CARGO_BIN_EXE_longvu")]).args(arguments).env("LONGVU_NO_MEMORY_CHECK", "1");
        run(&mut command).fails(1, &["clip.mp4", "not a regular file"]);
    }
}
