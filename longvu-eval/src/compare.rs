//! Two runs over the same questions, question by question.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    AnswerLine, McNemar, Result, RunFolder, mcnemar,
    spec::{RunSpec, first_differing},
};

/// How two runs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Questions that both were asked and that count.
    pub questions: usize,
    /// Questions that only one of them was asked, or that do not count in one.
    pub unpaired: usize,
    /// Questions that both have right.
    pub both: usize,
    /// Questions that neither has right.
    pub neither: usize,
    /// The first's share of right answers among the paired questions.
    pub first: f64,
    /// The second's.
    pub second: f64,
    /// The second's less the first's, with the ends of its 95 % interval (of paired shares, by the normal distribution).
    pub difference: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether the division of the questions that they disagree on is one that chance makes.
    pub test: McNemar,
    /// Settings in which the runs differ, the first of them.
    pub setting: Option<String>,
}

impl Comparison {
    /// Whether one is better than the other at 5 % significance.
    pub fn is_significant(&self) -> bool {
        self.test.p < 0.05
    }
}

/// Pairs the questions of two runs over one data set.
///
/// # Errors
/// A folder that holds no run, and runs over different data sets or without a question in common.
pub fn compare(first: &RunFolder, second: &RunFolder) -> Result<Comparison> {
    let (a, b): (RunSpec, RunSpec) = (first.spec()?, second.spec()?);
    if a.data_set != b.data_set {
        return Err(second.bad(format!("is a run over {}, and the other over {}", b.data_set, a.data_set)));
    }
    let (ours, theirs) = (first.answers()?, second.answers()?);
    let comparison = pair(&ours, &theirs);
    match comparison.questions {
        0 => Err(second.bad("and the other run have no question in common that both could be asked")),
        _ => {
            let differing = first_differing(&a.whole(), &b.whole());
            let setting = differing.map(|(name, first, second)| format!("`{name}` is {first}, then {second}"));
            Ok(Comparison { setting, ..comparison })
        }
    }
}

fn pair(first: &[AnswerLine], second: &[AnswerLine]) -> Comparison {
    let scored = |answers: &[AnswerLine]| -> BTreeMap<String, bool> {
        answers.iter().filter_map(|answer| Some((answer.id.clone(), answer.right?))).collect()
    };
    let (a, b) = (scored(first), scored(second));
    let pairs: Vec<(bool, bool)> = a.iter().filter_map(|(id, &right)| Some((right, *b.get(id)?))).collect();
    let count = |wanted: (bool, bool)| pairs.iter().filter(|&&pair| pair == wanted).count();
    let (both, neither) = (count((true, true)), count((false, false)));
    let (only_first, only_second) = (count((true, false)), count((false, true)));
    let n = pairs.len().max(1) as f64;
    let difference = (only_second as f64 - only_first as f64) / n;
    let discordant = (only_first + only_second) as f64 / n;
    let half = 1.959_963_984_540_054 * ((discordant - difference * difference) / n).max(0.0).sqrt();
    Comparison {
        questions: pairs.len(),
        unpaired: a.len() + b.len() - 2 * pairs.len(),
        both,
        neither,
        first: (both + only_first) as f64 / n,
        second: (both + only_second) as f64 / n,
        difference,
        low: (difference - half).max(-1.0),
        high: (difference + half).min(1.0),
        test: mcnemar(only_first, only_second),
        setting: None,
    }
}
