//! MLVU's development set: seven tasks of multiple choice, `json/1_plotQA.json` and on.

use std::path::Path;

use longvu::Preset;
use serde::Deserialize;

use super::{
    data_set::{DataSet, LLAMA, OverallRule, Published, QWEN, letters, published},
    read,
};
use crate::{FrameRule, Question, Result, VideoRef};

/// MLVU (arXiv 2406.04264), the development set's seven tasks of multiple choice.
#[derive(Debug, Clone, Copy)]
pub struct Mlvu;

/// The files' names without `.json`, which are also the videos' folders.
const TASKS: [&str; 7] = ["1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning"];

#[derive(Deserialize)]
struct Item {
    video: String,
    question: String,
    candidates: Vec<String>,
    answer: String,
}

impl DataSet for Mlvu {
    fn name(&self) -> &'static str {
        "mlvu"
    }

    fn preset(&self) -> Preset {
        Preset::Mlvu
    }

    fn frames(&self) -> FrameRule {
        FrameRule::new(0.5).with_thin_above(Some(1000))
    }

    fn questions(&self, root: &Path) -> Result<Vec<Question>> {
        let mut questions = Vec::new();
        for task in TASKS {
            let path = root.join("json").join(format!("{task}.json"));
            for (place, item) in read::json::<Vec<Item>>(&path)?.into_iter().enumerate() {
                let id = format!("{task}_{place}");
                read::name(&path, &item.video)?;
                let video = root.join("video").join(task).join(&item.video);
                let answer = read::position(&path, &id, &item.answer, &item.candidates)?;
                let video = VideoRef::file(format!("{task}/{}", item.video), video);
                let mut question = Question::new(id, video, item.question, item.candidates);
                question.answer = Some(answer);
                question.groups = vec![("task", task.split_once('_').map_or(task, |(_, name)| name).to_owned())];
                questions.push(question);
            }
        }
        read::check(&root.join("json"), questions)
    }

    fn instruction(&self, question: &Question) -> String {
        format!("Respond with only the letter ({}) of the correct option.", letters(question.options.len()))
    }

    fn lmms_eval_prompt(&self, question: &Question) -> String {
        format!("\n{}\n{}\nOnly give the best option.\n\nBest option: (", question.text, self.options(question))
    }

    fn overall(&self) -> OverallRule {
        OverallRule::MeanOf("task")
    }

    fn published(&self) -> &'static [Published] {
        const SCORES: [Published; 2] = [published(QWEN, "overall", 65.4), published(LLAMA, "overall", 55.9)];
        &SCORES
    }
}
