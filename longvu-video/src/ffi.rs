//! The few FFmpeg calls that `ffmpeg-next` does not wrap; all `unsafe` code of the crate is here.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::Once;

use ffmpeg::codec::packet::Ref;
use ffmpeg::ffi;
use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::{Dictionary, Packet, frame};
use ffmpeg_next as ffmpeg;

pub(crate) use convert::{RgbConverter, rgb_buffer};

use crate::Result;
use crate::bitstream::Inspector;

/// The number in a field of one of FFmpeg's structs that the bindings have as an `enum`. The number is a file's and need be
/// none of the enum's, so that neither the field nor a reference to the struct may be had as their Rust types.
///
/// Takes the place of the struct and the field's name; to be used where the place is known to be alive.
macro_rules! number {
    ($of:expr, $field:ident) => {
        std::ptr::addr_of!((*$of).$field).cast::<std::ffi::c_int>().read()
    };
}

mod convert;

/// Silences FFmpeg's own printing to standard error, once a process, so that a program that wants it can turn it on again;
/// and gives its errors their texts.
pub(crate) fn silence() {
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| {
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
        // Without this the messages of `ffmpeg::Error` are empty.
        ffmpeg::error::register_all();
    });
}

/// Opens a container and looks at the beginning of its streams, as `ffmpeg::format::input_from_stream` does, with decoders
/// that take no pictures of more than `max_pixels`: the look decodes what the headers leave open, before their sizes can be
/// compared with anything. Streams that only the look finds, as in MPEG-TS, it decodes with FFmpeg's own limit. `accept` gets
/// the container before the look and after it, with all streams and sizes, and may refuse it.
/// FFmpeg tells the container by the bytes unless `format` names it.
pub(crate) fn open_input(
    mut io: StreamIo,
    format: Option<&CStr>,
    settings: Dictionary,
    max_pixels: u64,
    accept: impl Fn(&Input) -> Result<()>,
    failed: impl Fn(ffmpeg::Error) -> crate::Error,
) -> Result<Input> {
    // SAFETY: the context is allocated here and checked, gets the reader before it is opened, and goes either into an
    // `Input` that owns it and the reader, or is closed: by `avformat_open_input` itself when that fails, else here. The
    // reader lives until after that. `settings` is taken apart and put together again, so that its entries are freed.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(failed(ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM }));
        }
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        let mut settings = settings.disown();
        let format = format.map_or(ptr::null(), |name| ffi::av_find_input_format(name.as_ptr()));
        let status = ffi::avformat_open_input(&mut context, ptr::null(), format, &mut settings);
        drop(Dictionary::own(settings));
        if status < 0 {
            return Err(failed(ffmpeg::Error::from(status)));
        }
        let mut input = Input::wrap_with_custom_io(context, io);
        accept(&input)?;
        let status = find_stream_info(&mut input, max_pixels);
        if status < 0 {
            return Err(failed(ffmpeg::Error::from(status)));
        }
        accept(&input)?;
        Ok(input)
    }
}

/// Looks at the beginning of each stream; returns FFmpeg's status.
fn find_stream_info(input: &mut Input, max_pixels: u64) -> c_int {
    let known = input.streams().count();
    let limit = max_pixels.to_string();
    let per_stream = || {
        let mut options = Dictionary::new();
        options.set("max_pixels", &limit);
        options
    };
    // SAFETY: there is a dictionary for each stream known by now, as the call asks; it may replace them, and they are freed
    // afterwards.
    unsafe {
        let mut options: Vec<*mut ffi::AVDictionary> = (0..known).map(|_| per_stream().disown()).collect();
        let status = ffi::avformat_find_stream_info(input.as_mut_ptr(), options.as_mut_ptr());
        for option in options {
            drop(Dictionary::own(option));
        }
        status
    }
}

/// Tells the demuxer to skip all streams but one, which saves reading the audio.
pub(crate) fn keep_only_stream(input: &mut ffmpeg::format::context::Input, keep: usize) {
    for mut stream in input.streams_mut() {
        let discard =
            if stream.index() == keep { ffi::AVDiscard::AVDISCARD_DEFAULT } else { ffi::AVDiscard::AVDISCARD_ALL };
        // SAFETY: the stream belongs to `input`, which is borrowed mutably here, and the field is a plain setting.
        unsafe { (*stream.as_mut_ptr()).discard = discard };
    }
}

/// Whether a stream is a cover, a thumbnail, a still beside a video, or depends on another stream.
pub(crate) fn is_attached(stream: &ffmpeg::Stream<'_>) -> bool {
    const ATTACHED: c_int = ffi::AV_DISPOSITION_ATTACHED_PIC as c_int
        | ffi::AV_DISPOSITION_TIMED_THUMBNAILS as c_int
        | ffi::AV_DISPOSITION_STILL_IMAGE as c_int
        | ffi::AV_DISPOSITION_DEPENDENT as c_int;
    // SAFETY: the stream is alive, and the field is a plain integer.
    unsafe { (*stream.as_ptr()).disposition & ATTACHED != 0 }
}

/// Whether the container marks a stream as one to show unless told otherwise.
pub(crate) fn is_default(stream: &ffmpeg::Stream<'_>) -> bool {
    // SAFETY: the stream is alive, and the field is a plain integer.
    unsafe { (*stream.as_ptr()).disposition & ffi::AV_DISPOSITION_DEFAULT as c_int != 0 }
}

/// Whether the container's own headers state its length, rather than FFmpeg's estimate.
pub(crate) fn has_declared_duration(input: &ffmpeg::format::context::Input) -> bool {
    // SAFETY: the context is alive, and the field is as wide as the number that is read.
    let method = unsafe { number!(input.as_ptr(), duration_estimation_method) };
    method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM as c_int
}

/// FFmpeg's names, joined by commas, of the format of which a file that begins with `head` looks to be.
pub(crate) fn format_of(head: &[u8]) -> Option<String> {
    let mut padded = head.to_vec();
    padded.resize(head.len() + ffi::AVPROBE_PADDING_SIZE as usize, 0);
    let data = ffi::AVProbeData {
        filename: c"".as_ptr(),
        buf: padded.as_mut_ptr(),
        buf_size: c_int::try_from(head.len()).ok()?,
        mime_type: std::ptr::null(),
    };
    let mut score = ffi::AVPROBE_SCORE_MAX as c_int / 4;
    // SAFETY: the data lead to a live buffer with the padding that the call asks for; null or a static format comes back.
    unsafe {
        let format = ffi::av_probe_input_format2(&data, 1, &mut score);
        text((!format.is_null()).then(|| (*format).name)?)
    }
}

/// A copy of a text of FFmpeg's.
///
/// # Safety
///
/// `text` is null or leads to a live text that ends in 0.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: what the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// FFmpeg's decoders: the name of each one's codec, and its own.
pub(crate) fn decoders() -> Vec<(String, String)> {
    let (mut names, mut decoders) = (BTreeMap::new(), Vec::new());
    let (mut descriptor, mut place) = (ptr::null(), ptr::null_mut());
    // SAFETY: both calls go through lists that are there for good, to null at their ends; `place` is the second's own.
    unsafe {
        loop {
            descriptor = ffi::avcodec_descriptor_next(descriptor);
            if descriptor.is_null() {
                break;
            }
            names.insert(number!(descriptor, id), text((*descriptor).name));
        }
        loop {
            let codec = ffi::av_codec_iterate(&mut place);
            if codec.is_null() {
                return decoders;
            }
            let name = names.get(&number!(codec, id)).cloned().flatten();
            if let Some(pair) = name.zip(text((*codec).name)).filter(|_| ffi::av_codec_is_decoder(codec) != 0) {
                decoders.push(pair);
            }
        }
    }
}

/// How the colours of a stream or a picture are coded, as numbers of ISO/IEC 23091-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    pub matrix: c_int,
    pub transfer: c_int,
    pub primaries: c_int,
    /// Whether the pictures have three channels that a matrix turns into RGB.
    pub is_yuv: bool,
}

impl Colours {
    /// Those in the headers of a stream.
    pub fn of_stream(parameters: &ffmpeg::codec::Parameters) -> Self {
        // SAFETY: the parameters are alive, and each field is as wide as the number that is read.
        unsafe {
            let raw = parameters.as_ptr();
            Self {
                matrix: number!(raw, color_space),
                transfer: number!(raw, color_trc),
                primaries: number!(raw, color_primaries),
                is_yuv: is_yuv(number!(raw, format)),
            }
        }
    }

    /// Those of a decoded picture.
    pub fn of_picture(picture: &frame::Video) -> Self {
        // SAFETY: the picture is alive, and each field is as wide as the number that is read.
        unsafe {
            let raw = picture.as_ptr();
            Self {
                matrix: number!(raw, colorspace),
                transfer: number!(raw, color_trc),
                primaries: number!(raw, color_primaries),
                is_yuv: is_yuv(number!(raw, format)),
            }
        }
    }
}

/// Whether a picture's levels use all of their numbers; `None` if it does not say.
fn is_full_range(picture: &frame::Video) -> Option<bool> {
    // SAFETY: the picture is alive, and the field is as wide as the number that is read.
    match unsafe { number!(picture.as_ptr(), color_range) } {
        range if range == ffi::AVColorRange::AVCOL_RANGE_JPEG as c_int => Some(true),
        range if range == ffi::AVColorRange::AVCOL_RANGE_MPEG as c_int => Some(false),
        _ => None,
    }
}

/// Whether a pixel format, by its number, has three channels that a matrix turns into RGB.
fn is_yuv(format: c_int) -> bool {
    if !(0..ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int).contains(&format) {
        return false;
    }
    // SAFETY: the enum has a value for every number up to its last; null or a static description comes back.
    unsafe {
        let format = std::mem::transmute::<c_int, ffi::AVPixelFormat>(format);
        let description = ffi::av_pix_fmt_desc_get(format).as_ref();
        let not_yuv = (ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL | ffi::AV_PIX_FMT_FLAG_BITSTREAM) as u64;
        description.is_some_and(|format| format.nb_components >= 3 && format.flags & not_yuv == 0)
    }
}

/// A text that the container attaches to a stream, if it is one: the bytes are the file's, which `ffmpeg-next` takes for UTF-8
/// unseen.
pub(crate) fn tag(stream: &ffmpeg::Stream<'_>, key: &CStr) -> Option<String> {
    // SAFETY: the stream is alive and its dictionary with it; an entry's value ends with a zero byte, and is copied before
    // anything can change it.
    unsafe {
        let entry = ffi::av_dict_get((*stream.as_ptr()).metadata, key.as_ptr(), ptr::null(), 0).as_ref()?;
        Some(CStr::from_ptr(entry.value).to_str().ok()?.to_owned())
    }
}

/// Whether the container says that this packet is to be decoded but not shown (outside its edit list).
pub(crate) fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: the pointer is that of a live packet, and the field is a plain integer.
    let flags = unsafe { (*packet.as_ptr()).flags };
    flags & ffi::AV_PKT_FLAG_DISCARD != 0
}

/// Width and height of a stream's pictures as its headers give them, in pixels; 0 when unknown.
pub(crate) fn picture_size(parameters: &ffmpeg::codec::Parameters) -> (u32, u32) {
    // SAFETY: the parameters are alive, and the fields are plain integers.
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0))
}

/// Width and height of a pixel as the container or the stream gives them; `None` if unknown.
pub(crate) fn pixel_aspect(input: &Input, stream: usize) -> Option<(u32, u32)> {
    let stream = input.stream(stream)?;
    // SAFETY: context and stream are alive; the call only reads them, and takes no frame for an answer.
    let ratio = unsafe {
        ffi::av_guess_sample_aspect_ratio(input.as_ptr().cast_mut(), stream.as_ptr().cast_mut(), ptr::null_mut())
    };
    let side = |side: c_int| u32::try_from(side).ok().filter(|side| *side > 0);
    side(ratio.num).zip(side(ratio.den))
}

/// A reader of packets for a stream with these parameters.
pub(crate) fn inspector(parameters: &ffmpeg::codec::Parameters) -> Option<Inspector> {
    // SAFETY: the parameters are alive, and `extradata` is null or leads to `extradata_size` bytes, which are not changed or
    // freed while `parameters` is borrowed.
    unsafe {
        let raw = parameters.as_ptr();
        let headers = match usize::try_from((*raw).extradata_size) {
            Ok(size) if !(*raw).extradata.is_null() => std::slice::from_raw_parts((*raw).extradata, size),
            _ => &[],
        };
        let progressive = [ffi::AVFieldOrder::AV_FIELD_UNKNOWN, ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE];
        let order = number!(raw, field_order);
        Inspector::new(parameters.id(), headers, !progressive.iter().any(|known| *known as c_int == order))
    }
}

/// Settings of a decoder before it is opened: `threads` threads, by frames or by slices, whichever the codec can, and no
/// picture of more than `max_pixels`, should a stream grow to one midway. Of a picture whose header hides columns at the left
/// all of them go, though its rows then begin at odd addresses. A `strict` one reports damage that it would otherwise hide.
pub(crate) fn configure(context: &mut ffmpeg::codec::Context, threads: usize, strict: bool, max_pixels: u64) {
    // SAFETY: the context is alive and not opened yet; the fields are plain settings to be made before opening.
    unsafe {
        (*context.as_mut_ptr()).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
        (*context.as_mut_ptr()).thread_count = c_int::try_from(threads).unwrap_or(1);
        (*context.as_mut_ptr()).max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
        (*context.as_mut_ptr()).flags |= ffi::AV_CODEC_FLAG_UNALIGNED as c_int;
        if strict {
            (*context.as_mut_ptr()).err_recognition |= ffi::AV_EF_EXPLODE;
        }
    }
}
