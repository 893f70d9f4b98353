//! What goes over the pipe comes out the same, and nothing else does.

use longvu::{Sampling, video};
use proptest::prelude::*;

use super::*;

fn header(frames: usize) -> Header {
    Header { kind: VisualKind::Video, size: (2, 1), frames, duration: 1.0 / 3.0, warnings: vec!["a".into()] }
}

fn frame(index: usize, timestamp: f64) -> Message {
    Message::Frame(Frame::new(index, timestamp, 2, 1, vec![1, 2, 3, 4, 5, index as u8]).unwrap())
}

fn sent(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| write(&mut bytes, message).unwrap());
    bytes
}

/// The messages up to the end of the pipe, or to nonsense.
fn received(bytes: &[u8]) -> (Vec<Message>, Option<&'static str>) {
    let mut messages = Messages::new(bytes, 100);
    let mut all = Vec::new();
    loop {
        match messages.next() {
            Ok(Some(message)) => all.push(message),
            Ok(None) => return (all, None),
            Err(DecodeError::Protocol { what }) => return (all, Some(what)),
            Err(error) => panic!("{error}"),
        }
    }
}

fn started() -> Message {
    Message::Started(vec!["landlock".into()])
}

#[test]
fn what_is_sent_is_received() {
    let failure = Failure { kind: ErrorKind::DoesNotFit, message: "too large".into(), is_memory: true };
    let conversations = [
        vec![started(), Message::Header(header(2)), frame(0, 0.0), frame(7, 0.1 + 0.2), Message::End(vec!["b".into()])],
        vec![started(), Message::Failed(failure.clone())],
        vec![started(), Message::Header(header(2)), frame(0, 0.0), Message::Failed(failure)],
    ];
    for messages in conversations {
        assert_eq!(received(&sent(&messages)), (messages, None));
    }
}

#[test]
fn a_job_keeps_every_bit() {
    let times = vec![0.1 + 0.2, 1.0 / 3.0, 5e-324, 1.797e308, 0.0];
    let samplings = [Sampling::Timestamps(times), Sampling::Fps(29.97), Sampling::Uniform(8), Sampling::Every(3)];
    for sampling in samplings {
        let options = VideoOptions::default()
            .with_sampling(sampling)
            .with_start(0.1 + 0.7)
            .with_max_frames(9)
            .with_autorotate(false)
            .with_limits(video::Limits::default().with_pixels(u64::MAX));
        let job = Job { path: "/a b/\u{1F600}.mp4".into(), options, memory: 1 << 40, cpu_seconds: 9 };
        let mut bytes = Vec::new();
        job.write(&mut bytes).unwrap();
        assert_eq!(Job::read(&bytes[..]).unwrap(), job);
    }
}

#[test]
#[cfg(unix)]
fn a_job_s_path_need_be_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(b"/a\xff\xfe".to_vec());
    let job = Job { path, options: VideoOptions::default(), memory: 1, cpu_seconds: 1 };
    let mut bytes = Vec::new();
    job.write(&mut bytes).unwrap();
    assert_eq!(Job::read(&bytes[..]).unwrap(), job);
}

#[test]
fn lies_are_found_out() {
    let with = |header: Header| vec![started(), Message::Header(header)];
    let after = |more: &[Message]| [&with(header(2))[..], more].concat();
    let wide = Message::Frame(Frame::new(0, 0.0, 1, 2, vec![0; 6]).unwrap());
    for (messages, reason) in [
        (vec![Message::Header(header(1))], "out of turn"),
        (vec![started(), started()], "out of turn"),
        (vec![started(), frame(0, 0.0)], "out of turn"),
        (vec![started(), Message::End(vec![])], "out of turn"),
        (after(&[Message::Header(header(2))]), "out of turn"),
        (with(Header { size: (0, 4), ..header(1) }), "size"),
        (with(Header { size: (11, 10), ..header(1) }), "size"),
        (with(Header { size: (u32::MAX, u32::MAX), ..header(1) }), "size"),
        (with(Header { duration: f64::NAN, ..header(1) }), "length"),
        (with(Header { duration: -1.0, ..header(1) }), "length"),
        (with(header(0)), "number of frames"),
        (with(Header { kind: VisualKind::Image, ..header(2) }), "number of frames"),
        (with(Header { warnings: vec![String::new(); 101], ..header(2) }), "warnings"),
        (after(&[wide]), "announce"),
        (after(&[frame(0, 0.0), frame(1, 1.0), frame(2, 2.0)]), "announce"),
        (after(&[frame(1, 0.0), frame(1, 1.0)]), "order"),
        (after(&[frame(1, 1.0), frame(2, 0.5)]), "order"),
        (after(&[frame(1, f64::INFINITY)]), "order"),
        (after(&[frame(1, -0.5)]), "order"),
    ] {
        let (_, what) = received(&sent(&messages));
        assert!(what.is_some_and(|what| what.contains(reason)), "{reason}: {what:?}");
    }
    assert!(received(b"S\xff\xff\xff\xff[]").1.is_some_and(|what| what.contains("long")));
    assert!(received(b"Usage: longvu").1.is_some_and(|what| what.contains("unknown")));
}

#[test]
fn texts_lose_what_would_act_on_a_terminal() {
    let bytes = sent(&[Message::Started(vec!["\u{1b}[2J".into()])]);
    assert_eq!(received(&bytes).0, [Message::Started(vec!["\\u{1b}[2J".into()])]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        received(&bytes);
        let _ = Job::read(&bytes[..]);
    }

    #[test]
    fn any_change_of_a_conversation_is_read_without_harm(place in 0_usize..400, value: u8, length in 0_usize..400) {
        let messages =
            [started(), Message::Header(header(3)), frame(0, 0.0), frame(1, 0.5), frame(9, 4.0), Message::End(vec![])];
        let mut bytes = sent(&messages);
        let cut = length.min(bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        received(&bytes);
        received(&bytes[..cut]);
    }
}
