#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bitstream;
mod boxes;
mod codecs;
mod colour;
mod containers;
mod crop;
mod decoder;
mod demuxer;
mod error;
mod error_kind;
mod feed;
mod ffi;
mod formats;
mod frame;
mod frames;
mod headers;
mod heif;
mod image_file;
mod info;
mod limits;
mod matroska;
mod mp4;
mod opening;
mod options;
mod orientation;
mod picture;
mod rate;
mod sampling;
mod scan;
mod select;
mod sniff;
mod source;
mod timeline;
mod video;
mod warning;

pub use error::{Error, Result};
pub use error_kind::ErrorKind;
pub use formats::{FormatInfo, formats};
pub use frame::DecodedFrame;
pub use frames::{Frames, Stats};
pub use image_file::{Image, ImageOptions, is_image, open_image, open_image_with};
pub use info::VideoInfo;
#[doc(hidden)]
pub use info::path_text;
pub use limits::Limits;
#[doc(hidden)]
pub use limits::{MAX_ANIMATION_PIXELS, MAX_JPEG_BYTES, MAX_METADATA_BYTES, MAX_PIXELS, MAX_SIDE};
pub use options::{Decoding, Sampling, VideoOptions};
pub use video::Video;
pub use warning::Warning;
