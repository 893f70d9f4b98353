//! Which of several streams of pictures is the video.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::boxes::{Item, heif};
use common::{every, ffmpeg, mean_rgb, read_all, scratch};
use longvu_video::Video;

/// Mean colours of the first frame, and how many frames there are.
fn look(path: &std::path::Path) -> ([f64; 3], usize, (u32, u32)) {
    let (frames, _) = read_all(&Video::open_with(path, every()).unwrap());
    (mean_rgb(&frames[0]), frames.len(), (frames[0].width, frames[0].height))
}

fn is_near(mean: [f64; 3], colour: [f64; 3]) -> bool {
    mean.iter().zip(colour).all(|(a, b)| (a - b).abs() < 8.0)
}

const BLUE: [f64; 3] = [0.0, 0.0, 254.0];

#[test]
fn a_still_beside_a_video() {
    let folder = scratch();
    let still = "-f lavfi -i color=red:s=320x240:r=10:d=0.1";
    let slides = "-f lavfi -i color=red:s=320x240:r=1:d=3";
    let video = "-f lavfi -i color=blue:s=64x48:r=10:d=6";
    let map = "-map 0 -map 1 -disposition:v:0 default -disposition:v:1 0";
    for (name, first, codecs) in [
        ("a.mp4", still, "-c:v:0 mjpeg -c:v:1 libx264"),
        ("b.mov", still, "-c:v:0 png -c:v:1 libx264"),
        ("c.mkv", still, "-c:v:0 mjpeg -c:v:1 libx264"),
        ("d.mkv", still, "-c:v:0 libx264 -c:v:1 libx264"),
        ("e.mp4", still, "-c:v:0 libx264 -c:v:1 libx264"),
        ("f.mkv", slides, "-c:v:0 mjpeg -c:v:1 mpeg4"),
        ("g.avi", still, "-c:v:0 mjpeg -c:v:1 mpeg4"),
        ("h.nut", still, "-c:v:0 mjpeg -c:v:1 mpeg4"),
    ] {
        let path = ffmpeg(&format!("{first} {video} {map} {codecs} -fps_mode passthrough"), &folder.path().join(name));
        let (mean, frames, size) = look(&path);
        assert!(frames == 60 && size == (64, 48) && is_near(mean, BLUE), "{name}: {frames} of {size:?}, {mean:?}");
        let said = Video::open(&path).unwrap().warnings().to_vec();
        assert!(said.is_empty(), "{name}: {said:?}");
    }
}

#[test]
fn of_several_videos_one_is_taken_and_named() {
    let folder = scratch();
    let arguments = "-f lavfi -i color=red:s=32x32:r=10:d=2 -f lavfi -i color=blue:s=64x48:r=10:d=2 -map 0 -map 1 \
        -disposition:v:0 0 -disposition:v:1 default -c:v libx264";
    for name in ["a.mkv", "a.mp4"] {
        let path = ffmpeg(arguments, &folder.path().join(name));
        let (mean, frames, _) = look(&path);
        assert!(frames == 20 && is_near(mean, BLUE), "{name}: {mean:?}");
        let said = Video::open(&path).unwrap().warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(said.iter().any(|said| said.contains("2 video streams; the one of 64x48 is used")), "{name}: {said:?}");
    }
}

#[test]
fn alpha_tracks_are_not_the_video() {
    let folder = scratch();
    // The alpha plane has more pixels and more bytes, and comes first or last.
    let alpha = "-f lavfi -i testsrc2=s=96x96:r=10:d=1";
    let colour = "-f lavfi -i color=blue:s=64x48:r=10:d=1";
    for (place, inputs) in [(0, [alpha, colour]), (1, [colour, alpha])] {
        for codec in ["libaom-av1 -usage realtime -cpu-used 8", "libx264"] {
            let arguments = format!("{} -map 0 -map 1 -disposition:v default -c:v {codec}", inputs.join(" "));
            let path = ffmpeg(&arguments, &folder.path().join("alpha.mp4"));
            let mut bytes = std::fs::read(&path).unwrap();
            let is_handler = |bytes: &[u8]| bytes.starts_with(b"hdlr") && bytes.ends_with(b"vide");
            let handlers: Vec<usize> =
                bytes.windows(16).enumerate().filter(|(_, bytes)| is_handler(bytes)).map(|(at, _)| at + 12).collect();
            bytes[handlers[place]..][..4].copy_from_slice(b"auxv");
            std::fs::write(&path, bytes).unwrap();
            let (mean, frames, size) = look(&path);
            assert!(frames == 10 && size == (64, 48) && is_near(mean, BLUE), "{codec} {place}: {size:?} {mean:?}");
        }
    }
}

#[test]
fn the_alpha_item_of_a_still_is_not_the_picture() {
    let folder = scratch();
    let colour = Item::av1("-f lavfi -i color=blue:s=64x48", (64, 48), folder.path());
    let mut alpha = Item::av1("-f lavfi -i testsrc2=s=64x48", (64, 48), folder.path());
    alpha.auxiliary_of = Some(1);
    let path = heif(b"avif", &[colour, alpha], &folder.path().join("alpha.avif"));
    let (mean, frames, _) = look(&path);
    assert!(frames == 1 && is_near(mean, BLUE), "{mean:?}");
}
