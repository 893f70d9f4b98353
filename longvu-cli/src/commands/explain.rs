//! `longvu explain`: a question, its answer, and a page that shows what the three reductions did.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;
use longvu::{EncodedVideo, GenerationConfig, VideoOptions, peak_memory, video::path_text};

use crate::{
    explain::{self, Data, Pictures, Run, Setting, StepCost},
    flags::{AnswerArgs, Comparison, FrameArgs, MemoryArgs, ModelArgs, usage},
    output::{
        self, OutFile,
        hints::Forecast,
        summary::{self, Timings},
    },
    steps::{
        answer::{self, Answerer},
        described::ModelReport,
        given, memory,
        model::{self, Loaded},
        source::Input,
    },
};

/// Ask one question, and show on a page what the reductions did with the video or image.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Video or image, or what `longvu encode` made of one
    pub file: PathBuf,

    /// What to ask
    pub question: String,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    #[command(flatten)]
    pub answer: AnswerArgs,

    /// The page to write, one file of HTML
    #[arg(short, long, value_name = "OUT.html", required_unless_present = "json", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Write what the page shows to this file, as JSON
    #[arg(long, value_name = "OUT.json", help_heading = "Output")]
    pub json: Option<PathBuf>,

    /// Ask again with other settings, and show both: preset=paper,spatial=evs:q=fit,budget=500
    #[arg(long, value_name = "FLAG=VALUE,…", value_parser = Comparison::parse, help_heading = "Output")]
    pub compare: Option<Comparison>,

    /// Nothing but answers, warnings and errors: no progress bars, no closing lines
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// One of the runs that are shown.
struct Job<'a> {
    args: &'a ExplainArgs,
    model: ModelArgs,
    frames: FrameArgs,
    config: GenerationConfig,
    settings: Vec<Setting>,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, and whatever loading, decoding, answering and writing come upon.
pub fn run(args: &ExplainArgs) -> Result<()> {
    if args.question.trim().is_empty() {
        return Err(usage(&longvu::Error::EmptyQuestion.to_string()).into());
    }
    args.check_places()?;
    let config = args.answer.config()?;
    let given = given::settings::<ExplainArgs>("explain", &["file", "question", "out", "json", "compare", "quiet"]);
    let (model, frames) = (args.model.clone(), args.frames.clone());
    let mut jobs = vec![Job { args, model, frames, config: config.clone(), settings: given.clone() }];
    if let Some(comparison) = &args.compare {
        let (mut model, mut frames) = (args.model.clone(), args.frames.clone());
        comparison.apply(&mut model, &mut frames);
        let settings = given::with_others(given, &comparison.settings);
        jobs.push(Job { args, model, frames, config, settings });
    }
    let options = jobs.iter().map(|job| job.frames.options()).collect::<Result<Vec<_>, _>>()?;
    let page = args.out.as_deref().map(|path| OutFile::prepare("the page", path)).transpose()?;
    let data = args.json.as_deref().map(|path| OutFile::prepare("the data", path)).transpose()?;

    // One after the other, so that one model is in memory at a time.
    let runs = jobs.iter().zip(&options).map(|(job, options)| job.run(options)).collect::<Result<Vec<_>>>()?;
    let told = Data::new(path_text(&args.file), args.question.clone(), runs);
    if let Some(data) = &data {
        data.write(&told)?;
    }
    if let Some(page) = &page {
        let mut pictures = Pictures::default();
        for (run, options) in told.runs.iter().zip(&options) {
            pictures.add(&args.file, options, run);
        }
        page.write_bytes(explain::page(&told, &pictures)?.as_bytes())?;
    }
    if !args.quiet {
        let written = [&args.out, &args.json].into_iter().flatten();
        output::note(&format!("wrote {}", written.map(|path| path_text(path)).collect::<Vec<_>>().join(" and ")));
    }
    Ok(())
}

impl ExplainArgs {
    /// Refuses to write over what is read, and two files to one place.
    fn check_places(&self) -> Result<(), clap::Error> {
        for (flag, out) in [("--out", &self.out), ("--json", &self.json)] {
            if out.as_deref().is_some_and(|out| output::is_same_file(&self.file, out)) {
                let message = format!("{flag} names the FILE that is asked about and would overwrite it; name another");
                return Err(usage(&message));
            }
        }
        if self.out.as_ref().zip(self.json.as_ref()).is_some_and(|(out, json)| output::is_same_place(out, json)) {
            return Err(usage("--out and --json name the same file; name another for one of them"));
        }
        Ok(())
    }
}

impl Job<'_> {
    fn run(&self, options: &VideoOptions) -> Result<Run> {
        let (args, start) = (self.args, Instant::now());
        let builder = model::builder(&self.model, self.frames.preset, args.quiet)?.temporal_similarity(true);
        let input = Input::open(&args.file, &self.frames, options.clone())?;
        let text = args.question.len() + args.answer.system.as_ref().map_or(0, String::len);
        let run = Some((text, self.config.max_new_tokens));
        let settled = memory::settle(builder, &args.memory, &self.model, Some(&input), run)?;
        let loaded = model::load(settled, args.quiet)?;
        let mut costs = Costs::after_load(input.seconds(), &loaded);
        let mut conversation = answer::conversation(&args.answer, 1);
        conversation.push_user(&args.question);
        loaded.model.check_question(&conversation)?;

        let encoding = Instant::now();
        let (encoded, decoded) = input.encode(&loaded.model, args.quiet)?;
        costs.encoded(&encoded, encoding.elapsed().as_secs_f64());
        let config = self.config.clone().with_eos_token_ids(loaded.model.eos_token_ids().iter().copied());
        let answerer = Answerer { model: &loaded.model, visual: Some(&encoded), config, silent: false };
        let answer = answerer.answer(&conversation)?;
        let steps = costs.answered(&answer.timings);
        let explanation = loaded.model.explain(&[&encoded], &answer)?;
        let mut timings = Timings { open: steps[0].seconds, load: loaded.seconds, ..Timings::default() };
        (timings.encode, timings.answer) = (encoded.timings(), answer.timings);
        timings.total = start.elapsed().as_secs_f64();
        if !args.quiet {
            let mut told = summary::encode_steps(timings.open, timings.load, &timings.encode);
            told.extend(summary::answer_steps(&timings.answer));
            let frames = answerer.frames(&answer);
            output::note(&summary::line(frames, answer.visual_tokens, answer.prompt_tokens, &told));
        }
        Ok(Run {
            settings: self.settings.clone(),
            model: ModelReport::new(&self.model, self.frames.preset, &loaded.model),
            answer: answer.text,
            finish_reason: answer.finish_reason,
            generated_tokens: answer.generated_ids.len(),
            decoder: answer.decoder.clone(),
            prompt_tokens: answer.prompt_tokens,
            visual_tokens: answer.visual_tokens,
            explanation,
            towers: encoded.tower_frames(),
            steps,
            timings,
            forecast: serde_json::to_value(Forecast(&loaded.forecast))?,
            forecast_steps: explain::forecast(&loaded.forecast),
            warnings: decoded.warnings,
        })
    }
}

/// Seconds of each step, and memory where it can be told.
struct Costs(Vec<StepCost>);

impl Costs {
    fn after_load(open: f64, loaded: &Loaded) -> Self {
        let mut costs = Self(Vec::new());
        costs.add("open the file", open, false);
        costs.add("load the model", loaded.seconds, false);
        costs.mark();
        costs
    }

    /// Notes what encoding took, or, of a file that was encoded before, the `seconds` of reading it.
    fn encoded(&mut self, encoded: &EncodedVideo, seconds: f64) {
        let timings = encoded.timings();
        if timings.wall == 0.0 {
            self.add("read the encoded video", seconds, false);
            return self.mark();
        }
        self.add("encode", timings.wall, false);
        self.mark();
        for (step, seconds) in [
            ("decode", timings.decode),
            ("resize", timings.preprocess),
            ("DINOv2", timings.dinov2),
            ("temporal stage", timings.temporal),
            ("frames that wait", timings.spill),
            ("SigLIP", timings.siglip),
            ("aggregator", timings.aggregator),
        ] {
            self.add(step, seconds, true);
        }
    }

    fn answered(mut self, timings: &longvu::AnswerTimings) -> Vec<StepCost> {
        self.add("query-guided and spatial stage", timings.prepare, false);
        self.add("read the prompt", timings.prefill, false);
        self.add("write the answer", timings.generate, false);
        self.mark();
        self.0
    }

    fn add(&mut self, step: &'static str, seconds: f64, within: bool) {
        self.0.push(StepCost { step, seconds, within, peak: None });
    }

    /// Notes the most memory so far at the last step.
    fn mark(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.peak = peak_memory();
        }
    }
}
