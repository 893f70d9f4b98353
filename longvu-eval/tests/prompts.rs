//! Prompts byte for byte, and the frames that evaluations look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "other tests take more of it")]
mod made;

use longvu::{Video, VideoOptions};
use longvu_eval::{PromptStyle, Question, by_name, prompt};

fn question(name: &str, id: &str) -> (Box<dyn longvu_eval::DataSet>, Question) {
    let data_set = by_name(name).unwrap();
    let (_, make) = made::ALL.into_iter().find(|(known, _)| *known == name).unwrap();
    let made = make();
    let questions = data_set.questions(&made.root()).unwrap();
    assert!(questions.len() >= 30, "{name}: {}", questions.len());
    let question = questions.into_iter().find(|question| question.id == id).unwrap();
    (data_set, question)
}

fn asked(name: &str, id: &str, style: PromptStyle, subtitles: &[&str]) -> String {
    let (data_set, question) = question(name, id);
    let subtitles: Vec<String> = subtitles.iter().map(|&line| line.to_owned()).collect();
    prompt(data_set.as_ref(), style, &question, (!subtitles.is_empty()).then_some(&subtitles[..]))
}

#[test]
fn videomme_asks_as_the_package() {
    let package = "Question: Which colour is thing 3?\nOptions:\nA. red 3.\nB. blue 3.\nC. green 3.\nD. yellow 3.\n\
                   Respond with only the letter (A, B, C, or D) of the correct option.\n";
    assert_eq!(asked("videomme", "002-1", PromptStyle::Package, &[]), package);
    let subtitles = "This video's subtitles are listed below:\nhello there\nhow are you\n";
    let with = asked("videomme", "002-1", PromptStyle::Package, &["hello there", "how are you"]);
    assert_eq!(with, format!("{subtitles}{package}"));
    let (data_set, question) = question("videomme", "002-1");
    let silent = prompt(data_set.as_ref(), PromptStyle::Package, &question, Some(&[]));
    assert_eq!(silent, format!("This video's subtitles are listed below:\n\n{package}"));
    let lmms_eval = "Select the best answer to the following multiple-choice question based on the video and the \
                     subtitles. Respond with only the letter (A, B, C, or D) of the correct option.\nWhich colour is \
                     thing 3?\nA. red 3.\nB. blue 3.\nC. green 3.\nD. yellow 3.\nThe best answer is:";
    assert_eq!(asked("videomme", "002-1", PromptStyle::LmmsEval, &[]), lmms_eval);
    let with = asked("videomme", "002-1", PromptStyle::LmmsEval, &["hello there"]);
    assert_eq!(with, format!("This video's subtitles are listed below: \nhello there\n{lmms_eval}"));
}

#[test]
fn mlvu_asks_as_the_package() {
    let package = "Question: Which colour is thing 11?\nOptions:\n(A) red 11\n(B) blue 11\n(C) green 11\n(D) yellow 11\n\
                   Respond with only the letter (A, B, C or D) of the correct option.";
    assert_eq!(asked("mlvu", "2_needle_1", PromptStyle::Package, &[]), package);
    let lmms_eval = "\nWhich colour is thing 11?\n(A) red 11\n(B) blue 11\n(C) green 11\n(D) yellow 11\n\
                     Only give the best option.\n\nBest option: (";
    assert_eq!(asked("mlvu", "2_needle_1", PromptStyle::LmmsEval, &[]), lmms_eval);
}

#[test]
fn mvbench_asks_as_the_package() {
    let package = "Question: Which colour is thing 5?\nOptions:\n(A) red 5\n(B) blue 5\n(C) green 5\n(D) yellow 5\n\
                   Answer with the option's letter from the given choices directly and only give the best option.";
    assert_eq!(asked("mvbench", "action_antonym_1", PromptStyle::Package, &[]), package);
    let lmms_eval = "Question:Which colour is thing 5?\nOption:\n(A) red 5\n(B) blue 5\n(C) green 5\n(D) yellow 5\n\
                     Only give the best option.";
    assert_eq!(asked("mvbench", "action_antonym_1", PromptStyle::LmmsEval, &[]), lmms_eval);
}

#[test]
fn egoschema_asks_as_the_package() {
    let package = "Question: Which colour is thing 2?\nOptions:\n(A) red 2\n(B) blue 2\n(C) green 2\n(D) yellow 2\n\
                   (E) none of them\nRespond with only the letter (A, B, C, D or E) of the correct option.";
    assert_eq!(asked("egoschema", "00ff02-uid", PromptStyle::Package, &[]), package);
    let lmms_eval = "Which colour is thing 2?\nA. red 2\nB. blue 2\nC. green 2\nD. yellow 2\nE. none of them\n\
                     Answer with the option's letter from the given choices directly.";
    assert_eq!(asked("egoschema", "00ff02-uid", PromptStyle::LmmsEval, &[]), lmms_eval);
}

#[test]
fn a_list_asks_about_as_many_options_as_there_are() {
    let (data_set, mut question) = question("json", "7");
    question.options.truncate(2);
    let asked = prompt(data_set.as_ref(), PromptStyle::Package, &question, None);
    assert_eq!(
        asked,
        "Question: Which colour is thing 7?\nOptions:\n(A) red 7\n(B) blue 7\nRespond with only the letter (A or B) of \
         the correct option."
    );
}

#[test]
fn mvbench_knows_parts_and_folders() {
    let (_, whole) = question("mvbench", "state_change_0");
    assert_eq!((whole.video.bounds, whole.video.folder_fps), (None, None));
    let (_, part) = question("mvbench", "action_localization_0");
    assert_eq!((part.video.bounds, part.video.folder_fps), (Some((0.5, 2.5)), None));
    let (_, folder) = question("mvbench", "episodic_reasoning_1");
    assert_eq!((folder.video.bounds, folder.video.folder_fps), (Some((0.5, 2.5)), Some(3.0)));
}

/// The scripts' formulas in plain arithmetic, on the golden videos: name, frames, rate.
#[test]
fn frames_of_real_files_are_the_scripts() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/videos");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(video) = Video::open_with(&path, VideoOptions::default()) else { continue };
        let (n, rate) = (video.info().frame_count, video.info().average_fps);
        let at = |rule: longvu_eval::FrameRule, bounds| {
            let choose = |info: &_| rule.of_video(info, bounds);
            Video::open_choosing(&path, VideoOptions::default(), choose).unwrap().sampled_indices().to_vec()
        };
        let every = |first: usize, last: usize, step: f64| -> Vec<usize> {
            let step = (step as usize).max(1);
            (first..last).filter(|i| (i - first).is_multiple_of(step)).collect()
        };
        let round = |x: f64| {
            // Halves to even, as Python does.
            let floor = x.floor();
            match x - floor {
                f if f > 0.5 => floor + 1.0,
                f if f < 0.5 => floor,
                _ => floor + floor.rem_euclid(2.0),
            }
        };
        let slow = by_name("videomme").unwrap().frames();
        assert_eq!(at(slow, None), every(0, n, round(round(rate) / 0.5)), "{}", path.display());
        let fast = by_name("mvbench").unwrap().frames();
        assert_eq!(at(fast, None), every(0, n, round(rate / 2.0)), "{}", path.display());
        let (start, end) = (0.4, 1.7);
        let first = round(start * rate) as usize;
        let last = (round(end * rate) as usize).min(n - 1);
        if first < last {
            assert_eq!(at(fast, Some((start, end))), every(first, last, round(rate / 2.0)), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} golden videos");
}
