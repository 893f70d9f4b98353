//! Frames are those of the library, and what is too much or no video is refused.

use std::{fs, path::Path, time::Duration};

use longvu::{ErrorKind, Sampling, Video, VideoOptions, VisualKind, video};
use longvu_server::{
    Isolation,
    internals::{DecodeError, DecodeLimits, Decoder},
};

use crate::{
    Test,
    support::{LIMITS, all, children, ffmpeg, golden, isolated, refusal, scratch, soon},
};

pub const TESTS: &[Test] = &[
    ("frames_are_those_of_the_library", frames_are_those_of_the_library),
    ("pictures_are_those_of_the_library", pictures_are_those_of_the_library),
    ("warnings_come_along", warnings_come_along),
    ("errors_do_not_name_the_file", errors_do_not_name_the_file),
    ("too_many_frames_are_refused", too_many_frames_are_refused),
    ("ten_hours_are_refused_at_once", ten_hours_are_refused_at_once),
    ("too_many_pixels_are_refused", too_many_pixels_are_refused),
    ("lists_and_scripts_are_refused_by_name", lists_and_scripts_are_refused_by_name),
    ("settings_without_sense_are_refused", settings_without_sense_are_refused),
];

fn frames_are_those_of_the_library() {
    let (processes, threads) = (isolated(LIMITS), Decoder::new(Isolation::InProcess, LIMITS).unwrap());
    for entry in fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        let rate = VideoOptions::default();
        let times = Sampling::Timestamps(vec![0.1 + 0.2, 1.0 / 3.0]);
        for options in [
            rate.clone(),
            rate.clone().with_sampling(Sampling::Uniform(5)),
            rate.clone().with_sampling(times),
            rate.with_sampling(Sampling::Fps(2.0)).with_start(0.3).with_end(10.0 / 3.0),
        ] {
            let video = Video::open_with(&path, options.clone()).unwrap();
            let expected: Vec<longvu::Frame> = video.frames().unwrap().map(|frame| frame.unwrap().into()).collect();
            for decoder in [&processes, &threads] {
                let decoding = decoder.open(&path, &options).unwrap();
                let info = video.info();
                assert_eq!((decoding.kind, decoding.frames), (VisualKind::Video, expected.len()), "{}", path.display());
                assert_eq!((decoding.size, decoding.duration), ((info.width, info.height), info.duration));
                let frames: Vec<longvu::Frame> = decoding.map(Result::unwrap).collect();
                assert!(frames == expected, "{}: {options:?}", path.display());
            }
        }
    }
    soon("the end of the processes", || children().is_empty());
}

fn pictures_are_those_of_the_library() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../longvu-video/tests/pictures");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jpg") {
            continue;
        }
        let image = video::open_image(&path).unwrap();
        let decoding = isolated(LIMITS).open(&path, &VideoOptions::default()).unwrap();
        assert_eq!((decoding.kind, decoding.frames, decoding.duration), (VisualKind::Image, 1, 0.0));
        let frames: Vec<longvu::Frame> = decoding.map(Result::unwrap).collect();
        assert!(frames == [image.frame.into()], "{}", path.display());
        seen += 1;
    }
    assert!(seen > 3, "{seen}");
}

fn warnings_come_along() {
    let folder = scratch();
    let path = folder.path().join("cut.mp4");
    let whole =
        ffmpeg("-f lavfi -i testsrc=s=64x48:d=4:r=10 -c:v mpeg4 -movflags faststart", folder.path().join("a.mp4"));
    let bytes = fs::read(whole).unwrap();
    fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let video = Video::open(&path).unwrap();
    let mut frames = video.frames().unwrap();
    let expected = frames.by_ref().filter(Result::is_ok).count();
    let texts: Vec<String> = frames.warnings().iter().map(ToString::to_string).collect();
    assert!(!texts.is_empty());
    let (frames, warnings) = all(&isolated(LIMITS), &path, &VideoOptions::default());
    assert_eq!((frames.len(), warnings), (expected, texts));
}

fn errors_do_not_name_the_file() {
    let folder = scratch();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text.mp4"), "hello").unwrap();
    fs::write(path("empty.mp4"), "").unwrap();
    fs::write(path("broken.png"), b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR").unwrap();
    for (name, kind, said) in [
        ("text.mp4", ErrorKind::BadInput, "the video: not a video"),
        ("empty.mp4", ErrorKind::BadInput, "the video: the file is empty"),
        ("broken.png", ErrorKind::BadInput, "the picture: "),
        ("gone.mp4", ErrorKind::NotFound, "the video: no such file"),
    ] {
        for decoder in [isolated(LIMITS), Decoder::new(Isolation::InProcess, LIMITS).unwrap()] {
            let error = refusal(&decoder, &path(name), &VideoOptions::default());
            let message = error.to_string();
            assert!(matches!(error, DecodeError::Refused { .. }), "{error:?}");
            assert!(message.starts_with(said) && !message.contains(name), "{message}");
            assert!(!message.contains(&*folder.path().to_string_lossy()), "{message}");
            assert_eq!(error.kind(), kind, "{message}");
        }
    }
}

fn too_many_frames_are_refused() {
    let limits = DecodeLimits { frames: 10, ..LIMITS };
    let every = VideoOptions::default().with_sampling(Sampling::Every(1));
    let error = refusal(&isolated(limits), &golden("video1.mp4"), &every);
    assert!(matches!(error, DecodeError::TooManyFrames { frames: 11.., limit: 10 }), "{error:?}");
    let ten = VideoOptions::default().with_sampling(Sampling::Uniform(10));
    assert_eq!(all(&isolated(limits), &golden("video1.mp4"), &ten).0.len(), 10);
    let short = DecodeLimits { seconds: 2.0, ..LIMITS };
    let error = refusal(&isolated(short), &golden("video1.mp4"), &ten);
    assert!(matches!(error, DecodeError::TooLong { limit: 2.0, .. }), "{error:?}");
    assert!(!all(&isolated(short), &golden("video1.mp4"), &ten.with_start(1.0).with_end(3.0)).0.is_empty());
}

fn ten_hours_are_refused_at_once() {
    let folder = scratch();
    let path = ffmpeg("-f lavfi -i color=s=16x16:r=1:d=36000 -c:v mpeg4", folder.path().join("long.mp4"));
    let start = std::time::Instant::now();
    let error = refusal(&isolated(LIMITS), &path, &VideoOptions::default());
    assert!(matches!(error, DecodeError::TooManyFrames { frames: 36_000, limit: 1000 }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let few = VideoOptions::default().with_sampling(Sampling::Uniform(3));
    assert_eq!(all(&isolated(LIMITS), &path, &few).0.len(), 3);
}

/// The checksum of a PNG's parts.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn too_many_pixels_are_refused() {
    let folder = scratch();
    let part = |kind: &[u8], content: &[u8]| {
        let named = [kind, content].concat();
        [&(content.len() as u32).to_be_bytes()[..], &named, &crc(&named).to_be_bytes()].concat()
    };
    let side = 30_000_u32.to_be_bytes();
    let head = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    let bomb =
        [b"\x89PNG\r\n\x1a\n", &part(b"IHDR", &head)[..], &part(b"IDAT", &[0; 50]), &part(b"IEND", &[])].concat();
    let path = folder.path().join("bomb.png");
    fs::write(&path, bomb).unwrap();
    let error = refusal(&isolated(LIMITS), &path, &VideoOptions::default());
    assert!(error.to_string().contains("30000x30000") && error.kind() == ErrorKind::DoesNotFit, "{error}");

    let small = DecodeLimits { pixels: 100, ..LIMITS };
    let error = refusal(&isolated(small), &golden("video1.mp4"), &VideoOptions::default());
    assert!(error.to_string().contains("over the limit of 100 pixels"), "{error}");
    assert_eq!(error.kind(), ErrorKind::DoesNotFit);
}

fn lists_and_scripts_are_refused_by_name() {
    let folder = scratch();
    fs::copy(golden("video1.mp4"), folder.path().join("secret.mp4")).unwrap();
    let path = folder.path().join("upload");
    for (text, kind) in [
        ("ffconcat version 1.0\nfile 'secret.mp4'\n", "concat"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n", "HLS"),
        ("<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"></MPD>\n", "DASH"),
        ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", "SDP"),
    ] {
        fs::write(&path, text).unwrap();
        let error = refusal(&isolated(LIMITS), &path, &VideoOptions::default());
        assert!(error.to_string().contains(kind) && error.kind() == ErrorKind::BadInput, "{kind}: {error}");
    }
}

fn settings_without_sense_are_refused() {
    for options in [VideoOptions::default().with_start(f64::NAN), VideoOptions::default().with_start(2.0).with_end(1.0)]
    {
        let error = refusal(&isolated(LIMITS), &golden("video1.mp4"), &options);
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
    }
}
