//! How pictures are to be shown: what is hidden of them, how they are turned, how colours and fields are coded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use common::boxes::{Item, boxed, find, heif, heif_with, insert, mp4};
use common::{every, ffmpeg, read_all, scratch};
use longvu_video::{DecodedFrame, Decoding, Sampling, Video, VideoOptions};

fn frames(path: &Path) -> Vec<DecodedFrame> {
    read_all(&Video::open_with(path, every()).unwrap()).0
}

fn warnings(path: &Path) -> Vec<String> {
    let video = Video::open(path).unwrap();
    let opened: Vec<String> = video.warnings().iter().map(ToString::to_string).collect();
    let ended: Vec<String> = read_all(&video).1.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(opened, ended, "what the headers say is said at once");
    opened
}

/// The frames that the `ffmpeg` program makes of a file with a filter, as RGB bytes.
fn by_ffmpeg(path: &Path, filter: &str, folder: &Path) -> Vec<u8> {
    let arguments = format!("-i {} -vf {filter} -fps_mode passthrough -f rawvideo -pix_fmt rgb24", path.display());
    std::fs::read(ffmpeg(&arguments, &folder.join("raw"))).unwrap()
}

/// Sparse decoding gives the frames of full decoding.
fn sparse_is_full(path: &Path) {
    for sampling in [Sampling::Every(7), Sampling::Fps(1.0), Sampling::Timestamps(vec![0.31, 1.2])] {
        let [sparse, full] = [Decoding::Sparse, Decoding::Full].map(|decoding| {
            let options = VideoOptions::default().with_sampling(sampling.clone()).with_decoding(decoding);
            read_all(&Video::open_with(path, options).unwrap()).0
        });
        assert!(sparse == full && !full.is_empty(), "{} {sampling:?}", path.display());
    }
}

fn assert_equal(ours: &[DecodedFrame], theirs: &[u8], size: (u32, u32), name: &str) {
    assert!(ours.iter().all(|frame| (frame.width, frame.height) == size), "{name}");
    let ours: Vec<u8> = ours.iter().flat_map(|frame| frame.rgb.clone()).collect();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let worst = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max();
    assert_eq!(worst, Some(0), "{name}");
}

const SOURCE: &str = "-f lavfi -i testsrc2=s=160x128:r=10:d=2 -pix_fmt yuv420p";

#[test]
fn columns_and_rows_that_the_stream_hides_are_gone() {
    let folder = scratch();
    let whole = |name: &str, codec: &str| ffmpeg(&format!("{SOURCE} -c:v {codec}"), &folder.path().join(name));
    let crop = |from: &Path, filter: &str, name: &str| {
        ffmpeg(&format!("-i {} -c copy -bsf:v {filter}", from.display()), &folder.path().join(name))
    };
    let h264 = whole("whole.mp4", "libx264 -bf 2 -g 10 -qp 20");
    let hevc = whole("hevc.mp4", "libx265 -preset ultrafast -x265-params log-level=none:keyint=10");
    for (from, kind, name) in [
        (&h264, "h264", "a.mp4"),
        (&h264, "h264", "a.mkv"),
        (&h264, "h264", "a.ts"),
        (&hevc, "hevc", "b.mp4"),
        (&hevc, "hevc", "b.mkv"),
    ] {
        for [left, right, top, bottom] in [[16, 16, 8, 8], [2, 0, 0, 0], [6, 4, 2, 10], [0, 0, 4, 0], [0, 16, 0, 8]] {
            let filter =
                format!("{kind}_metadata=crop_left={left}:crop_right={right}:crop_top={top}:crop_bottom={bottom}");
            let path = crop(from, &filter, name);
            let size = (160 - left - right, 128 - top - bottom);
            let expected = by_ffmpeg(from, &format!("crop={}:{}:{left}:{top}", size.0, size.1), folder.path());
            let video = Video::open_with(&path, every()).unwrap();
            let (ours, iterator) = read_all(&video);
            assert_eq!((video.info().width, video.info().height), size, "{name}");
            assert_equal(&ours, &expected, size, &format!("{name} {left} {right} {top} {bottom}"));
            assert_eq!(iterator.warnings(), [], "{name}");
            sparse_is_full(&path);
        }
    }
}

/// What is left of frames when only a rectangle is shown.
fn cut(frames: &[DecodedFrame], (left, top): (u32, u32), (width, height): (u32, u32)) -> Vec<u8> {
    let row = |frame: &DecodedFrame, y: u32| {
        let start = ((y * frame.width + left) * 3) as usize;
        frame.rgb[start..start + width as usize * 3].to_vec()
    };
    frames.iter().flat_map(|frame| (top..top + height).flat_map(|y| row(frame, y)).collect::<Vec<_>>()).collect()
}

fn clap(words: [i32; 8]) -> Vec<u8> {
    boxed(b"clap", &[&words.map(i32::to_be_bytes).concat()])
}

#[test]
fn apertures_of_mp4_tracks_are_followed() {
    let folder = scratch();
    let path = folder.path().join("a.mov");
    let whole = mp4(&format!("{SOURCE} -c:v libx264 -bf 2 -g 10"), &path);
    let expected = frames(&path);
    let with = |aperture: [i32; 8]| {
        let mut bytes = whole.clone();
        let entry = find(&bytes, b"avc1", 0);
        let around: Vec<usize> =
            [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"].iter().map(|kind| find(&bytes, kind, 0)).collect();
        insert(&mut bytes, entry + 86, &[&around[..], &[entry]].concat(), &clap(aperture));
        std::fs::write(&path, bytes).unwrap();
    };
    // Also by odd numbers of pixels, which chroma at half the size has not.
    for (aperture, place, size) in [
        ([128, 1, 112, 1, 0, 1, 0, 1], (16, 8), (128, 112)),
        ([157, 1, 127, 1, -1, 2, 1, 2], (1, 1), (157, 127)),
        ([159, 1, 128, 1, 1, 2, 0, 1], (1, 0), (159, 128)),
    ] {
        with(aperture);
        let video = Video::open_with(&path, every()).unwrap();
        assert_eq!((video.info().width, video.info().height), size);
        assert_equal(&frames(&path), &cut(&expected, place, size), size, &format!("{aperture:?}"));
        assert_eq!(warnings(&path), [""; 0]);
        sparse_is_full(&path);
    }
    with([321, 2, 128, 1, 0, 1, 0, 1]);
    assert!(warnings(&path)[0].contains("not of whole pixels"), "{:?}", warnings(&path));
    assert_eq!(frames(&path).len(), 20);
}

#[test]
fn insets_of_matroska_tracks_are_followed() {
    let folder = scratch();
    let path = ffmpeg(&format!("{SOURCE} -c:v libx264 -bf 2 -g 10 -fflags +bitexact"), &folder.path().join("a.mkv"));
    let expected = frames(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let sizes = bytes.windows(8).position(|b| b == [0xb0, 0x81, 160, 0xba, 0x81, 128, b[6], b[7]]).unwrap();
    let video = (0..sizes).rev().find(|at| bytes[*at] == 0xe0).unwrap();
    let insets: Vec<u8> = [(0x54cc_u16, 3_u8), (0x54bb, 5), (0x54dd, 7), (0x54aa, 9)]
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &[0x81, *value]].concat())
        .collect();
    grow(&mut bytes, video + 1, insets.len());
    let entry = (0..video).rev().find(|at| bytes[*at] == 0xae && *at > 0).unwrap();
    grow(&mut bytes, entry + 1, insets.len());
    // The first is where the file says where it is.
    let tracks = bytes[..sizes].windows(4).rposition(|b| b == [0x16, 0x54, 0xae, 0x6b]).unwrap();
    grow(&mut bytes, tracks + 4, insets.len());
    let segment = bytes.windows(4).position(|b| b == [0x18, 0x53, 0x80, 0x67]).unwrap();
    grow(&mut bytes, segment + 4, insets.len());
    bytes.splice(sizes..sizes, insets);
    std::fs::write(&path, bytes).unwrap();
    let size = (160 - 3 - 7, 128 - 5 - 9);
    assert_equal(&frames(&path), &cut(&expected, (3, 5), size), size, "insets");
    sparse_is_full(&path);
}

/// Adds to the size of a Matroska element, which is written at `at`.
fn grow(bytes: &mut [u8], at: usize, more: usize) {
    let length = bytes[at].leading_zeros() as usize + 1;
    let size = bytes[at..at + length].iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)) + more as u64;
    assert!(size.leading_zeros() as usize == 64 - 7 * length - 1, "the size still fits");
    bytes[at..at + length].copy_from_slice(&size.to_be_bytes()[8 - length..]);
}

/// A still of four quarters, 64 x 48: red and green above, blue and white below.
fn quarters(folder: &Path) -> Item {
    let colour = |name: &str| format!("-f lavfi -i color={name}:s=32x24");
    let inputs = ["red", "lime", "blue", "white"].map(colour).join(" ");
    let source = format!("{inputs} -filter_complex [0][1]hstack[a];[2][3]hstack[b];[a][b]vstack");
    Item::av1(&source, (64, 48), folder)
}

/// The colours of the four quarters, as letters.
fn letters(frame: &DecodedFrame) -> String {
    let at = |x: u32, y: u32| {
        let start = ((y * frame.width + x) * 3) as usize;
        match frame.rgb[start..start + 3].iter().map(|level| u8::from(*level > 128)).collect::<Vec<_>>()[..] {
            [1, 0, 0] => 'r',
            [0, 1, 0] => 'g',
            [0, 0, 1] => 'b',
            [1, 1, 1] => 'w',
            _ => '?',
        }
    };
    let (right, below) = (frame.width - 5, frame.height - 5);
    [at(4, 4), at(right, 4), at(4, below), at(right, below)].into_iter().collect()
}

#[test]
fn still_pictures_are_turned_mirrored_and_cut_as_their_items_say() {
    let folder = scratch();
    let turn = |quarters: u8| boxed(b"irot", &[&[quarters]]);
    let mirror = |axis: u8| boxed(b"imir", &[&[axis]]);
    for (properties, quarters_are, size) in [
        (vec![], "rgbw", (64, 48)),
        (vec![turn(0)], "rgbw", (64, 48)),
        // Against the clock.
        (vec![turn(1)], "gwrb", (48, 64)),
        (vec![turn(2)], "wbgr", (64, 48)),
        (vec![turn(3)], "brwg", (48, 64)),
        // Axis 0 exchanges top and bottom.
        (vec![mirror(0)], "bwrg", (64, 48)),
        (vec![mirror(1)], "grwb", (64, 48)),
        (vec![turn(1), mirror(0)], "rbgw", (48, 64)),
        (vec![turn(1), mirror(1)], "wgbr", (48, 64)),
        (vec![turn(3), mirror(0)], "wgbr", (48, 64)),
        (vec![turn(2), mirror(1)], "bwrg", (64, 48)),
        (vec![mirror(1), turn(1)], "rbgw", (48, 64)),
        // 40 x 30 of the middle, then turned.
        (vec![clap([40, 1, 30, 1, 0, 1, 0, 1]), turn(1)], "gwrb", (30, 40)),
        // The upper left quarter alone.
        (vec![clap([32, 1, 24, 1, -16, 1, -12, 1])], "rrrr", (32, 24)),
    ] {
        let item = properties.into_iter().fold(quarters(folder.path()), Item::with);
        let path: PathBuf = heif(b"avif", &[item], &folder.path().join("a.avif"));
        let video = Video::open(&path).unwrap();
        let (frames, iterator) = read_all(&video);
        assert_eq!(letters(&frames[0]), quarters_are);
        assert_eq!((video.info().width, video.info().height), size, "{quarters_are}");
        assert_eq!((frames[0].width, frames[0].height), size, "{quarters_are}");
        assert_eq!(iterator.warnings(), [], "{quarters_are}");
    }
    let wide = quarters(folder.path()).with(boxed(b"pasp", &[&[0, 0, 0, 4, 0, 0, 0, 3]]));
    let path = heif(b"avif", &[wide], &folder.path().join("wide.avif"));
    assert!(warnings(&path)[0].contains("pixels are 4 wide to 3 high"), "{:?}", warnings(&path));
}

#[test]
fn properties_come_from_every_list_of_associations() {
    let folder = scratch();
    // Two items with a property each beyond the picture's own: the main one's own list has neither.
    let main = quarters(folder.path());
    let [size, codec] = [main.properties.len() + 1, main.properties.len() + 2].map(|place| place as u8);
    let mut other = quarters(folder.path());
    other.properties.insert(0, boxed(b"irot", &[&[1]]));
    other.properties.insert(1, boxed(b"imir", &[&[1]]));
    let narrow = |place: u8| boxed(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0x80 | place]]);
    let wide = |place: u8| boxed(b"ipma", &[&[0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0x80, place]]);
    let long = |place: u8| boxed(b"ipma", &[&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0x80 | place]]);
    let nobodys = boxed(b"ipma", &[&[1, 0, 0, 1, 0, 0, 0, 0]]);
    for (more, quarters_are) in [
        (nobodys.clone(), "rgbw"),
        (narrow(size), "gwrb"),
        (wide(size), "gwrb"),
        ([nobodys, long(size)].concat(), "gwrb"),
        ([wide(size), long(codec)].concat(), "wgbr"),
    ] {
        let items = [main.clone(), other.clone()];
        let path = heif_with(b"avif", &items, &more, &folder.path().join("a.avif"));
        let (frames, iterator) = read_all(&Video::open(&path).unwrap());
        assert_eq!(letters(&frames[0]), quarters_are);
        assert_eq!(iterator.warnings(), []);
    }
}

#[test]
fn pixels_that_are_not_square_are_named() {
    let folder = scratch();
    for (codec, name) in
        [("libx264", "a.mp4"), ("libx264", "a.mkv"), ("mpeg4", "a.mp4"), ("mpeg4", "a.avi"), ("libx264", "a.ts")]
    {
        let make = |ratio: &str| {
            let arguments = format!("{SOURCE} -vf setsar={ratio} -c:v {codec}");
            warnings(&ffmpeg(&arguments, &folder.path().join(name)))
        };
        let said = make("16/11");
        assert!(said.len() == 1 && said[0].contains("16 wide to 11 high and are taken as square"), "{name}: {said:?}");
        for square in ["1", "0", "201/200"] {
            assert_eq!(make(square), [""; 0], "{codec} {name} {square}");
        }
    }
}

#[test]
fn colours_that_are_not_converted_are_named() {
    let folder = scratch();
    let make = |more: &str, name: &str| warnings(&ffmpeg(&format!("{SOURCE} {more}"), &folder.path().join(name)));
    for (more, named) in [
        ("-c:v libx264 -colorspace ycgco", "YCgCo"),
        ("-c:v libx264 -colorspace bt2020c", "constant luminance"),
        ("-c:v libx264 -colorspace smpte2085", "SMPTE 2085"),
        ("-c:v libx264 -x264-params colormatrix=chroma-derived-nc", "derived from the primaries"),
        ("-c:v libx264 -x264-params colormatrix=ICtCp", "ICtCp"),
        ("-c:v libx264 -color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc", "PQ"),
        ("-c:v libx264 -color_trc arib-std-b67", "HLG"),
        ("-c:v libx264 -color_trc linear", "linear"),
        ("-c:v libx264 -color_trc log100", "logarithmic"),
        ("-c:v libx264 -color_trc bt2020-10 -color_primaries bt2020 -colorspace bt2020nc", "BT.2020"),
    ] {
        for name in ["a.mp4", "a.mkv", "a.ts"] {
            let said = make(more, name);
            assert!(said.len() == 1 && said[0].contains(named), "{name} {more}: {said:?}");
        }
    }
    for plain in [
        "-c:v libx264 -colorspace bt709 -color_trc bt709 -color_primaries bt709",
        "-c:v libx264 -colorspace smpte170m -color_trc smpte170m -color_primaries smpte170m",
        "-c:v libx264rgb -pix_fmt rgb24",
        "-c:v libx264",
    ] {
        assert_eq!(make(plain, "a.mp4"), [""; 0], "{plain}");
    }
}

#[test]
fn fields_of_interlaced_video_have_chroma_of_their_own() {
    let folder = scratch();
    let source = "-f lavfi -i testsrc2=s=160x128:r=50:d=2 -vf interlace,format=yuv420p";
    for (name, codec, is_interlaced) in [
        ("mbaff.ts", "libx264 -bf 2 -g 15 -flags +ilme+ildct -x264-params tff=1", true),
        ("mbaff.mp4", "libx264 -bf 2 -g 15 -flags +ilme+ildct -x264-params bff=1", true),
        ("mpeg2.ts", "mpeg2video -bf 2 -g 12 -q:v 3 -flags +ilme+ildct", true),
        ("mpeg2.mkv", "mpeg2video -bf 2 -g 12 -q:v 3 -flags +ilme+ildct", true),
        ("mpeg4.avi", "mpeg4 -q:v 3 -flags +ilme+ildct", true),
        ("plain.mp4", "libx264 -bf 2 -g 15", false),
    ] {
        let path = ffmpeg(&format!("{source} -c:v {codec}"), &folder.path().join(name));
        let by_field = by_ffmpeg(&path, "scale=interl=1", folder.path());
        let whole = by_ffmpeg(&path, "scale", folder.path());
        assert!(by_field != whole, "{name}: it makes a difference");
        assert_equal(&frames(&path), if is_interlaced { &by_field } else { &whole }, (160, 128), name);
        sparse_is_full(&path);
    }
}

#[test]
fn interlaced_pictures_of_any_height() {
    let folder = scratch();
    for (format, size) in [("yuv420p", "64x46"), ("yuv420p", "64x44"), ("yuv422p", "64x46")] {
        let arguments = format!(
            "-f lavfi -i testsrc2=s={size}:r=10:d=0.5 -vf setfield=tff,format={format} -c:v mpeg2video -q:v 3 -flags +ilme+ildct"
        );
        let path = ffmpeg(&arguments, &folder.path().join("a.ts"));
        let ours = frames(&path);
        assert_eq!(format!("{}x{}", ours[0].width, ours[0].height), size);
        let filter = if size == "64x44" { "scale=interl=1" } else { "scale" };
        let theirs = by_ffmpeg(&path, filter, folder.path());
        let (width, height) = (ours[0].width, ours[0].height);
        assert_equal(&ours, &theirs, (width, height), &format!("{format} {size}"));
    }
}
