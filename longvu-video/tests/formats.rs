//! Containers, codecs, rates, rotations and pixel formats that must simply work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{every, ffmpeg, golden_video, mean_rgb, read_all, scratch};
use longvu_video::{Decoding, Frames, Sampling, Video, VideoOptions, Warning};

fn is_near(frame: &longvu_video::DecodedFrame, place: (u32, u32), colour: [u8; 3]) -> bool {
    let at = (place.1 as usize * frame.width as usize + place.0 as usize) * 3;
    frame.rgb[at..at + 3].iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 24)
}

/// A video whose left half is red and right half blue, 64 x 48.
const HALVES: &str = "-f lavfi -i color=red:s=32x48:r=10:d=1 -f lavfi -i color=blue:s=32x48:r=10:d=1 \
    -filter_complex [0][1]hstack -c:v mpeg4 -q:v 2";

#[test]
fn frames_can_move_between_threads() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Frames>();
    let frames = Video::open(golden_video("odd_size.mp4")).unwrap().frames().unwrap();
    let count = std::thread::spawn(move || frames.flatten().count()).join().unwrap();
    assert_eq!(count, 4);
}

#[test]
fn every_frame_equals_the_ffmpeg_program() {
    for name in ["mpeg2.ts", "vfr.mp4", "vp9_10fps.webm", "odd_size.mp4", "slow_half_fps.mp4"] {
        let folder = scratch();
        let arguments = format!("-i {} -fps_mode passthrough -f rawvideo -pix_fmt rgb24", golden_video(name).display());
        let raw = std::fs::read(ffmpeg(&arguments, &folder.path().join("raw"))).unwrap();
        let video = Video::open_with(golden_video(name), every()).unwrap();
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames.len() * frames[0].rgb.len(), raw.len(), "{name}");
        for (place, (frame, expected)) in frames.iter().zip(raw.chunks(frames[0].rgb.len())).enumerate() {
            assert_eq!(frame.index, place, "{name}");
            let apart: u64 = frame.rgb.iter().zip(expected).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(apart as f64 / (expected.len() as f64) < 0.5, "{name}, frame {place}");
        }
        assert_eq!(iterator.warnings(), [], "{name}");
    }
}

#[test]
fn only_sampled_frames_are_converted_and_decoding_stops_early() {
    for (decoding, decoded) in [(Decoding::Full, 121..=121), (Decoding::Sparse, 5..=100)] {
        let options = VideoOptions::default().with_end(5.0).with_decoding(decoding);
        let video = Video::open_with(golden_video("video1.mp4"), options).unwrap();
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames.iter().map(|frame| frame.index).collect::<Vec<_>>(), [0, 30, 60, 90, 120]);
        let stats = iterator.stats();
        assert!(decoded.contains(&stats.decoded) && stats.converted == 5, "{decoding:?}: {stats:?}");
    }
}

#[test]
fn a_range_of_a_variable_rate_video_goes_by_time() {
    let whole = Video::open_with(golden_video("vfr.mp4"), every()).unwrap();
    let times = whole.sampled_timestamps();
    let ranged = Video::open_with(golden_video("vfr.mp4"), every().with_start(1.0).with_end(3.0)).unwrap();
    let expected: Vec<usize> = (0..times.len()).filter(|i| (1.0..3.0).contains(&times[*i])).collect();
    assert_eq!(ranged.sampled_indices(), expected);
    let at = Sampling::Timestamps(vec![times[100], times[100] + 1e-4, 0.0]);
    let picked = Video::open_with(golden_video("vfr.mp4"), VideoOptions::default().with_sampling(at)).unwrap();
    assert_eq!(picked.sampled_indices(), [0, 100]);
}

#[test]
fn the_cap_spreads_frames() {
    let video = Video::open_with(golden_video("video1.mp4"), VideoOptions::default().with_max_frames(4)).unwrap();
    assert_eq!(video.sampled_indices(), [0, 150, 300, 450]);
}

/// Writes the matrix `[a, b, c, d]` of whole numbers into the track header of an MP4 file.
fn set_matrix(path: &Path, [a, b, c, d]: [i32; 4]) {
    let mut bytes = std::fs::read(path).unwrap();
    let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    let one = 1 << 16;
    let words = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
    let words: Vec<u8> = words.iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
    bytes[header + 44..][..36].copy_from_slice(&words);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn rotation_is_applied_unless_declined() {
    let folder = scratch();
    let path = ffmpeg(HALVES, &folder.path().join("halves.mp4"));
    for (matrix, turn, mirrored, size, red, blue) in [
        ([1, 0, 0, 1], 0, false, (64, 48), (8, 24), (56, 24)),
        ([0, 1, -1, 0], 90, false, (48, 64), (24, 8), (24, 56)),
        ([-1, 0, 0, -1], 180, false, (64, 48), (56, 24), (8, 24)),
        ([0, -1, 1, 0], 270, false, (48, 64), (24, 56), (24, 8)),
        ([-1, 0, 0, 1], 0, true, (64, 48), (56, 24), (8, 24)),
    ] {
        set_matrix(&path, matrix);
        let video = Video::open(&path).unwrap();
        let (frames, _) = read_all(&video);
        let info = video.info();
        assert_eq!((info.width, info.height, info.rotation, info.mirrored), (size.0, size.1, turn, mirrored));
        assert_eq!((frames[0].width, frames[0].height), size, "{turn}");
        assert!(is_near(&frames[0], red, [254, 0, 0]), "{turn}");
        assert!(is_near(&frames[0], blue, [0, 0, 254]), "{turn}");

        let stored = Video::open_with(&path, every().with_autorotate(false)).unwrap();
        let (frames, _) = read_all(&stored);
        assert_eq!((stored.info().width, stored.info().height, stored.info().rotation), (64, 48, turn));
        assert!(is_near(&frames[0], (8, 24), [254, 0, 0]), "{turn}");
    }
    // An eighth of a turn is left alone, and said.
    set_matrix(&path, [1, 1, -1, 1]);
    let video = Video::open(&path).unwrap();
    assert_eq!((video.info().width, video.warnings()), (64, &[Warning::UnusualRotation][..]));
}

#[test]
fn odd_sizes_and_pixel_formats() {
    let folder = scratch();
    for (format, size) in [
        ("yuv420p", "37x21"),
        ("yuv422p", "33x17"),
        ("yuv444p", "1x1"),
        ("gray", "31x7"),
        ("rgb24", "29x13"),
        ("bgra", "30x14"),
        ("yuv420p10le", "63x35"),
        ("gbrp12le", "17x9"),
        ("yuva420p", "22x10"),
        ("gray16le", "9x31"),
        ("nv12", "34x18"),
    ] {
        let codec = if format == "nv12" { "rawvideo" } else { "ffv1" };
        let arguments = format!(
            "-f lavfi -i color=0x4080c0:s=64x64:d=0.4:r=10,format=gbrp -vf scale={size} -pix_fmt {format} -c:v {codec} -strict -2"
        );
        let path = ffmpeg(&arguments, &folder.path().join(format!("{format}.nut")));
        let (frames, _) = read_all(&Video::open_with(&path, every()).unwrap());
        assert_eq!(frames.len(), 4, "{format}");
        assert_eq!(format!("{}x{}", frames[0].width, frames[0].height), size, "{format}");
        let mean = mean_rgb(&frames[0]);
        let expected = if format.starts_with("gray") { [117.0; 3] } else { [64.0, 128.0, 192.0] };
        for (ours, theirs) in mean.iter().zip(expected) {
            assert!((ours - theirs).abs() < 4.0, "{format}: {mean:?}");
        }
    }
}

#[test]
fn the_tagged_colour_matrix_and_range_are_used() {
    let folder = scratch();
    for (matrix, range) in [("bt709", "tv"), ("bt709", "pc"), ("smpte170m", "tv"), ("smpte170m", "pc")] {
        let filter = format!("scale=out_color_matrix={matrix}:out_range={range}");
        let arguments = format!(
            "-f lavfi -i color=0xc03020:s=64x64:d=0.2:r=10,format=gbrp -vf {filter} -pix_fmt yuv444p -c:v ffv1 \
             -colorspace {matrix} -color_range {range}"
        );
        let path = ffmpeg(&arguments, &folder.path().join("colour.mkv"));
        let (frames, _) = read_all(&Video::open(&path).unwrap());
        let mean = mean_rgb(&frames[0]);
        for (ours, theirs) in mean.iter().zip([192.0, 48.0, 32.0]) {
            assert!((ours - theirs).abs() < 4.0, "{matrix} {range}: {mean:?}");
        }
    }
}

#[test]
fn very_wide_pictures() {
    let folder = scratch();
    let path = ffmpeg("-f lavfi -i testsrc=s=16384x64:d=0.2:r=10 -c:v ffv1", &folder.path().join("wide.mkv"));
    let (frames, _) = read_all(&Video::open(&path).unwrap());
    assert_eq!((frames[0].width, frames[0].height), (16384, 64));
    assert_eq!(frames[0].rgb.len(), 16384 * 64 * 3);
}

#[test]
fn size_and_format_that_change_midway() {
    // Transport streams and raw streams can be joined byte by byte.
    let folder = scratch();
    let make = |size: &str, format: &str, colour: &str| {
        let arguments = format!(
            "-f lavfi -i color={colour}:s={size}:d=1:r=10 -pix_fmt {format} -c:v libx264 -bsf:v h264_mp4toannexb -f h264"
        );
        std::fs::read(ffmpeg(&arguments, &folder.path().join("part.h264"))).unwrap()
    };
    let joined = [make("64x48", "yuv420p", "red"), make("96x64", "yuv444p", "blue")].concat();
    let path = folder.path().join("joined.h264");
    std::fs::write(&path, joined).unwrap();
    let video = Video::open_with(&path, every()).unwrap();
    assert_eq!(video.info().frame_count, 20);
    let (frames, iterator) = read_all(&video);
    assert_eq!(frames.len(), 20);
    assert!(frames.iter().all(|frame| (frame.width, frame.height) == (64, 48)));
    assert!(is_near(&frames[0], (9, 9), [254, 0, 0]) && is_near(&frames[19], (9, 9), [0, 0, 254]));
    assert!(iterator.warnings().contains(&Warning::SizeChanged { index: 10, width: 96, height: 64 }));
}

#[test]
fn streams_without_timestamps_go_by_their_rate() {
    let folder = scratch();
    let path =
        ffmpeg("-f lavfi -i testsrc=s=64x48:d=2:r=25 -c:v libx264 -bf 2 -f h264", &folder.path().join("raw.h264"));
    let video = Video::open(&path).unwrap();
    assert_eq!((video.info().frame_count, video.info().average_fps), (50, 25.0));
    assert_eq!(video.sampled_indices(), [0, 25]);
    let (frames, _) = read_all(&video);
    assert_eq!(frames.iter().map(|frame| (frame.index, frame.timestamp)).collect::<Vec<_>>(), [(0, 0.0), (25, 1.0)]);
}

#[test]
fn many_containers_give_the_same_frames() {
    let folder = scratch();
    for (name, codec) in [
        ("a.mp4", "libx264 -bf 3"),
        ("a.mkv", "libx264 -bf 3"),
        ("a.mov", "mpeg4 -bf 2"),
        ("a.avi", "mpeg4"),
        ("a.avi", "mjpeg -q:v 2"),
        ("a.ts", "libx264 -bf 3"),
        ("a.flv", "flv"),
        ("a.mpg", "mpeg1video"),
        ("a.webm", "libvpx -auto-alt-ref 1 -lag-in-frames 10 -b:v 300k"),
        ("a.ogv", "libtheora"),
        ("a.gif", "gif"),
        ("a.wmv", "wmv2"),
    ] {
        let arguments = format!("-f lavfi -i testsrc=s=64x48:d=4:r=25 -c:v {codec}");
        let path = ffmpeg(&arguments, &folder.path().join(name));
        let video = Video::open(&path).unwrap();
        assert_eq!(video.info().frame_count, 100, "{name} {codec}: {:?}", video.warnings());
        assert!((video.info().average_fps - 25.0).abs() < 0.1, "{name} {codec}: {:?}", video.info());
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames.iter().map(|frame| frame.index).collect::<Vec<_>>(), [0, 25, 50, 75], "{name} {codec}");
        for (second, frame) in frames.iter().enumerate() {
            assert!((frame.timestamp - second as f64).abs() < 0.02, "{name} {codec}: {frame:?}");
        }
        let damage = (iterator.stats().missing, iterator.stats().replaced, iterator.stats().damaged_packets);
        assert_eq!(damage, (0, 0, 0), "{name} {codec}");
    }
}

#[test]
fn an_edit_list_hides_its_frames() {
    // Cutting without encoding keeps frames from the keyframe on, hidden before the cut by the edit list.
    let folder = scratch();
    let whole =
        ffmpeg("-f lavfi -i testsrc=s=64x48:d=4:r=25 -c:v libx264 -bf 2 -g 50", &folder.path().join("whole.mp4"));
    let path = ffmpeg(&format!("-ss 1 -i {} -c copy", whole.display()), &folder.path().join("part.mp4"));
    let (frames, iterator) = read_all(&Video::open_with(&path, every()).unwrap());
    let (expected, _) = read_all(&Video::open_with(&whole, every()).unwrap());
    assert_eq!(frames.len(), 75);
    for (frame, expected) in frames.iter().zip(&expected[25..]) {
        assert!(frame.rgb == expected.rgb, "frame {}", frame.index);
    }
    assert_eq!((frames[0].index, frames[0].timestamp), (0, 0.0));
    assert_eq!(iterator.stats().missing, 0);
}
