//! EgoSchema: `questions.json`, with answers to some in `subset_answers.json`.

use std::{collections::BTreeMap, path::Path};

use longvu::Preset;
use serde::Deserialize;

use super::{
    data_set::{DataSet, LLAMA, Published, QWEN, letters, published},
    read,
};
use crate::{AnswerLine, FrameRule, LetterRule, Question, Result, VideoRef};

/// EgoSchema (arXiv 2308.09126). Scored are the questions whose answers are published; all go into `submission.csv`.
#[derive(Debug, Clone, Copy)]
pub struct EgoSchema;

#[derive(Deserialize)]
struct Item {
    q_uid: String,
    question: String,
    #[serde(rename = "option 0")]
    option0: String,
    #[serde(rename = "option 1")]
    option1: String,
    #[serde(rename = "option 2")]
    option2: String,
    #[serde(rename = "option 3")]
    option3: String,
    #[serde(rename = "option 4")]
    option4: String,
}

impl DataSet for EgoSchema {
    fn name(&self) -> &'static str {
        "egoschema"
    }

    fn preset(&self) -> Preset {
        Preset::EgoSchema
    }

    fn frames(&self) -> FrameRule {
        FrameRule::new(0.5).with_thin_above(Some(1000))
    }

    fn questions(&self, root: &Path) -> Result<Vec<Question>> {
        let path = root.join("questions.json");
        let answers: BTreeMap<String, usize> = match root.join("subset_answers.json") {
            labels if labels.exists() => read::json(&labels)?,
            _ => BTreeMap::new(),
        };
        let items: Vec<Item> = read::json(&path)?;
        let mut questions = Vec::with_capacity(items.len());
        for item in items {
            read::name(&path, &item.q_uid)?;
            let mut video = VideoRef::file(&item.q_uid, root.join("good_clips_git").join(&item.q_uid));
            video.suffixes = &[".mp4", ".avi", ".mov", ".mkv"];
            let options = vec![item.option0, item.option1, item.option2, item.option3, item.option4];
            let answer = answers.get(&item.q_uid).copied();
            let mut question = Question::new(item.q_uid, video, item.question, options);
            question.answer = answer;
            questions.push(question);
        }
        read::check(&path, questions)
    }

    fn instruction(&self, question: &Question) -> String {
        format!("Respond with only the letter ({}) of the correct option.", letters(question.options.len()))
    }

    fn letter_rule(&self) -> LetterRule {
        LetterRule::Brackets
    }

    fn lmms_eval_prompt(&self, question: &Question) -> String {
        let options: Vec<String> = question
            .options
            .iter()
            .enumerate()
            .map(|(i, text)| format!("{}. {text}", super::data_set::letter(i)))
            .collect();
        let ending = "Answer with the option's letter from the given choices directly.";
        format!("{}\n{}\n{ending}", question.text, options.join("\n"))
    }

    fn published(&self) -> &'static [Published] {
        const SCORES: [Published; 2] = [published(QWEN, "overall", 67.6), published(LLAMA, "overall", 59.1)];
        &SCORES
    }

    /// `q_uid,answer` of every question that has one.
    fn submission(&self, answers: &[AnswerLine]) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut csv = String::from("q_uid,answer\n");
        for answer in answers {
            if let Some(choice) = answer.choice {
                csv += &format!("{},{choice}\n", answer.id);
            }
        }
        Ok(vec![("submission.csv", csv.into_bytes())])
    }
}
