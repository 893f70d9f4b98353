//! A run's scores as a table.

use anyhow::Result;
use longvu_eval::{EvalResult, OverallRule, Score};

use crate::{flags::OutputArgs, output, output::SomeFailed};

/// Prints a result.
///
/// # Errors
/// A stdout that cannot be written to.
pub fn print(result: &EvalResult, args: &OutputArgs) -> Result<()> {
    if args.json {
        output::json(result, true)?;
        return failures(result);
    }
    for line in lines(result) {
        output::line(&line)?;
    }
    remarks(result, args.quiet);
    failures(result)
}

fn lines(result: &EvalResult) -> Vec<String> {
    let mut lines =
        vec![format!("{:34} {:>7}  {:>15}  {:>9}  published", result.data_set, "%", "95 % interval", "right")];
    for (kind, groups) in &result.groups {
        lines.push(kind.clone());
        lines.extend(groups.iter().map(|(name, score)| row(&format!("  {name}"), score, &published(result, name))));
    }
    let rule = match result.rule {
        OverallRule::MeanOf(kind) => format!("overall (mean of the {kind}s)"),
        _ => "overall (all questions)".to_owned(),
    };
    lines.push(row(&rule, &result.overall, &published(result, "overall")));
    if !matches!(result.rule, OverallRule::Pooled) {
        lines.push(row("pooled (all questions)", &result.pooled, ""));
    }
    if !result.failed.is_empty() {
        lines.push(row("overall, failed ones as wrong", &result.overall_with_failed, ""));
    }
    lines
}

fn row(name: &str, score: &Score, published: &str) -> String {
    let interval = format!("{:.1} to {:.1}", 100.0 * score.low, 100.0 * score.high);
    let right = format!("{}/{}", score.right, score.of);
    format!("{name:34} {:7.1}  {interval:>15}  {right:>9}  {published}", 100.0 * score.share).trim_end().to_owned()
}

fn published(result: &EvalResult, of: &str) -> String {
    let scores = result.published.iter().filter(|score| score.of == of);
    scores.map(|score| format!("{} {:.1}", score.model, score.score)).collect::<Vec<_>>().join(", ")
}

/// What a reader of the table must know.
fn remarks(result: &EvalResult, quiet: bool) {
    let mean = &result.mean;
    let note = |line: &str| {
        if !quiet {
            output::note(line);
        }
    };
    note(&format!(
        "{} questions; {:.0} frames sampled and {:.0} kept, {:.0} visual of {:.0} prompt tokens on average",
        result.questions, mean.sampled_frames, mean.kept_frames, mean.visual_tokens, mean.prompt_tokens
    ));
    if result.unlabelled > 0 {
        note(&format!("{} have no published answer and are not scored", result.unlabelled));
    }
    if result.settings.subtitles {
        note(&format!("{} prompts had subtitles", result.subtitled));
    }
    if result.unread > 0 {
        output::warning(&format!("no letter could be read from {} answers; they count as wrong", result.unread));
    }
    if !result.missing.is_empty() {
        output::warning(&format!(
            "{} missing videos were left out, and their questions are not scored",
            result.missing.len()
        ));
    }
    if let Some(first) = result.failed.first() {
        let count = result.failed.len();
        output::warning(&format!(
            "{count} questions could not be asked and are not scored; {} of {}: {}",
            first.id, first.video, first.error
        ));
    }
}

/// An error where some questions could not be asked, after all that could be said of the others.
fn failures(result: &EvalResult) -> Result<()> {
    match result.failed.len() {
        0 => Ok(()),
        failed => Err(SomeFailed(format!(
            "{failed} of {} questions could not be asked; the next run tries them again",
            result.questions
        ))
        .into()),
    }
}
