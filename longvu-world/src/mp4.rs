//! Writes videos as MP4 files.

use std::path::Path;
use std::sync::Once;

use ffmpeg::codec::{self, encoder};
use ffmpeg::format::{self, Pixel};
use ffmpeg::software::scaling;
use ffmpeg::{Dictionary, Packet, Rational, frame};
use ffmpeg_next as ffmpeg;

use crate::{Error, Result, Script};

/// An encoder by FFmpeg's name, what it makes, and settings for a good picture.
type Choice = (&'static str, VideoCodec, &'static [(&'static str, &'static str)]);

/// The better first.
const ENCODERS: [Choice; 3] = [
    // Browsers fail after a jump into pictures that need those before their key frame.
    ("libx264", VideoCodec::H264, &[("preset", "veryfast"), ("crf", "18"), ("x264-params", "open-gop=0")]),
    ("libopenh264", VideoCodec::H264, &[("b", "4M")]),
    // Quality 3 of 31, in FFmpeg's units of 1/118.
    ("mpeg4", VideoCodec::Mpeg4, &[("flags", "+qscale"), ("global_quality", "354")]),
];

/// How a video was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoCodec {
    /// H.264.
    H264,
    /// MPEG-4 Part 2, where FFmpeg has no encoder for H.264.
    Mpeg4,
}

impl Script {
    /// Writes the video to an MP4 file at its own frame rate, in yuv420p, without sound; the codec is what FFmpeg has.
    ///
    /// One frame at a time is drawn and handed over, so memory does not grow with the length. The file appears when it is
    /// complete, in place of one that was there before; a failure leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] if the width or the height is odd, [`Error::NoEncoder`], [`Error::Encode`], [`Error::Io`].
    pub fn write_mp4(&self, path: impl AsRef<Path>) -> Result<VideoCodec> {
        let path = path.as_ref();
        let (width, height) = self.size();
        if width % 2 != 0 || height % 2 != 0 {
            let expected = "even on both sides for a video file";
            return Err(Error::InvalidOption { option: "size", value: format!("{width}x{height}"), expected });
        }
        silence();
        let io = |source| Error::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let scratch = scratch_file(folder).map_err(io)?;
        let (encoder, codec) = open_encoder(self, path, &ENCODERS)?;
        let failed = |error: ffmpeg::Error| Error::Encode { path: path.to_owned(), reason: error.to_string() };
        encode(self, encoder, &scratch).map_err(failed)?;
        scratch.persist(path).map_err(|error| io(error.error))?;
        Ok(codec)
    }
}

/// An empty file, with the permissions of any new one, that goes away unless it is kept.
fn scratch_file(folder: &Path) -> std::io::Result<tempfile::TempPath> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".mp4");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    Ok(builder.tempfile_in(folder)?.into_temp_path())
}

/// Silences FFmpeg's own printing to standard error, once a process, and gives its errors their texts.
fn silence() {
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        ffmpeg::error::register_all();
    });
}

/// The first encoder that FFmpeg has and that takes this video.
fn open_encoder(script: &Script, path: &Path, choices: &[Choice]) -> Result<(encoder::video::Encoder, VideoCodec)> {
    let mut reasons = Vec::new();
    for (name, codec, settings) in choices {
        match open_as(script, name, settings) {
            Ok(encoder) => return Ok((encoder, *codec)),
            Err(error) => reasons.push(format!("{name}: {error}")),
        }
    }
    Err(Error::NoEncoder { path: path.to_owned(), reason: reasons.join(", ") })
}

fn open_as(script: &Script, name: &str, settings: &[(&str, &str)]) -> Result<encoder::video::Encoder, ffmpeg::Error> {
    let found = encoder::find_by_name(name).ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut context = codec::Context::new_with_codec(found);
    // MP4 keeps a codec's headers apart from its pictures.
    context.set_flags(codec::Flags::GLOBAL_HEADER);
    let mut encoder = context.encoder().video()?;
    let (width, height) = script.size();
    encoder.set_width(width);
    encoder.set_height(height);
    encoder.set_format(Pixel::YUV420P);
    encoder.set_time_base(Rational(1, rate(script)));
    encoder.set_frame_rate(Some(Rational(rate(script), 1)));
    // A key frame every few seconds, for players that seek.
    encoder.set_gop(script.fps().saturating_mul(4));
    let settings: Dictionary = settings.iter().copied().collect();
    encoder.open_with(settings)
}

fn rate(script: &Script) -> i32 {
    i32::try_from(script.fps()).unwrap_or(i32::MAX)
}

fn encode(script: &Script, mut encoder: encoder::video::Encoder, path: &Path) -> Result<(), ffmpeg::Error> {
    let mut file = format::output_as(path, "mp4")?;
    let mut stream = file.add_stream(encoder.codec())?;
    stream.set_parameters(&encoder);
    stream.set_time_base(Rational(1, rate(script)));
    stream.set_avg_frame_rate(Rational(rate(script), 1));
    file.write_header()?;

    let (width, height) = script.size();
    let flags = scaling::Flags::BICUBIC;
    let mut scaler = scaling::Context::get(Pixel::RGB24, width, height, Pixel::YUV420P, width, height, flags)?;
    let mut rgb = frame::Video::new(Pixel::RGB24, width, height);
    for drawn in script.frames(f64::from(script.fps())).map_err(|_| ffmpeg::Error::InvalidData)? {
        let stride = rgb.stride(0);
        let rows = drawn.rgb.chunks_exact(width as usize * 3);
        for (line, row) in rgb.data_mut(0).chunks_mut(stride).zip(rows) {
            line.get_mut(..row.len()).ok_or(ffmpeg::Error::InvalidData)?.copy_from_slice(row);
        }
        // The encoder keeps pictures for a while, so each has its own.
        let mut picture = frame::Video::empty();
        scaler.run(&rgb, &mut picture)?;
        picture.set_pts(i64::try_from(drawn.index).ok());
        encoder.send_frame(&picture)?;
        write_ready(&mut encoder, &mut file, rate(script))?;
    }
    encoder.send_eof()?;
    write_ready(&mut encoder, &mut file, rate(script))?;
    file.write_trailer()
}

/// Writes the packets that an encoder has ready.
fn write_ready(
    encoder: &mut encoder::video::Encoder,
    file: &mut format::context::Output,
    rate: i32,
) -> Result<(), ffmpeg::Error> {
    let mut packet = Packet::empty();
    loop {
        match encoder.receive_packet(&mut packet) {
            Ok(()) => {}
            Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let time_base = file.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
        packet.set_stream(0);
        packet.set_duration(1);
        packet.rescale_ts(Rational(1, rate), time_base);
        packet.write_interleaved(file)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScriptOptions;

    #[test]
    fn without_h264_another_codec_is_used() {
        silence();
        let script = Script::draw(4, &ScriptOptions::default().with_size(64).with_duration(2.0)).unwrap();
        let path = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap().into_temp_path();
        let absent: Choice = ("no such encoder", VideoCodec::H264, &[]);
        let (encoder, codec) = open_encoder(&script, &path, &[absent, ENCODERS[2]]).unwrap();
        assert_eq!(codec, VideoCodec::Mpeg4);
        encode(&script, encoder, &path).unwrap();

        let video = longvu_video::Video::open(&path).unwrap();
        assert_eq!((video.info().codec.as_str(), video.info().frame_count), ("mpeg4", 16));
        for frame in video.frames().unwrap() {
            let frame = frame.unwrap();
            let drawn = script.frame(frame.timestamp);
            let apart: u64 = frame.rgb.iter().zip(&drawn).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(apart / (drawn.len() as u64) < 6, "{apart}");
        }

        let Err(error) = open_encoder(&script, &path, &[absent]) else { panic!("an encoder that does not exist") };
        assert!(matches!(error, Error::NoEncoder { .. }) && error.to_string().contains("install"), "{error}");
    }
}
