//! Files and settings that are wrong: an error of the right kind, or a warning and the frames that are there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write;
use std::path::Path;

use common::{cut, every, ffmpeg, golden_video, read_all, scratch};
use longvu_video::{Error, Sampling, Video, VideoOptions, Warning};

fn fails(path: impl AsRef<Path>) -> Error {
    let path = path.as_ref();
    let error = Video::open(path).expect_err("an error");
    assert!(error.to_string().contains(&path.display().to_string()), "the message names the file: {error}");
    error
}

#[test]
fn no_file_to_read() {
    let folder = scratch();
    assert!(matches!(fails(folder.path().join("absent.mp4")), Error::NotFound { .. }));
    assert!(matches!(fails(folder.path()), Error::NotAFile { .. }));
    let empty = folder.path().join("empty.mp4");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(fails(&empty), Error::EmptyFile { .. }));
}

#[test]
fn not_a_video() {
    let folder = scratch();
    let text = "Once upon a time there was a file that was no video at all.\n".repeat(200);
    for name in ["story.txt", "story.mp4", "story.nfo", "odd: name?.mkv"] {
        let path = folder.path().join(name);
        std::fs::write(&path, &text).unwrap();
        assert!(matches!(fails(&path), Error::NotAVideo { .. }), "{name}");
    }
    let noise: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let path = folder.path().join("noise.mp4");
    std::fs::write(&path, noise).unwrap();
    assert!(matches!(fails(&path), Error::NotAVideo { .. } | Error::NoVideoStream { .. } | Error::NoFrames { .. }));
}

#[test]
fn sound_without_pictures() {
    let folder = scratch();
    let sound = ffmpeg("-f lavfi -i sine=d=1", &folder.path().join("sound.wav"));
    assert!(matches!(fails(&sound), Error::NoVideoStream { has_audio: true, .. }));
    // Cover art is a video stream of one picture to FFmpeg.
    let cover = ffmpeg("-f lavfi -i color=red:s=64x64 -frames:v 1", &folder.path().join("cover.png"));
    let arguments =
        format!("-f lavfi -i sine=d=1 -i {} -map 0 -map 1 -c:v copy -disposition:v attached_pic", cover.display());
    let song = ffmpeg(&arguments, &folder.path().join("song.m4a"));
    assert!(matches!(fails(&song), Error::NoVideoStream { has_audio: true, .. }));
}

#[test]
fn mp4_without_its_index() {
    // FFmpeg writes the index last unless told otherwise.
    let folder = scratch();
    let whole = ffmpeg("-f lavfi -i testsrc=d=2:s=160x120 -c:v mpeg4", &folder.path().join("whole.mp4"));
    let half = cut(&whole, 1, 2, &folder.path().join("half.mp4"));
    let error = fails(&half);
    assert!(matches!(error, Error::NoIndex { .. }), "{error}");
    assert!(error.to_string().contains("moov"), "{error}");
}

#[test]
fn mp4_cut_after_its_index() {
    let folder = scratch();
    let arguments = format!("-i {} -c copy -movflags +faststart", golden_video("video3.mp4").display());
    let whole = ffmpeg(&arguments, &folder.path().join("whole.mp4"));
    let half = cut(&whole, 1, 2, &folder.path().join("half.mp4"));

    let video = Video::open_with(&half, every()).unwrap();
    let found = video.info().frame_count;
    assert!((20..128).contains(&found), "{found}");
    assert_eq!(video.warnings(), [Warning::Truncated { declared: 128, found }]);
    let (frames, iterator) = read_all(&video);
    assert!(frames.len() + 4 >= found, "{} of {found}", frames.len());
    assert_eq!(iterator.warnings().first(), video.warnings().first());
    // What is there is right: every frame equals that of the whole file.
    let (expected, _) = read_all(&Video::open_with(&whole, every()).unwrap());
    let damaged = iterator.stats().damaged_frames;
    let same = frames.iter().filter(|frame| expected[frame.index].rgb == frame.rgb).count();
    assert!(same + damaged >= frames.len() - 1, "{same} of {} frames are equal, {damaged} damaged", frames.len());
}

#[test]
fn transport_stream_cut_in_the_middle() {
    let folder = scratch();
    let whole = golden_video("mpeg2.ts");
    let half = cut(&whole, 1, 2, &folder.path().join("half.ts"));
    let video = Video::open_with(&half, every()).unwrap();
    let (frames, iterator) = read_all(&video);
    assert!((100..200).contains(&frames.len()), "{}", frames.len());
    let (expected, _) = read_all(&Video::open_with(&whole, every()).unwrap());
    let wrong = frames.iter().filter(|frame| expected[frame.index].rgb != frame.rgb).count();
    assert!(wrong <= 3, "{wrong} frames differ");
    if wrong > 0 {
        assert!(!iterator.warnings().is_empty(), "{wrong} frames differ without a warning");
    }
}

#[test]
fn files_without_a_frame_count_cut_in_the_middle() {
    let folder = scratch();
    for (name, codec) in [("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("b.avi", "mpeg4 -bf 2")] {
        let arguments = format!("-f lavfi -i testsrc=d=4:s=160x120:r=25 -c:v {codec}");
        let whole = ffmpeg(&arguments, &folder.path().join(name));
        let sound = Video::open(&whole).unwrap();
        let untimed = |warning: &Warning| matches!(warning, Warning::NoTimestamps { .. });
        assert!(sound.warnings().iter().all(untimed), "{name}: {:?}", sound.warnings());
        let half = cut(&whole, 1, 2, &folder.path().join("half"));
        let video = Video::open(&half).unwrap();
        let said = |warning: &Warning| matches!(warning, Warning::EndsEarly { .. } | Warning::DamagedEnd { .. });
        assert!(video.warnings().iter().any(said), "{name}: {:?}", video.warnings());
        let (frames, _) = read_all(&video);
        assert!((1..4).contains(&frames.len()), "{name}: {}", frames.len());
    }
}

#[test]
fn damage_in_the_middle_shifts_no_frame() {
    let folder = scratch();
    let whole = golden_video("video3.mp4");
    let mut bytes = std::fs::read(&whole).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0);
    let path = folder.path().join("damaged.mp4");
    std::fs::write(&path, bytes).unwrap();

    let video = Video::open_with(&path, every()).unwrap();
    assert_eq!(video.info().frame_count, 128);
    let (frames, iterator) = read_all(&video);
    assert!(iterator.warnings().iter().any(|w| matches!(w, Warning::Damaged { .. })), "{:?}", iterator.warnings());
    let (expected, _) = read_all(&Video::open_with(&whole, every()).unwrap());
    assert!(frames.iter().take(40).all(|frame| expected[frame.index].rgb == frame.rgb));
    assert!(frames.windows(2).all(|pair| pair[0].index < pair[1].index));
    for frame in &frames {
        assert!((frame.timestamp - expected[frame.index].timestamp).abs() < 1e-9);
    }
}

#[test]
fn video_stream_that_cannot_be_decoded() {
    // The index is whole, but every byte of picture data is wiped out.
    let folder = scratch();
    let arguments = format!("-i {} -c copy -movflags +faststart", golden_video("video3.mp4").display());
    let whole = ffmpeg(&arguments, &folder.path().join("whole.mp4"));
    let mut bytes = std::fs::read(&whole).unwrap();
    let data = bytes.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    bytes[data..].fill(0xff);
    let path = folder.path().join("wiped.mp4");
    std::fs::write(&path, bytes).unwrap();
    let video = Video::open(&path);
    let error = video.and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>()).unwrap_err();
    assert!(matches!(error, Error::NoFrames { .. }), "{error}");
}

#[test]
fn one_frame() {
    let folder = scratch();
    let path = ffmpeg("-f lavfi -i testsrc=s=64x48 -frames:v 1 -c:v mpeg4", &folder.path().join("one.mp4"));
    for sampling in [Sampling::Fps(1.0), Sampling::Every(7), Sampling::Uniform(5), Sampling::Timestamps(vec![0.0])] {
        let video = Video::open_with(&path, VideoOptions::default().with_sampling(sampling)).unwrap();
        assert_eq!(video.info().frame_count, 1);
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames.iter().map(|frame| (frame.index, frame.timestamp)).collect::<Vec<_>>(), [(0, 0.0)]);
        assert_eq!(iterator.warnings(), []);
    }
}

#[test]
fn slower_than_the_sampling_rate() {
    // 0.5 fps at 1 fps asks for every half frame: the package fails, here every frame is taken.
    let video = Video::open(golden_video("slow_half_fps.mp4")).unwrap();
    assert_eq!(video.sampled_indices(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(read_all(&video).0.len(), 6);
}

#[test]
fn settings_are_checked_before_the_file() {
    let bad = [
        every().with_sampling(Sampling::Fps(0.0)),
        every().with_sampling(Sampling::Fps(f64::NAN)),
        every().with_sampling(Sampling::Every(0)),
        every().with_sampling(Sampling::Uniform(0)),
        every().with_start(-1.0),
        every().with_start(2.0).with_end(1.0),
        every().with_max_frames(0),
    ];
    for options in bad {
        let error = Video::open_with("/nowhere/at/all.mp4", options).unwrap_err();
        assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
    }
}

#[test]
fn times_past_the_end() {
    let path = golden_video("video3.mp4");
    for options in [
        every().with_start(5.12),
        every().with_start(1e300),
        every().with_start(1.001).with_end(1.002),
        every().with_sampling(Sampling::Timestamps(vec![1.0, 6.0])),
        every().with_sampling(Sampling::Timestamps(vec![1.0])).with_start(2.0),
    ] {
        let error = Video::open_with(&path, options.clone()).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{options:?}: {error}");
        assert!(error.to_string().contains("5.120"), "{error}");
    }
}

#[test]
fn absurd_sizes() {
    let folder = scratch();
    let path = folder.path().join("huge.y4m");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(b"YUV4MPEG2 W20000 H8000 F25:1 Ip A1:1 C420jpeg\nFRAME\n").unwrap();
    file.write_all(&[128; 100_000]).unwrap();
    let error = fails(&path);
    assert!(matches!(error, Error::TooLarge { width: 20000, height: 8000, .. }), "{error}");
}

#[test]
fn the_file_vanishes_before_decoding() {
    let folder = scratch();
    let path = folder.path().join("copy.mp4");
    std::fs::copy(golden_video("odd_size.mp4"), &path).unwrap();
    let video = Video::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(video.frames().unwrap_err(), Error::NotFound { .. }));
}

#[test]
fn every_prefix_of_a_file_ends_in_frames_or_an_error() {
    let folder = scratch();
    for name in ["slow_half_fps.mp4", "vp9_10fps.webm", "odd_size.mp4"] {
        for part in 1..24 {
            let path = cut(&golden_video(name), part, 24, &folder.path().join(name));
            let Ok(video) = Video::open_with(&path, every()) else {
                continue;
            };
            let Ok(frames) = video.frames() else { continue };
            let (width, height) = (video.info().width, video.info().height);
            for frame in frames.flatten() {
                assert_eq!((frame.width, frame.height), (width, height));
                assert!(frame.index < video.info().frame_count);
            }
        }
    }
}
