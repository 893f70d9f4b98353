//! Which formats are read, and which are refused by name.

/// A file format: whether it is read, and what to know about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FormatInfo {
    /// The format's name.
    pub name: &'static str,
    /// Usual extensions, in lower case without the dot. Files are told by their content.
    pub extensions: &'static [&'static str],
    /// Whether it is read.
    pub read: bool,
    /// What of it is read, or what to do instead.
    pub note: &'static str,
    /// Byte strings at places, any of which tells this format among those that are refused.
    #[serde(skip)]
    signatures: &'static [&'static [(usize, &'static [u8])]],
}

/// What is read and what is refused by name, pictures first.
///
/// Of containers only the common ones are listed. FFmpeg reads some more, and of codecs those that cameras, streams, films,
/// archives and recorded screens have; a video of another is refused by name.
pub fn formats() -> &'static [FormatInfo] {
    FORMATS
}

/// The refused format whose signature a file begins with.
pub(crate) fn refused_by_content(head: &[u8]) -> Option<&'static FormatInfo> {
    let has = |(place, bytes): &(usize, &[u8])| head.get(*place..).is_some_and(|rest| rest.starts_with(bytes));
    let known = FORMATS.iter().find(|format| format.signatures.iter().any(|parts| parts.iter().all(has)));
    known.or_else(|| refused_by_text(head))
}

/// Formats that are text, with their mark somewhere near the beginning.
fn refused_by_text(head: &[u8]) -> Option<&'static FormatInfo> {
    let contains = |mark: &[u8]| head.windows(mark.len()).any(|window| window == mark);
    let portable_map =
        matches!(head, [b'P', b'1'..=b'7' | b'F' | b'f' | b'H' | b'h', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..]);
    let name = match head {
        _ if portable_map => PORTABLE_MAP,
        [b'#', b'd', b'e', b'f', ..] if contains(b"_width ") => XBM,
        [b'<', ..] | [0xef, 0xbb, 0xbf, b'<', ..] if contains(b"<svg") => SVG,
        // Images of one to 255 entries, each of which has a zero byte at its place 3.
        [0, 0, 1 | 2, 0, 1..=255, 0, _, _, _, 0, ..] => ICON,
        _ => return None,
    };
    FORMATS.iter().find(|format| format.name == name)
}

/// The refused format that an extension stands for, to explain a file that FFmpeg cannot read.
pub(crate) fn refused_by_extension(path: &std::path::Path) -> Option<&'static FormatInfo> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    FORMATS.iter().find(|format| !format.read && format.extensions.contains(&extension.as_str()))
}

/// The picture format that one of FFmpeg's demuxers reads as a video of one frame; `None` for a real video's.
pub(crate) fn refused_demuxer(name: &str) -> Option<&str> {
    match name {
        "ico" | "fits" | "msp" | "txd" | "brender_pix" | "image2" | "image2pipe" => Some(name),
        _ => name.strip_suffix("_pipe"),
    }
}

/// What to do with a picture that is not read.
pub(crate) const CONVERT: &str = "convert it to PNG, for example with ImageMagick (`magick FILE picture.png`)";

const RENDER: &str = "it is a drawing, not pixels: render it to PNG first";
const RAW: &str = "develop it to JPEG or PNG with the camera's or another raw converter";
const ICON: &str = "Windows icon or cursor";
const PORTABLE_MAP: &str = "portable map (PBM, PGM, PPM, PAM, PFM)";
const SVG: &str = "SVG";
const XBM: &str = "XBM";

const fn read(name: &'static str, extensions: &'static [&'static str], note: &'static str) -> FormatInfo {
    FormatInfo { name, extensions, read: true, note, signatures: &[] }
}

const fn refused(
    name: &'static str,
    extensions: &'static [&'static str],
    note: &'static str,
    signatures: &'static [&'static [(usize, &'static [u8])]],
) -> FormatInfo {
    FormatInfo { name, extensions, read: false, note, signatures }
}

static FORMATS: &[FormatInfo] = &[
    read("JPEG", &["jpg", "jpeg", "jfif", "mpo"], "8 bits, baseline and progressive; of an MPO file the first picture"),
    read("PNG", &["png"], "all depths; 16 bits are cut to 8; transparency is dropped"),
    read("animated PNG", &["png", "apng"], "8 bits, all pictures, as a video"),
    read("WebP", &["webp"], "lossy and lossless; transparency is dropped"),
    read("animated WebP", &["webp"], "all pictures, as a video"),
    read("GIF", &["gif"], "more than one picture: as a video"),
    read("BMP", &["bmp", "dib"], "with its file header"),
    read("AVIF", &["avif"], "as a video, by FFmpeg"),
    read("MP4, QuickTime", &["mp4", "m4v", "mov", "3gp"], "by FFmpeg"),
    read("Matroska, WebM", &["mkv", "webm"], "by FFmpeg"),
    read("AVI", &["avi"], "by FFmpeg"),
    read("MPEG transport and program streams", &["ts", "m2ts", "mts", "mpg", "mpeg", "vob"], "by FFmpeg"),
    read("Windows Media, Flash, Ogg", &["wmv", "asf", "flv", "ogv"], "by FFmpeg"),
    read(
        "streams without a container",
        &["h264", "hevc", "ivf", "y4m", "mjpeg"],
        "H.264, HEVC, motion JPEG and others, by FFmpeg",
    ),
    refused("HEIC, HEIF", &["heic", "heif", "hif"], "convert it to JPEG or PNG, for example with `heif-convert`", &[]),
    refused(
        "TIFF, or a camera's raw picture",
        &["tif", "tiff", "dng", "nef", "cr2", "arw", "pef", "srw"],
        CONVERT,
        &[&[(0, b"II*\0")], &[(0, b"MM\0*")], &[(0, b"II+\0")], &[(0, b"MM\0+")]],
    ),
    refused(
        "a camera's raw picture",
        &["raf", "orf", "rw2", "x3f", "cr3", "mrw"],
        RAW,
        &[
            &[(0, b"FUJIFILMCCD-RAW")],
            &[(0, b"IIRO")],
            &[(0, b"IIRS")],
            &[(0, b"MMOR")],
            &[(0, b"IIU\0")],
            &[(0, b"FOVb")],
            &[(0, b"\0MRM")],
            &[(4, b"ftypcrx ")],
        ],
    ),
    refused(
        "JPEG 2000",
        &["jp2", "j2k", "j2c", "jpf", "jpx", "jpm"],
        CONVERT,
        &[
            &[(4, b"jP  \r\n\x87\n"), (16, b"ftypjp2 ")],
            &[(4, b"jP  \r\n\x87\n"), (16, b"ftypjpx ")],
            &[(4, b"jP  \r\n\x87\n"), (16, b"ftypjpm ")],
            &[(0, b"\xff\x4f\xff\x51")],
        ],
    ),
    refused("JPEG XL", &["jxl"], CONVERT, &[&[(0, b"\xff\x0a")], &[(4, b"JXL \r\n\x87\n")]]),
    refused("JPEG XR", &["jxr", "wdp", "hdp"], CONVERT, &[&[(0, b"II\xbc")]]),
    refused("Photoshop", &["psd", "psb"], CONVERT, &[&[(0, b"8BPS")]]),
    refused("GIMP", &["xcf"], CONVERT, &[&[(0, b"gimp xcf ")]]),
    refused("OpenEXR", &["exr"], CONVERT, &[&[(0, b"\x76\x2f\x31\x01")]]),
    refused("Radiance HDR", &["hdr", "rgbe"], CONVERT, &[&[(0, b"#?RADIANCE")], &[(0, b"#?RGBE")]]),
    refused("DirectDraw surface", &["dds"], CONVERT, &[&[(0, b"DDS \x7c\0\0\0")]]),
    refused("Khronos texture", &["ktx", "ktx2"], CONVERT, &[&[(0, b"\xabKTX ")]]),
    refused("BLP", &["blp"], CONVERT, &[&[(0, b"BLP1")], &[(0, b"BLP2")]]),
    refused(PORTABLE_MAP, &["pnm", "pbm", "pgm", "ppm", "pam", "pfm", "phm"], CONVERT, &[]),
    refused("Targa", &["tga", "targa"], CONVERT, &[]),
    refused(ICON, &["ico", "cur"], CONVERT, &[]),
    refused("macOS icon", &["icns"], CONVERT, &[&[(0, b"icns")]]),
    refused("QOI", &["qoi"], CONVERT, &[&[(0, b"qoif")]]),
    refused(
        "PCX",
        &["pcx"],
        CONVERT,
        &[&[(0, b"\x0a\0\x01")], &[(0, b"\x0a\x02\x01")], &[(0, b"\x0a\x03\x01")], &[(0, b"\x0a\x05\x01")]],
    ),
    refused("SGI", &["sgi", "rgb", "bw"], CONVERT, &[&[(0, b"\x01\xda\0")], &[(0, b"\x01\xda\x01")]]),
    refused("Sun raster", &["ras", "sun"], CONVERT, &[&[(0, b"\x59\xa6\x6a\x95")]]),
    refused("DPX", &["dpx"], CONVERT, &[&[(0, b"SDPX")], &[(0, b"XPDS")]]),
    refused("Cineon", &["cin"], CONVERT, &[&[(0, b"\x80\x2a\x5f\xd7")]]),
    refused("FITS", &["fits", "fit", "fts"], CONVERT, &[&[(0, b"SIMPLE  =")]]),
    refused("DICOM", &["dcm"], CONVERT, &[&[(128, b"DICM")]]),
    refused("farbfeld", &["ff"], CONVERT, &[&[(0, b"farbfeld")]]),
    refused("FLIF", &["flif"], CONVERT, &[&[(0, b"FLIF")]]),
    refused("BPG", &["bpg"], CONVERT, &[&[(0, b"BPG\xfb")]]),
    refused("MNG or JNG", &["mng", "jng"], CONVERT, &[&[(0, b"\x8aMNG\r\n\x1a\n")], &[(0, b"\x8bJNG\r\n\x1a\n")]]),
    refused("Microsoft Paint 1", &["msp"], CONVERT, &[&[(0, b"DanM")], &[(0, b"LinS")]]),
    refused(XBM, &["xbm"], CONVERT, &[]),
    refused("XPM", &["xpm"], CONVERT, &[&[(0, b"/* XPM */")], &[(0, b"! XPM2")]]),
    refused("X window dump", &["xwd"], CONVERT, &[]),
    refused(SVG, &["svg", "svgz"], RENDER, &[]),
    refused("PDF", &["pdf"], RENDER, &[&[(0, b"%PDF-")]]),
    refused("PostScript", &["ps", "eps"], RENDER, &[&[(0, b"%!PS")], &[(0, b"\xc5\xd0\xd3\xc6")]]),
    refused("Windows metafile", &["wmf", "emf"], RENDER, &[&[(0, b"\xd7\xcd\xc6\x9a")], &[(40, b" EMF")]]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &[u8]) -> Option<&'static str> {
        refused_by_content(head).map(|format| format.name)
    }

    #[test]
    fn signatures_tell_formats_apart() {
        assert_eq!(refused(b"II*\0\x08\0\0\0"), Some("TIFF, or a camera's raw picture"));
        assert_eq!(refused(b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 "), Some("JPEG 2000"));
        assert_eq!(refused(b"P6 4 4 255 abc"), Some(PORTABLE_MAP));
        assert_eq!(refused(b"<?xml version=\"1.0\"?>\n<svg width=\"3\">"), Some(SVG));
        assert_eq!(refused(b"\0\0\x01\0\x01\0\x40\x30\0\0\x01\0\x18\0"), Some(ICON));
        assert_eq!(refused(b"#define a_width 64\n"), Some(XBM));
        // Motion JPEG 2000, MP4, MPEG, a truncated signature, text and nothing.
        for head in [
            &b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2"[..],
            b"\0\0\0\x20ftypisom",
            b"\0\0\x01\xba\x44\0\x04\0",
            b"\0\0\x01\xb3\x16\0\xf0\xc4",
            b"\0\0\0\x01\x67\x42\0\x1e",
            b"II*",
            b"Plain text",
            b"<html>",
            b"",
        ] {
            assert_eq!(refused(head), None, "{head:?}");
        }
    }

    #[test]
    fn every_format_says_what_to_know() {
        for format in formats() {
            assert!(!format.note.is_empty() && !format.extensions.is_empty(), "{}", format.name);
            assert!(!format.read || format.signatures.is_empty(), "{}", format.name);
            assert!(format.extensions.iter().all(|e| *e == e.to_ascii_lowercase()), "{}", format.name);
        }
        assert_eq!(refused_by_extension("a/b.TGA".as_ref()).map(|format| format.name), Some("Targa"));
        assert_eq!(refused_by_extension("a/b.mp4".as_ref()), None);
        assert_eq!((refused_demuxer("tiff_pipe"), refused_demuxer("gif")), (Some("tiff"), None));
    }
}
