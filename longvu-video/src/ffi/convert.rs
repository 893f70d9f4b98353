//! Decoded pictures to RGB, by swscale.

use std::ffi::{CStr, c_int};
use std::ptr;

use ffmpeg::ffi;
use ffmpeg::format::Pixel;
use ffmpeg::frame;
use ffmpeg::software::scaling::Flags;
use ffmpeg_next as ffmpeg;

use super::{Colours, is_full_range};

/// What a conversion depends on; another key needs another swscale context.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    format: Pixel,
    source: (u32, u32),
    target: (u32, u32),
    matrix: c_int,
    full_range: Option<bool>,
    /// Whether the picture is two fields, each with chroma of its own.
    by_field: bool,
}

/// Converts decoded frames to RGB with swscale, keeping its tables from frame to frame.
#[derive(Default)]
pub(crate) struct RgbConverter {
    state: Option<(Key, Scalers, frame::Video)>,
}

impl RgbConverter {
    /// `picture` as RGB bytes, `[height, width, 3]`, scaled to `target` (width, height) where its size differs.
    /// `None` if swscale cannot do it.
    pub fn convert(&mut self, picture: &frame::Video, target: (u32, u32)) -> Option<Vec<u8>> {
        let key = Key::of(picture, target);
        if self.state.as_ref().is_none_or(|(known, ..)| *known != key) {
            self.state = None;
            self.state = Some((key, Scalers::new(&key)?, rgb_buffer(target)?));
        }
        let (_, scalers, buffer) = self.state.as_mut()?;
        match scalers {
            Scalers::Whole(scaler) => scaler.run(picture, buffer, None)?,
            Scalers::Fields(top, bottom) => {
                top.run(picture, buffer, Some(Field::Top))?;
                bottom.run(picture, buffer, Some(Field::Bottom))?;
            }
        }

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
        // The choice of FFmpeg's scale filter: a YUV matrix that swscale has, else that of BT.601.
        let matrix = match Colours::of_picture(picture).matrix {
            known @ (1..=7 | 9..=10) => known,
            _ => ffi::AVColorSpace::AVCOL_SPC_BT470BG as c_int,
        };
        let (format, source) = (picture.format(), (picture.width(), picture.height()));
        // Only chroma that is shared by rows makes a difference; heights of other sizes have no whole rows of it in a field.
        let has_fields = source.1.is_multiple_of(4) && target.1.is_multiple_of(2);
        let by_field = has_fields && picture.is_interlaced() && shares_chroma(format);
        Self { format, source, target, matrix, full_range: is_full_range(picture), by_field }
    }
}

/// Whether two rows of a picture share a row of chroma.
fn shares_chroma(format: Pixel) -> bool {
    // SAFETY: null or a static description comes back.
    unsafe { ffi::av_pix_fmt_desc_get(format.into()).as_ref() }.is_some_and(|format| format.log2_chroma_h == 1)
}

/// One of the two interleaved pictures of an interlaced one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Top,
    Bottom,
}

/// The swscale contexts of a conversion.
enum Scalers {
    Whole(Scaler),
    /// For the top and the bottom field.
    Fields(Scaler, Scaler),
}

impl Scalers {
    fn new(key: &Key) -> Option<Self> {
        if !key.by_field {
            return Scaler::new(key, None).map(Self::Whole);
        }
        let half = |(width, height): (u32, u32)| (width, height / 2);
        let key = Key { source: half(key.source), target: half(key.target), ..*key };
        Some(Self::Fields(Scaler::new(&key, Some(Field::Top))?, Scaler::new(&key, Some(Field::Bottom))?))
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
    /// A context for pictures of the key's sizes: whole ones, or fields.
    fn new(key: &Key, field: Option<Field>) -> Option<Self> {
        // SAFETY: nothing is asked of the caller; null comes back on failure.
        let context = unsafe { ffi::sws_alloc_context() };
        if context.is_null() {
            return None;
        }
        let scaler = Self(context);
        scaler.set(c"srcw", key.source.0.into())?;
        scaler.set(c"srch", key.source.1.into())?;
        scaler.set(c"src_format", ffi::AVPixelFormat::from(key.format) as i64)?;
        scaler.set(c"dstw", key.target.0.into())?;
        scaler.set(c"dsth", key.target.1.into())?;
        scaler.set(c"dst_format", ffi::AVPixelFormat::from(Pixel::RGB24) as i64)?;
        scaler.set(c"sws_flags", Flags::BICUBIC.bits().into())?;
        // As FFmpeg's scale filter has it, which knows the place of a field's chroma for this format alone: a quarter of a row
        // above the middle between two rows of luma, or below.
        if let (Some(field), Pixel::YUV420P) = (field, key.format) {
            scaler.set(c"src_v_chr_pos", if field == Field::Top { 64 } else { 192 })?;
        }
        // SAFETY: the context is alive, has its options and is not used yet; the filters may be null.
        let status = unsafe { ffi::sws_init_context(scaler.0, ptr::null_mut(), ptr::null_mut()) };
        if status < 0 {
            return None;
        }
        scaler.set_colours(key);
        Some(scaler)
    }

    /// Sets an option before the context is used.
    fn set(&self, name: &CStr, value: i64) -> Option<()> {
        // SAFETY: the context is alive and begins with its class, as options ask; the name is a live text.
        let status = unsafe { ffi::av_opt_set_int(self.0.cast(), name.as_ptr(), value, 0) };
        (status >= 0).then_some(())
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

    /// Converts a picture, or one of its fields.
    fn run(&mut self, source: &frame::Video, target: &mut frame::Video, field: Option<Field>) -> Option<()> {
        let rows = source.height() / if field.is_some() { 2 } else { 1 };
        let height = c_int::try_from(rows).ok()?;
        // SAFETY: both frames are alive and have the sizes and formats of this context's key (`convert` makes new contexts
        // when they differ), so the planes hold every row that swscale touches: of a field, every second one, from the first
        // or from the second on.
        let rows = unsafe {
            let (from, to) = (source.as_ptr(), target.as_mut_ptr());
            let (mut sources, mut source_strides) = ((*from).data, (*from).linesize);
            let (mut targets, mut target_strides) = ((*to).data, (*to).linesize);
            if let Some(field) = field {
                every_second_row(&mut sources, &mut source_strides, field);
                every_second_row(&mut targets, &mut target_strides, field);
            }
            ffi::sws_scale(
                self.0,
                sources.as_ptr().cast(),
                source_strides.as_ptr(),
                0,
                height,
                targets.as_ptr(),
                target_strides.as_ptr(),
            )
        };
        (rows > 0).then_some(())
    }
}

/// Turns the planes of a picture into those of one of its fields.
fn every_second_row(planes: &mut [*mut u8], strides: &mut [c_int], field: Field) {
    for (plane, stride) in planes.iter_mut().zip(strides) {
        if field == Field::Bottom && !plane.is_null() {
            *plane = plane.wrapping_offset(*stride as isize);
        }
        *stride = stride.saturating_mul(2);
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: the context came from `sws_getContext`, is owned by this value alone and is not used afterwards.
        unsafe { ffi::sws_freeContext(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_file_that_mean_nothing() {
        let mut picture = rgb_buffer((4, 4)).unwrap();
        picture.set_format(Pixel::YUV444P);
        for number in [0, 3, 8, 15, 16, 77, 255, i32::MAX, -1] {
            // SAFETY: the picture is alive, and the fields are as wide as the numbers.
            unsafe {
                let raw = picture.as_mut_ptr();
                ptr::addr_of_mut!((*raw).colorspace).cast::<c_int>().write(number);
                ptr::addr_of_mut!((*raw).color_trc).cast::<c_int>().write(number);
                ptr::addr_of_mut!((*raw).color_primaries).cast::<c_int>().write(number);
                ptr::addr_of_mut!((*raw).color_range).cast::<c_int>().write(number);
            }
            let Colours { matrix, transfer, primaries, .. } = Colours::of_picture(&picture);
            assert_eq!([matrix, transfer, primaries], [number; 3]);
            let key = Key::of(&picture, (4, 4));
            assert_eq!((key.matrix, key.full_range), (if number == 3 { 3 } else { 5 }, None), "{number}");
        }
    }
}
