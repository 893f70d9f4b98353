//! `longvu compress`: stages alone, on features that `longvu features` wrote. No model is loaded.

mod kept;
mod scores;
mod stages;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use longvu::{FeatureFile, Preset, VisualKind, video::path_text};

use self::{
    scores::Scores,
    stages::{Later, Stages},
};
use crate::{
    flags::{OutputArgs, StageArgs, usage},
    output::{self, OutFile},
};

/// Run compression stages alone on features that `longvu features` wrote, without a model.
///
/// The temporal stage sees DINOv2's features. Frames are then picked, or tokens pruned, as a prompt does one or the other; tokens
/// are the aggregator's cells without padding and without newlines, not yet projected. Only stages that are named run.
#[derive(Debug, Args)]
pub struct CompressArgs {
    /// What `longvu features` wrote
    pub file: PathBuf,

    #[command(flatten)]
    pub stages: StageArgs,

    /// Where settings of LongVU's own stages come from that are not named; thresholds are the model's, as noted in FILE
    #[arg(long, default_value_t = Preset::Package, help_heading = "Stages")]
    pub preset: Preset,

    /// Scores of frames against a question, for --query: a JSON list of numbers, one a sampled or one a kept frame
    ///
    /// `longvu ask --report` has those of a model, under fusion.query.scores. Without a model there is no question to score by.
    #[arg(long, value_name = "SCORES.json", help_heading = "Stages")]
    pub scores: Option<PathBuf>,

    /// Write what was kept to this file: frames, timestamps, tokens_per_frame, sides, positions, tokens
    #[arg(short, long, value_name = "KEPT.safetensors", help_heading = "Output")]
    pub out: Option<PathBuf>,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, files that cannot be read or written, and stages that fail.
pub fn run(args: &CompressArgs) -> Result<()> {
    args.check()?;
    if args.out.as_ref().is_some_and(|out| output::is_same_file(&args.file, out)) {
        return Err(usage("--out names the FILE that is read and would overwrite it; name another").into());
    }
    let out = args.out.as_deref().map(|out| OutFile::prepare("what was kept", out)).transpose()?;
    let file = FeatureFile::open(&args.file)?;
    if file.kind() == VisualKind::Image {
        return Err(usage("FILE has the features of an image, which no stage looks at; name a video's").into());
    }
    let kept = args.stages(&file)?.run(&file)?;
    if let Some(out) = &out {
        out.write_bytes(&kept.file()?)?;
    }
    if args.output.json {
        output::json(&kept.printed(path_text(&args.file), &args.names()), true)?;
    } else {
        output::line(&kept.summary())?;
        kept.lines().try_for_each(|line| output::line(&line))?;
    }
    if let Some(path) = args.out.as_deref().filter(|_| !args.output.quiet) {
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// The query-guided stage's choices that look at no score.
const SCORELESS: [&str; 3] = ["k-center", "uniform", "random"];

impl CompressArgs {
    /// Refuses flags that say nothing together, or contradict each other.
    fn check(&self) -> Result<(), clap::Error> {
        let StageArgs { temporal, query, spatial, budget } = &self.stages;
        let later = query.is_some() || spatial.is_some();
        if temporal.is_none() && !later {
            return Err(usage("no stage is named; name one with --temporal, --query or --spatial (longvu stages)"));
        }
        if query.is_some() && spatial.is_some() {
            return Err(usage(
                "--query and --spatial: a prompt's frames are picked or its tokens pruned; leave one out",
            ));
        }
        if budget.is_some() && !later {
            return Err(usage(
                "--budget bounds tokens, which --temporal alone does not look at; add --query or --spatial",
            ));
        }
        let scored = query.as_ref().is_some_and(|query| !SCORELESS.contains(&query.name()));
        if scored && self.scores.is_none() {
            return Err(usage(&format!(
                "--query goes by scores of frames against a question, which come from a model: give --scores SCORES.json (what \
                 `longvu ask --report` has under fusion.query.scores), or a choice that needs none: {}",
                SCORELESS.join(", ")
            )));
        }
        if self.scores.is_some() && !scored {
            return Err(usage("--scores are for a --query that goes by them; leave them out"));
        }
        Ok(())
    }

    /// The stages with all their settings.
    fn stages(&self, file: &FeatureFile) -> Result<Stages> {
        let settings = file.settings(self.preset);
        let budget = file.budget().with_visual_tokens(self.stages.budget.map(std::num::NonZeroUsize::get));
        let selector = self.stages.temporal.as_ref().map(|spec| spec.selector(settings.temporal)).transpose()?;
        let scores = self.scores.as_deref().map(Scores::read).transpose()?;
        let later = match (&self.stages.query, self.stages.fitting_spatial()) {
            (Some(query), _) => Some(Later::Query(query.picker()?, scores)),
            (None, Some(spatial)) => Some(Later::Spatial(spatial.pruner(settings.spatial)?)),
            (None, None) => None,
        };
        Ok(Stages { selector, later, room: budget.room(0) })
    }

    /// The stages as they were named.
    fn names(&self) -> [(&'static str, Option<String>); 3] {
        let named = |spec: &Option<longvu::compress::StageSpec>| spec.as_ref().map(ToString::to_string);
        let StageArgs { temporal, query, .. } = &self.stages;
        [("temporal", named(temporal)), ("query", named(query)), ("spatial", named(&self.stages.fitting_spatial()))]
    }
}
