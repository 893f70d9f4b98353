//! The server's end, told and untold.

use std::{thread, time::Duration};

use serde_json::json;

use crate::{
    hang_up::long_video,
    support::{Server, about, files_below, video, wait_until, with},
};

#[test]
fn running_requests_end_before_the_server_does() {
    let mut server = Server::start(&["--metrics"]);
    let id = server.upload(&long_video());
    let reply = thread::scope(|scope| {
        let asking = scope.spawn(|| server.ask(&about(&id, "What?")));
        wait_until(Duration::from_secs(10), "work", || server.metric("longvu_running") == 1.0);
        server.signal("-TERM");
        asking.join().unwrap()
    });
    reply.ok();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert_eq!(server.temp_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_takes_longer_is_cut_off_and_told_so() {
    let mut server = Server::start(&["--grace", "1", "--metrics"]);
    let id = server.upload(&long_video());
    let every = json!({"stream": true, "media_io_kwargs": {"video": {"num_frames": -1}}});
    let text = thread::scope(|scope| {
        let asking = scope.spawn(|| server.ask(&with(about(&id, "What?"), every)).text);
        wait_until(Duration::from_secs(30), "a decoder", || !server.children().is_empty());
        server.signal("-TERM");
        asking.join().unwrap()
    });
    assert!(text.contains("stopping"), "{text}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert_eq!(server.temp_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_a_killed_server_left_is_removed_by_the_next() {
    let mut server = Server::start(&[]);
    server.upload(&video("video3.mp4"));
    assert!(!server.temp_files().is_empty());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let temp = std::mem::replace(&mut server.temp, tempfile::tempdir().unwrap());
    assert!(!files_below(temp.path()).is_empty());
    let next = Server::start_in(temp, &[]);
    assert!(next.temp_files().is_empty(), "{:?}", next.temp_files());
}

#[test]
fn a_port_in_use_is_told() {
    let server = Server::start(&[]);
    let port = server.address.rsplit_once(':').unwrap().1;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_longvu"));
    let output = command.args(["serve", "--port", port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("cannot listen") && text.contains(port), "{text}");
}
