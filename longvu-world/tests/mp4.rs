//! MP4 files, read back as any video is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use longvu_video::{Sampling, Video, VideoOptions};
use longvu_world::{Aspect, Error, Script, ScriptKind, ScriptOptions, VideoCodec};

fn every() -> VideoOptions {
    VideoOptions::default().with_sampling(Sampling::Every(1))
}

#[test]
fn a_file_has_the_frames_of_the_script() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, aspect, fps) in [(0, Aspect::Square, 8), (1, Aspect::Wide, 25)] {
        let path = folder.path().join(format!("{seed}.mp4"));
        let options = ScriptOptions::default().with_kind(ScriptKind::Cuts).with_duration(4.0);
        let script = Script::draw(seed, &options.with_aspect(aspect).with_size(126).with_fps(fps)).unwrap();
        let codec = script.write_mp4(&path).unwrap();

        let video = Video::open_with(&path, every()).unwrap();
        let info = video.info();
        assert_eq!(info.codec, if codec == VideoCodec::H264 { "h264" } else { "mpeg4" });
        assert_eq!((info.width, info.height), script.size());
        assert_eq!((info.frame_count, info.average_fps), (4 * fps as usize, f64::from(fps)));
        assert!((info.duration - 4.0).abs() < 0.01, "{}", info.duration);
        for frame in video.frames().unwrap() {
            let frame = frame.unwrap();
            let expected = script.frame(frame.index as f64 / f64::from(fps));
            let apart: u64 = frame.rgb.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let mean = apart as f64 / expected.len() as f64;
            assert!(mean < 4.0, "frame {}: {mean}", frame.index);
        }
    }
}

#[test]
fn colours_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    for seed in 0..6 {
        let options = ScriptOptions::default().with_kind(ScriptKind::Single).with_duration(1.0).with_size(378);
        let script = Script::draw(seed, &options).unwrap();
        script.write_mp4(&path).unwrap();
        let frame = Video::open(&path).unwrap().frames().unwrap().next().unwrap().unwrap();
        let drawn = script.frame(0.0);
        for object in &script.scenes()[0].objects {
            let wanted = object.colour.rgb();
            let (mut sums, mut count) = ([0_u64; 3], 0);
            for (pixel, original) in frame.rgb.chunks_exact(3).zip(drawn.chunks_exact(3)) {
                if original == wanted {
                    sums.iter_mut().zip(pixel).for_each(|(sum, level)| *sum += u64::from(*level));
                    count += 1;
                }
            }
            let mean = sums.map(|sum| sum / count);
            assert!(mean.iter().zip(wanted).all(|(a, b)| a.abs_diff(u64::from(b)) <= 16), "{object:?}: {mean:?}");
        }
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = ScriptOptions::default().with_kind(ScriptKind::Single).with_duration(1.0);
    let odd = Script::draw(0, &options.clone().with_size(97)).unwrap();
    assert!(matches!(odd.write_mp4(folder.path().join("odd.mp4")), Err(Error::InvalidOption { .. })));

    let script = Script::draw(0, &options.with_size(96)).unwrap();
    let missing = script.write_mp4(folder.path().join("no such folder/video.mp4"));
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
    std::fs::create_dir(folder.path().join("taken.mp4")).unwrap();
    let taken = script.write_mp4(folder.path().join("taken.mp4"));
    assert!(matches!(taken, Err(Error::Io { .. })), "{taken:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["taken.mp4"]);

    let path = folder.path().join("video.mp4");
    std::fs::write(&path, "what was there before").unwrap();
    script.write_mp4(&path).unwrap();
    assert_eq!(Video::open(&path).unwrap().info().frame_count, 8);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
