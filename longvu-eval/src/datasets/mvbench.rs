//! MVBench: twenty tasks, `json/<task>.json`, in five of which a question is about a part of its video.

use std::path::Path;

use longvu::Preset;
use serde::Deserialize;

use super::{
    data_set::{DataSet, LLAMA, Published, QWEN, published},
    read,
};
use crate::{FrameRule, LetterRule, Question, Result, VideoRef};

/// MVBench (arXiv 2311.17005).
#[derive(Debug, Clone, Copy)]
pub struct MvBench;

/// What the videos of a task are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    /// A part from `start` to `end`.
    Part,
    /// The same of a folder of JPEGs, three a second.
    FolderPart,
}

/// Tasks with the folders of their videos under `video/`.
const TASKS: [(&str, &str, Kind); 20] = [
    ("action_sequence", "star/Charades_v1_480", Kind::Part),
    ("action_prediction", "star/Charades_v1_480", Kind::Part),
    ("action_antonym", "ssv2_video", Kind::Whole),
    ("fine_grained_action", "Moments_in_Time_Raw/videos", Kind::Whole),
    ("unexpected_action", "FunQA_test/test", Kind::Whole),
    ("object_existence", "clevrer/video_validation", Kind::Whole),
    ("object_interaction", "star/Charades_v1_480", Kind::Part),
    ("object_shuffle", "perception/videos", Kind::Whole),
    ("moving_direction", "clevrer/video_validation", Kind::Whole),
    ("action_localization", "sta/sta_video", Kind::Part),
    ("scene_transition", "scene_qa/video", Kind::Whole),
    ("action_count", "perception/videos", Kind::Whole),
    ("moving_count", "clevrer/video_validation", Kind::Whole),
    ("moving_attribute", "clevrer/video_validation", Kind::Whole),
    ("state_change", "perception/videos", Kind::Whole),
    ("fine_grained_pose", "nturgbd", Kind::Whole),
    ("character_order", "perception/videos", Kind::Whole),
    ("egocentric_navigation", "vlnqa", Kind::Whole),
    ("episodic_reasoning", "tvqa/frames_fps3_hq", Kind::FolderPart),
    ("counterfactual_inference", "clevrer/video_validation", Kind::Whole),
];

/// Pictures a second of the folders.
const FOLDER_FPS: f64 = 3.0;

#[derive(Deserialize)]
struct Item {
    video: String,
    question: String,
    candidates: Vec<String>,
    answer: String,
    start: Option<f64>,
    end: Option<f64>,
}

impl DataSet for MvBench {
    fn name(&self) -> &'static str {
        "mvbench"
    }

    fn preset(&self) -> Preset {
        Preset::MvBench
    }

    fn frames(&self) -> FrameRule {
        FrameRule::new(2.0).with_round_rate(false)
    }

    fn questions(&self, root: &Path) -> Result<Vec<Question>> {
        let mut questions = Vec::new();
        for (task, folder, kind) in TASKS {
            let path = root.join("json").join(format!("{task}.json"));
            for (place, item) in read::json::<Vec<Item>>(&path)?.into_iter().enumerate() {
                let id = format!("{task}_{place}");
                read::name(&path, &item.video)?;
                let answer = read::position(&path, &id, &item.answer, &item.candidates)?;
                let file = root.join("video").join(folder).join(&item.video);
                let mut video = VideoRef::file(format!("{folder}/{}", item.video), file);
                video.bounds = bounds(&path, &id, kind, &item)?;
                video.folder_fps = (kind == Kind::FolderPart).then_some(FOLDER_FPS);
                let mut question = Question::new(id, video, item.question, item.candidates);
                question.answer = Some(answer);
                question.groups = vec![("task", task.to_owned())];
                questions.push(question);
            }
        }
        read::check(&root.join("json"), questions)
    }

    fn instruction(&self, _question: &Question) -> String {
        "Answer with the option's letter from the given choices directly and only give the best option.".into()
    }

    fn letter_rule(&self) -> LetterRule {
        LetterRule::BracketsAndCommas
    }

    fn lmms_eval_prompt(&self, question: &Question) -> String {
        format!("Question:{}\nOption:\n{}\nOnly give the best option.", question.text, self.options(question))
    }

    fn published(&self) -> &'static [Published] {
        const SCORES: [Published; 2] = [published(QWEN, "overall", 66.9), published(LLAMA, "overall", 60.9)];
        &SCORES
    }
}

/// The part that is meant, in seconds.
fn bounds(path: &Path, id: &str, kind: Kind, item: &Item) -> Result<Option<(f64, f64)>> {
    if kind == Kind::Whole {
        return Ok(None);
    }
    match (item.start, item.end) {
        (Some(start), Some(end)) if start.is_finite() && end.is_finite() && start < end => Ok(Some((start, end))),
        (start, end) => Err(read::bad(
            path,
            format!(
                "question {id} is about the part from {} to {}; `start` and `end` must be seconds, in order",
                told(start),
                told(end)
            ),
        )),
    }
}

fn told(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "no time".to_owned(), |seconds| seconds.to_string())
}
