//! Two runs over the same questions, question by question.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    AnswerLine, McNemar, Result, RunFolder, mcnemar,
    spec::{RunSpec, differences},
    statistics::Z,
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
    /// The second's less the first's, with the ends of its 95 % interval (of paired shares, by Agresti and Min).
    pub difference: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether the division of the questions that they disagree on is one that chance makes.
    pub test: McNemar,
    /// Settings in which the runs differ, with both values.
    pub settings: Vec<String>,
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
    let texts: BTreeMap<&str, (&str, &[String])> =
        ours.iter().map(|a| (a.id.as_str(), (a.question.as_str(), &a.options[..]))).collect();
    let other = |b: &&AnswerLine| texts.get(b.id.as_str()).is_some_and(|&a| a != (b.question.as_str(), &b.options[..]));
    if let Some(answer) = theirs.iter().find(other) {
        return Err(
            second.bad(format!("has another question under the name {}; compare runs over one list", answer.id))
        );
    }
    let comparison = pair(&ours, &theirs);
    match comparison.questions {
        0 => Err(second.bad("and the other run have no question in common that both could be asked")),
        _ => {
            let told = |(name, first, second)| format!("`{name}` is {first}, then {second}");
            let settings = differences(&a.whole(), &b.whole()).into_iter().map(told).collect();
            Ok(Comparison { settings, ..comparison })
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
    let (low, high) = interval(only_first, only_second, pairs.len());
    Comparison {
        questions: pairs.len(),
        unpaired: a.len() + b.len() - 2 * pairs.len(),
        both,
        neither,
        first: (both + only_first) as f64 / n,
        second: (both + only_second) as f64 / n,
        difference,
        low,
        high,
        test: mcnemar(only_first, only_second),
        settings: Vec::new(),
    }
}

/// The 95 % interval of a difference of paired shares: Wald's, with half a question more in each of the four cells (Agresti and
/// Min 2005).
fn interval(only_first: usize, only_second: usize, of: usize) -> (f64, f64) {
    let (a, b, n) = (only_first as f64 + 0.5, only_second as f64 + 0.5, of as f64 + 2.0);
    let centre = (b - a) / n;
    let half = Z * ((a + b) - (b - a).powi(2) / n).max(0.0).sqrt() / n;
    ((centre - half).max(-1.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pairs_without_a_difference_say_little() {
        let (low, high) = interval(0, 0, 4);
        assert!((high - 0.326_660_6).abs() < 1e-6 && low == -high, "{low} {high}");
        let (low, high) = interval(10, 30, 100);
        assert!((low - 0.079_072).abs() < 1e-5 && (high - 0.313_085).abs() < 1e-5, "{low} {high}");
    }
}
