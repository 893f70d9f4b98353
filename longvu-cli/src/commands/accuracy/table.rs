//! What was measured, as files, plots and text.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use longvu_eval::wilson;
use longvu_train::lines_chart;
use longvu_world::Question;

use crate::output::summary::FrameCounts;

/// A question as a model answered it.
#[derive(Debug)]
pub struct Answered {
    pub method: String,
    /// Visual tokens allowed; 0 for all.
    pub budget: usize,
    /// Of the video.
    pub seed: u64,
    pub question: Question,
    pub answer: String,
    pub right: bool,
    pub frames: FrameCounts,
    /// Of the prompt.
    pub visual_tokens: usize,
    pub seconds: Seconds,
}

/// Seconds of a question's steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Seconds {
    /// The video's encoding, the temporal stage included.
    pub encode: f64,
    /// The temporal stage.
    pub temporal: f64,
    /// The query-guided and spatial stages, and the input embeddings.
    pub prepare: f64,
    /// The prompt's way through the language model.
    pub prompt: f64,
}

impl Seconds {
    fn add(&mut self, other: Self) {
        self.encode += other.encode;
        self.temporal += other.temporal;
        self.prepare += other.prepare;
        self.prompt += other.prompt;
    }

    fn over(self, count: usize) -> Self {
        let n = count.max(1) as f64;
        Self {
            encode: self.encode / n,
            temporal: self.temporal / n,
            prepare: self.prepare / n,
            prompt: self.prompt / n,
        }
    }
}

impl Answered {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "method": self.method, "budget": self.budget, "seed": self.seed, "kind": self.question.kind.name(),
            "question": self.question.text, "truth": self.question.answer, "answer": self.answer, "right": self.right,
            "frames": self.frames, "visual_tokens": self.visual_tokens, "seconds": self.seconds
        })
    }
}

/// Answers to one kind of question by one method with one budget.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    method: String,
    budget: usize,
    kind: &'static str,
    questions: usize,
    right: usize,
    /// Sums over questions.
    visual_tokens: usize,
    seconds: Seconds,
}

impl Row {
    fn new(method: &str, budget: usize, kind: &'static str) -> Self {
        let (method, seconds) = (method.to_owned(), Seconds::default());
        Self { method, budget, kind, questions: 0, right: 0, visual_tokens: 0, seconds }
    }

    fn add(&mut self, answer: &Answered) {
        self.questions += 1;
        self.right += usize::from(answer.right);
        self.visual_tokens += answer.visual_tokens;
        self.seconds.add(answer.seconds);
    }

    /// Ends of the accuracy's 95 % interval (Wilson), in percent.
    fn interval(&self) -> (f64, f64) {
        let (low, high) = wilson(self.right, self.questions);
        (100.0 * low, 100.0 * high)
    }

    /// Means over questions.
    fn mean_seconds(&self) -> Seconds {
        self.seconds.over(self.questions)
    }

    /// Share of right answers, in percent.
    fn accuracy(&self) -> f64 {
        100.0 * self.right as f64 / self.questions.max(1) as f64
    }

    /// Mean of the prompts.
    fn tokens(&self) -> f64 {
        self.visual_tokens as f64 / self.questions.max(1) as f64
    }

    fn json(&self) -> serde_json::Value {
        let (low, high) = self.interval();
        serde_json::json!({
            "method": self.method, "budget": self.budget, "kind": self.kind, "questions": self.questions,
            "right": self.right, "accuracy": self.accuracy(), "low": low, "high": high, "visual_tokens": self.tokens(),
            "seconds": self.mean_seconds()
        })
    }
}

/// All that was measured.
#[derive(Debug)]
pub struct Table {
    answers: Vec<Answered>,
    /// In the order in which methods and budgets were measured.
    rows: Vec<Row>,
}

impl Table {
    /// Counts answers by method, budget and kind of question.
    pub fn new(answers: Vec<Answered>) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for answer in &answers {
            let (method, budget, kind) = (answer.method.as_str(), answer.budget, answer.question.kind.name());
            let place =
                rows.iter().position(|row| (row.method.as_str(), row.budget, row.kind) == (method, budget, kind));
            let place = place.unwrap_or_else(|| {
                rows.push(Row::new(method, budget, kind));
                rows.len() - 1
            });
            rows[place].add(answer);
        }
        Self { answers, rows }
    }

    /// Writes accuracy.csv, accuracy.json, answers.jsonl and a plot for each kind of question and for all together.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let save = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        save("accuracy.csv", self.csv())?;
        save("accuracy.json", serde_json::to_string_pretty(&self.json())?)?;
        let answers: Vec<String> = self.answers.iter().map(|answer| format!("{}\n", answer.json())).collect();
        save("answers.jsonl", answers.concat())?;
        for kind in self.kinds() {
            let series = series(self.rows.iter().filter(|row| row.kind == kind));
            chart(folder, kind, &series)?;
        }
        chart(folder, "all", &series(self.totals().iter()))
    }

    /// What accuracy.json has: an object for each method, budget and kind of question.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.rows.iter().map(Row::json).collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.rows.iter().map(|row| row.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// All kinds of questions together.
    fn totals(&self) -> Vec<Row> {
        let mut totals: Vec<Row> = Vec::new();
        for row in &self.rows {
            let same = |total: &&mut Row| (&total.method, total.budget) == (&row.method, row.budget);
            match totals.iter_mut().find(same) {
                Some(total) => {
                    total.questions += row.questions;
                    total.right += row.right;
                    total.visual_tokens += row.visual_tokens;
                    total.seconds.add(row.seconds);
                }
                None => totals.push(Row { kind: "all", ..row.clone() }),
            }
        }
        totals
    }

    fn csv(&self) -> String {
        let mut csv =
            "method,budget,kind,questions,right,accuracy,visual_tokens,low,high,encode_seconds,temporal_seconds,\
                       prepare_seconds,prompt_seconds\n"
                .to_owned();
        for row in self.rows.iter().chain(&self.totals()) {
            let Row { method, budget, kind, questions, right, .. } = row;
            // Settings of a named stage are separated by commas.
            let method = if method.contains(',') { format!("\"{method}\"") } else { method.clone() };
            let (accuracy, tokens, (low, high)) = (row.accuracy(), row.tokens(), row.interval());
            let Seconds { encode, temporal, prepare, prompt } = row.mean_seconds();
            let _ = writeln!(
                csv,
                "{method},{budget},{kind},{questions},{right},{accuracy:.1},{tokens:.1},{low:.1},{high:.1},{encode:.4},\
                 {temporal:.4},{prepare:.4},{prompt:.4}"
            );
        }
        csv
    }

    /// The table for a terminal: a line for each method and budget, a column for each kind of question, the interval of all
    /// together, and seconds a question: the video's encoding, the temporal stage in it, the later stages, and the prompt.
    pub fn shown(&self) -> String {
        let (kinds, totals) = (self.kinds(), self.totals());
        let wide = totals.iter().map(|total| total.method.len()).max().unwrap_or(0).max(15) + 1;
        let mut text = format!("{:<wide$}{:>8}{:>9}", "method", "budget", "tokens");
        for kind in kinds.iter().chain(&["all"]) {
            let _ = write!(text, "{kind:>13}");
        }
        let _ = writeln!(text, "{:>15}{:>9}{:>9}{:>9}{:>9}", "95 % interval", "encode", "temporal", "later", "prompt");
        for total in totals {
            let _ = write!(text, "{:<wide$}{:>8}{:>9.1}", total.method, total.budget, total.tokens());
            for kind in &kinds {
                let is = |row: &&Row| (&row.method, row.budget, row.kind) == (&total.method, total.budget, *kind);
                let cell = self.rows.iter().find(is).map_or("-".to_owned(), |row| format!("{:.1}", row.accuracy()));
                let _ = write!(text, "{cell:>13}");
            }
            let (low, high) = total.interval();
            let interval = format!("{low:.1} to {high:.1}");
            let Seconds { encode, temporal, prepare, prompt } = total.mean_seconds();
            let accuracy = total.accuracy();
            let _ =
                writeln!(text, "{accuracy:>13.1}{interval:>15}{encode:>9.3}{temporal:>9.3}{prepare:>9.3}{prompt:>9.3}");
        }
        text
    }
}

/// Points of tokens and accuracy for each method, with rising tokens.
fn series<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut series: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    rows.for_each(|row| series.entry(&row.method).or_default().push((row.tokens(), row.accuracy())));
    let sorted = |(name, mut points): (&str, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (name.to_owned(), points)
    };
    series.into_iter().map(sorted).collect()
}

fn chart(folder: &Path, kind: &str, series: &[(String, Vec<(f64, f64)>)]) -> Result<()> {
    let title = format!("Right answers: {kind}");
    let path = folder.join(format!("accuracy-{kind}.svg"));
    Ok(lines_chart(&title, ("visual tokens in the prompt", "right answers, %"), series, true, &path)?)
}

#[cfg(test)]
mod tests {
    use longvu_world::QuestionKind;

    use super::*;

    #[test]
    fn answers_are_counted_by_method_budget_and_kind() {
        let answered = |kind, right, visual_tokens| Answered {
            method: "uniform".into(),
            budget: 60,
            seed: 1,
            question: Question::new(kind, "?", "one"),
            answer: "two".into(),
            right,
            frames: FrameCounts::default(),
            visual_tokens,
            seconds: Seconds { prompt: 0.5, ..Seconds::default() },
        };
        let (count, needle) = (QuestionKind::Count, QuestionKind::Needle);
        let table = Table::new(vec![answered(count, true, 50), answered(needle, true, 58), answered(count, false, 60)]);
        let csv = table.csv();
        assert!(csv.contains("uniform,60,count,2,1,50.0,55.0,9.5,90.5,0.0000,0.0000,0.0000,0.5000\n"), "{csv}");
        assert!(csv.contains("uniform,60,all,3,2,66.7,56.0,20.8,93.9,"), "{csv}");
        let shown = table.shown();
        assert!(shown.lines().count() == 2 && shown.contains("50.0") && shown.contains("66.7"), "{shown}");
    }
}
