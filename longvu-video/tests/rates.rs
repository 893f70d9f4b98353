//! Frame rates and times: by the clock where headers say nothing or something else, and no false alarms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::boxes::{boxed, find, insert, mp4};
use common::{every, ffmpeg, read_all, scratch};
use longvu_video::{Decoding, Sampling, Video, VideoOptions};

fn warnings(video: &Video) -> Vec<String> {
    video.warnings().iter().map(ToString::to_string).collect()
}

/// Takes the default duration of frames, from which the rate is told, out of a Matroska file.
fn drop_default_duration(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let places: Vec<usize> =
        bytes.windows(3).enumerate().filter(|(_, b)| *b == [0x23, 0xe3, 0x83]).map(|b| b.0).collect();
    for at in places {
        // An element of no meaning, of the same length.
        let size = usize::from(bytes[at + 3] & 0x7f);
        bytes[at] = 0xec;
        bytes[at + 1] = 0x80 | (size + 2) as u8;
    }
    std::fs::write(path, bytes).unwrap();
}

/// Frames that come `jitter` ms early or late, of a camera that aims at `rate`, as browsers record them.
fn recording(rate: f64, seconds: f64, codec: &str, path: &Path) -> Video {
    let arguments = format!(
        "-f lavfi -i testsrc=s=64x48:r={rate}:d={seconds} -vf settb=1/1000,setpts=N*1000/{rate}+mod(N*7919\\,23)-11 \
         -fps_mode passthrough -enc_time_base 1/1000 -c:v {codec} -r 1000"
    );
    ffmpeg(&arguments.replace(" -r 1000", ""), path);
    if path.extension().is_some_and(|extension| extension == "webm" || extension == "mkv") {
        drop_default_duration(path);
    }
    Video::open(path).unwrap()
}

#[test]
fn jittering_recordings_without_a_rate_are_sampled_by_the_clock() {
    let folder = scratch();
    let vp8 = "libvpx -deadline realtime -cpu-used 8 -g 10 -auto-alt-ref 0";
    for (name, codec, rate, seconds, samples) in [
        ("a.webm", vp8, 30.0, 5.0, 5),
        ("b.webm", vp8, 8.0, 20.0, 20),
        ("c.mkv", "libx264 -bf 0", 12.0, 7.0, 7),
        ("d.wmv", "wmv2", 30.0, 3.0, 3),
    ] {
        let video = recording(rate, seconds, codec, &folder.path().join(name));
        assert!((video.info().average_fps - rate).abs() < rate * 0.05, "{name}: {:?}", video.info());
        let times = video.sampled_timestamps();
        assert_eq!(times.len(), samples, "{name}: {times:?} {:?}", video.info());
        for (second, time) in times.iter().enumerate() {
            assert!((time - second as f64).abs() < 0.1, "{name}: {times:?}");
        }
        assert!(video.warnings().is_empty(), "{name}: {:?}", video.warnings());
        assert!((video.info().duration - seconds).abs() < 0.3, "{name}: {:?}", video.info());
    }
}

#[test]
fn a_rate_that_the_times_contradict_is_said_and_not_used() {
    let folder = scratch();
    let path = folder.path().join("a.mkv");
    ffmpeg("-f lavfi -i testsrc=s=64x48:r=25:d=6 -c:v libx264 -bf 0", &path);
    assert_eq!(Video::open(&path).unwrap().sampled_indices(), [0, 25, 50, 75, 100, 125]);
    // Half the default duration: 50 frames a second.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|bytes| bytes == [0x23, 0xe3, 0x83]).unwrap() + 4;
    let size = usize::from(bytes[at - 1] & 0x7f);
    let half = 20_000_000_u64.to_be_bytes();
    bytes[at..at + size].copy_from_slice(&half[8 - size..]);
    std::fs::write(&path, bytes).unwrap();
    let video = Video::open(&path).unwrap();
    assert_eq!(video.sampled_indices(), [0, 25, 50, 75, 100, 125], "{:?}", video.info());
    assert!(
        warnings(&video).iter().any(|said| said.contains("50 fps") && said.contains("25.0")),
        "{:?}",
        warnings(&video)
    );
}

/// AVI has no times of frames that are decoded before they are shown, and counts empty chunks into its rate.
#[test]
fn times_of_decoding_tell_the_rate_where_others_are_missing() {
    let folder = scratch();
    let (mp4, avi) = (folder.path().join("a.mp4"), folder.path().join("a.avi"));
    ffmpeg("-f lavfi -i testsrc=s=64x48:r=10:d=6 -c:v libx264 -bf 2", &mp4);
    ffmpeg(&format!("-i {} -c copy", mp4.display()), &avi);
    let video = Video::open(&avi).unwrap();
    assert_eq!(video.sampled_indices(), [0, 10, 20, 30, 40, 50], "{:?}", video.info());
    assert!((video.info().duration - 6.0).abs() < 0.2, "{:?}", video.info());
    assert!(!warnings(&video).iter().any(|said| said.contains("cut short")), "{:?}", warnings(&video));
}

#[test]
fn frames_that_share_a_time_leave_the_other_times_alone() {
    let folder = scratch();
    // 60 frames a second for half a second, then 5.
    let source =
        "-f lavfi -i testsrc2=s=16x16:r=10:d=6 -vf settb=1/1000,setpts=if(lt(N\\,30)\\,N*1000/60\\,500+(N-30)*200)";
    for (name, codec) in [
        ("a.mkv", "ffv1"),
        ("b.mkv", "libx264 -bf 0 -g 15"),
        ("c.mkv", "mpeg2video -g 6 -bf 0 -sc_threshold 1000000000"),
    ] {
        let path = ffmpeg(
            &format!("{source} -fps_mode passthrough -enc_time_base 1/1000 -c:v {codec} -strict -2"),
            &folder.path().join(name),
        );
        let mut bytes = std::fs::read(&path).unwrap();
        // The time of frame 20 in its block, 333 ms after the cluster's, becomes that of frame 19.
        let block = |bytes: &[u8]| bytes[0] == 0x81 && bytes[1..3] == 333_u16.to_be_bytes() && bytes[3] & 0x7f == 0;
        let at = bytes.windows(4).position(block).unwrap_or_else(|| panic!("{name}: no frame at 333 ms"));
        bytes[at + 1..at + 3].copy_from_slice(&316_u16.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();

        let at = Sampling::Timestamps(vec![0.316, 0.5, 3.0]);
        let video = Video::open_with(&path, every().with_sampling(at)).unwrap();
        assert_eq!(video.sampled_indices(), [20, 30, 42], "{name}: {:?}", video.warnings());
        assert_eq!(video.info().frame_count, 60, "{name}");
        let of = |options: VideoOptions| read_all(&Video::open_with(&path, options).unwrap()).0;
        let whole = of(every().with_decoding(Decoding::Full));
        assert_eq!(whole.len(), 60, "{name}");
        assert!((whole[19].timestamp, whole[20].timestamp) == (0.316, 0.316), "{name}");
        for step in [1, 2, 3, 4, 19] {
            let frames = of(every().with_sampling(Sampling::Every(step)));
            assert_eq!(frames.len(), 60_usize.div_ceil(step), "{name} {step}");
            for frame in frames {
                assert!(frame == whole[frame.index], "{name}, every {step}: frame {}", frame.index);
            }
        }
    }
}

#[test]
fn times_that_begin_late_are_no_sign_of_a_cut() {
    let folder = scratch();
    let video = "-f lavfi -i testsrc=s=64x48:r=10:d=6 -c:v libx264";
    let sound_first = "-f lavfi -i sine=d=12 -itsoffset 5 -f lavfi -i testsrc=s=64x48:r=10:d=6 -map 0 -map 1 -c:v libx264 \
        -fps_mode passthrough";
    for (name, arguments) in [
        ("a.mp4", format!("{video} -output_ts_offset 7.3")),
        ("b.mkv", format!("{video} -output_ts_offset 7.3")),
        ("c.mp4", format!("{video} -output_ts_offset 360000")),
        ("d.mkv", format!("{video} -output_ts_offset 360000")),
        ("e.ts", format!("{video} -output_ts_offset 7.3")),
        ("f.mov", format!("{video} -output_ts_offset 100")),
        ("g.mp4", sound_first.to_owned()),
        ("h.mkv", sound_first.to_owned()),
        ("i.flv", format!("{video} -output_ts_offset 7.3")),
        ("j.mp4", format!("{video} -movflags frag_keyframe+empty_moov -g 10 -output_ts_offset 7.3")),
    ] {
        let path = ffmpeg(&arguments, &folder.path().join(name));
        let video = Video::open(&path).unwrap();
        assert_eq!(warnings(&video), [""; 0], "{name}: {:?}", video.info());
        assert_eq!(video.sampled_timestamps(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}");
    }
}

#[test]
fn a_late_beginning_hides_no_cut() {
    let folder = scratch();
    let arguments = "-f lavfi -i testsrc=s=160x120:r=10:d=6 -c:v mpeg4 -q:v 2 -output_ts_offset 360000";
    let whole = std::fs::read(ffmpeg(arguments, &folder.path().join("whole.mkv"))).unwrap();
    let path = folder.path().join("half.mkv");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(!Video::open(&path).unwrap().warnings().is_empty());
}

#[test]
fn edit_lists_that_repeat_are_no_sign_of_a_cut() {
    let folder = scratch();
    let path = folder.path().join("loop.mp4");
    let mut bytes = mp4("-f lavfi -i testsrc=s=64x48:r=10:d=2 -c:v mpeg4 -use_editlist 0", &path);
    if let Some(at) = bytes.windows(4).position(|name| name == b"edts") {
        bytes[at..at + 4].copy_from_slice(b"free");
    }
    // One edit of the whole, with the flag that says to repeat it; headers state the length of a hundred rounds.
    let long = (200_000_u32).to_be_bytes();
    let (movie, track) = (find(&bytes, b"mvhd", 0), find(&bytes, b"tkhd", 0));
    let scale = u32::from_be_bytes(bytes[movie + 20..movie + 24].try_into().unwrap());
    assert_eq!(scale, 1000);
    bytes[movie + 24..movie + 28].copy_from_slice(&long);
    bytes[track + 28..track + 32].copy_from_slice(&long);
    let edit = boxed(b"elst", &[&[0, 0, 0, 1], &1_u32.to_be_bytes(), &2000_u32.to_be_bytes(), &[0; 4], &[0, 1, 0, 0]]);
    let (moov, trak, mdia) = (find(&bytes, b"moov", 0), find(&bytes, b"trak", 0), find(&bytes, b"mdia", 0));
    insert(&mut bytes, mdia, &[moov, trak], &boxed(b"edts", &[&edit]));
    std::fs::write(&path, bytes).unwrap();
    let video = Video::open(&path).unwrap();
    assert_eq!(warnings(&video), [""; 0]);
    assert_eq!((video.info().frame_count, video.sampled_indices()), (20, &[0, 10][..]));
}
