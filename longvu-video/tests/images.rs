//! Image files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{ffmpeg, golden_video, scratch};
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use longvu_video::{Error, Frame, is_image, open_image};

/// 3 x 2, red at the top left, otherwise grey.
fn picture() -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| if (x, y) == (0, 0) { Rgb([255, 0, 0]) } else { Rgb([128, 128, 128]) })
}

fn red_at(frame: &Frame) -> (u32, u32) {
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
    // A bitmap header that claims 60000 x 60000.
    let small = folder.path().join("small.bmp");
    picture().save(&small).unwrap();
    let mut bytes = std::fs::read(&small).unwrap();
    bytes[18..22].copy_from_slice(&60_000_i32.to_le_bytes());
    bytes[22..26].copy_from_slice(&60_000_i32.to_le_bytes());
    let error = open_image(write("huge.bmp", &bytes)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 60_000, height: 60_000, .. }), "{error}");
}
