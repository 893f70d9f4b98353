//! `--compare`: settings of a second run, in one argument.

use std::num::NonZeroUsize;

use clap::{Args, Command, FromArgMatches};
use longvu::{Preset, Repeats};

use super::{FrameArgs, ModelArgs, repeats::repeats, stages::StageArgs, usage::finite};

/// What a second run may have otherwise.
#[derive(Debug, Clone, Args)]
struct Changes {
    #[command(flatten)]
    stages: StageArgs,

    #[arg(long)]
    preset: Option<Preset>,

    #[arg(long, allow_negative_numbers = true, value_parser = finite)]
    dino_threshold: Option<f64>,

    #[arg(long, allow_negative_numbers = true, value_parser = finite)]
    drop_threshold: Option<f64>,

    #[arg(long)]
    max_len: Option<NonZeroUsize>,

    #[arg(long, value_parser = repeats)]
    repeats: Option<Repeats>,

    #[arg(long, group = "sampling", allow_negative_numbers = true, value_parser = finite)]
    fps: Option<f64>,

    #[arg(long, group = "sampling")]
    every: Option<NonZeroUsize>,

    #[arg(long, group = "sampling")]
    uniform: Option<NonZeroUsize>,

    #[arg(long)]
    max_frames: Option<NonZeroUsize>,
}

/// Settings of a second run: `FLAG=VALUE,…` with the names of flags, which all other flags hold for, too.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Flags and values as they were written.
    pub settings: Vec<(String, String)>,
    changes: Changes,
}

impl Comparison {
    /// Reads `FLAG=VALUE,FLAG=VALUE`. What follows a stage and is no flag belongs to the stage:
    /// `spatial=divprune:retained=0.2,chunk=4,budget=500` are two settings.
    ///
    /// # Errors
    /// Says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let command = Changes::augment_args(Command::new("--compare").no_binary_name(true));
        let known: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
        let mut settings: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            let flag = part.split_once('=').map(|(flag, value)| (flag.trim(), value.trim()));
            match (flag, settings.last_mut()) {
                (Some((flag, value)), _) if known.contains(&flag) => {
                    settings.push((flag.to_owned(), value.to_owned()));
                }
                (_, Some((flag, value))) if ["temporal", "query", "spatial"].contains(&flag.as_str()) => {
                    value.push(',');
                    value.push_str(part);
                }
                _ => {
                    let known = known.join(", ");
                    return Err(format!("`{part}` is no setting; write FLAG=VALUE,FLAG=VALUE with {known}"));
                }
            }
        }
        let flags = settings.iter().map(|(flag, value)| format!("--{flag}={value}"));
        let matches =
            command.clone().try_get_matches_from(flags).and_then(|matches| Changes::from_arg_matches(&matches));
        let changes = matches.map_err(|error| reason(&error))?;
        Ok(Self { settings, changes })
    }

    /// Sets what the second run has otherwise.
    pub fn apply(&self, model: &mut ModelArgs, frames: &mut FrameArgs) {
        fn put<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
            if value.is_some() {
                slot.clone_from(value);
            }
        }
        let Changes {
            stages,
            preset,
            dino_threshold,
            drop_threshold,
            max_len,
            repeats,
            fps,
            every,
            uniform,
            max_frames,
        } = &self.changes;
        put(&mut model.stages.temporal, &stages.temporal);
        put(&mut model.stages.query, &stages.query);
        put(&mut model.stages.spatial, &stages.spatial);
        put(&mut model.stages.budget, &stages.budget);
        put(&mut model.dino_threshold, dino_threshold);
        put(&mut model.drop_threshold, drop_threshold);
        put(&mut model.compute.max_len, max_len);
        put(&mut model.repeats.repeats, repeats);
        put(&mut frames.max_frames, max_frames);
        frames.preset = preset.unwrap_or(frames.preset);
        if fps.is_some() || every.is_some() || uniform.is_some() {
            // Frames are sampled in one way.
            (frames.fps, frames.every, frames.uniform, frames.timestamps) = (*fps, *every, *uniform, None);
        }
    }
}

/// What is wrong, in a line.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_stage_stay_with_it() {
        let read = Comparison::parse("preset=paper, spatial=divprune:retained=0.2,chunk=4,budget=500").unwrap();
        let settings: Vec<_> = read.settings.iter().map(|(flag, value)| (flag.as_str(), value.as_str())).collect();
        assert_eq!(settings, [("preset", "paper"), ("spatial", "divprune:retained=0.2,chunk=4"), ("budget", "500")]);
        assert_eq!(read.changes.stages.spatial.unwrap().to_string(), "divprune:retained=0.2,chunk=4");
        assert_eq!((read.changes.preset, read.changes.stages.budget), (Some(Preset::Paper), NonZeroUsize::new(500)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, part) in [
            ("", "FLAG=VALUE"),
            ("paper", "preset"),
            ("colour=red", "`colour=red`"),
            ("budget=0", "budget"),
            ("spatial=nonsense", "divprune"),
            ("spatial=evs:q=2", "from 0 to 1"),
            ("budget=5,chunk=4", "`chunk=4`"),
            ("budget=5,budget=6", "budget"),
            ("fps=1,uniform=4", "cannot be used with"),
            ("preset=none", "preset"),
            ("dino-threshold=nan", "number"),
            ("repeats=256", "repeats"),
        ] {
            let error = Comparison::parse(text).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
