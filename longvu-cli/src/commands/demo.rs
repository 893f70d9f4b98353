//! `longvu demo`: a video drawn anew, questions with known answers, and a picture of what was kept of it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::Args;
use longvu::{Answer, EncodedVideo, LongVu, VideoOptions, llm::Conversation, video::path_text};
use longvu_world::{Question, QuestionKind, Script, ScriptKind, ScriptOptions, Split};
use serde::Serialize;

use crate::{
    flags::{OutputArgs, PlaceArgs, usage},
    output::{self, OutFile, Progress},
    sheet,
    steps::{answer::Answerer, model, source::Source},
};

/// Draw a new video, ask a model about it, and show what it kept of the frames.
///
/// Writes demo.mp4 and demo.png, the contact sheet, to OUT.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder to write to
    #[arg(default_value = ".")]
    pub out: PathBuf,

    /// What to draw; the same number gives the same video [default: another one every time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Length of the video in seconds; of two minutes the built-in model drops some frames and sees others in full
    #[arg(long, value_name = "S", default_value_t = 120.0, allow_negative_numbers = true)]
    pub seconds: f64,

    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    video: String,
    picture: String,
    right: usize,
    answers: Vec<Asked<'a>>,
}

/// A question, and what came of it.
#[derive(Serialize)]
struct Asked<'a> {
    question: &'a str,
    answer: &'a str,
    truth: &'a str,
    right: bool,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, files that cannot be written, and as [`LongVu::encode`] and [`LongVu::reply`].
pub fn run(args: &DemoArgs) -> Result<()> {
    let script = script(args)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let (video, picture) = (args.out.join("demo.mp4"), args.out.join("demo.png"));
    let out = OutFile::prepare("the contact sheet", &picture)?;
    let progress = Progress::new(args.output.quiet, "drawing a video");
    script.write_mp4(&video)?;
    drop(progress);
    let progress = Progress::new(args.output.quiet, "loading");
    let model = model::found(&args.place, args.output.quiet)?.watch(progress.watch()).load()?;
    drop(progress);
    let source = Source::open(&video, VideoOptions::default())?.with_thumbnails();
    let (encoded, decoded) = source.encode(&model, args.output.quiet)?;

    let answers = ask_all(&model, &encoded, &script, args.output.json)?;
    if args.output.json {
        output::json(&printed(&video, &picture, &answers), true)?;
    } else {
        output::line(&format!("{} of {} right", right(&answers), answers.len()))?;
    }
    if let Some((question, answer)) = answers.iter().max_by_key(|(question, _)| question.kind == QuestionKind::Needle) {
        let explanation = model.explain(&[&encoded], answer)?;
        if let Some(visual) = explanation.visuals.first() {
            let told = format!("{} (truth: {})", answer.text, question.answer);
            out.write_with(|out| sheet::write(out, &question.text, &told, answer, visual, &decoded.thumbnails))?;
        }
    }
    if !args.output.quiet {
        output::note(&format!("wrote {} and {}", video.display(), picture.display()));
    }
    Ok(())
}

fn script(args: &DemoArgs) -> Result<Script> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let place = args.seed.unwrap_or_else(clock);
    let options = ScriptOptions::default().with_duration(args.seconds).with_kind(ScriptKind::Needle);
    options.validate().map_err(|error| usage(&error.to_string()))?;
    Ok(Script::draw(Split::Test.seed(place), &options)?)
}

/// Asks a question of every kind that the video allows; prints answers beside the truth unless `silent`.
fn ask_all(model: &LongVu, encoded: &EncodedVideo, script: &Script, silent: bool) -> Result<Vec<(Question, Answer)>> {
    let answerer = Answerer { model, visual: Some(encoded), config: longvu::GenerationConfig::default(), silent: true };
    let mut answers = Vec::new();
    for question in script.questions() {
        let mut conversation = Conversation::new(1);
        conversation.push_user(&question.text);
        let answer = answerer.answer(&conversation)?;
        if !silent {
            let mark = if question.is_answered_by(&answer.text) { "right" } else { "wrong" };
            output::line(&format!("{}\n  {}  ({mark}; truth: {})", question.text, answer.text, question.answer))?;
        }
        answers.push((question, answer));
    }
    Ok(answers)
}

fn right(answers: &[(Question, Answer)]) -> usize {
    answers.iter().filter(|(question, answer)| question.is_answered_by(&answer.text)).count()
}

fn printed<'a>(video: &Path, picture: &Path, answers: &'a [(Question, Answer)]) -> Printed<'a> {
    let asked = answers.iter().map(|(question, answer)| Asked {
        question: &question.text,
        answer: &answer.text,
        truth: &question.answer,
        right: question.is_answered_by(&answer.text),
    });
    Printed { video: path_text(video), picture: path_text(picture), right: right(answers), answers: asked.collect() }
}

#[cfg(test)]
mod tests {
    use longvu_train::draw_frames;

    use super::*;

    /// The temporal stage is there to drop what repeats, and to keep what is seen for a moment.
    #[test]
    fn needles_stay_where_most_frames_go() {
        // From the source tree, as the built-in copy is put into the user's cache.
        let model = LongVu::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/miniature")).load().unwrap();
        let options = ScriptOptions::default().with_duration(180.0).with_kind(ScriptKind::Needle).with_size(128);
        let (mut kept, mut found) = (0, 0);
        for place in 0..10 {
            let script = Script::draw(Split::Validation.seed(place), &options).unwrap();
            let encoded = model.encode(draw_frames(&script).unwrap()).unwrap();
            let selected = &encoded.temporal_report().selected;
            let (_, needle) = script.needle().unwrap();
            kept += selected.len();
            found += usize::from(selected.iter().any(|second| needle.is_visible(*second as f64)));
        }
        assert!(kept < 900 && found >= 8, "{kept} of 1,800 frames kept, {found} of 10 needles among them");
    }
}
