//! Files that are no video of their own: named for what they are, and no other file is opened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::boxes::{Item, boxed, find, heif, insert, mp4};
use common::{ffmpeg, read_all, scratch};
use longvu_video::{Error, Video, formats, is_image, open_image};

/// The message of the error that opening or decoding a file ends in.
fn refusal(path: &Path) -> String {
    let frames = Video::open(path).and_then(|video| video.frames()?.collect::<Result<Vec<_>, _>>());
    frames.map(|frames| frames.len()).expect_err("an error, not so many frames").to_string()
}

const VIDEO: &str = "-f lavfi -i testsrc=s=64x48:d=2:r=10";

#[test]
fn lists_are_named_and_what_they_name_is_not_opened() {
    let folder = scratch();
    let file = |name: &str| folder.path().join(name);
    ffmpeg(&format!("{VIDEO} -c:v libx264"), &file("other.mp4"));
    ffmpeg(&format!("{VIDEO} -c:v libx264"), &file("other.ts"));
    // Links to an absolute place, too, where FFmpeg would find the video from anywhere.
    let absolute = file("other.mp4").display().to_string();
    let hls = |name: &str| {
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n")
    };
    let dash = "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
        mediaPresentationDuration=\"PT2S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\">\n<Period>\
        <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"9\"><BaseURL>other.mp4</BaseURL>\
        </Representation></AdaptationSet></Period></MPD>\n";
    let lists = [
        ("ffconcat version 1.0\nfile 'other.mp4'\n".to_owned(), "concat"),
        (format!("ffconcat version 1.0\nfile '{absolute}'\n"), "concat"),
        (format!("# made by hand\nfile '{absolute}'\n"), "concat"),
        (hls("other.ts"), "HLS"),
        (hls(&format!("file:{}", file("other.ts").display())), "HLS"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\nother.m3u8\n".to_owned(), "HLS"),
        (format!("\u{feff}#EXTM3U\r\n{absolute}\r\n"), "M3U"),
        (dash.to_owned(), "DASH"),
        (dash.replace("<MPD ", "<!-- a note -->\n<MPD\n"), "DASH"),
        ("[playlist]\nFile1=other.mp4\nNumberOfEntries=1\n".to_owned(), "PLS"),
        ("<asx version=\"3.0\"><entry><ref href=\"other.mp4\"/></entry></asx>".to_owned(), "ASX"),
        ("FILE \"other.wav\" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n".to_owned(), "cue sheet"),
        ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n".to_owned(), "SDP"),
        (
            "<?xml version=\"1.0\"?><CompositionPlaylist xmlns=\"http://www.smpte-ra.org/schemas/2067-3/2016\">"
                .to_owned(),
            "IMF",
        ),
    ];
    for (text, kind) in lists {
        // The extension should make no difference.
        for name in ["list.mp4", "list.m3u8", "list.mpd", "list"] {
            std::fs::write(file(name), &text).unwrap();
            let message = refusal(&file(name));
            assert!(message.contains(kind) && message.contains("name the video itself"), "{text}: {message}");
        }
    }
}

#[test]
fn texts_and_formats_that_are_no_video_are_named() {
    let folder = scratch();
    let path = folder.path().join("clip.mp4");
    for (text, kind) in [
        ("1\n00:00:01,000 --> 00:00:02,000\nHello\n", "subtitles"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "subtitles"),
        ("[Script Info]\nScriptType: v4.00+\n\n[Events]\n", "subtitles"),
        (";FFMETADATA1\ntitle=x\n", "metadata"),
        ("<!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("<note>nothing to see</note>", "text"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = refusal(&path);
        assert!(message.contains("not a video") && message.contains(kind), "{text}: {message}");
    }
}

/// Puts a reference to `other` in the place of the one that says "in this file".
fn refer_to(bytes: &mut Vec<u8>, reference: &[u8]) {
    let (moov, trak, mdia) = (find(bytes, b"moov", 0), find(bytes, b"trak", 0), find(bytes, b"mdia", 0));
    let (minf, dinf, dref) = (find(bytes, b"minf", 0), find(bytes, b"dinf", 0), find(bytes, b"dref", 0));
    let old = find(bytes, b"url ", 0);
    assert_eq!(bytes[old..old + 12], [0, 0, 0, 12, b'u', b'r', b'l', b' ', 0, 0, 0, 1]);
    insert(bytes, old + 12, &[moov, trak, mdia, minf, dinf, dref], reference);
    // The old one becomes an empty box before it, of no reference.
    let count = dref + 12;
    bytes[count..count + 4].copy_from_slice(&2_u32.to_be_bytes());
    let entry = find(bytes, b"stsd", 0) + 16;
    bytes[entry + 14..entry + 16].copy_from_slice(&2_u16.to_be_bytes());
}

#[test]
fn pictures_in_another_file() {
    let folder = scratch();
    let whole = mp4(&format!("{VIDEO} -c:v mpeg4"), &folder.path().join("other.mp4"));
    for reference in
        [boxed(b"url ", &[&[0; 4], b"other.mp4\0"]), boxed(b"alis", &[&[0; 4], &[0; 50], b"\x09other.mp4", &[0; 100]])]
    {
        let mut bytes = whole.clone();
        refer_to(&mut bytes, &reference);
        let path = folder.path().join("reference.mov");
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("another file"), "{}", refusal(&path));
    }
    // A reference that names nothing is to this file.
    let mut bytes = whole;
    refer_to(&mut bytes, &boxed(b"url ", &[&[0; 4]]));
    let path = folder.path().join("self.mov");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read_all(&Video::open(&path).unwrap()).0.len(), 2);
}

#[test]
fn a_reference_movie() {
    let folder = scratch();
    let path = folder.path().join("reference.mov");
    let link = boxed(b"rdrf", &[&[0; 4], b"url ", &10_u32.to_be_bytes(), b"other.mp4\0"]);
    let movie = boxed(b"moov", &[&boxed(b"rmra", &[&boxed(b"rmda", &[&link])])]);
    std::fs::write(&path, movie).unwrap();
    assert!(refusal(&path).contains("a QuickTime reference movie"), "{}", refusal(&path));
}

#[test]
fn encrypted_mp4() {
    let folder = scratch();
    let path = folder.path().join("encrypted.mp4");
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
        -encryption_kid a7e61c373e219033c21091fa607bf3b8";
    ffmpeg(&format!("{VIDEO} -c:v libx264 {key}"), &path);
    assert!(refusal(&path).contains("is encrypted"), "{}", refusal(&path));

    // Other schemes differ in what the box of the sample's description says, not in that box itself.
    let mut bytes = mp4(&format!("{VIDEO} -c:v libx264"), &folder.path().join("plain.mp4"));
    let entry = find(&bytes, b"avc1", 1);
    bytes[entry + 4..entry + 8].copy_from_slice(b"encv");
    let scheme = boxed(b"schm", &[&[0; 4], b"cbcs", &[0, 1, 0, 0]]);
    let sinf = boxed(b"sinf", &[&boxed(b"frma", &[b"avc1"]), &scheme]);
    let around: Vec<usize> =
        [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"].iter().map(|kind| find(&bytes, kind, 0)).collect();
    insert(&mut bytes, entry + 86, &[&around[..], &[entry]].concat(), &sinf);
    std::fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("is encrypted"), "{}", refusal(&path));
}

/// A Matroska element with a size of four bytes.
fn element(id: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [id, &(0x1000_0000 | body.len() as u32).to_be_bytes(), &body].concat()
}

#[test]
fn encrypted_matroska() {
    let folder = scratch();
    let path = folder.path().join("encrypted.webm");
    let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &[&element(&[0x42, 0x82], &[b"webm"])]);
    let file = |encoding: &[u8]| {
        let size = [element(&[0xb0], &[&[64]]), element(&[0xba], &[&[48]])].concat();
        let encodings = element(&[0x6d, 0x80], &[&element(&[0x62, 0x40], &[encoding])]);
        let video = element(&[0xe0], &[&size]);
        let track =
            [&element(&[0xd7], &[&[1]])[..], &element(&[0x83], &[&[1]]), &element(&[0x86], &[b"V_VP8"]), &video];
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[&element(&[0xae], &[&track.concat(), &encodings])]);
        let block = element(&[0xa3], &[&[0x81, 0, 0, 0x80], &[0x55; 200]]);
        let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &[&element(&[0xe7], &[&[0]]), &block]);
        [&header[..], &element(&[0x18, 0x53, 0x80, 0x67], &[&tracks, &cluster])].concat()
    };
    let kind = element(&[0x50, 0x33], &[&[1]]);
    let with_key =
        element(&[0x50, 0x35], &[&element(&[0x47, 0xe1], &[&[5]]), &element(&[0x47, 0xe2], &[b"0123456789"])]);
    for encoding in [[&kind[..], &with_key].concat(), [&kind[..], &element(&[0x50, 0x35], &[])].concat()] {
        std::fs::write(&path, file(&encoding)).unwrap();
        assert!(refusal(&path).contains("is encrypted"), "{}", refusal(&path));
    }
}

#[test]
fn scrambled_transport_stream() {
    let folder = scratch();
    let path = ffmpeg(&format!("{VIDEO} -c:v mpeg2video -q:v 2"), &folder.path().join("a.ts"));
    let mut bytes = std::fs::read(&path).unwrap();
    for packet in bytes.chunks_exact_mut(188) {
        // The video's packets; those of tables stay clear.
        if packet[1] & 0x1f == 1 && packet[2] == 0 {
            packet[3] |= 0x80;
            packet[12..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(167).wrapping_add(91));
        }
    }
    std::fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("is encrypted"), "{}", refusal(&path));
}

#[test]
fn heif_pictures_are_told_by_their_brands_and_items() {
    let folder = scratch();
    let path = folder.path().join("photo.heic");
    let item = |kind: &[u8; 4]| Item { kind: *kind, data: vec![7; 300], properties: Vec::new(), auxiliary_of: None };
    for (brand, kind, named) in [
        (b"heic", b"hvc1", "a HEIC picture"),
        (b"heic", b"grid", "a HEIC picture"),
        (b"heix", b"hvc1", "a HEIC picture"),
        (b"mif1", b"hvc1", "a HEIC picture"),
        (b"mif1", b"grid", "a HEIF picture"),
        (b"avci", b"avc1", "a HEIF picture in H.264"),
        (b"avif", b"grid", "an AVIF picture put together from tiles"),
        (b"avif", b"iovl", "an AVIF picture put together from tiles"),
    ] {
        let message = refusal(&heif(brand, &[item(kind)], &path));
        assert!(message.contains(&format!("{named}, which is not read; convert it")), "{message}");
    }
    std::fs::write(&path, boxed(b"ftyp", &[b"heic", &[0; 4], b"mif1heic"])).unwrap();
    assert!(refusal(&path).contains("a HEIC picture"), "{}", refusal(&path));
    // An MP4 file that was cut short is still that.
    std::fs::write(&path, [boxed(b"ftyp", &[b"isom", &[0; 4]]), boxed(b"mdat", &[&[9; 50]])].concat()).unwrap();
    assert!(refusal(&path).contains("moov"), "{}", refusal(&path));
}

#[test]
fn formats_that_are_not_read_are_refused_by_name() {
    let folder = scratch();
    let size = "-f lavfi -i testsrc=s=64x48 -frames:v 1 -update 1";
    for (name, said) in [
        ("a.tiff", "TIFF"),
        ("a.jp2", "JPEG 2000"),
        ("a.exr", "OpenEXR"),
        ("a.dpx", "DPX"),
        ("a.ppm", "portable map"),
        ("a.pgm", "portable map"),
        ("a.pam", "portable map"),
        ("a.tga", "Targa"),
        ("a.pcx", "PCX"),
        ("a.sgi", "SGI"),
        ("a.sun", "Sun raster"),
        ("a.xbm", "XBM"),
        ("a.qoi", "QOI"),
        ("a.fits", "FITS"),
        ("a.xwd", "xwd"),
    ] {
        let path = ffmpeg(size, &folder.path().join(name));
        // What it is called does not matter where the content tells.
        let renamed = folder.path().join("a.jpg");
        std::fs::copy(&path, &renamed).unwrap();
        for path in [&path, &renamed] {
            let error = Video::open(path).unwrap_err();
            if path == &renamed && name == "a.tga" {
                assert!(matches!(error, Error::NotAVideo { .. }), "{error}");
                continue;
            }
            assert!(matches!(error, Error::UnsupportedFormat { .. }), "{name}: {error}");
            assert!(error.to_string().contains(said) && error.to_string().contains("convert it to PNG"), "{error}");
            assert!(open_image(path).is_err() && !is_image(path), "{name}");
        }
    }
    for (bytes, said) in [
        (&b"8BPS\0\x01"[..], "Photoshop"),
        (b"%PDF-1.4", "PDF"),
        (b"\xff\x0a\xcb\x06", "JPEG XL"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"DDS \x7c\0\0\0", "DirectDraw"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"\xff\xd8\xff\xc9\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0\xff\xd9", "arithmetic coding"),
        (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x10\0\x10\x01\x01\x11\0\xff\xd9", "more than 8 bits"),
    ] {
        let path = folder.path().join("b");
        std::fs::write(&path, bytes).unwrap();
        for error in [open_image(&path).unwrap_err(), Video::open(&path).unwrap_err()] {
            assert!(matches!(error, Error::UnsupportedFormat { .. }), "{said}: {error}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    assert!(formats().iter().any(|format| !format.read && format.name.starts_with("TIFF")));
    assert!(formats().iter().any(|format| format.read && format.extensions.contains(&"webp")));
}

#[test]
fn codecs_that_are_not_read_are_named() {
    let folder = scratch();
    for name in ["clip.avi", "clip.mov", "clip.mkv"] {
        let path = ffmpeg(&format!("{VIDEO} -c:v targa"), &folder.path().join(name));
        let message = refusal(&path);
        assert!(message.contains("the codec targa is not read; convert the file"), "{message}");
    }
}
