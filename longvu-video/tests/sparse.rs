//! Decoding only what the sampled frames depend on gives the bytes that decoding everything gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{every, ffmpeg, golden_dir, read_all, scratch};
use longvu_video::{DecodedFrame, Decoding, Sampling, Stats, Video, VideoOptions, Warning};

/// Dense, sparse, spread and picked samplings, whole and in part.
fn samplings() -> Vec<VideoOptions> {
    let with = |sampling| VideoOptions::default().with_sampling(sampling);
    vec![
        with(Sampling::Every(1)),
        with(Sampling::Every(2)),
        with(Sampling::Every(7)),
        with(Sampling::Fps(1.0)),
        with(Sampling::Every(61)),
        with(Sampling::Uniform(2)),
        with(Sampling::Uniform(9)),
        with(Sampling::Timestamps(vec![0.7, 1.93, 1.97, 3.3])),
        with(Sampling::Every(10)).with_start(1.3),
        with(Sampling::Every(1)).with_start(2.7).with_end(2.9),
        with(Sampling::Every(13)).with_start(0.9).with_end(3.4),
    ]
}

/// Compares both ways with one sampling; what each had to do.
fn compare(path: &Path, options: &VideoOptions) -> Option<(Stats, Stats)> {
    let [sparse, full] = [Decoding::Sparse, Decoding::Full].map(|decoding| {
        let video = Video::open_with(path, options.clone().with_decoding(decoding)).ok()?;
        let mut iterator = video.frames().unwrap();
        let frames: Result<Vec<_>, _> = iterator.by_ref().collect();
        Some((frames.ok()?, iterator.stats(), iterator.warnings().to_vec()))
    });
    assert_eq!(sparse.is_some(), full.is_some(), "{} {options:?}", path.display());
    let ((frames, stats, warnings), (expected, full_stats, full_warnings)) = (sparse?, full?);
    let indices = |frames: &[DecodedFrame]| frames.iter().map(|frame| frame.index).collect::<Vec<_>>();
    assert_eq!(indices(&frames), indices(&expected), "{} {options:?}", path.display());
    for (frame, expected) in frames.iter().zip(&expected) {
        assert!(
            frame == expected,
            "{} {options:?}: frame {} differs {stats:?} {full_stats:?}",
            path.display(),
            frame.index
        );
    }
    let lost = |stats: &Stats| (stats.missing, stats.replaced, stats.converted);
    assert_eq!(lost(&stats), lost(&full_stats), "{} {options:?}", path.display());
    let of_decoding = |warning: &Warning| matches!(warning, Warning::Damaged { .. });
    let rest = |warnings: Vec<Warning>| warnings.into_iter().filter(|w| !of_decoding(w)).collect::<Vec<_>>();
    assert_eq!(rest(warnings), rest(full_warnings), "{} {options:?}", path.display());
    Some((stats, full_stats))
}

/// Compares with every sampling that has a frame; the shares of frames decoded, in percent: sampled every 7th frame, and
/// every 61st.
fn compare_all(path: &Path) -> (usize, usize) {
    let mut shares = Vec::new();
    for options in samplings() {
        let Some((sparse, full)) = compare(path, &options) else { continue };
        assert!(sparse.decoded <= full.decoded, "{} {options:?}: {sparse:?} {full:?}", path.display());
        if matches!(options.sampling, Sampling::Every(7 | 61)) {
            shares.push(sparse.decoded * 100 / full.decoded);
        }
    }
    (shares[0], shares[1])
}

#[test]
fn golden_videos() {
    let mut videos = 0;
    for entry in std::fs::read_dir(golden_dir().join("videos")).unwrap() {
        compare_all(&entry.unwrap().path());
        videos += 1;
    }
    assert!(videos > 0);
}

/// Makes a video of `arguments` and checks it; at most `most` percent of frames are to be decoded for samples every 7 and
/// every 61 frames.
fn check(name: &str, arguments: &str, most: (usize, usize)) {
    let folder = scratch();
    let source = "-f lavfi -i testsrc2=s=128x96:r=25:d=5 -pix_fmt yuv420p";
    let path = ffmpeg(&format!("{source} {arguments}"), &folder.path().join(name));
    let shares = compare_all(&path);
    assert!(shares.0 <= most.0 && shares.1 <= most.1, "{name} {arguments}: {shares:?} % of frames decoded");
}

#[test]
fn h264() {
    // Without B pictures, as the `ultrafast` preset has none.
    check("a.mp4", "-c:v libx264 -preset ultrafast -g 20", (90, 40));
    check("a.mp4", "-c:v libx264 -bf 3 -g 30 -x264-params b-pyramid=normal", (75, 40));
    check("a.mkv", "-c:v libx264 -bf 2 -g 15", (70, 30));
    check("a.ts", "-c:v libx264 -bf 3 -g 25", (75, 40));
    check("a.flv", "-c:v libx264 -bf 3 -g 25", (75, 40));
}

/// Pictures that are marked as keys and are none to start from.
#[test]
fn h264_without_clean_starts() {
    check("open.mkv", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1", (80, 80));
    check("open.ts", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1", (80, 80));
    check("refresh.mp4", "-c:v libx264 -bf 0 -x264-params intra-refresh=1:keyint=20", (100, 100));
    check("fields.ts", "-c:v libx264 -bf 2 -g 20 -flags +ilme+ildct -x264-params tff=1", (100, 100));
}

#[test]
fn hevc() {
    let hevc = |more: &str| format!("-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=20:{more}");
    check("open.mp4", &hevc("open-gop=1:bframes=4"), (80, 40));
    check("open.ts", &hevc("open-gop=1:bframes=4"), (80, 40));
    check("closed.mkv", &hevc("open-gop=0:bframes=2"), (80, 40));
    check("layers.mp4", &hevc("open-gop=1:bframes=4:b-adapt=0:temporal-layers=1"), (90, 50));
}

#[test]
fn vp9_and_av1() {
    check("a.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20 -lag-in-frames 10 -auto-alt-ref 1", (90, 40));
    check("a.mkv", "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 20", (90, 40));
}

#[test]
fn mpeg_1_and_2() {
    check("a.ts", "-c:v mpeg2video -bf 2 -g 12", (80, 30));
    check("a.mkv", "-c:v mpeg2video -bf 2 -g 12 -flags +cgop -sc_threshold 1000000000", (80, 30));
    check("a.mpg", "-c:v mpeg1video -bf 2 -g 12", (100, 100));
    check("fields.ts", "-c:v mpeg2video -bf 2 -g 12 -flags +ilme+ildct", (80, 30));
}

#[test]
fn codecs_without_references() {
    check("a.mkv", "-c:v mjpeg -pix_fmt yuvj420p", (20, 10));
    check("a.mov", "-c:v prores -pix_fmt yuv422p10", (20, 10));
    check("a.nut", "-c:v rawvideo", (20, 10));
}

#[test]
fn variable_rate_and_edit_lists() {
    check(
        "vfr.mkv",
        "-vf select=not(eq(mod(n\\,7)\\,3)),setpts=PTS+sin(N)*0.3 -fps_mode vfr -c:v libx264 -bf 3 -g 20",
        (80, 60),
    );
    let folder = scratch();
    let source = "-f lavfi -i testsrc2=s=128x96:d=8:r=25 -c:v libx264 -bf 2 -g 40";
    let whole = ffmpeg(source, &folder.path().join("whole.mp4"));
    let part = ffmpeg(&format!("-ss 1.2 -i {} -c copy", whole.display()), &folder.path().join("part.mp4"));
    compare_all(&part);
}

#[test]
fn parameters_that_change_midway() {
    // Two transport streams of different sizes, one after the other in time and in the file.
    let folder = scratch();
    let part = |size: &str, offset: u32| {
        let arguments = format!(
            "-f lavfi -i testsrc2=s={size}:r=25:d=3 -c:v libx264 -bf 2 -g 15 -output_ts_offset {offset} -muxdelay 0"
        );
        std::fs::read(ffmpeg(&arguments, &folder.path().join("part.ts"))).unwrap()
    };
    let path = folder.path().join("joined.ts");
    std::fs::write(&path, [part("128x96", 0), part("160x64", 10)].concat()).unwrap();
    let video = Video::open(&path).unwrap();
    assert!(!video.warnings().iter().any(|warning| matches!(warning, Warning::NoTimestamps { .. })));
    compare_all(&path);
}

/// Damage changes no frame outside its own group of pictures, whatever was left out; and it is noticed.
///
/// Within the group nothing can be compared: what FFmpeg's threads put in the place of lost parts differs from run to run.
#[test]
fn damaged_files() {
    let folder = scratch();
    let mut noticed = 0;
    for (name, codec) in [
        ("a.mp4", "libx264 -bf 2 -movflags +faststart"),
        ("b.mkv", "mpeg2video -bf 2"),
        ("c.webm", "libvpx-vp9 -deadline realtime -cpu-used 8"),
    ] {
        let arguments = format!("-f lavfi -i testsrc2=s=128x96:d=4:r=25 -g 25 -c:v {codec}");
        let path = ffmpeg(&arguments, &folder.path().join(name));
        let whole = std::fs::read(&path).unwrap();
        let every_7th = VideoOptions::default().with_sampling(Sampling::Every(7));
        let (expected, _) = read_all(&Video::open_with(&path, every()).unwrap());
        for part in 4..15 {
            let mut bytes = whole.clone();
            let middle = bytes.len() * part / 16;
            bytes[middle..][..300].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 37 % 256) as u8);
            std::fs::write(&path, bytes).unwrap();
            let (frames, iterator) = read_all(&Video::open_with(&path, every_7th.clone()).unwrap());
            let same = |frame: &&DecodedFrame| {
                expected.iter().any(|e| (e.timestamp - frame.timestamp).abs() < 1e-6 && e.rgb == frame.rgb)
            };
            let wrong: Vec<f64> = frames.iter().filter(|f| !same(f)).map(|frame| frame.timestamp).collect();
            let span = wrong.last().unwrap_or(&0.0) - wrong.first().unwrap_or(&0.0);
            assert!(span <= 1.0, "{name} {part}: wrong at {wrong:?}, {:?}", iterator.stats());
            noticed += usize::from(iterator.stats().damaged_packets + iterator.stats().damaged_frames > 0);
        }
    }
    assert!(noticed > 10, "{noticed}");
}
