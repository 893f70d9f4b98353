//! What is left when the program is killed, or nobody reads what it writes.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{ask, longvu, model, run, video};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until `ready`, which is to come before the process ends.
fn wait_until(child: &mut Child, ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early to be killed");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn synth(out: &Path) -> Command {
    let mut command = longvu();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/longvu_llama3_2_1b");
    command.arg("synth").arg(configs).arg(out).arg("-q").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whichever signal kills it, nothing has the final name, and the next run removes what is left.
#[test]
#[cfg(unix)]
fn a_killed_synth_leaves_nothing_under_the_final_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    for signal in ["-INT", "-TERM", "-KILL"] {
        let mut child = synth(&out).spawn().unwrap();
        wait_until(&mut child, || names(folder.path()).iter().any(|name| name.ends_with(".tmpdir")));
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        child.wait().unwrap();
        assert!(!out.exists(), "{signal}");
    }
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/longvu_miniature");
    run(longvu().arg("synth").arg(small).arg(&out).arg("-q")).ok();
    assert_eq!(names(folder.path()), ["model"]);
    assert!(!names(&out).iter().any(|name| name.starts_with('.')), "{:?}", names(&out));
}

#[test]
#[cfg(unix)]
fn what_a_killed_encode_leaves_goes_with_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.longvu");
    fs::write(folder.path().join(".longvu-4000000000-7.tmp"), "half an encoded video").unwrap();
    let mut command = longvu();
    command.arg("encode").arg(video("video3.mp4")).arg("-qo").arg(&out).arg("--model").arg(model());
    run(command.args(["--uniform", "1"])).ok();
    assert_eq!(names(folder.path()), ["clip.longvu"]);
}

/// `longvu ask … | head` is fine; a report that goes nowhere is not.
#[test]
#[cfg(unix)]
fn only_a_closed_standard_output_is_no_failure() {
    let closed = |command: &mut Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    };
    let quiet = closed(&mut ask(video("video3.mp4"), "What?"));
    assert_eq!((quiet.status.code(), String::from_utf8_lossy(&quiet.stderr).contains("error")), (Some(0), false));

    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // It reads nothing, and is gone when the report is written.
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || drop(fs::File::open(pipe).unwrap())
    });
    let unread = run(ask(video("video3.mp4"), "What?").arg("--report").arg(&pipe));
    reader.join().unwrap();
    assert_eq!(unread.code, 1, "{}", unread.stderr);
    assert!(unread.stderr.contains("error: the report could not be written"), "{}", unread.stderr);
}
