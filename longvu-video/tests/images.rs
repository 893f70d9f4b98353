//! Image files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{every, ffmpeg, golden_video, picture_file, read_all, scratch};
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use longvu_video::{DecodedFrame, Error, ImageOptions, Video, Warning, is_image, open_image, open_image_with};

/// 3 x 2, red at the top left, otherwise grey.
fn picture() -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| if (x, y) == (0, 0) { Rgb([255, 0, 0]) } else { Rgb([128, 128, 128]) })
}

fn red_at(frame: &DecodedFrame) -> (u32, u32) {
    let place = frame.rgb.chunks(3).position(|p| p[0] > 180 && p[1] < 90).unwrap() as u32;
    (place % frame.width, place / frame.width)
}

#[test]
fn all_formats_told_by_content() {
    let folder = scratch();
    for name in ["a.png", "a.webp", "a.bmp", "a.gif"] {
        let path = folder.path().join(name);
        picture().save(&path).unwrap();
        let disguised = folder.path().join("b.jpg");
        std::fs::rename(&path, &disguised).unwrap();
        assert!(is_image(&disguised), "{name}");
        let frame = open_image(&disguised).unwrap().frame;
        assert_eq!((frame.width, frame.height, red_at(&frame)), (3, 2, (0, 0)), "{name}");
        assert_eq!(frame.rgb, picture().into_raw(), "{name}");
    }
}

#[test]
fn transparency_is_dropped() {
    let path = scratch().keep().join("a.png");
    RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0])).save(&path).unwrap();
    assert_eq!(open_image(&path).unwrap().frame.rgb, [10, 20, 30].repeat(4));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A JPEG with an EXIF segment that holds only an orientation.
fn jpeg_with_orientation(folder: &Path, orientation: u8) -> std::path::PathBuf {
    let path = folder.join("a.jpg");
    let blocks = RgbImage::from_fn(48, 32, |x, y| *picture().get_pixel(x / 16, y / 16));
    blocks.save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes.splice(2..2, exif);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn exif_orientation_is_honoured() {
    let folder = scratch();
    for (orientation, size, corner) in [
        (1, (48, 32), (0, 0)),
        (2, (48, 32), (2, 0)),
        (3, (48, 32), (2, 1)),
        (4, (48, 32), (0, 1)),
        (5, (32, 48), (0, 0)),
        (6, (32, 48), (1, 0)),
        (7, (32, 48), (1, 2)),
        (8, (32, 48), (0, 2)),
    ] {
        let frame = open_image(jpeg_with_orientation(folder.path(), orientation)).unwrap().frame;
        assert_eq!((frame.width, frame.height), size, "{orientation}");
        let (x, y) = red_at(&frame);
        assert_eq!((x / 16, y / 16), corner, "{orientation}");
    }
}

#[test]
fn images_and_videos_are_told_apart() {
    let folder = scratch();
    assert!(!is_image(golden_video("video1.mp4")));
    assert!(!is_image(folder.path()));
    assert!(is_image("absent.JPG") && is_image("absent.webp"));
    assert!(!is_image("absent.mp4") && !is_image("absent"));
    let animation = ffmpeg("-f lavfi -i testsrc=s=16x16:d=1:r=5", &folder.path().join("a.gif"));
    assert!(!is_image(&animation));
    assert_eq!(open_image(&animation).unwrap().frame.width, 16);
}

#[test]
fn bad_images() {
    let folder = scratch();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert!(matches!(open_image("absent.png"), Err(Error::NotFound { .. })));
    assert!(matches!(open_image(folder.path()), Err(Error::NotAFile { .. })));
    assert!(matches!(open_image(write("empty.png", b"")), Err(Error::EmptyFile { .. })));
    assert!(matches!(open_image(write("text.png", b"no picture at all")), Err(Error::Image { .. })));

    let good = folder.path().join("good.png");
    RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8])).save(&good).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    for length in [9, 30, 60, bytes.len() / 2] {
        let error = open_image(write("cut.png", &bytes[..length])).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{length}: {error}");
    }
}

/// What reading a file warns of, which opening it as a video says too.
fn warnings(path: &Path) -> Vec<Warning> {
    let image = open_image(path).unwrap();
    assert_eq!(Video::open(path).unwrap().warnings(), image.warnings, "{}", path.display());
    image.warnings
}

#[test]
fn whole_jpegs_of_every_kind_are_read_without_a_warning() {
    for name in ["baseline.jpg", "progressive.jpg", "restarts.jpg", "gray.jpg", "cmyk.jpg", "pair.mpo"] {
        assert_eq!(warnings(&picture_file(name)), [], "{name}");
        assert!(is_image(picture_file(name)), "{name}");
    }
    for name in ["baseline.jpg", "progressive.jpg", "restarts.jpg", "pair.mpo"] {
        let frame = open_image(picture_file(name)).unwrap().frame;
        assert_eq!((frame.width, frame.height, red_at(&frame).1), (48, 32, 0), "{name}");
        assert!(frame.rgb[..3].iter().zip([254, 0, 0]).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 6), "{name}");
    }
    let inks = open_image(picture_file("cmyk.jpg")).unwrap().frame;
    assert!(inks.rgb.chunks(3).all(|p| p.iter().zip([50, 140, 185]).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 3)));
}

#[test]
fn cut_jpegs_are_warned_of_or_refused() {
    let folder = scratch();
    for name in ["baseline.jpg", "progressive.jpg", "restarts.jpg", "gray.jpg", "cmyk.jpg"] {
        let bytes = std::fs::read(picture_file(name)).unwrap();
        let path = folder.path().join(name);
        // Without the end marker alone, a baseline picture is still whole.
        for length in (bytes.len() / 8..bytes.len() - 3).step_by(7) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            match open_image(&path) {
                Ok(image) => assert!(
                    matches!(image.warnings[..], [Warning::DamagedPicture { .. }]),
                    "{name}, {length} of {} bytes: {:?}",
                    bytes.len(),
                    image.warnings
                ),
                Err(error) => assert!(matches!(error, Error::Image { .. }), "{name}: {error}"),
            }
        }
        if name == "progressive.jpg" {
            continue;
        }
        let half = bytes.len() - 20;
        std::fs::write(&path, &bytes[..half]).unwrap();
        let said = warnings(&path);
        assert!(said[0].to_string().contains("end before the picture is complete"), "{name}: {said:?}");
    }
}

#[test]
fn changed_jpeg_data_are_warned_of() {
    let folder = scratch();
    let path = folder.path().join("a.jpg");
    for name in ["baseline.jpg", "progressive.jpg", "restarts.jpg"] {
        let bytes = std::fs::read(picture_file(name)).unwrap();
        let data = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        let mut changed = bytes.clone();
        changed[data + 10..data + 22].fill(0x55);
        std::fs::write(&path, &changed).unwrap();
        match open_image(&path) {
            Ok(image) => assert!(matches!(image.warnings[..], [Warning::DamagedPicture { .. }]), "{name}"),
            Err(error) => assert!(matches!(error, Error::Image { .. }), "{name}: {error}"),
        }
    }
    // A restart marker that was lost.
    let bytes = std::fs::read(picture_file("restarts.jpg")).unwrap();
    let marker = bytes.windows(2).position(|pair| pair == [0xff, 0xd1]).unwrap();
    let mut changed = bytes.clone();
    changed[marker + 1] = 0xd5;
    std::fs::write(&path, changed).unwrap();
    assert!(warnings(&path)[0].to_string().contains("restart marker"));
}

#[test]
fn cut_files_of_other_formats_are_errors() {
    let folder = scratch();
    for name in ["a.png", "a.webp", "a.gif", "a.bmp"] {
        let whole = folder.path().join(name);
        RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 3, y as u8, (x * y) as u8])).save(&whole).unwrap();
        for part in [3, 5, 7] {
            let path = common::cut(&whole, part, 8, &folder.path().join("cut"));
            match open_image(&path) {
                Ok(image) => assert!(!image.warnings.is_empty(), "{name}, {part} eighths"),
                Err(error) => assert!(matches!(error, Error::Image { .. }), "{name}: {error}"),
            }
            let read = Video::open(&path).and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>());
            assert_eq!(read.is_ok(), open_image(&path).is_ok(), "{name}, {part} eighths");
        }
    }
}

#[test]
fn jpegs_in_a_row_are_a_video() {
    let folder = scratch();
    let raw = ffmpeg("-f lavfi -i testsrc=s=64x48:d=2:r=10 -c:v mjpeg -f mjpeg", &folder.path().join("raw.mjpeg"));
    assert!(!is_image(&raw));
    let video = Video::open_with(&raw, every()).unwrap();
    let (frames, _) = read_all(&video);
    assert_eq!((video.info().frame_count, frames.len()), (20, 20));
    assert!(frames.windows(2).any(|pair| pair[0].rgb != pair[1].rgb));
    let first = open_image(&raw).unwrap();
    assert_eq!(first.warnings, [Warning::MorePictures]);

    // Pictures so large that a look at the beginning sees one alone.
    let large = ffmpeg(
        "-f lavfi -i testsrc2=s=320x240:d=1:r=10 -c:v mjpeg -q:v 2 -f mjpeg",
        &folder.path().join("large.mjpeg"),
    );
    let video = Video::open_with(&large, every()).unwrap();
    assert_eq!((video.info().container.as_str(), read_all(&video).0.len()), ("mjpeg", 10));

    // Any name, padding between the pictures.
    let one = std::fs::read(picture_file("baseline.jpg")).unwrap();
    let path = folder.path().join("a.jpg");
    std::fs::write(&path, [&one[..], &[0; 30], &one, &one].concat()).unwrap();
    assert!(!is_image(&path));
    assert_eq!(read_all(&Video::open_with(&path, every()).unwrap()).0.len(), 3);
}

#[test]
fn one_jpeg_with_something_behind_it_is_an_image() {
    let folder = scratch();
    let path = folder.path().join("a.jpg");
    let one = std::fs::read(picture_file("baseline.jpg")).unwrap();
    for rest in [&b"\0\0\0\0"[..], b"\0\0\0\x18ftypmp42", b"\xff\xff\xff", b"any bytes"] {
        std::fs::write(&path, [&one, rest].concat()).unwrap();
        assert!(is_image(&path), "{rest:?}");
        assert_eq!(warnings(&path), [], "{rest:?}");
    }
    // A preview of another size.
    let other = std::fs::read(picture_file("cmyk.jpg")).unwrap();
    std::fs::write(&path, [&one[..], &other].concat()).unwrap();
    assert!(is_image(&path));
    assert_eq!(warnings(&path), [Warning::MorePictures]);
    // Of files that belong together the first is the main one.
    assert!(is_image(picture_file("pair.mpo")));
}

#[test]
fn png_after_png_is_warned_of() {
    let folder = scratch();
    let path = folder.path().join("a.png");
    picture().save(&path).unwrap();
    let one = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&one[..], &one].concat()).unwrap();
    assert_eq!(warnings(&path), [Warning::MorePictures]);
}

const EXIF_TURNED: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

/// EXIF in the text chunks in which ImageMagick puts it.
#[test]
fn orientation_in_texts_of_png() {
    let folder = scratch();
    let png = folder.path().join("a.png");
    let digits: String = [b"Exif\0\0", EXIF_TURNED].concat().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = digits.as_bytes().chunks(72).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = format!("\nexif\n{:8}\n{}\n", digits.len() / 2, lines.join("\n"));
    let mut compressed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut compressed, text.as_bytes()).unwrap();
    let compressed = [&b"Raw profile type exif\0\0"[..], &compressed.finish().unwrap()].concat();
    let plain = [&b"Raw profile type APP1\0"[..], text.as_bytes()].concat();
    let broken = b"Raw profile type exif\0\0no zlib".to_vec();
    for (kind, chunk, turned) in [(b"zTXt", &compressed, true), (b"tEXt", &plain, true), (b"zTXt", &broken, false)] {
        let mut encoder = png::Encoder::new(std::fs::File::create(&png).unwrap(), 3, 2);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::ChunkType(*kind), chunk).unwrap();
        writer.write_image_data(&picture().into_raw()).unwrap();
        writer.finish().unwrap();
        let frame = open_image(&png).unwrap().frame;
        assert_eq!((frame.width, frame.height), if turned { (2, 3) } else { (3, 2) });
    }
}

#[test]
fn orientation_in_webp_and_png() {
    let folder = scratch();
    for prefix in [&b""[..], b"Exif\0\0"] {
        let exif = [prefix, EXIF_TURNED].concat();
        let webp = folder.path().join("a.webp");
        picture().save(&webp).unwrap();
        let plain = std::fs::read(&webp).unwrap();
        // The extended header, with the flag for EXIF, then the picture, then EXIF.
        let mut body = b"WEBPVP8X\x0a\0\0\0\x08\0\0\0\x02\0\0\x01\0\0".to_vec();
        body.extend(&plain[12..]);
        body.extend([&b"EXIF"[..], &(exif.len() as u32).to_le_bytes(), &exif].concat());
        std::fs::write(&webp, [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()).unwrap();

        let png = folder.path().join("a.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&png).unwrap(), 3, 2);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        // Behind the picture, where the standard allows it too.
        writer.write_image_data(&picture().into_raw()).unwrap();
        writer.write_chunk(png::chunk::ChunkType(*b"eXIf"), &exif).unwrap();
        writer.finish().unwrap();

        for path in [&webp, &png] {
            let frame = open_image(path).unwrap().frame;
            assert_eq!((frame.width, frame.height, red_at(&frame)), (2, 3, (1, 0)), "{}", path.display());
            let video = Video::open(path).unwrap();
            assert_eq!(video.info().rotation, 90);
            assert_eq!(read_all(&video).0, [frame], "{}", path.display());
            let stored = open_image_with(path, &ImageOptions::default().with_autorotate(false)).unwrap().frame;
            assert_eq!((stored.width, stored.height, red_at(&stored)), (3, 2, (0, 0)), "{}", path.display());
        }
    }
}

#[test]
fn deep_pictures_keep_their_upper_bytes() {
    let folder = scratch();
    let path = folder.path().join("a.png");
    image::ImageBuffer::from_pixel(1, 1, Rgb([0x12ff_u16, 0x0080, 0xffff])).save(&path).unwrap();
    assert_eq!(open_image(&path).unwrap().frame.rgb, [0x12, 0, 0xff]);
    assert_eq!(warnings(&path), []);
    image::ImageBuffer::from_pixel(1, 1, image::Luma([0x1234_u16])).save(&path).unwrap();
    assert_eq!(open_image(&path).unwrap().frame.rgb, [0x12; 3]);
    assert_eq!(warnings(&path), [Warning::DeepGray]);
    image::ImageBuffer::from_pixel(1, 1, image::LumaA([40_u8, 0])).save(&path).unwrap();
    assert_eq!(open_image(&path).unwrap().frame.rgb, [40; 3]);
}

#[test]
fn a_gif_that_does_not_cover_its_canvas_is_warned_of() {
    let path = scratch().keep().join("a.gif");
    common::write_gif(&path, (4, 4), &[10]);
    assert_eq!(warnings(&path), [Warning::Uncovered]);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn a_picture_without_a_size_is_no_video() {
    let folder = scratch();
    for name in ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp"] {
        let path = folder.path().join(name);
        picture().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Cut before the size, and a height or a canvas of nothing.
        let frame = whole.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap_or(0);
        let (cut, height) = match name {
            "a.png" => (8, 20..24),
            "a.jpg" => (frame, frame + 5..frame + 7),
            "a.gif" => (6, 6..10),
            "a.webp" => (12, 12..12),
            _ => (18, 22..26),
        };
        let mut flat = whole.clone();
        flat[height.clone()].fill(0);
        for bytes in [whole[..cut].to_vec(), if height.is_empty() { whole[..20].to_vec() } else { flat }] {
            std::fs::write(&path, bytes).unwrap();
            let error = Video::open(&path).unwrap_err();
            let is_said = matches!(error, Error::Image { .. } | Error::NoFrames { .. } | Error::NotAVideo { .. });
            assert!(is_said, "{name}: {error}");
        }
    }
}
