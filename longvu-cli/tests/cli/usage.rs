//! Wrong calls: exit code 2, a message, nothing on stdout; and the help.

use crate::support::{ask, longvu, model, run, video};

#[test]
fn flags_and_values_that_make_no_sense() {
    for (flags, message) in [
        (&["--bogus"][..], "--bogus"),
        (&["--fps", "0"], "above 0"),
        (&["--fps", "-1"], "above 0"),
        (&["--fps", "nan"], "write a number"),
        (&["--every", "0"], "--every"),
        (&["--uniform", "x"], "--uniform"),
        (&["--timestamps", "1,x"], "MM:SS"),
        (&["--start", "soon"], "MM:SS"),
        (&["--start", "3", "--end", "2"], "after start"),
        (&["--max-frames", "0"], "--max-frames"),
        (&["--max-new-tokens", "0"], "--max-new-tokens"),
        (&["--temperature", "-1"], "temperature is -1"),
        (&["--top-p", "2"], "top_p is 2"),
        (&["--repetition-penalty", "0"], "repetition_penalty is 0"),
        (&["--stop", ""], "--stop"),
        (&["--dtype", "int4"], "use f32, f16 or bf16"),
        (&["--preset", "imagenet"], "videomme"),
        (&["--max-len", "0"], "--max-len"),
        (&["--seed", "x"], "--seed"),
        (&["--fps", "1", "--every", "2"], "cannot be used with"),
        (&["--no-video"], "leave one of them out"),
        (&["--no-video", "--fps", "2"], "cannot be used with"),
        (&["and more"], "and more"),
    ] {
        // `ask` sets the answer's length itself, and a flag given twice would hide the message.
        let mut command = longvu();
        command.arg("ask").arg(video("video3.mp4")).args(["What?", "-m", "model"]).args(flags);
        run(&mut command).fails(2, &[message]);
    }
}

#[test]
fn an_empty_question() {
    run(&mut ask(video("video3.mp4"), " ")).fails(2, &["the question is empty"]);
}

#[test]
fn a_report_over_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    std::fs::copy(video("video3.mp4"), &path).unwrap();
    run(ask(&path, "What?").arg("--report").arg(&path)).fails(2, &["would overwrite it"]);
}

#[test]
fn something_is_left_out() {
    let mut command = longvu();
    run(command.arg("ask").arg(video("video3.mp4")).arg("-m").arg(model())).fails(2, &["FILE and a question"]);
    let mut command = longvu();
    run(command.arg("chat").arg("-m").arg(model())).fails(2, &["FILE"]);
    let mut command = longvu();
    run(command.arg("nonsense")).fails(2, &["nonsense"]);
    assert_eq!(run(&mut longvu()).code, 2);
}

#[test]
fn help_and_version() {
    let help = run(longvu().arg("--help")).ok();
    for command in ["ask", "chat", "encode", "inspect", "probe", "synth", "devices"] {
        assert!(help.contains(command), "{help}");
    }
    let help = run(longvu().args(["ask", "--help"])).ok();
    for group in ["Model:", "Frames:", "Answer:", "Output:", "LONGVU_MODEL"] {
        assert!(help.contains(group), "{help}");
    }
    assert!(run(longvu().arg("--version")).ok().starts_with("longvu "));
}

/// Two dashes end the flags, wherever they stand.
#[test]
fn arguments_after_two_dashes() {
    let common = ["ask", "-q", "--max-new-tokens", "2", "--model"];
    let plain = run(longvu().args(common).arg(model()).arg(video("video3.mp4")).arg("What?")).ok();
    for place in 0..3 {
        let mut arguments = vec![video("video3.mp4").into_os_string(), "What?".into()];
        arguments.insert(place, "--".into());
        assert_eq!(run(longvu().args(common).arg(model()).args(arguments)).ok(), plain, "{place}");
    }
    let text = run(longvu().args(common).arg(model()).args(["--no-video", "--", "-q?"])).ok();
    assert_eq!(text, run(longvu().args(common).arg(model()).args(["--no-video", "--", "-q?"])).ok());
    run(longvu().args(common).arg(model()).args(["--", "What?"])).fails(2, &["FILE and a question"]);
}

#[test]
#[cfg(unix)]
fn file_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"clip\xff.mp4"));
    std::fs::copy(video("video3.mp4"), &path).unwrap();
    let report = folder.path().join("report.json");
    let answer = run(ask(&path, "What?").arg("--json").arg("--report").arg(&report)).json();
    assert_eq!(answer["frames"]["sampled"], 6);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    for field in ["/input/path", "/input/video/path"] {
        assert!(report.pointer(field).unwrap().as_str().unwrap().ends_with("clip\\xff.mp4"), "{report:#}");
    }
    let probed = run(longvu().arg("probe").arg(&path).arg("--json")).json();
    assert!(probed["path"].as_str().unwrap().ends_with("clip\\xff.mp4"), "{probed}");
    let question = std::ffi::OsStr::from_bytes(b"What\xff?");
    let mut command = longvu();
    run(command.arg("ask").arg(&path).arg(question).arg("-m").arg(model())).fails(2, &["no UTF-8"]);
}

/// What a file or its name holds does not reach the terminal's controls.
#[test]
fn messages_are_harmless() {
    let missing = run(&mut ask("no\u{1b}[2Jsuch\u{7}.mp4", "What?"));
    assert!(!missing.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", missing.stderr);
    missing.fails(1, &["no\\u{1b}[2Jsuch\\u{7}.mp4: no such file"]);
}
