//! From answers to scores.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    AnswerLine, DataSet, OverallRule, Published,
    spec::{Line, RunSpec},
    wilson,
};

/// A share of right answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Score {
    /// Questions that were answered rightly.
    pub right: usize,
    /// Questions that were asked and whose answers are known.
    pub of: usize,
    /// The share.
    pub share: f64,
    /// Ends of its 95 % interval: Wilson's, and of a mean of shares made of theirs (MOVER).
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Score {
    fn new(right: usize, of: usize) -> Self {
        let (low, high) = wilson(right, of);
        Self { right, of, share: right as f64 / of.max(1) as f64, low, high }
    }

    /// The mean of several shares, however many questions each is of.
    fn mean<'a>(scores: impl Iterator<Item = &'a Self>) -> Self {
        let scores: Vec<&Self> = scores.filter(|score| score.of > 0).collect();
        let count = scores.len().max(1) as f64;
        let share = scores.iter().map(|score| score.share).sum::<f64>() / count;
        let beyond = |side: fn(&Self) -> f64| {
            scores.iter().map(|score| ((score.share - side(score)) / count).powi(2)).sum::<f64>().sqrt()
        };
        Self {
            right: scores.iter().map(|score| score.right).sum(),
            of: scores.iter().map(|score| score.of).sum(),
            share,
            low: if scores.is_empty() { 0.0 } else { share - beyond(|score| score.low) },
            high: if scores.is_empty() { 1.0 } else { share + beyond(|score| score.high) },
        }
    }
}

/// What a run came to: `result.json`. It holds nothing that differs from one time to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvalResult {
    /// The program's version.
    pub longvu: String,
    /// The data set.
    pub data_set: String,
    /// Raised whenever the text of a prompt changes.
    pub prompt_version: u32,
    /// How questions were asked.
    pub settings: crate::EvalSettings,
    /// The model and its settings.
    pub model: Value,
    /// How the data set's own score is made.
    pub rule: OverallRule,
    /// The data set's own score.
    pub overall: Score,
    /// The share of right answers among all questions.
    pub pooled: Score,
    /// The data set's own score with questions of which nothing could be asked counted as wrong.
    pub overall_with_failed: Score,
    /// By kind of group, and by group.
    pub groups: BTreeMap<String, BTreeMap<String, Score>>,
    /// What was published for LongVU.
    pub published: Vec<Published>,
    /// Questions of the run.
    pub questions: usize,
    /// Questions whose answers are not published.
    pub unlabelled: usize,
    /// Scored answers from which no letter could be read; they count as wrong.
    pub unread: usize,
    /// Questions of which nothing could be asked, with the reason; left out of the scores.
    pub failed: Vec<Failed>,
    /// Videos that were missing and left out.
    pub missing: Vec<String>,
    /// Questions whose prompts had subtitles.
    pub subtitled: usize,
    /// Means of the questions that were asked.
    pub mean: Means,
    /// SHA-256 of the names and sizes of the videos.
    pub videos_sha256: String,
}

/// A question of which nothing could be asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failed {
    /// The question.
    pub id: String,
    /// Its video.
    pub video: String,
    /// Why.
    pub error: String,
}

/// Means of the questions that were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Means {
    /// Positions of the prompt.
    pub prompt_tokens: f64,
    /// Visual ones of them.
    pub visual_tokens: f64,
    /// Frames that were sampled.
    pub sampled_frames: f64,
    /// Frames that the prompt had anything of.
    pub kept_frames: f64,
}

impl EvalResult {
    /// `answers` in the data set's order.
    pub(crate) fn new(data_set: &dyn DataSet, spec: &RunSpec, answers: &[AnswerLine]) -> Self {
        let asked: Vec<&AnswerLine> = answers.iter().filter(|answer| answer.is_answered()).collect();
        let scored: Vec<&AnswerLine> = asked.iter().copied().filter(|answer| answer.right.is_some()).collect();
        let pooled = score(scored.iter().copied());
        let failed: Vec<&AnswerLine> = answers.iter().filter(|answer| !answer.is_answered()).collect();
        let labelled: Vec<&AnswerLine> = answers.iter().filter(|answer| answer.answer.is_some()).collect();
        let rule = data_set.overall();
        Self {
            longvu: spec.longvu.clone(),
            data_set: spec.data_set.clone(),
            prompt_version: spec.prompt_version,
            settings: spec.settings.clone(),
            model: spec.model.clone(),
            rule,
            overall: overall(rule, &scored),
            pooled,
            overall_with_failed: overall(rule, &labelled),
            groups: groups(&scored),
            published: data_set.published().to_vec(),
            questions: answers.len(),
            unlabelled: answers.iter().filter(|answer| answer.answer.is_none()).count(),
            unread: scored.iter().filter(|answer| answer.choice.is_none()).count(),
            failed: failed.into_iter().map(Failed::new).collect(),
            missing: spec.missing.clone(),
            subtitled: asked.iter().filter(|answer| answer.subtitle_lines > 0).count(),
            mean: Means::new(&asked),
            videos_sha256: videos(answers),
        }
    }
}

impl Failed {
    fn new(answer: &AnswerLine) -> Self {
        Self { id: answer.id.clone(), video: answer.video.clone(), error: answer.error.clone().unwrap_or_default() }
    }
}

impl Means {
    fn new(asked: &[&AnswerLine]) -> Self {
        let mean = |value: fn(&AnswerLine) -> usize| {
            asked.iter().fold(0.0, |sum, answer| sum + value(answer) as f64) / asked.len().max(1) as f64
        };
        Self {
            prompt_tokens: mean(|answer| answer.prompt_tokens),
            visual_tokens: mean(|answer| answer.visual_tokens),
            sampled_frames: mean(|answer| answer.frames.sampled),
            kept_frames: mean(|answer| answer.frames.kept),
        }
    }
}

fn score<'a>(answers: impl Iterator<Item = &'a AnswerLine>) -> Score {
    let (right, of) =
        answers.fold((0, 0), |(right, of), answer| (right + usize::from(answer.right == Some(true)), of + 1));
    Score::new(right, of)
}

/// The score by a data set's own rule.
fn overall(rule: OverallRule, answers: &[&AnswerLine]) -> Score {
    match rule {
        OverallRule::Pooled => score(answers.iter().copied()),
        OverallRule::MeanOf(kind) => Score::mean(groups(answers).get(kind).into_iter().flat_map(BTreeMap::values)),
    }
}

fn groups(scored: &[&AnswerLine]) -> BTreeMap<String, BTreeMap<String, Score>> {
    let mut members: BTreeMap<&str, BTreeMap<&str, Vec<&AnswerLine>>> = BTreeMap::new();
    for answer in scored {
        for (kind, value) in &answer.groups {
            members.entry(kind).or_default().entry(value).or_default().push(answer);
        }
    }
    let scores = |of: BTreeMap<&str, Vec<&AnswerLine>>| {
        of.into_iter().map(|(value, answers)| (value.to_owned(), score(answers.into_iter()))).collect()
    };
    members.into_iter().map(|(kind, of)| (kind.to_owned(), scores(of))).collect()
}

fn videos(answers: &[AnswerLine]) -> String {
    let sizes: BTreeMap<&str, u64> = answers.iter().map(|answer| (answer.video.as_str(), answer.video_bytes)).collect();
    let mut hash = Sha256::new();
    for (video, bytes) in sizes {
        hash.update(format!("{video}\0{bytes}\n"));
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_shares_is_not_their_pool() {
        let (few, many) = (Score::new(10, 10), Score::new(0, 90));
        let mean = Score::mean([few, many].iter());
        assert!((mean.share - 0.5).abs() < 1e-12 && mean.right == 10 && mean.of == 100);
        // sqrt(((1 - 0.72247) / 2)^2 + 0^2) below, and sqrt(0 + (0.040936 / 2)^2) above.
        assert!((mean.low - (0.5 - 0.138_766)).abs() < 1e-5, "{mean:?}");
        assert!((mean.high - (0.5 + 0.020_468)).abs() < 1e-5, "{mean:?}");
        assert_eq!(Score::mean([].iter()).share, 0.0);
    }
}
