//! The codecs that are read: those of videos that people have. FFmpeg's decoders of the rest, of games of the nineties for the
//! most part, are never run.

use std::path::Path;
use std::sync::OnceLock;

use ffmpeg_next as ffmpeg;

use crate::{Error, Result, ffi};

/// FFmpeg's names of codecs of pictures.
const PICTURES: &[&str] = &[
    // Cameras, streams, films.
    "apv",
    "av1",
    "avs2",
    "avs3",
    "cavs",
    "cinepak",
    "dirac",
    "evc",
    "flv1",
    "h261",
    "h263",
    "h263i",
    "h263p",
    "h264",
    "hevc",
    "imm4",
    "imm5",
    "indeo2",
    "indeo3",
    "indeo4",
    "indeo5",
    "lcevc",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "msmpeg4v1",
    "msmpeg4v2",
    "msmpeg4v3",
    "mxpeg",
    "nuv",
    "rv10",
    "rv20",
    "rv30",
    "rv40",
    "rv60",
    "snow",
    "svq1",
    "svq3",
    "theora",
    "vc1",
    "vc1image",
    "vp3",
    "vp4",
    "vp5",
    "vp6",
    "vp6a",
    "vp6f",
    "vp7",
    "vp8",
    "vp9",
    "vvc",
    "wmv1",
    "wmv2",
    "wmv3",
    "wmv3image",
    // Production and archives: pictures each of its own, packed or raw.
    "012v",
    "aic",
    "amv",
    "asv1",
    "asv2",
    "avrp",
    "avui",
    "ayuv",
    "bitpacked",
    "cfhd",
    "cljr",
    "cllc",
    "cyuv",
    "dnxhd",
    "dvvideo",
    "dxtory",
    "dxv",
    "ffv1",
    "ffvhuff",
    "fraps",
    "hap",
    "hq_hqa",
    "hqx",
    "huffyuv",
    "hymt",
    "jpeg2000",
    "jpegls",
    "lagarith",
    "ljpeg",
    "loco",
    "magicyuv",
    "mjpeg",
    "mjpegb",
    "notchlc",
    "pixlet",
    "prores",
    "prores_raw",
    "r10k",
    "r210",
    "rawvideo",
    "sheervideo",
    "sp5x",
    "speedhq",
    "utvideo",
    "v210",
    "v210x",
    "v308",
    "v408",
    "v410",
    "vble",
    "vbn",
    "vcr1",
    "y41p",
    "ylc",
    "yuv4",
    // Screens.
    "8bps",
    "aasc",
    "cscd",
    "flashsv",
    "flashsv2",
    "fmvc",
    "g2m",
    "msa1",
    "mscc",
    "msrle",
    "mss1",
    "mss2",
    "msvideo1",
    "mszh",
    "mts2",
    "mwsc",
    "qtrle",
    "rasc",
    "rpza",
    "rscc",
    "scpr",
    "screenpresso",
    "smc",
    "srgc",
    "tdsc",
    "tscc",
    "tscc2",
    "vmnc",
    "wcmv",
    "zlib",
    "zmbv",
    // Pictures, within containers or in a row.
    "apng",
    "bmp",
    "gif",
    "png",
    "tiff",
    "webp",
    "webp_anim",
];

/// Those of sound, of which a container's opening looks at the first packets; beside them all that begin with `pcm_`.
const SOUND: &[&str] = &[
    "aac",
    "aac_latm",
    "ac3",
    "adpcm_g722",
    "adpcm_g726",
    "adpcm_ima_qt",
    "adpcm_ima_wav",
    "adpcm_ms",
    "adpcm_swf",
    "adpcm_yamaha",
    "alac",
    "amr_nb",
    "amr_wb",
    "ape",
    "cook",
    "dts",
    "dvaudio",
    "eac3",
    "flac",
    "gsm",
    "gsm_ms",
    "mlp",
    "mp1",
    "mp2",
    "mp3",
    "mp4als",
    "nellymoser",
    "opus",
    "qcelp",
    "qdm2",
    "ra_144",
    "ra_288",
    "s302m",
    "sipr",
    "speex",
    "tak",
    "truehd",
    "tta",
    "vorbis",
    "wavpack",
    "wmalossless",
    "wmapro",
    "wmav1",
    "wmav2",
    "wmavoice",
];

/// What to do with a video of another codec.
const CONVERT: &str = "convert the file to H.264, for example with `ffmpeg -i FILE video.mp4`";

/// Whether a codec with this name of FFmpeg's is read.
fn is_allowed(name: &str) -> bool {
    PICTURES.contains(&name) || SOUND.contains(&name) || name.starts_with("pcm_")
}

/// The decoders of the codecs that are read, as FFmpeg's option `codec_whitelist` takes them: a codec can have several.
pub(crate) fn allowed() -> &'static str {
    static ALLOWED: OnceLock<String> = OnceLock::new();
    ALLOWED.get_or_init(|| {
        let decoders = ffi::decoders().into_iter().filter(|(codec, _)| is_allowed(codec));
        decoders.map(|(_, decoder)| decoder).collect::<Vec<_>>().join(",")
    })
}

/// Refuses a codec that FFmpeg may have a decoder of, and that is not read.
pub(crate) fn check(path: &Path, codec: ffmpeg::codec::Id) -> Result<()> {
    if is_allowed(codec.name()) || ffmpeg::codec::decoder::find(codec).is_none() {
        return Ok(());
    }
    let format = format!("the codec {}", codec.name());
    Err(Error::UnsupportedFormat { path: path.to_owned(), format, advice: CONVERT })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoders_go_by_their_codecs() {
        let allowed: Vec<&str> = allowed().split(',').collect();
        for decoder in ["h264", "hevc", "mpeg4", "vp9", "mjpeg", "aac", "pcm_s16le"] {
            assert!(allowed.contains(&decoder), "{decoder}");
        }
        // Another name than its codec's.
        assert!(allowed.contains(&"mp3float") || allowed.contains(&"mp3"), "{allowed:?}");
        for decoder in ["ansi", "smackvid", "bink", "roqvideo", "ass", "srt", "ccaption", "xan_wc3", "exr", "psd"] {
            assert!(!allowed.contains(&decoder), "{decoder}");
        }
    }

    #[test]
    fn what_is_unknown_is_left_to_the_decoder() {
        let path = Path::new("a.avi");
        check(path, ffmpeg::codec::Id::None).unwrap();
        check(path, ffmpeg::codec::Id::H264).unwrap();
        let error = check(path, ffmpeg::codec::Id::ROQ).unwrap_err();
        assert!(error.to_string().contains("the codec roq is not read"), "{error}");
    }
}
