//! A stage, a session and errors of a program that is not longvu's.

use std::{path::Path, thread};

use embedding::study::{Session, explain};
use longvu::LongVu;

mod common;

#[test]
fn a_session_holds_its_model_and_its_chat() {
    let mut session = Session::open(common::folder(), &common::video("slow_half_fps.mp4"), 2).unwrap();
    assert_eq!(session.chat.visuals()[0].frames().len(), 2);
    session.chat.ask("What is it?").unwrap();
    // Session and stream are owned: both go to another thread.
    let (session, whole) = thread::spawn(move || {
        let stream = session.chat.stream("And then?").unwrap();
        let answer = thread::spawn(|| stream.finish().unwrap()).join().unwrap();
        (session, answer.text)
    })
    .join()
    .unwrap();
    let turns = session.chat.turns();
    assert_eq!((turns.len(), &turns[3].content), (4, &whole));
}

#[test]
fn errors_say_what_can_be_done() {
    let error = LongVu::builder(Path::new("/no/such/folder")).load().map(drop).unwrap_err();
    assert_eq!(explain(&error), "Something is not where it should be.");
    let error = Session::open(common::folder(), Path::new(file!()), 0).map(drop).unwrap_err();
    assert_eq!(explain(&error), "That file or question cannot be used.");
}
