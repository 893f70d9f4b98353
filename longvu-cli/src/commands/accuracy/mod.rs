//! `longvu bench-accuracy`: right answers against visual tokens, for LongVU's stages and for simpler ways to save tokens.

mod methods;
mod table;

use std::{fs, num::NonZeroUsize, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use longvu::{Frame, LongVuBuilder, Video};
use longvu_train::draw_frames;
use longvu_world::{Script, ScriptKind, ScriptOptions, Split};

use self::{
    methods::{Method, Sizes, Way},
    table::{Answered, Seconds, Table},
};
use crate::{
    flags::{OutputArgs, PlaceArgs, RepeatArgs, StageArgs, usage},
    output::{self, Progress},
    steps::{answer::frame_counts, model},
};

/// Measure answers against visual tokens on videos of the drawn world that no training saw.
///
/// Writes accuracy.csv, accuracy.json, plots, and every answer beside the truth in answers.jsonl to OUT.
#[derive(Debug, Args)]
pub struct AccuracyArgs {
    /// Folder to write to
    pub out: PathBuf,

    /// Ways to save tokens, separated by commas [default: all, or the stages that are named]
    #[arg(long, value_name = "M,M,…", value_delimiter = ',')]
    pub methods: Vec<Method>,

    /// Visual tokens that a prompt may have, separated by commas [default: what the model has room for, and less]
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', conflicts_with = "budget")]
    pub budgets: Vec<NonZeroUsize>,

    /// Number of videos
    #[arg(long, value_name = "N", default_value = "40")]
    pub videos: NonZeroUsize,

    /// Length of each, in seconds
    #[arg(long, value_name = "S", default_value_t = 150.0)]
    pub seconds: f64,

    /// Kind of video: single, cuts, still, needle, or any
    #[arg(long, default_value = "needle", value_parser = kind)]
    pub kind: KindChoice,

    /// Write every video to a file and read it from there, as any video is, instead of taking frames as they are drawn
    #[arg(long)]
    pub files: bool,

    /// Place of the first video among the held-out ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: u64,

    #[command(flatten)]
    pub stages: StageArgs,

    #[command(flatten)]
    pub repeats: RepeatArgs,

    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// A kind of video, or none in particular.
#[derive(Debug, Clone, Copy)]
pub struct KindChoice(Option<ScriptKind>);

fn kind(text: &str) -> Result<KindChoice, String> {
    let found = ScriptKind::ALL.into_iter().find(|kind| kind.name() == text);
    match found {
        None if text != "any" => Err("write single, cuts, still, needle or any".to_owned()),
        found => Ok(KindChoice(found)),
    }
}

/// Runs the command.
///
/// # Errors
/// Usage errors, models that cannot be loaded, and files that cannot be written.
pub fn run(args: &AccuracyArgs) -> Result<()> {
    let mut options = ScriptOptions::default().with_duration(args.seconds).with_size(SIDE);
    options.kind = args.kind.0;
    options.validate().map_err(|error| usage(&error.to_string()))?;
    let videos = args.videos.get() as u64;
    if videos > MOST_VIDEOS || args.first.checked_add(videos).is_none() {
        return Err(usage("--videos may be 1,048,576 at most, and --first must leave room for them").into());
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let loading = Progress::new(args.output.quiet, "loading");
    let builder = args.repeats.apply(model::found(&args.place, args.output.quiet)?).watch(loading.watch());
    let config = builder.files()?.config;
    let bench = Bench { builder, sizes: Sizes::of(&config, SIDE, TEXT_TOKENS), files: args.files };
    let draw = |i| Script::draw(Split::Test.seed(args.first + i), &options);
    let scripts: Vec<Script> = (0..videos).map(draw).collect::<Result<_, _>>()?;
    let runs = runs(args, bench.sizes.room(&config));
    let progress = Progress::new(args.output.quiet, "measuring");
    let (mut answers, total) = (Vec::new(), runs.len() * scripts.len());
    for (place, (way, budget)) in runs.into_iter().enumerate() {
        let shown = |video| progress.measuring(&way.name(), place * scripts.len() + video, total);
        answers.extend(bench.measure(&way, budget, &scripts, shown)?);
    }
    drop(progress);
    let table = Table::new(answers);
    table.write(&args.out)?;
    if args.output.json { output::json(&table.json(), true) } else { output::text(&table.shown()) }
}

/// Most videos of a run, all of whose scripts are in memory.
const MOST_VIDEOS: u64 = 1 << 20;

/// Height and width that videos are drawn at, in pixels.
const SIDE: u32 = 256;

/// Tokens that prompts have beside their video's, about.
const TEXT_TOKENS: usize = 40;

/// Every way with every budget; what has no budget once.
fn runs(args: &AccuracyArgs, room: usize) -> Vec<(Way, usize)> {
    let given = args.budgets.iter().chain(&args.stages.budget).map(|budget| budget.get());
    let mut budgets: Vec<usize> = given.collect();
    if budgets.is_empty() {
        budgets = [8, 4, 2, 1].map(|part| (room / part).max(1)).to_vec();
    }
    let stages = &args.stages;
    let named = stages.temporal.is_some() || stages.query.is_some() || stages.spatial.is_some();
    let methods = match args.methods.is_empty() && !named {
        true => Method::value_variants().to_vec(),
        false => args.methods.clone(),
    };
    let ways = methods.into_iter().map(Way::Method).chain(named.then(|| Way::Stages(stages.clone())));
    let with = |way: Way| {
        let budgets = if way.has_budget() { budgets.clone() } else { vec![0] };
        budgets.into_iter().map(move |budget| (way.clone(), budget))
    };
    ways.flat_map(with).collect()
}

/// What all runs share.
struct Bench {
    builder: LongVuBuilder,
    sizes: Sizes,
    files: bool,
}

impl Bench {
    /// Asks about every video all that can be asked.
    fn measure(&self, way: &Way, budget: usize, scripts: &[Script], progress: impl Fn(usize)) -> Result<Vec<Answered>> {
        let model = way.load(self.builder.clone(), budget, self.sizes)?;
        let mut answers = Vec::new();
        for (place, script) in scripts.iter().enumerate() {
            progress(place);
            let frames = self.frames(script, way, budget)?;
            let encoded = model.encode(frames)?;
            for question in script.questions() {
                let answer =
                    model.stream(&[&encoded], &question.text, &longvu::GenerationConfig::default())?.finish()?;
                answers.push(Answered {
                    method: way.name(),
                    budget,
                    seed: script.seed(),
                    right: question.is_answered_by(&answer.text),
                    frames: frame_counts(&encoded, &answer),
                    visual_tokens: answer.visual_tokens,
                    seconds: Seconds {
                        temporal: encoded.timings().temporal,
                        encode: encoded.timings().wall,
                        prepare: answer.timings.prepare,
                        prompt: answer.timings.prefill,
                    },
                    answer: answer.text,
                    question,
                });
            }
        }
        Ok(answers)
    }

    /// The frames that a method looks at, of one a second.
    fn frames(&self, script: &Script, way: &Way, budget: usize) -> Result<Vec<Frame>> {
        let sampled = if self.files { from_file(script)? } else { draw_frames(script)? };
        let chosen = way.chosen(sampled.len(), budget, self.sizes, script.seed());
        let frames = sampled.into_iter().enumerate();
        Ok(frames.filter(|(place, _)| chosen.binary_search(place).is_ok()).map(|(_, frame)| frame).collect())
    }
}

fn from_file(script: &Script) -> Result<Vec<Frame>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder for videos")?;
    let path = folder.path().join("video.mp4");
    script.write_mp4(&path)?;
    let frames: Result<_, _> = Video::open(&path)?.frames()?.map(|frame| frame.map(Frame::from)).collect();
    Ok(frames?)
}
