//! What went wrong without stopping the work.

/// Something about a video that its user should know, though frames still come.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The container promises more frames than the file holds.
    #[error("the file is cut short: {found} of {declared} frames are there")]
    Truncated {
        /// Frames the container declares.
        declared: usize,
        /// Frames found.
        found: usize,
    },

    /// The pictures end well before the length that the container declares: a cut file, or sound that goes on alone.
    #[error(
        "pictures end at {found:.2} s of a declared {declared:.2} s; the file may be cut short, or its sound goes on alone"
    )]
    EndsEarly {
        /// Seconds the container declares.
        declared: f64,
        /// Seconds of video found.
        found: f64,
    },

    /// The file ends in the middle of a frame, or its last part cannot be parsed. What came before is used.
    #[error("the file ends in damaged data; the {found} frames before it are used")]
    DamagedEnd {
        /// Frames found.
        found: usize,
    },

    /// The rate in the container's headers is far from what the frames' times say. The times are believed.
    #[error("the file says {declared} fps, but its frames come at {measured:.3} fps; sampling goes by the latter")]
    WrongFrameRate {
        /// Frames a second in the headers.
        declared: f64,
        /// Frames a second by their times.
        measured: f64,
    },

    /// The file has several videos.
    #[error("the file has {videos} video streams; the one of {width}x{height} is used")]
    SeveralVideos {
        /// How many.
        videos: usize,
        /// Stored width of the one used, in pixels.
        width: u32,
        /// Its stored height in pixels.
        height: u32,
    },

    /// Colours that are shown as if they were ordinary ones: they come out wrong, or washed out.
    #[error("the colours are {kind}, which are not converted: they look {effect}")]
    Colours {
        /// What they are.
        kind: String,
        /// How they come out.
        effect: &'static str,
    },

    /// The container asks for a part of the picture that has no whole pixels or lies outside of it. All of it is shown.
    #[error("the file asks for a crop that is not of whole pixels within the picture; it is ignored")]
    UnusualCrop,

    /// A video or a still picture whose pixels are not square (anamorphic): it is left as stored, and looks squeezed.
    #[error("pixels are {width} wide to {height} high and are taken as square; the picture is left as stored")]
    NonSquarePixels {
        /// Width of a pixel.
        width: u32,
        /// Height of a pixel.
        height: u32,
    },

    /// Frames have no usable times. Times are computed from the frame rate instead.
    #[error("the file has no consistent timestamps; times are frame number / {average_fps} fps")]
    NoTimestamps {
        /// The rate used.
        average_fps: f64,
    },

    /// The container gives no frame rate and none can be derived: every frame counts as a step.
    #[error("the frame rate is unknown; sampling by rate takes every frame")]
    UnknownFrameRate,

    /// The display matrix is not a multiple of a quarter turn. The picture is left as stored.
    #[error("the file asks for a rotation that is not a quarter turn; it is ignored")]
    UnusualRotation,

    /// Packets the decoder refused, or frames it could only guess at.
    #[error("the video is damaged: {packets} packets could not be decoded and {frames} frames have errors")]
    Damaged {
        /// Refused packets.
        packets: usize,
        /// Frames that came out with errors in them.
        frames: usize,
    },

    /// Sampled frames that could not be decoded.
    #[error("{missing} sampled frames could not be decoded and {replaced} were replaced by a later frame")]
    MissingFrames {
        /// Sampled frames without a substitute.
        missing: usize,
        /// Sampled frames for which the next decodable frame stands.
        replaced: usize,
    },

    /// The picture size changes within the stream. All frames are scaled to the first size.
    #[error("the picture size changes to {width}x{height} at frame {index}; frames are scaled to the first size")]
    SizeChanged {
        /// The first frame with another size.
        index: usize,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },

    /// A picture file that is damaged, though the decoder makes a picture of it.
    #[error("the picture is damaged: {reason}; parts of it may be missing or wrong, fetch the file again")]
    DamagedPicture {
        /// What is wrong.
        reason: String,
    },

    /// A picture file that was not looked through for damage; it may be whole or not.
    #[error("the picture was not checked for damage: {reason}; look at it, or save it again in a simpler form")]
    Unchecked {
        /// Why not.
        reason: String,
    },

    /// A file read as a single picture that has several.
    #[error("the file has {pictures} pictures; only the first is used")]
    FirstOfMany {
        /// Pictures in the file.
        pictures: usize,
    },

    /// Other pictures follow the first in the file, of another size or as files of their own.
    #[error("other pictures follow the first in the file; only the first is used")]
    MorePictures,

    /// The first picture of a GIF leaves part of the canvas free, for which programs choose different colours.
    #[error("the first picture does not cover the file's canvas; what the rest looks like is a guess")]
    Uncovered,

    /// A picture of 16-bit grey, of which the upper 8 bits are used; Pillow's `convert("RGB")` cuts at 255 instead.
    #[error("the picture is 16-bit grey; its levels are scaled to 8 bits")]
    DeepGray,
}
