//! Animated GIF, PNG and WebP: all pictures, at their times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use common::{cut, every, ffmpeg, picture_file, read_all, scratch, write_gif};
use longvu_video::{DecodedFrame, Error, Sampling, Video, VideoOptions, Warning, is_image, open_image};

/// Twenty pictures at ten a second, 160 x 128, in every format that loses nothing.
fn animations(folder: &Path) -> [(PathBuf, &'static str); 3] {
    [
        ("a.gif", "gif", "gif"),
        ("a.png", "apng -f apng", "apng"),
        ("a.webp", "libwebp_anim -pix_fmt bgra -lossless 1", "webp"),
    ]
    .map(|(name, codec, known_as)| {
        let arguments = format!("-f lavfi -i testsrc=s=160x128:d=2:r=10 -vf format=rgb24 -c:v {codec}");
        (ffmpeg(&arguments, &folder.join(name)), known_as)
    })
}

fn colour_at(frame: &DecodedFrame, (x, y): (u32, u32)) -> [u8; 3] {
    let place = (y as usize * frame.width as usize + x as usize) * 3;
    frame.rgb[place..place + 3].try_into().unwrap()
}

#[test]
fn all_pictures_of_every_format_come_with_their_times() {
    let folder = scratch();
    let arguments = "-f lavfi -i testsrc=s=160x128:d=2:r=10 -vf format=rgb24 -f rawvideo -pix_fmt rgb24";
    let raw = std::fs::read(ffmpeg(arguments, &folder.path().join("raw"))).unwrap();
    for (path, codec) in animations(folder.path()) {
        assert!(!is_image(&path), "{codec}");
        let video = Video::open_with(&path, every()).unwrap();
        let info = video.info();
        assert_eq!((info.frame_count, info.width, info.height, info.codec.as_str()), (20, 160, 128, codec));
        assert!((info.average_fps - 10.0).abs() < 1e-6 && (info.duration - 2.0).abs() < 1e-6, "{info:?}");
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames.len(), 20);
        for (number, (frame, expected)) in frames.iter().zip(raw.chunks(160 * 128 * 3)).enumerate() {
            assert_eq!(frame.index, number);
            assert!((frame.timestamp - number as f64 / 10.0).abs() < 1e-6, "{codec}: {frame:?}");
            // GIF has a palette.
            assert!(codec == "gif" || frame.rgb == expected, "{codec}: picture {number}");
        }
        assert_eq!(iterator.warnings(), [], "{codec}");
        assert_eq!((iterator.stats().decoded, iterator.stats().converted), (20, 20));
    }
}

#[test]
fn animations_are_sampled_as_videos_are() {
    let folder = scratch();
    for (path, codec) in animations(folder.path()) {
        let indices = |options| Video::open_with(&path, options).unwrap().sampled_indices().to_vec();
        let base = VideoOptions::default;
        assert_eq!(indices(base()), [0, 10], "{codec}");
        assert_eq!(indices(base().with_sampling(Sampling::Fps(2.0)).with_start(0.5)), [5, 10, 15], "{codec}");
        assert_eq!(indices(base().with_sampling(Sampling::Timestamps(vec![1.94, 0.3]))), [3, 19], "{codec}");
        assert_eq!(indices(base().with_sampling(Sampling::Uniform(4)).with_end(1.0)), [0, 2, 5, 7], "{codec}");
        let (all, _) = read_all(&Video::open_with(&path, every()).unwrap());
        let (some, iterator) = read_all(&Video::open_with(&path, base()).unwrap());
        assert_eq!(some, [all[0].clone(), all[10].clone()], "{codec}");
        assert!(iterator.stats().decoded <= 11, "{codec}: {:?}", iterator.stats());
        let error = Video::open_with(&path, base().with_start(2.5)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{codec}: {error}");
    }
}

#[test]
fn the_rate_is_that_of_the_clock() {
    let folder = scratch();
    let path = folder.path().join("a.gif");
    let delays = [&[500_u16][..], &[10; 11]].concat();
    write_gif(&path, (1, 1), &delays);
    let info = Video::open(&path).unwrap().info().clone();
    assert!((info.duration - 6.1).abs() < 1e-6 && (info.average_fps - 12.0 / 6.1).abs() < 1e-6, "{info:?}");

    let path = folder.path().join("a.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(12, 0).unwrap();
    encoder.set_frame_delay(5, 1).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for number in 0..12 {
        if number > 0 {
            // The denominator 0 stands for 100.
            writer.set_frame_delay(10, 0).unwrap();
        }
        writer.write_image_data(&[9, 9, 9]).unwrap();
    }
    writer.finish().unwrap();
    let video = Video::open_with(&path, VideoOptions::default().with_start(4.0)).unwrap();
    let info = video.info();
    assert!((info.duration - 6.1).abs() < 1e-6 && (info.average_fps - 12.0 / 6.1).abs() < 1e-6, "{info:?}");
    assert_eq!(video.sampled_indices(), [1, 3, 5, 7, 9, 11]);
    assert!((video.sampled_timestamps()[1] - 5.2).abs() < 1e-6);
}

#[test]
fn times_too_short_to_see_are_a_tenth_of_a_second() {
    // As browsers show them: up to 10 ms counts as 100 ms.
    let folder = scratch();
    let path = folder.path().join("a.gif");
    write_gif(&path, (1, 1), &[0, 1, 2, 3]);
    let video = Video::open_with(&path, every()).unwrap();
    let rounded: Vec<i64> = video.sampled_timestamps().iter().map(|time| (time * 1000.0).round() as i64).collect();
    assert_eq!(rounded, [0, 100, 200, 220]);
    assert!((video.info().duration - 0.25).abs() < 1e-6);

    let video = Video::open_with(picture_file("disposed.webp"), every()).unwrap();
    let rounded: Vec<i64> = video.sampled_timestamps().iter().map(|time| (time * 1000.0).round() as i64).collect();
    assert_eq!(rounded, [0, 300, 400]);
    assert!((video.info().duration - 1.1).abs() < 1e-6);
}

#[test]
fn pictures_build_on_the_canvas() {
    let (frames, _) = read_all(&Video::open_with(picture_file("disposed.webp"), every()).unwrap());
    let halves: Vec<_> = frames.iter().map(|frame| [colour_at(frame, (2, 2)), colour_at(frame, (12, 2))]).collect();
    let (red, blue, none) = ([255, 0, 0], [0, 0, 255], [0; 3]);
    assert_eq!(halves, [[red, none], [none, blue], [red, none]]);

    let folder = scratch();
    let path = folder.path().join("a.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(4, 0).unwrap();
    encoder.set_sep_def_img(true).unwrap();
    let mut writer = encoder.write_header().unwrap();
    // A first picture that is no part of the animation.
    writer.write_image_data(&[77; 8]).unwrap();
    writer.write_image_data(&[10, 20, 30, 255, 40, 50, 60, 255]).unwrap();
    let mut right = |dispose, blend, pixel: [u8; 4]| {
        writer.set_frame_dimension(1, 1).unwrap();
        writer.set_frame_position(1, 0).unwrap();
        writer.set_dispose_op(dispose).unwrap();
        writer.set_blend_op(blend).unwrap();
        writer.write_image_data(&pixel).unwrap();
    };
    right(png::DisposeOp::Previous, png::BlendOp::Source, [1, 2, 3, 255]);
    right(png::DisposeOp::Background, png::BlendOp::Over, [240, 50, 60, 128]);
    right(png::DisposeOp::None, png::BlendOp::Over, [7, 8, 9, 200]);
    writer.finish().unwrap();
    let (frames, iterator) = read_all(&Video::open_with(&path, every()).unwrap());
    let pixels: Vec<_> = frames.iter().map(|frame| frame.rgb.clone()).collect();
    let left = [10, 20, 30];
    let expected = [[40, 50, 60], [1, 2, 3], [140, 50, 60], [7, 8, 9]].map(|right: [u8; 3]| [left, right].concat());
    assert_eq!(pixels, expected);
    assert_eq!(iterator.warnings(), []);
}

#[test]
fn deep_animated_png_is_cut_to_eight_bits() {
    let folder = scratch();
    let path = folder.path().join("a.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0x12, 0xff, 0x34, 0x80, 0xff, 0xff]).unwrap();
    writer.write_image_data(&[0, 0xff, 1, 0, 2, 0]).unwrap();
    writer.finish().unwrap();
    let (frames, _) = read_all(&Video::open_with(&path, every()).unwrap());
    assert_eq!(frames.iter().map(|frame| frame.rgb.clone()).collect::<Vec<_>>(), [[0x12, 0x34, 0xff], [0, 1, 2]]);
}

#[test]
fn the_whole_pictures_of_a_cut_animation_come_with_a_warning() {
    let folder = scratch();
    for (whole, codec) in animations(folder.path()) {
        let (expected, _) = read_all(&Video::open_with(&whole, every()).unwrap());
        let half = cut(&whole, 1, 2, &folder.path().join("half"));
        let video = Video::open_with(&half, every()).unwrap();
        let found = video.info().frame_count;
        assert!((2..19).contains(&found), "{codec}: {found}");
        let said = |w: &Warning| matches!(w, Warning::Truncated { .. } | Warning::DamagedEnd { .. });
        assert_eq!(
            video.warnings().iter().filter(|warning| said(warning)).count(),
            1,
            "{codec}: {:?}",
            video.warnings()
        );
        let (frames, _) = read_all(&video);
        assert_eq!(frames, expected[..frames.len()], "{codec}");
        assert!(frames.len() + 1 >= found, "{codec}: {} of {found}", frames.len());
    }
}

/// What is left of a download that was interrupted after the room for it was made.
#[test]
fn a_webp_that_ends_in_zeros_is_warned_of() {
    let folder = scratch();
    let arguments = "-f lavfi -i testsrc=s=64x64:d=0.8:r=10 -c:v libwebp_anim -pix_fmt bgra -lossless 1";
    let path = ffmpeg(arguments, &folder.path().join("a.webp"));
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| &bytes[*at..*at + 4] == b"ANMF").collect();
    bytes[places[5]..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let video = Video::open_with(&path, every()).unwrap();
    assert_eq!(video.warnings(), [Warning::DamagedEnd { found: 5 }]);
    assert_eq!(read_all(&video).0.len(), 5);
}

#[test]
fn chunks_that_contradict_each_other_lose_no_picture_in_silence() {
    let folder = scratch();
    let arguments = "-f lavfi -i testsrc=s=32x32:d=0.3:r=10 -c:v libwebp_anim -pix_fmt bgra -lossless 1";
    let path = ffmpeg(arguments, &folder.path().join("a.webp"));
    let whole = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..whole.len() - 4).filter(|at| &whole[*at..*at + 4] == b"ANMF").collect();
    assert_eq!(places.len(), 3);
    let said = |w: &Warning| {
        matches!(w, Warning::DamagedPicture { .. } | Warning::DamagedEnd { .. } | Warning::Damaged { .. })
    };
    // The second picture's chunk of data claims some bytes more than the picture has, up to the end of the file and beyond.
    let data = places[1] + 8 + 16;
    assert_eq!(&whole[data..data + 4], b"VP8L");
    let size = u32::from_le_bytes(whole[data + 4..data + 8].try_into().unwrap());
    for more in [1, 2, 8, 20, 1 << 30] {
        let mut bytes = whole.clone();
        bytes[data + 4..data + 8].copy_from_slice(&(size.next_multiple_of(2) + more).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let video = Video::open_with(&path, every()).unwrap();
        assert_eq!(video.info().frame_count, 3, "{more}");
        assert!(video.warnings().iter().any(said), "{more}: {:?}", video.warnings());
        let (frames, iterator) = read_all(&video);
        assert!(frames.len() == 3 || iterator.warnings().len() > 1, "{more}: {:?}", iterator.warnings());
    }
    // A picture too short for its own header.
    for short in [0_u32, 4, 15] {
        let mut bytes = whole.clone();
        bytes[places[2] + 4..places[2] + 8].copy_from_slice(&short.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let video = Video::open_with(&path, every()).unwrap();
        assert!(video.warnings().iter().any(said), "{short}: {:?}", video.warnings());
        assert_eq!(read_all(&video).0.len(), 2, "{short}");
    }
}

#[test]
fn one_picture_stays_an_image_and_many_read_as_one_are_said() {
    let folder = scratch();
    for (name, codec) in
        [("a.gif", "gif"), ("a.png", "apng -f apng"), ("a.webp", "libwebp_anim -pix_fmt bgra -lossless 1")]
    {
        let make = |frames: u32| {
            let arguments = format!("-f lavfi -i testsrc=s=16x16:r=5 -frames:v {frames} -vf format=rgb24 -c:v {codec}");
            ffmpeg(&arguments, &folder.path().join(format!("{frames}{name}")))
        };
        let (one, three) = (make(1), make(3));
        assert!(is_image(&one) && !is_image(&three), "{name}");
        assert_eq!(open_image(&one).unwrap().warnings, [], "{name}");
        let first = open_image(&three).unwrap();
        assert_eq!(first.warnings, [Warning::FirstOfMany { pictures: 3 }], "{name}");
        assert_eq!(first.frame.rgb, open_image(&one).unwrap().frame.rgb, "{name}");
    }
}

#[test]
fn a_still_picture_is_a_video_of_one_frame() {
    let folder = scratch();
    for name in ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp"] {
        let path = folder.path().join(name);
        image::RgbImage::from_fn(8, 6, |x, y| image::Rgb([x as u8 * 30, y as u8 * 40, 90])).save(&path).unwrap();
        let video = Video::open(&path).unwrap();
        assert_eq!((video.info().frame_count, video.info().width, video.info().height), (1, 8, 6), "{name}");
        let (frames, iterator) = read_all(&video);
        assert_eq!(frames, [open_image(&path).unwrap().frame], "{name}");
        assert_eq!(iterator.warnings(), [], "{name}");
    }
}
