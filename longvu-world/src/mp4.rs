//! Writes videos as MP4 files.

use std::path::Path;
use std::sync::Once;

use ffmpeg::codec::{self, encoder};
use ffmpeg::format::{self, Pixel};
use ffmpeg::software::scaling;
use ffmpeg::{Dictionary, Packet, Rational, frame};
use ffmpeg_next as ffmpeg;

use crate::{Error, Result, Script};

/// Encoders by FFmpeg's names, the better first, each with settings for a good picture.
const ENCODERS: [(&str, VideoCodec, &[(&str, &str)]); 3] = [
    ("libx264", VideoCodec::H264, &[("preset", "veryfast"), ("crf", "18")]),
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
        let scratch = tempfile::Builder::new().prefix(".").suffix(".mp4").tempfile_in(folder).map_err(io)?;
        let scratch = scratch.into_temp_path();
        let (encoder, codec) = open_encoder(self, path)?;
        let failed = |error: ffmpeg::Error| Error::Encode { path: path.to_owned(), reason: error.to_string() };
        encode(self, encoder, &scratch).map_err(failed)?;
        readable_as_others(&scratch).map_err(io)?;
        scratch.persist(path).map_err(|error| io(error.error))?;
        Ok(codec)
    }
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
fn open_encoder(script: &Script, path: &Path) -> Result<(encoder::video::Encoder, VideoCodec)> {
    let mut reasons = Vec::new();
    for (name, codec, settings) in ENCODERS {
        match open_as(script, name, settings) {
            Ok(encoder) => return Ok((encoder, codec)),
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

/// Temporary files are for their owner alone; a finished video has the permissions of any new file.
#[cfg(unix)]
fn readable_as_others(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_as_others(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
