//! Picture files that announce, or unfold to, more than memory and patience can take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{ffmpeg, peak_memory, picture_file, scratch, write_gif};
use image::{Rgb, RgbImage};
use longvu_video::{Error, ImageOptions, Limits, Video, VideoOptions, is_image, open_image, open_image_with};

/// Both ways to read a file fail, soon and without taking the memory that it asks for; says how.
fn refused(path: &Path) -> [Error; 2] {
    let start = Instant::now();
    let before = peak_memory();
    is_image(path);
    let errors = [open_image(path).unwrap_err(), Video::open(path).unwrap_err()];
    assert!(start.elapsed() < Duration::from_secs(2), "{}: {:?}", path.display(), start.elapsed());
    assert!(peak_memory() - before < 600 << 20, "{}: {} bytes", path.display(), peak_memory() - before);
    errors
}

/// Writes a picture of 4 x 4 pixels with `image` and changes bytes of it.
fn patched(path: &Path, patch: impl FnOnce(&mut Vec<u8>)) {
    RgbImage::from_pixel(4, 4, Rgb([1, 2, 3])).save(path).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    patch(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn place(bytes: &[u8], mark: &[u8]) -> usize {
    bytes.windows(mark.len()).position(|window| window == mark).unwrap()
}

#[test]
fn announced_sizes_are_refused_before_anything_is_allocated() {
    let folder = scratch();
    let at = |name: &str| folder.path().join(name);
    patched(&at("a.png"), |bytes| {
        bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        // A sum of the header that fits it, so that nothing but the size is wrong.
        bytes[29..33].copy_from_slice(&0x0fb0_e215_u32.to_be_bytes());
    });
    patched(&at("a.jpg"), |bytes| {
        let frame = place(bytes, b"\xff\xc0");
        bytes[frame + 5..frame + 9].fill(0xff);
    });
    patched(&at("a.bmp"), |bytes| {
        bytes[18..22].copy_from_slice(&60_000_i32.to_le_bytes());
        bytes[22..26].copy_from_slice(&(-60_000_i32).to_le_bytes());
    });
    patched(&at("lossless.webp"), |bytes| bytes[21..25].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]));
    ffmpeg("-f lavfi -i testsrc=s=64x48 -frames:v 1 -c:v libwebp", &at("lossy.webp"));
    let mut bytes = std::fs::read(at("lossy.webp")).unwrap();
    let key = place(&bytes, &[0x9d, 0x01, 0x2a]);
    bytes[key + 3..key + 7].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    std::fs::write(at("lossy.webp"), bytes).unwrap();
    write_gif(&at("one.gif"), (20_000, 20_000), &[10]);
    write_gif(&at("many.gif"), (20_000, 20_000), &[10, 10, 10]);
    // A picture larger than its canvas.
    write_gif(&at("part.gif"), (1, 1), &[10]);
    let mut bytes = std::fs::read(at("part.gif")).unwrap();
    let picture = place(&bytes, &[0x2c, 0, 0, 0, 0]);
    bytes[picture + 5..picture + 9].fill(0xff);
    std::fs::write(at("part.gif"), bytes).unwrap();
    for name in ["a.png", "a.jpg", "a.bmp", "lossless.webp", "lossy.webp", "one.gif", "many.gif", "part.gif"] {
        for error in refused(&at(name)) {
            assert!(matches!(error, Error::TooLarge { limit: longvu_video::MAX_PIXELS, .. }), "{name}: {error}");
            assert!(error.to_string().contains("over the limit of 134217728 pixels"), "{error}");
        }
    }
}

#[test]
fn a_codec_within_a_container_is_held_to_the_limit_while_the_file_is_opened() {
    // The container says nothing of the size, so that FFmpeg decodes a picture to learn it.
    let folder = scratch();
    let path = ffmpeg("-f lavfi -i testsrc=s=64x48:d=1:r=5 -c:v png -f nut", &folder.path().join("a.nut"));
    let mut bytes = std::fs::read(&path).unwrap();
    let mut start = 0;
    while let Some(found) = bytes[start..].windows(4).position(|name| name == b"IHDR") {
        start += found + 4;
        bytes[start..start + 8].copy_from_slice(&[0, 0, 0x60, 0, 0, 0, 0x60, 0]);
    }
    std::fs::write(&path, bytes).unwrap();
    let before = peak_memory();
    let read = Video::open(&path).and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>());
    assert!(read.is_err());
    assert!(peak_memory() - before < 1200 << 20, "{} bytes", peak_memory() - before);
}

#[test]
fn sides_have_a_limit_of_their_own() {
    let folder = scratch();
    let path = folder.path().join("wide.png");
    RgbImage::from_pixel(200_000, 2, Rgb([1, 2, 3])).save(&path).unwrap();
    for error in refused(&path) {
        assert!(matches!(error, Error::SideTooLong { width: 200_000, height: 2, limit: 131_072, .. }), "{error}");
    }
    let limits = Limits::default().with_side(200_000);
    let image = open_image_with(&path, &ImageOptions::default().with_limits(limits)).unwrap();
    assert_eq!((image.frame.width, image.frame.height), (200_000, 2));
    assert_eq!(Video::open_with(&path, VideoOptions::default().with_limits(limits)).unwrap().info().width, 200_000);
}

#[test]
fn limits_can_be_lowered_and_raised() {
    let folder = scratch();
    let path = folder.path().join("a.png");
    RgbImage::from_pixel(30, 20, Rgb([1, 2, 3])).save(&path).unwrap();
    let low = Limits::default().with_pixels(599);
    let error = open_image_with(&path, &ImageOptions::default().with_limits(low)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 599, .. }), "{error}");
    open_image_with(&path, &ImageOptions::default().with_limits(low.with_pixels(600))).unwrap();
    let video = ffmpeg("-f lavfi -i testsrc=s=64x48:d=1:r=5 -c:v mpeg4", &folder.path().join("a.mp4"));
    let error = Video::open_with(&video, VideoOptions::default().with_limits(low)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 64, limit: 599, .. }), "{error}");
    let jpeg = folder.path().join("a.jpg");
    RgbImage::from_pixel(30, 20, Rgb([1, 2, 3])).save(&jpeg).unwrap();
    let few = Limits::default().with_jpeg_bytes(100);
    let error = open_image_with(&jpeg, &ImageOptions::default().with_limits(few)).unwrap_err();
    assert!(matches!(error, Error::FileTooLarge { limit: 100, .. }), "{error}");
}

#[test]
fn an_animation_has_a_limit_on_all_its_pictures() {
    let folder = scratch();
    let path = folder.path().join("a.gif");
    write_gif(&path, (8000, 8000), &[10; 100]);
    for error in refused(&path) {
        assert!(matches!(error, Error::AnimationTooLarge { pictures: 100, width: 8000, .. }), "{error}");
        assert!(error.to_string().contains("over the limit of 2147483648 pixels"), "{error}");
    }
    for (name, codec) in [("a.webp", "libwebp_anim"), ("a.png", "apng -f apng"), ("b.gif", "gif")] {
        let path = ffmpeg(&format!("-f lavfi -i testsrc=s=64x48:d=2:r=10 -c:v {codec}"), &folder.path().join(name));
        let options = |pixels| VideoOptions::default().with_limits(Limits::default().with_animation_pixels(pixels));
        let error = Video::open_with(&path, options(64 * 48 * 20 - 1)).unwrap_err();
        assert!(matches!(error, Error::AnimationTooLarge { pictures: 20, .. }), "{name}: {error}");
        assert_eq!(Video::open_with(&path, options(64 * 48 * 20)).unwrap().info().frame_count, 20, "{name}");
    }
}

/// A zlib stream that unfolds to about so many zero bytes: one literal, then copies of 258 bytes from one byte before.
fn zlib_bomb(bytes: usize) -> Vec<u8> {
    let mut stream = vec![0x78, 0x9c];
    let (mut bits, mut count) = (0_u64, 0);
    let mut put = |stream: &mut Vec<u8>, value: u64, size: u32| {
        bits |= value << count;
        count += size;
        while count >= 8 {
            stream.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // The last block, with the fixed codes: literal 0 is 00110000 and length 258 is 11000101, both from the high bit.
    put(&mut stream, 0b011, 3);
    put(&mut stream, 0b0000_1100, 8);
    for _ in 0..bytes / 258 {
        put(&mut stream, 0b1010_0011, 8);
        put(&mut stream, 0, 5);
    }
    put(&mut stream, 0, 7);
    put(&mut stream, 0, 8);
    // The sum of 1 + 258 n zero bytes: 1, and their number.
    let length = 1 + bytes / 258 * 258;
    stream.extend(((length % 65521) as u16).to_be_bytes());
    stream.extend([0, 1]);
    stream
}

#[test]
fn metadata_do_not_unfold() {
    let folder = scratch();
    let bomb = zlib_bomb(1 << 30);
    for (kind, head) in [
        (*b"iCCP", &b"x\0\0"[..]),
        (*b"zTXt", b"x\0\0"),
        (*b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
        (*b"iTXt", b"x\0\0\0\0\0"),
    ] {
        for pictures in [1, 2] {
            let path = folder.path().join("a.png");
            let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
            encoder.set_color(png::ColorType::Rgb);
            if pictures > 1 {
                encoder.set_animated(pictures, 0).unwrap();
            }
            let mut writer = encoder.write_header().unwrap();
            writer.write_chunk(png::chunk::ChunkType(kind), &[head, &bomb].concat()).unwrap();
            (0..pictures).for_each(|_| writer.write_image_data(&[1, 2, 3, 4, 5, 6]).unwrap());
            writer.finish().unwrap();

            let (before, start) = (peak_memory(), Instant::now());
            let image = open_image(&path).unwrap();
            assert_eq!(image.frame.rgb, [1, 2, 3, 4, 5, 6], "{kind:?}");
            let video = Video::open(&path).unwrap();
            assert_eq!(video.info().frame_count, pictures as usize);
            assert_eq!(video.frames().unwrap().next().unwrap().unwrap().rgb, [1, 2, 3, 4, 5, 6]);
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            assert!(peak_memory() - before < 600 << 20, "{kind:?}: {} bytes", peak_memory() - before);
        }
    }
}

#[test]
fn a_jpeg_of_thousands_of_components_takes_no_memory() {
    let folder = scratch();
    let path = folder.path().join("a.jpg");
    let components = 21_800_u16;
    for announced in [1, 3, 40] {
        let mut bytes = b"\xff\xd8\xff\xc2".to_vec();
        bytes.extend((8 + 3 * components).to_be_bytes());
        // 4096 x 4096 pixels of 8 bits.
        bytes.extend([8, 0x10, 0, 0x10, 0, announced]);
        (0..components).for_each(|number| bytes.extend([number as u8, 0x11, 0]));
        bytes.extend(b"\xff\xd9");
        std::fs::write(&path, bytes).unwrap();
        let before = peak_memory();
        let error = open_image(&path).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error}");
        assert!(Video::open(&path).and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>()).is_err());
        assert!(peak_memory() - before < 600 << 20, "{announced}: {} bytes", peak_memory() - before);
    }
}

#[test]
fn a_jpeg_of_endless_scans_is_refused_soon() {
    let folder = scratch();
    let path = folder.path().join("a.jpg");
    let bytes = std::fs::read(picture_file("progressive.jpg")).unwrap();
    // A large picture whose last scan is there a thousand times.
    let last = bytes.windows(2).rposition(|pair| pair == [0xff, 0xc4]).unwrap();
    let scan = &bytes[last..bytes.len() - 2];
    let mut large = [&bytes[..bytes.len() - 2], &scan.repeat(1000), &[0xff, 0xd9]].concat();
    let frame = place(&large, b"\xff\xc2");
    large[frame + 5..frame + 9].copy_from_slice(&[0x10, 0, 0x10, 0]);
    std::fs::write(&path, large).unwrap();
    let start = Instant::now();
    let read = open_image(&path);
    assert!(read.is_err() || !read.unwrap().warnings.is_empty());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// A progressive grey JPEG of 16384 x 8192 whose second to last scans refine a band that is zero, 30 bytes of codes each.
fn jpeg_of_scans(scans: usize) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xc2\0\x0b\x08\x20\0\x40\0\x01\x01\x11\0".to_vec();
    // Each table has one code, a zero bit: of no difference, and of a run of 2^14 blocks and 14 bits more.
    for (class, symbol) in [(0, 0), (0x10, 0xe0)] {
        bytes.extend([0xff, 0xc4, 0, 20, class, 1]);
        bytes.extend([0; 15]);
        bytes.push(symbol);
    }
    let blocks = 2048 * 1024;
    bytes.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0");
    bytes.extend(vec![0; blocks / 8]);
    for _ in 1..scans {
        bytes.extend(b"\xff\xda\0\x08\x01\x01\0\x01\x3f\x10");
        bytes.extend(vec![0; (blocks >> 14) * 15 / 8]);
    }
    [&bytes[..], b"\xff\xd9"].concat()
}

#[test]
fn scans_that_pass_over_empty_blocks_are_checked_soon_or_not_at_all() {
    let folder = scratch();
    let path = folder.path().join("a.jpg");
    for (scans, is_checked) in [(20, true), (64, true), (65, false), (97, false)] {
        std::fs::write(&path, jpeg_of_scans(scans)).unwrap();
        let start = Instant::now();
        let video = Video::open(&path).unwrap();
        assert!(start.elapsed() < Duration::from_secs(4), "{scans}: {:?}", start.elapsed());
        let is_left_out = |warning: &longvu_video::Warning| matches!(warning, longvu_video::Warning::Unchecked { .. });
        match video.warnings() {
            [] => assert!(is_checked, "{scans}"),
            said => assert!(!is_checked && said.len() == 1 && said.iter().all(is_left_out), "{scans}: {said:?}"),
        }
    }
}

#[test]
fn streams_that_are_found_late_are_held_to_the_limit() {
    let folder = scratch();
    let sources = "-f lavfi -i testsrc=s=64x48:d=2:r=10 -f lavfi -i testsrc=s=48x64:d=2:r=10";
    let arguments = format!("{sources} -map 0 -map 1 -c:v mpeg2video");
    for name in ["a.ts", "a.mpg"] {
        let path = ffmpeg(&arguments, &folder.path().join(name));
        for (side, is_read) in [(63, false), (64, true)] {
            let options = VideoOptions::default().with_limits(Limits::default().with_side(side));
            let read = Video::open_with(&path, options);
            assert_eq!(read.is_ok(), is_read, "{name} {side}");
            assert!(is_read || matches!(read, Err(Error::SideTooLong { .. })), "{name}");
        }
    }
    let arguments = arguments.replace("s=48x64", "s=32x32");
    for (arguments, name) in
        [(arguments.clone(), "a.ts"), (arguments.replace("-map 0 -map 1", "-map 1 -map 0"), "b.ts")]
    {
        // Whichever is chosen, the other is looked at as well.
        let path = ffmpeg(&arguments, &folder.path().join(name));
        let options = VideoOptions::default().with_limits(Limits::default().with_side(63));
        assert!(matches!(Video::open_with(&path, options), Err(Error::SideTooLong { width: 64, .. })), "{name}");
    }
}

#[test]
fn a_picture_outside_its_canvas_is_an_error() {
    let folder = scratch();
    let source = "-f lavfi -i testsrc=s=64x48:d=1:r=3 -vf format=yuva420p,colorchannelmixer=aa=0.5,format=yuva420p";
    let path = ffmpeg(&format!("{source} -c:v libwebp_anim -pix_fmt yuva420p"), &folder.path().join("a.webp"));
    let whole = std::fs::read(&path).unwrap();
    let first = place(&whole, b"ANMF");
    assert_eq!(&whole[first + 24..first + 28], b"ALPH", "a picture with transparency");
    // Width and height of the first picture, less one, in three bytes each.
    let mut bytes = whole.clone();
    bytes[first + 14..first + 20].copy_from_slice(&[0xff, 0x7f, 0, 0xff, 0x7f, 0]);
    std::fs::write(&path, bytes).unwrap();
    let before = peak_memory();
    let read = Video::open(&path).and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>());
    assert!(matches!(read, Err(Error::Animation { .. })), "{read:?}");
    assert!(matches!(open_image(&path), Err(Error::Animation { .. })));
    // Picture data of another size than the picture's, where one decoder would index past a row.
    let mut bytes = whole.clone();
    bytes[first + 14] -= 4;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(open_image(&path), Err(Error::Animation { .. })));
    assert!(peak_memory() - before < 600 << 20, "{} bytes", peak_memory() - before);
}
