//! Encodings that are kept and shared, places and queues.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    hang_up::long_video,
    support::{Reply, Server, about, files_below, video, wait_until, with},
};

fn origin(reply: &Reply) -> Value {
    reply.ok()["longvu"]["visuals"][0]["origin"].clone()
}

#[test]
fn a_video_is_encoded_once_also_after_a_restart() {
    let cache = tempdir().unwrap();
    let folder = cache.path().join("kept");
    let args = ["--cache-dir", folder.to_str().unwrap(), "--metrics"];
    let server = Server::start(&args);
    let id = server.upload(&video("video3.mp4"));
    let first = server.ask(&about(&id, "Is there a square in the video?"));
    assert_eq!(origin(&first), "computed");
    wait_until(Duration::from_secs(10), "a file", || files_below(&folder).len() >= 2);
    // Another upload of the same file.
    let again = server.upload(&video("video3.mp4"));
    assert_eq!(origin(&server.ask(&about(&again, "How many?"))), "memory");
    drop(server);

    let server = Server::start(&args);
    let id = server.upload(&video("video3.mp4"));
    let after = server.ask(&about(&id, "Is there a square in the video?"));
    assert_eq!(origin(&after), "disk");
    assert_eq!(after.answer(), first.answer());
    let key = after.json()["longvu"]["visuals"][0]["key"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/v1/longvu/pictures/{key}/0.jpg")).status, 200);
    assert!(server.metric("longvu_encodings_total{origin=\"disk\"}") >= 1.0);
}

#[test]
fn who_asks_at_once_about_one_video_shares_its_encoding() {
    let server = Server::start(&[]);
    let id = server.upload(&long_video());
    let origins: Vec<Value> = thread::scope(|scope| {
        let ask = || origin(&server.ask(&about(&id, "What?")));
        let asking: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(origins.iter().filter(|origin| **origin == "computed").count(), 1, "{origins:?}");
}

#[test]
fn answers_beside_each_other_are_what_they_are_alone() {
    let server = Server::start(&[]);
    let id = server.upload(&video("video3.mp4"));
    let questions = ["Is there a square in the video?", "How many circles are there?", "What colour is the square?"];
    let ask = |question: &str| server.ask(&with(about(&id, question), json!({"max_tokens": 16}))).answer();
    let alone: Vec<String> = questions.iter().map(|question| ask(question)).collect();
    let together: Vec<String> = thread::scope(|scope| {
        let asking: Vec<_> = questions.iter().map(|question| scope.spawn(move || ask(question))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
}

#[test]
fn who_finds_the_queue_full_is_told_when_to_come_again() {
    let server = Server::start(&["--parallel", "1", "--queue", "1"]);
    let id = server.upload(&long_video());
    let every = json!({"media_io_kwargs": {"video": {"fps": 8.0}}});
    let replies: Vec<Reply> = thread::scope(|scope| {
        let ask = || server.ask(&with(about(&id, "What?"), every.clone()));
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert_eq!((replies.iter().filter(|reply| reply.status == 200).count(), refused.len()), (2, 2), "{replies:?}");
    for reply in refused {
        assert!(reply.retry_after.is_some_and(|seconds| seconds >= 1));
        reply.refused(503, &["wait"]);
    }
}

#[test]
fn what_can_never_fit_is_refused_with_the_forecast() {
    let server = Server::start(&["--device-memory", "1MiB"]);
    let id = server.upload(&video("video3.mp4"));
    server.ask(&about(&id, "What?")).refused(413, &["MiB", "memory"]);
}
