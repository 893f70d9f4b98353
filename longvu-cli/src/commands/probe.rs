//! `longvu probe`: what the decoder sees in a file, and which frames would be sampled.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use longvu::{
    Video, VideoOptions, VisualKind,
    video::{DecodedFrame, Decoding, VideoInfo, path_text},
};
use serde::Serialize;

use crate::{
    flags::{FrameArgs, OutputArgs, time},
    output,
    steps::source::{DecodeStats, Media, Sampled, Source},
};

/// Frames listed before and after the dots.
const LISTED: usize = 12;

/// Show what is in a video or image file and which frames would be sampled.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Video or image
    pub file: PathBuf,

    #[command(flatten)]
    pub frames: FrameArgs,

    /// Decode the sampled frames too, to find damage
    #[arg(long, help_heading = "Output")]
    pub decode: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Printed<'a> {
    path: String,
    kind: VisualKind,
    dimensions: (u32, u32),
    video: Option<&'a VideoInfo>,
    sampling: &'a VideoOptions,
    sampled: &'a [Sampled],
    decode: Option<DecodeStats>,
    warnings: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, a file that cannot be read, and a stdout that cannot be written to.
pub fn run(args: &ProbeArgs) -> Result<()> {
    let options = args.frames.options()?;
    // A look for damage decodes what sampling alone would leave out.
    let decoding = if args.decode { Decoding::Full } else { options.decoding };
    let source = Source::open(&args.file, options.clone().with_decoding(decoding))?;
    let decoded = args.decode.then(|| source.decode(args.output.quiet)).transpose()?;
    let (kind, dimensions, sampled, known) = facts(&source.media);
    let decode = decoded.as_ref().and_then(|decoded| decoded.stats);
    if !args.output.json {
        return output::text(&page(&source, &sampled, decode));
    }
    let warnings = decoded.map_or(known, |decoded| decoded.warnings);
    let (path, video) = (path_text(&source.path), source.info());
    output::json(
        &Printed { path, kind, dimensions, video, sampling: &options, sampled: &sampled, decode, warnings },
        true,
    )
}

fn facts(media: &Media) -> (VisualKind, (u32, u32), Vec<Sampled>, Vec<String>) {
    match media {
        Media::Image(frame) => {
            let only = Sampled { index: 0, timestamp: 0.0 };
            (VisualKind::Image, (frame.width, frame.height), vec![only], Vec::new())
        }
        Media::Video(video) => {
            let info = video.info();
            let warnings = video.warnings().iter().map(ToString::to_string).collect();
            (VisualKind::Video, (info.width, info.height), sampled(video), warnings)
        }
    }
}

fn sampled(video: &Video) -> Vec<Sampled> {
    let pairs = video.sampled_indices().iter().zip(video.sampled_timestamps());
    pairs.map(|(&index, &timestamp)| Sampled { index, timestamp }).collect()
}

fn page(source: &Source, sampled: &[Sampled], decode: Option<DecodeStats>) -> String {
    let path = source.path.display();
    let video = match &source.media {
        Media::Image(DecodedFrame { width, height, .. }) => return format!("{path}\nimage, {width}x{height}\n"),
        Media::Video(video) => video.info(),
    };
    let VideoInfo { container, codec, width, height, frame_count, average_fps, .. } = video;
    let mut text = format!("{path}\n{codec} in {container}, {width}x{height}");
    if video.rotation != 0 {
        text += &format!(", turned by {} degrees", video.rotation);
    }
    if video.mirrored {
        text += ", mirrored";
    }
    text += if video.has_audio { ", with sound\n" } else { ", no sound\n" };
    text += &format!("{frame_count} frames, {average_fps:.3} a second, {}\n", time::clock(video.duration));
    text += &format!("{} sampled:\n{}", sampled.len(), list(sampled));
    if let Some(stats) = decode {
        let DecodeStats { decoded, damaged_packets, damaged_frames, missing, replaced, .. } = stats;
        text += &format!(
            "{decoded} decoded; damaged: {damaged_packets} packets, {damaged_frames} frames; samples missing: {missing}, \
             replaced: {replaced}\n"
        );
    }
    text
}

/// The frames, one a line; of many, the first and last ones.
fn list(sampled: &[Sampled]) -> String {
    let line = |frame: &Sampled| format!("{:>8}  {}\n", frame.index, time::clock(frame.timestamp));
    if sampled.len() <= 2 * LISTED + 1 {
        return sampled.iter().map(line).collect();
    }
    let (first, last) = (&sampled[..LISTED], &sampled[sampled.len() - LISTED..]);
    let first: String = first.iter().map(line).collect();
    let last: String = last.iter().map(line).collect();
    format!("{first}     ...  ({} more; all with --json)\n{last}", sampled.len() - 2 * LISTED)
}
