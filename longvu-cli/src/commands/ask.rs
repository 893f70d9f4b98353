//! `longvu ask`: one question, one answer.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use clap::Args;
use longvu::{
    Answer, EncodedVideo, GenerationConfig, TowerFrames, VideoOptions,
    compress::FusionReport,
    video::{VideoInfo, path_text},
};
use serde::Serialize;

use crate::{
    flags::{AnswerArgs, FrameArgs, MemoryArgs, ModelArgs, OutputArgs, usage},
    output::{
        self, OutFile,
        hints::Forecast,
        summary::{self, FrameCounts, Timings},
    },
    sheet::{self, Thumbnails},
    steps::{
        answer::{self, Answerer},
        described::ModelReport,
        memory,
        model::{self, Loaded},
        source::{DecodeStats, Decoded, Input},
    },
};

/// Ask one question about a video or image.
#[derive(Debug, Args)]
#[command(override_usage = "longvu ask [OPTIONS] <FILE> <QUESTION>\n       longvu ask [OPTIONS] --no-video <QUESTION>")]
pub struct AskArgs {
    /// Video or image, or what `longvu encode` made of one; then what to ask
    // One list, because of two arguments of which the first may be missing clap takes none after `--`.
    #[arg(value_names = ["FILE", "QUESTION"], num_args = 1..=2, required = true)]
    pub file_and_question: Vec<OsString>,

    /// Ask without a video: leave FILE out
    #[arg(long, conflicts_with = "FrameArgs")]
    pub no_video: bool,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    #[command(flatten)]
    pub answer: AnswerArgs,

    /// Write everything known about the run to this file, as JSON
    #[arg(long, value_name = "OUT.json", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Draw every sampled frame, outlined by what became of it, to this picture
    #[arg(long, value_name = "OUT.png", conflicts_with = "no_video", help_heading = "Output")]
    pub sheet: Option<PathBuf>,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// A run, checked and about to start.
struct Job<'a> {
    args: &'a AskArgs,
    file: Option<&'a Path>,
    question: &'a str,
    options: VideoOptions,
    config: GenerationConfig,
    report: Option<OutFile>,
    sheet: Option<OutFile>,
    start: Instant,
}

/// The contents of `--report`.
#[derive(Serialize)]
struct Report<'a> {
    longvu: &'static str,
    model: ModelReport,
    memory: MemoryReport<'a>,
    input: Option<InputReport<'a>>,
    frames: Option<FrameCounts>,
    /// Frames through the towers, and frames that they were spared.
    towers: Option<TowerFrames>,
    sampled: Vec<FrameReport>,
    fusion: Option<&'a FusionReport>,
    generation: &'a GenerationConfig,
    system: Option<&'a str>,
    question: &'a str,
    answer: &'a Answer,
    timings: Timings,
    warnings: &'a [String],
}

/// The forecast, and what it came to.
#[derive(Serialize)]
struct MemoryReport<'a> {
    forecast: Forecast<'a>,
    /// Most bytes in memory at a time, where the system says.
    peak: Option<u64>,
}

#[derive(Serialize)]
struct InputReport<'a> {
    path: String,
    kind: longvu::VisualKind,
    dimensions: (u32, u32),
    video: Option<&'a VideoInfo>,
    /// Absent for an encoded video, whose notes have what was told to `longvu encode`.
    sampling: Option<&'a VideoOptions>,
    notes: &'a std::collections::BTreeMap<String, String>,
    decode: Option<DecodeStats>,
}

/// What became of a sampled frame.
#[derive(Serialize)]
struct FrameReport {
    index: usize,
    timestamp: f64,
    /// The temporal stage's mean similarity; absent for an image.
    temporal_score: Option<f32>,
    /// Whether the temporal stage chose it.
    temporal_kept: bool,
    /// Whether the prompt has it.
    selected: bool,
    /// Its tokens in the prompt.
    tokens: usize,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, and whatever loading, decoding, answering and writing come upon.
pub fn run(args: &AskArgs) -> Result<()> {
    let start = Instant::now();
    let (file, question) = args.subject()?;
    let (options, config) = (args.frames.options()?, args.answer.config()?);
    args.check_places(file)?;
    let report = args.report.as_deref().map(|path| OutFile::prepare("the report", path)).transpose()?;
    let sheet = args.sheet.as_deref().map(|path| OutFile::prepare("the contact sheet", path)).transpose()?;
    Job { args, file, question, options, config, report, sheet, start }.run()
}

impl AskArgs {
    /// The file, unless nothing is looked at, and the question.
    fn subject(&self) -> Result<(Option<&Path>, &str), clap::Error> {
        let (file, question) = match (&self.file_and_question[..], self.no_video) {
            ([question], true) => (None, question),
            ([file, question], false) => (Some(Path::new(file)), question),
            ([_, _], true) => return Err(usage("--no-video asks without a FILE; leave one of them out")),
            ([_, _, more, ..], _) => {
                let more = more.to_string_lossy();
                return Err(usage(&format!(
                    "`{more}` is one argument too many; put a question of several words in quotes"
                )));
            }
            _ => return Err(usage("give a FILE and a question; to ask without a video, add --no-video")),
        };
        let question = question.to_str().ok_or_else(|| usage("the question is no UTF-8 text"))?;
        if question.trim().is_empty() {
            return Err(usage(&longvu::Error::EmptyQuestion.to_string()));
        }
        Ok((file, question))
    }

    /// Refuses to write over what is read, two files to one place, and a sheet by the name of another format.
    fn check_places(&self, file: Option<&Path>) -> Result<(), clap::Error> {
        for (flag, out) in [("--report", &self.report), ("--sheet", &self.sheet)] {
            if file.zip(out.as_deref()).is_some_and(|(file, out)| output::is_same_file(file, out)) {
                let message = format!("{flag} names the FILE that is asked about and would overwrite it; name another");
                return Err(usage(&message));
            }
        }
        let Some(sheet) = &self.sheet else { return Ok(()) };
        if self.report.as_ref().is_some_and(|report| output::is_same_place(report, sheet)) {
            return Err(usage("--report and --sheet name the same file; name another for one of them"));
        }
        match sheet.extension() {
            Some(extension) if !extension.eq_ignore_ascii_case("png") => {
                Err(usage(&format!("--sheet writes a PNG; end the name {} with .png", path_text(sheet))))
            }
            _ => Ok(()),
        }
    }
}

impl Job<'_> {
    fn run(self) -> Result<()> {
        let (args, quiet) = (self.args, self.args.output.quiet);
        let builder = model::builder(&args.model, args.frames.preset, quiet)?;
        let open = |file| Input::open(file, &args.frames, self.options.clone());
        let mut input = self.file.map(open).transpose()?;
        if self.sheet.is_some() && !input.as_mut().is_some_and(Input::keep_thumbnails) {
            let message =
                "--sheet draws frames, and an encoded video has no pictures of them; give the video it was made of";
            return Err(usage(message).into());
        }
        let text = self.question.len() + args.answer.system.as_ref().map_or(0, String::len);
        let run = Some((text, self.config.max_new_tokens));
        let loaded = model::load(memory::settle(builder, &args.memory, &args.model, input.as_ref(), run)?, quiet)?;
        let mut conversation = answer::conversation(&args.answer, usize::from(input.is_some()));
        conversation.push_user(self.question);
        loaded.model.check_question(&conversation)?;

        let mut timings = Timings { load: loaded.seconds, ..Timings::default() };
        let info = input.as_ref().and_then(Input::info).cloned();
        timings.open = input.as_ref().map_or(0.0, Input::seconds);
        let (encoded, decoded) = input.map(|input| input.encode(&loaded.model, quiet)).transpose()?.unzip();
        let decoded = decoded.unwrap_or_default();
        timings.encode = encoded.as_ref().map(EncodedVideo::timings).unwrap_or_default();

        let config = self.config.clone().with_eos_token_ids(loaded.model.eos_token_ids().iter().copied());
        let silent = args.output.json;
        let answerer = Answerer { model: &loaded.model, visual: encoded.as_ref(), config, silent };
        let answer = answerer.answer(&conversation)?;
        timings.answer = answer.timings;
        timings.total = self.start.elapsed().as_secs_f64();
        self.print(&answerer, &answer, &timings, &decoded)?;
        if let Some(report) = &self.report {
            report.write(&self.report(&loaded, &answerer, &answer, timings, info.as_ref(), &decoded))?;
        }
        self.draw(&answerer, &answer, &decoded.thumbnails)
    }

    /// The contact sheet, if asked for.
    fn draw(&self, answerer: &Answerer<'_>, answer: &Answer, thumbnails: &Thumbnails) -> Result<()> {
        let (Some(out), Some(visual)) = (&self.sheet, answerer.visual) else { return Ok(()) };
        let explanation = answerer.model.explain(&[visual], answer)?;
        let Some(visual) = explanation.visuals.first() else { return Ok(()) };
        out.write_with(|out| sheet::write(out, self.question, &answer.text, answer, visual, thumbnails))
    }

    /// The JSON object if asked for, and the closing line.
    fn print(&self, answerer: &Answerer<'_>, answer: &Answer, timings: &Timings, decoded: &Decoded) -> Result<()> {
        let frames = answerer.frames(answer);
        if self.args.output.json {
            output::json(&answer::printed(self.question, answer, frames, timings, &decoded.warnings), true)?;
        }
        if !self.args.output.quiet {
            let mut steps = summary::encode_steps(timings.open, timings.load, &timings.encode);
            steps.extend(summary::answer_steps(&timings.answer));
            output::note(&summary::line(frames, answer.visual_tokens, answer.prompt_tokens, &steps));
        }
        Ok(())
    }

    fn report<'a>(
        &'a self,
        loaded: &'a Loaded,
        answerer: &'a Answerer<'_>,
        answer: &'a Answer,
        timings: Timings,
        info: Option<&'a VideoInfo>,
        decoded: &'a Decoded,
    ) -> Report<'a> {
        let (args, model) = (self.args, &loaded.model);
        let input = answerer.visual.zip(self.file).map(|(encoded, path)| InputReport {
            path: path_text(path),
            kind: encoded.kind(),
            dimensions: encoded.dimensions(),
            video: info,
            sampling: decoded.stats.is_some().then_some(&self.options),
            notes: encoded.notes(),
            decode: decoded.stats,
        });
        Report {
            longvu: env!("CARGO_PKG_VERSION"),
            model: ModelReport::new(&args.model, args.frames.preset, model),
            memory: MemoryReport { forecast: Forecast(&loaded.forecast), peak: longvu::peak_memory() },
            input,
            frames: answerer.frames(answer),
            towers: answerer.visual.map(EncodedVideo::tower_frames),
            sampled: answerer.visual.map(|encoded| frame_reports(encoded, answer)).unwrap_or_default(),
            fusion: answer.reports.first(),
            generation: &answerer.config,
            system: args.answer.system.as_deref(),
            question: self.question,
            answer,
            timings,
            warnings: &decoded.warnings,
        }
    }
}

fn frame_reports(encoded: &EncodedVideo, answer: &Answer) -> Vec<FrameReport> {
    let temporal = encoded.temporal_report();
    let selected = answer.selected.first().map(Vec::as_slice).unwrap_or_default();
    let tokens = answer.reports.first().map(|report| report.tokens_per_frame.as_slice()).unwrap_or_default();
    let frames = encoded.samples().iter().map(|frame| {
        let sample = frame.sample;
        let place = selected.binary_search(&sample).ok();
        FrameReport {
            index: frame.index,
            timestamp: frame.timestamp,
            temporal_score: temporal.scores.get(sample).copied(),
            temporal_kept: temporal.selected.binary_search(&sample).is_ok(),
            selected: place.is_some(),
            tokens: place.and_then(|place| tokens.get(place)).copied().unwrap_or(0),
        }
    });
    frames.collect()
}
