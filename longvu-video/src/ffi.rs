//! The few FFmpeg calls that `ffmpeg-next` does not wrap; all `unsafe` code of the crate is here.

use std::ffi::c_int;
use std::ptr;
use std::sync::Once;

use ffmpeg::codec::packet::Ref;
use ffmpeg::ffi;
use ffmpeg::format::Pixel;
use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::software::scaling::Flags;
use ffmpeg::{Dictionary, Packet, frame};
use ffmpeg_next as ffmpeg;

use crate::Result;
use crate::bitstream::Inspector;

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
/// compared with anything. `accept` gets the container before that and may refuse it.
pub(crate) fn open_input(
    mut io: StreamIo,
    settings: Dictionary,
    max_pixels: u64,
    accept: impl FnOnce(&Input) -> Result<()>,
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
        let status = ffi::avformat_open_input(&mut context, ptr::null(), ptr::null(), &mut settings);
        drop(Dictionary::own(settings));
        if status < 0 {
            return Err(failed(ffmpeg::Error::from(status)));
        }
        let mut input = Input::wrap_with_custom_io(context, io);
        accept(&input)?;
        let status = find_stream_info(&mut input, max_pixels);
        if status < 0 { Err(failed(ffmpeg::Error::from(status))) } else { Ok(input) }
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

/// A reader of packets for a stream with these parameters.
pub(crate) fn inspector(parameters: &ffmpeg::codec::Parameters) -> Option<Inspector> {
    // SAFETY: the parameters are alive, and `extradata` is null or leads to `extradata_size` bytes, which are not changed or
    // freed while `parameters` is borrowed.
    unsafe {
        let raw = &*parameters.as_ptr();
        let headers = match usize::try_from(raw.extradata_size) {
            Ok(size) if !raw.extradata.is_null() => std::slice::from_raw_parts(raw.extradata, size),
            _ => &[],
        };
        let progressive = [ffi::AVFieldOrder::AV_FIELD_UNKNOWN, ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE];
        Inspector::new(parameters.id(), headers, !progressive.contains(&raw.field_order))
    }
}

/// Settings of a decoder before it is opened: `threads` threads, by frames or by slices, whichever the codec can, and no
/// picture of more than `max_pixels`, should a stream grow to one midway. A `strict` one reports damage that it would otherwise
/// hide.
pub(crate) fn configure(context: &mut ffmpeg::codec::Context, threads: usize, strict: bool, max_pixels: u64) {
    // SAFETY: the context is alive and not opened yet; the fields are plain settings to be made before opening.
    unsafe {
        (*context.as_mut_ptr()).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
        (*context.as_mut_ptr()).thread_count = c_int::try_from(threads).unwrap_or(1);
        (*context.as_mut_ptr()).max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
        if strict {
            (*context.as_mut_ptr()).err_recognition |= ffi::AV_EF_EXPLODE;
        }
    }
}

/// What a conversion depends on; another key needs another swscale context.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    format: Pixel,
    source: (u32, u32),
    target: (u32, u32),
    matrix: c_int,
    full_range: Option<bool>,
}

/// Converts decoded frames to RGB with swscale, keeping its tables from frame to frame.
#[derive(Default)]
pub(crate) struct RgbConverter {
    state: Option<(Key, Scaler, frame::Video)>,
}

impl RgbConverter {
    /// `picture` as RGB bytes, `[height, width, 3]`, scaled to `target` (width, height) where its size differs.
    /// `None` if swscale cannot do it.
    pub fn convert(&mut self, picture: &frame::Video, target: (u32, u32)) -> Option<Vec<u8>> {
        let key = Key::of(picture, target);
        if self.state.as_ref().is_none_or(|(known, ..)| *known != key) {
            self.state = None;
            self.state = Some((key, Scaler::new(&key)?, rgb_buffer(target)?));
        }
        let (_, scaler, buffer) = self.state.as_mut()?;
        scaler.run(picture, buffer)?;

        // swscale writes whole vectors, so its rows are padded; ours are not.
        let (row, stride) = (target.0 as usize * 3, buffer.stride(0));
        let mut rgb = Vec::with_capacity(row * target.1 as usize);
        for line in buffer.data(0).chunks(stride).take(target.1 as usize) {
            rgb.extend_from_slice(line.get(..row)?);
        }
        Some(rgb)
    }
}

impl Key {
    fn of(picture: &frame::Video, target: (u32, u32)) -> Self {
        let range = picture.color_range();
        let full_range = match range {
            ffmpeg::color::Range::Unspecified => None,
            range => Some(range == ffmpeg::color::Range::JPEG),
        };
        // The choice of FFmpeg's scale filter: a YUV matrix that swscale has, else that of BT.601.
        let matrix = match ffi::AVColorSpace::from(picture.color_space()) as c_int {
            known @ (1..=7 | 9..=10) => known,
            _ => ffi::AVColorSpace::AVCOL_SPC_BT470BG as c_int,
        };
        Self { format: picture.format(), source: (picture.width(), picture.height()), target, matrix, full_range }
    }
}

/// An RGB24 picture with rows padded as swscale likes them.
pub(crate) fn rgb_buffer((width, height): (u32, u32)) -> Option<frame::Video> {
    let mut buffer = frame::Video::empty();
    buffer.set_format(Pixel::RGB24);
    buffer.set_width(width);
    buffer.set_height(height);
    // SAFETY: the frame is alive, has its format and size set and no buffers yet, as the call asks.
    let status = unsafe { ffi::av_frame_get_buffer(buffer.as_mut_ptr(), 0) };
    (status >= 0).then_some(buffer)
}

/// An owned `SwsContext`.
struct Scaler(*mut ffi::SwsContext);

// SAFETY: the context is owned by this value alone and swscale ties it to no thread; use needs `&mut`.
unsafe impl Send for Scaler {}

impl Scaler {
    fn new(key: &Key) -> Option<Self> {
        let size = |side: u32| c_int::try_from(side).ok();
        let (width, height) = (size(key.source.0)?, size(key.source.1)?);
        let (target_width, target_height) = (size(key.target.0)?, size(key.target.1)?);
        // SAFETY: sizes and formats are plain values, and the optional pointers may be null. Null comes back on failure.
        let context = unsafe {
            ffi::sws_getContext(
                width,
                height,
                key.format.into(),
                target_width,
                target_height,
                Pixel::RGB24.into(),
                Flags::BICUBIC.bits(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        if context.is_null() {
            return None;
        }
        let scaler = Self(context);
        scaler.set_colours(key);
        Some(scaler)
    }

    /// Sets the stream's YUV matrix and range. Failure means that the source is no YUV, where there is nothing to set.
    fn set_colours(&self, key: &Key) {
        let (mut inverse, mut forward) = (ptr::null_mut(), ptr::null_mut());
        let (mut source_full, mut target_full) = (0, 0);
        let (mut brightness, mut contrast, mut saturation) = (0, 0, 0);
        // SAFETY: the context is alive and every out pointer leads to a local; the coefficient tables are static data of
        // swscale, which copies what it needs from them.
        unsafe {
            let known = ffi::sws_getColorspaceDetails(
                self.0,
                &mut inverse,
                &mut source_full,
                &mut forward,
                &mut target_full,
                &mut brightness,
                &mut contrast,
                &mut saturation,
            );
            if known < 0 {
                return;
            }
            let matrix = ffi::sws_getCoefficients(key.matrix);
            let source_full = key.full_range.map_or(source_full, c_int::from);
            ffi::sws_setColorspaceDetails(
                self.0,
                matrix,
                source_full,
                matrix,
                target_full,
                brightness,
                contrast,
                saturation,
            );
        }
    }

    fn run(&mut self, source: &frame::Video, target: &mut frame::Video) -> Option<()> {
        let height = c_int::try_from(source.height()).ok()?;
        // SAFETY: both frames are alive and have the sizes and formats of this context's key (`convert` makes a new context
        // when they differ), so the planes hold every row that swscale touches.
        let rows = unsafe {
            let (from, to) = (source.as_ptr(), target.as_mut_ptr());
            ffi::sws_scale(
                self.0,
                (*from).data.as_ptr().cast(),
                (*from).linesize.as_ptr(),
                0,
                height,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            )
        };
        (rows > 0).then_some(())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: the context came from `sws_getContext`, is owned by this value alone and is not used afterwards.
        unsafe { ffi::sws_freeContext(self.0) };
    }
}
