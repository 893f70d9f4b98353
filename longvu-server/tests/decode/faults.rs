//! Processes that die, are killed, take too much, or lie: each costs its own request, and leaves nothing.

use std::{
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use longvu::{ErrorKind, Sampling, VideoOptions};
use longvu_server::{
    Isolation,
    internals::{DecodeError, DecodeLimits, Decoder},
};

use crate::{
    Test,
    support::{LIMITS, all, cause, children, ffmpeg, golden, isolated, refusal, scratch, scripted, soon, state},
};

pub const TESTS: &[Test] = &[
    ("a_killed_process_costs_its_own_request", a_killed_process_costs_its_own_request),
    ("the_killer_ends_it_at_once", the_killer_ends_it_at_once),
    ("opening_can_be_stopped", opening_can_be_stopped),
    ("what_is_dropped_is_gone", what_is_dropped_is_gone),
    ("a_thread_that_started_one_may_end", a_thread_that_started_one_may_end),
    ("memory_is_limited", memory_is_limited),
    ("time_is_limited", time_is_limited),
    ("a_slow_consumer_takes_no_time_of_the_decoder", a_slow_consumer_takes_no_time_of_the_decoder),
    ("what_a_process_died_of_is_said", what_a_process_died_of_is_said),
    ("liars_are_found_out", liars_are_found_out),
    ("no_program_is_no_panic", no_program_is_no_panic),
];

/// More frames than a pipe holds.
fn every() -> VideoOptions {
    VideoOptions::default().with_sampling(Sampling::Every(1))
}

fn a_killed_process_costs_its_own_request() {
    let decoder = isolated(LIMITS);
    let mut decoding = decoder.open(&golden("video1.mp4"), &every()).unwrap();
    decoding.next().unwrap().unwrap();
    let process = decoding.killer().process().unwrap();
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    let error = cause(decoding.by_ref().filter_map(Result::err).next().unwrap());
    assert!(matches!(&error, DecodeError::Ended { how } if how.contains('9')), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(decoding.next().is_none());
    assert_eq!(state(process), None, "reaped");
    let few = VideoOptions::default().with_sampling(Sampling::Uniform(3));
    assert_eq!(all(&decoder, &golden("video1.mp4"), &few).0.len(), 3);
}

fn the_killer_ends_it_at_once() {
    for decoder in [isolated(LIMITS), Decoder::new(Isolation::InProcess, LIMITS).unwrap()] {
        let mut decoding = decoder.open(&golden("video1.mp4"), &every()).unwrap();
        decoding.next().unwrap().unwrap();
        let killer = decoding.killer();
        let start = Instant::now();
        thread::spawn(move || killer.kill()).join().unwrap();
        let error = cause(decoding.next().unwrap().unwrap_err());
        assert!(matches!(error, DecodeError::Killed) && error.kind() == ErrorKind::Cancelled, "{error:?}");
        assert!(decoding.next().is_none());
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        soon("the end of the process", || children().is_empty());
        decoding.killer().kill();
    }
}

fn opening_can_be_stopped() {
    let (send, receive) = mpsc::channel();
    let start = Instant::now();
    let stopping = thread::spawn(move || {
        let killer: longvu_server::internals::Killer = receive.recv().unwrap();
        thread::sleep(Duration::from_millis(50));
        killer.kill();
    });
    let decoder = scripted("exec sleep 60", LIMITS);
    let error = decoder.open_with(&golden("video1.mp4"), &every(), |killer| send.send(killer).unwrap()).unwrap_err();
    assert!(matches!(error, DecodeError::Killed), "{error:?}");
    stopping.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    soon("the end of the process", || children().is_empty());
}

fn what_is_dropped_is_gone() {
    let decoder = isolated(LIMITS);
    let decodings: Vec<_> = (0..8).map(|_| decoder.open(&golden("video1.mp4"), &every()).unwrap()).collect();
    assert_eq!(children().len(), 8);
    drop(decodings);
    soon("the end of the processes", || children().is_empty());
}

fn a_thread_that_started_one_may_end() {
    let opened = thread::spawn(|| isolated(LIMITS).open(&golden("video1.mp4"), &every()).unwrap());
    let mut decoding = opened.join().unwrap();
    thread::sleep(Duration::from_millis(50));
    let expected = decoding.frames;
    assert_eq!(decoding.by_ref().map(Result::unwrap).count(), expected);
}

fn memory_is_limited() {
    let folder = scratch();
    let limits = DecodeLimits { memory: 48 << 20, ..LIMITS };
    for (arguments, name) in [
        ("-f lavfi -i color=s=6000x6000 -frames:v 1", "large.png"),
        ("-f lavfi -i color=s=4000x4000:d=1 -c:v libx264 -preset ultrafast", "large.mp4"),
    ] {
        let path = ffmpeg(arguments, folder.path().join(name));
        let error = refusal(&isolated(limits), &path, &VideoOptions::default());
        assert!(matches!(error, DecodeError::Memory { limit } if limit == 48 << 20), "{name}: {error:?}");
        assert!(error.to_string().contains("48 MB") && error.kind() == ErrorKind::DoesNotFit, "{error}");
        assert!(!all(&isolated(LIMITS), &path, &VideoOptions::default()).0.is_empty());
    }
}

fn time_is_limited() {
    let limits = DecodeLimits { time: Duration::from_millis(300), ..LIMITS };
    let start = Instant::now();
    let error = refusal(&scripted("exec sleep 60", limits), &golden("video1.mp4"), &every());
    assert!(matches!(error, DecodeError::Time { .. }) && error.kind() == ErrorKind::DoesNotFit, "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    soon("the end of the process", || children().is_empty());
    let none = DecodeLimits { time: Duration::ZERO, ..LIMITS };
    let threads = Decoder::new(Isolation::InProcess, none).unwrap();
    let error = refusal(&threads, &golden("video1.mp4"), &every());
    assert!(matches!(error, DecodeError::Time { .. }), "{error:?}");
}

fn a_slow_consumer_takes_no_time_of_the_decoder() {
    let limits = DecodeLimits { time: Duration::from_secs(3), ..LIMITS };
    let few = VideoOptions::default().with_sampling(Sampling::Uniform(4));
    let mut decoding = isolated(limits).open(&golden("video1.mp4"), &few).unwrap();
    thread::sleep(Duration::from_millis(3500));
    assert_eq!(decoding.by_ref().map(Result::unwrap).count(), 4);
}

/// What a process says when it has begun.
const STARTED: &str = r"cat > /dev/null; printf 'S\002\000\000\000[]'";

fn what_a_process_died_of_is_said() {
    let (path, options) = (golden("video1.mp4"), VideoOptions::default());
    let died = |how: &str| refusal(&scripted(&format!("{STARTED}; {how}"), LIMITS), &path, &options);
    assert!(matches!(died("kill -SEGV $$"), DecodeError::Crashed { how } if how.contains("11")));
    assert!(matches!(died("kill -BUS $$"), DecodeError::Crashed { .. }));
    assert!(matches!(died("kill -ABRT $$"), DecodeError::Memory { .. }));
    assert!(matches!(died("kill -XCPU $$"), DecodeError::Time { .. }));
    assert!(matches!(died("kill -KILL $$"), DecodeError::Ended { .. }));
    assert!(matches!(died("exit 3"), DecodeError::Crashed { how } if how.contains('3')));
    let early = |how: &str| refusal(&scripted(how, LIMITS), &path, &options);
    assert!(matches!(early("kill -SEGV $$"), DecodeError::Ended { .. }));
    assert!(matches!(early("exit 86"), DecodeError::Ended { how } if how.contains("another version")));
    assert_eq!(early("exit 0").kind(), ErrorKind::Internal);
}

fn liars_are_found_out() {
    let (path, options) = (golden("video1.mp4"), VideoOptions::default());
    for script in [
        "cat > /dev/null; exec yes".to_owned(),
        format!(r"{STARTED}; printf 'H\377\377\377\377{{'; exec sleep 60"),
        format!(r"{STARTED}; printf 'F\030\000\000\000'; exec sleep 60"),
        format!(r#"{STARTED}; printf 'H\002\000\000\000{{}}'; exec sleep 60"#),
    ] {
        let start = Instant::now();
        let error = refusal(&scripted(&script, LIMITS), &path, &options);
        assert!(matches!(error, DecodeError::Protocol { .. }), "{script}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{script}");
        soon("the end of the process", || children().is_empty());
    }
}

fn no_program_is_no_panic() {
    let isolation = Isolation::Program { path: "/nowhere/longvu".into(), args: Vec::new() };
    let error = refusal(&Decoder::new(isolation, LIMITS).unwrap(), &golden("video1.mp4"), &every());
    assert!(matches!(error, DecodeError::Start { .. }) && error.kind() == ErrorKind::Internal, "{error:?}");
    assert!(!error.to_string().contains("nowhere"), "{error}");
}
