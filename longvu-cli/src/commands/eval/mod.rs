//! `longvu eval`: published evaluations, and lists of questions of one's own.

mod run;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use longvu_eval::{Comparison, RunFolder, compare, merge};

use self::run::RunArgs;
use crate::{flags::OutputArgs, output};

/// Run a published evaluation, or one of your own.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(subcommand)]
    pub command: EvalCommand,
}

#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// VideoMME: 2,700 questions about 900 videos, with subtitles
    Videomme(Box<RunArgs>),
    /// MLVU, the development set's seven tasks of multiple choice
    Mlvu(Box<RunArgs>),
    /// MVBench: twenty tasks of 200 questions
    Mvbench(Box<RunArgs>),
    /// EgoSchema: 5,031 questions, of which 500 have published answers
    Egoschema(Box<RunArgs>),
    /// A list of {video, question, options, answer, category} of your own
    Json(Box<RunArgs>),
    /// Put the parts of a run together
    Merge(MergeArgs),
    /// Compare two runs question by question
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders of all parts
    #[arg(value_name = "RUN", required = true)]
    pub parts: Vec<PathBuf>,

    /// Folder for the whole run
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folder of a run
    pub first: PathBuf,

    /// Folder of another over the same questions
    pub second: PathBuf,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// Data sets that are not as published, models that fail, and folders that cannot be written to.
pub fn run(args: &EvalArgs) -> Result<()> {
    match &args.command {
        EvalCommand::Videomme(args) => args.run("videomme"),
        EvalCommand::Mlvu(args) => args.run("mlvu"),
        EvalCommand::Mvbench(args) => args.run("mvbench"),
        EvalCommand::Egoschema(args) => args.run("egoschema"),
        EvalCommand::Json(args) => args.run("json"),
        EvalCommand::Merge(args) => {
            let parts: Vec<RunFolder> = args.parts.iter().map(RunFolder::new).collect();
            let result = merge(&parts, &RunFolder::new(&args.out))?;
            table::print(&result, &args.output)
        }
        EvalCommand::Compare(args) => {
            let compared = compare(&RunFolder::new(&args.first), &RunFolder::new(&args.second))?;
            if args.output.json { output::json(&compared, true) } else { print(&compared) }
        }
    }
}

fn print(compared: &Comparison) -> Result<()> {
    let percent = |share: f64| 100.0 * share;
    let (first, second) = (percent(compared.first), percent(compared.second));
    output::line(&format!("{} questions: {first:.1} % against {second:.1} %", compared.questions))?;
    if compared.unpaired > 0 {
        output::line(&format!("{} that only one run has are left out", compared.unpaired))?;
    }
    output::line(&format!(
        "both right {}, only the first {}, only the second {}, neither {}",
        compared.both, compared.test.only_first, compared.test.only_second, compared.neither
    ))?;
    output::line(&format!(
        "the second is {:+.1} points from the first, 95 % interval {:+.1} to {:+.1}; McNemar's exact test p = {:.3}",
        percent(compared.difference),
        percent(compared.low),
        percent(compared.high),
        compared.test.p
    ))?;
    let verdict = match compared.is_significant() {
        true => "the difference is more than chance makes of so many questions (p < 0.05)",
        false => "the difference may be chance: with so many questions it means nothing (p >= 0.05)",
    };
    output::line(verdict)?;
    if compared.settings.is_empty() {
        return output::line("the runs have the same settings");
    }
    output::line("the runs differ in")?;
    compared.settings.iter().try_for_each(|setting| output::line(&format!("  {setting}")))
}
