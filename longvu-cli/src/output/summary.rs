//! The closing line: what was kept of the video, and where the time went.

use longvu::{AnswerTimings, EncodeTimings, EncodedVideo, SavedFeatures};
use serde::Serialize;

/// How many frames came how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FrameCounts {
    pub sampled: usize,
    /// Sampled frames that the towers were spared, for they repeat another.
    pub repeated: usize,
    pub kept: usize,
    pub full_resolution: usize,
}

/// Seconds of a run's steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Opening and scanning the file.
    pub open: f64,
    /// Loading the model.
    pub load: f64,
    pub encode: EncodeTimings,
    pub answer: AnswerTimings,
    /// From start to end, the rest included.
    pub total: f64,
}

/// The line for a question about a video or image, or, without `frames`, about nothing.
pub fn line(frames: Option<FrameCounts>, visual: usize, prompt: usize, steps: &[(&str, f64)]) -> String {
    let steps = seconds(steps);
    let Some(FrameCounts { sampled, repeated, kept, full_resolution }) = frames else {
        return format!("{prompt} prompt tokens; {steps}");
    };
    let sampled = sampled_frames(sampled, repeated);
    format!(
        "{sampled}, {kept} kept, {full_resolution} at full resolution; {visual} visual of {prompt} prompt tokens; {steps}"
    )
}

/// The line for a video that was encoded to be asked about.
pub fn encoded_line(encoded: &EncodedVideo, steps: &[(&str, f64)]) -> String {
    let sampled = sampled_frames(encoded.sampled_frames(), encoded.tower_frames().dinov2_repeats);
    format!("{sampled}, {} held; {}", encoded.frames().len(), seconds(steps))
}

/// The line for frames that the towers looked at.
pub fn looked_line(saved: &SavedFeatures, steps: &[(&str, f64)]) -> String {
    format!("{}; {}", sampled_frames(saved.frames.len(), saved.towers.dinov2_repeats), seconds(steps))
}

fn sampled_frames(count: usize, repeats: usize) -> String {
    let sampled = format!("{count} frame{} sampled", if count == 1 { "" } else { "s" });
    match repeats {
        0 => sampled,
        1 => format!("{sampled}, 1 of them a repeat"),
        _ => format!("{sampled}, {repeats} of them repeats"),
    }
}

fn seconds(steps: &[(&str, f64)]) -> String {
    let steps: Vec<String> = steps.iter().map(|(name, seconds)| format!("{name} {seconds:.2} s")).collect();
    steps.join(", ")
}

/// The steps before the first question; those of encoding, which overlap, only where there was any.
pub fn encode_steps(open: f64, load: f64, encode: &EncodeTimings) -> Vec<(&'static str, f64)> {
    let mut steps = vec![("open", open), ("load", load)];
    if encode.wall > 0.0 {
        steps.extend([
            ("encode", encode.wall),
            ("of it decode", encode.decode),
            ("resize", encode.preprocess),
            ("DINOv2", encode.dinov2),
            ("temporal", encode.temporal),
            ("SigLIP", encode.siglip),
            ("aggregator", encode.aggregator),
        ]);
    }
    steps
}

/// The steps of a question.
pub fn answer_steps(answer: &AnswerTimings) -> Vec<(&'static str, f64)> {
    vec![("query+spatial", answer.prepare), ("prefill", answer.prefill), ("generate", answer.generate)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_was_kept() {
        let frames = FrameCounts { sampled: 21, repeated: 0, kept: 12, full_resolution: 3 };
        let steps = answer_steps(&AnswerTimings::default());
        assert_eq!(
            line(Some(frames), 964, 1000, &steps),
            "21 frames sampled, 12 kept, 3 at full resolution; 964 visual of 1000 prompt tokens; query+spatial 0.00 s, \
             prefill 0.00 s, generate 0.00 s"
        );
        let repeats = line(Some(FrameCounts { repeated: 8, ..frames }), 964, 1000, &steps);
        assert!(repeats.starts_with("21 frames sampled, 8 of them repeats, 12 kept"), "{repeats}");
        assert!(line(None, 0, 9, &steps).starts_with("9 prompt tokens; query"));
    }
}
