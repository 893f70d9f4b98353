//! `longvu chat` with questions piped in.

use serde_json::Value;

use crate::support::{Run, longvu, model, run_with, video};

fn chat(input: &[u8], more: &[&str]) -> Run {
    let mut command = longvu();
    command.arg("chat").arg(video("video3.mp4")).args(["--max-new-tokens", "3", "--uniform", "1", "-m"]).arg(model());
    run_with(command.args(more), input)
}

fn lines(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_question_a_line_until_the_end() {
    let run = chat(b"What is it?\n\nAnd then?", &["--json"]);
    assert!(run.stderr.starts_with("1 frame sampled, 1 held; "), "{}", run.stderr);
    assert!(!run.stderr.contains('>'), "no prompt without a terminal: {}", run.stderr);
    let answers = lines(&run.ok());
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1]["question"], "And then?");
    assert!(
        answers[1]["prompt_tokens"].as_u64() > answers[0]["prompt_tokens"].as_u64(),
        "earlier turns belong to the prompt"
    );
}

#[test]
fn plain_answers_are_all_of_stdout() {
    let run = chat(b"What is it?\r\n", &["--quiet"]);
    assert_eq!(run.stderr, "");
    let answer = run.ok();
    assert!(answer.ends_with('\n') && answer.len() > 1, "{answer:?}");
}

#[test]
fn an_error_in_one_question_does_not_end_it() {
    let long = "word ".repeat(2000);
    let input = format!("First\nWhat is <image>?\n{long}\nLast\n");
    let run = chat(input.as_bytes(), &["--json", "--quiet"]);
    assert_eq!(run.stderr.matches("error: ").count(), 3, "{}", run.stderr);
    assert!(run.stderr.contains("<image>") && run.stderr.contains("shorten the question"), "{}", run.stderr);
    let questions: Vec<Value> = lines(&run.stdout).iter().map(|line| line["question"].clone()).collect();
    assert_eq!(questions, ["First", "Last"]);
    assert!(run.code == 1 && run.stderr.contains("2 of 4 questions failed"), "{} {}", run.code, run.stderr);
}

#[test]
fn commands_end_and_renew_it() {
    let answers = lines(&chat(b"One\nTwo\n/new\nOne\n/exit\nNever\n", &["--json", "-q"]).ok());
    assert_eq!(answers.len(), 3);
    let numbers = |line: &Value| (line["answer"].clone(), line["prompt_tokens"].clone());
    assert_eq!(numbers(&answers[0]), numbers(&answers[2]));
}

#[test]
fn bytes_that_are_no_text_do_not_end_it() {
    assert_eq!(lines(&chat(b"caf\xe9?\nNext\n", &["--json", "-q"]).ok()).len(), 2);
}

/// Neither a vast question nor a line without an end takes the memory that its tokens would.
#[test]
fn lines_of_megabytes_are_refused() {
    let mut command = longvu();
    command
        .arg("chat")
        .arg(video("video3.mp4"))
        .args(["--uniform", "1", "-q", "--max-new-tokens", "2", "-m"])
        .arg(model());
    let long = format!("{}\nWhat?\n", "a".repeat(3 << 20));
    let answered = run_with(&mut command, long.as_bytes());
    assert!(answered.stderr.contains("bytes, more than the 1048576 allowed"), "{}", answered.stderr);
    assert_eq!((answered.code, answered.stdout.lines().count()), (1, 1), "the next question is answered");
    run_with(&mut command, "a".repeat((1 << 24) + 1).as_bytes()).fails(1, &["longer than 16777216 bytes"]);
}
