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
        (&["--no-video"], "cannot be used with"),
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
