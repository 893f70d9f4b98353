//! What requests get, when the work is done, and what is left of it.

use std::{
    path::Path,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use longvu::{Clip, LongVu, Step};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Advance, Encodings, Entry, Found, Job, Key, Origin, Shots,
    testing::{entry, frames, key, model, names},
};
use crate::api_error::ApiError;

const ROOM: u64 = 1 << 30;
const SOON: Duration = Duration::from_secs(20);

fn encodings(memory: u64, folder: Option<&Path>) -> Arc<Encodings> {
    Encodings::open(memory, folder, ROOM).unwrap()
}

/// The work of a request: so many frames through the towers.
fn look(model: &LongVu, count: usize) -> impl FnOnce(&Job) -> Result<Entry, ApiError> + Send + use<> {
    let model = model.clone();
    move |job| {
        let (shown, shots) = Shots::of(frames(count));
        let video = model.watched(job.watch()).encode(Clip::from_frames(shown, Some(count)));
        let video = video.map_err(|error| ApiError::of(&error))?;
        Ok(Entry { video, pictures: shots.pictures(), warnings: vec!["it flickers".into()] })
    }
}

/// Work that is not to be done.
fn no_work(_: &Job) -> Result<Entry, ApiError> {
    Err(ApiError::bad_request("the video was looked at again"))
}

async fn get(
    encodings: &Arc<Encodings>,
    key: &Key,
    work: impl FnOnce(&Job) -> Result<Entry, ApiError> + Send + 'static,
) -> Result<Found, ApiError> {
    get_with(&model(), encodings, key, work).await
}

async fn get_with(
    model: &LongVu,
    encodings: &Arc<Encodings>,
    key: &Key,
    work: impl FnOnce(&Job) -> Result<Entry, ApiError> + Send + 'static,
) -> Result<Found, ApiError> {
    encodings.get_or_encode(key, model, |_| {}, work).await
}

/// Waits until nobody holds an encoding: the thread that made it lets go just after it has handed it over.
fn unused(encodings: &Encodings, key: &Key) {
    let start = Instant::now();
    while encodings.picture(key.as_str(), 0).is_some() {
        assert!(start.elapsed() < SOON, "it is kept");
        std::thread::yield_now();
    }
}

fn towers(model: &LongVu) -> u64 {
    let work = model.work_counters();
    work.dinov2_frames + work.siglip_frames
}

#[tokio::test]
async fn a_second_question_does_no_tower_work_also_after_a_restart() {
    // A model of its own, for other tests count in the shared one.
    let (folder, model) = (tempfile::tempdir().unwrap(), LongVu::miniature().unwrap());
    let first = encodings(ROOM, Some(folder.path()));
    let computed = get_with(&model, &first, &key("a"), look(&model, 4)).await.unwrap();
    assert_eq!(computed.origin, Origin::Computed);
    let before = towers(&model);
    let again = get_with(&model, &first, &key("a"), no_work).await.unwrap();
    assert_eq!(again.origin, Origin::Memory);
    assert!(Arc::ptr_eq(&again.entry, &computed.entry));
    first.settled().await;
    drop(first);
    let restarted = encodings(ROOM, Some(folder.path()));
    assert!(restarted.picture(key("a").as_str(), 3).is_some(), "before anything is loaded");
    let stored = get_with(&model, &restarted, &key("a"), no_work).await.unwrap();
    assert_eq!((stored.origin, &stored.entry.warnings[..]), (Origin::Disk, &["it flickers".to_owned()][..]));
    let answers =
        [&computed, &stored].map(|found| model.ask(&found.entry.video, "What colour is the square?").unwrap());
    assert_eq!(answers[0], answers[1]);
    assert_eq!(get_with(&model, &restarted, &key("a"), no_work).await.unwrap().origin, Origin::Memory);
    assert_eq!(towers(&model), before);
    // Another video, and the same under other settings.
    assert_eq!(get_with(&model, &restarted, &key("b"), look(&model, 2)).await.unwrap().origin, Origin::Computed);
    assert!(towers(&model) > before);
}

#[tokio::test]
async fn pictures_that_were_cut_are_made_again() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model());
    let first = encodings(ROOM, Some(folder.path()));
    get(&first, &key("a"), look(&model, 3)).await.unwrap();
    first.settled().await;
    let restarted = encodings(ROOM, Some(folder.path()));
    assert_eq!(get(&restarted, &key("a"), no_work).await.unwrap().origin, Origin::Disk);
    let pictures = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let pictures = pictures.filter(|path| path.extension().is_some_and(|end| end == "pictures"));
    pictures.for_each(|path| std::fs::File::options().write(true).open(path).unwrap().set_len(64).unwrap());
    assert!(restarted.picture(key("a").as_str(), 2).is_none());
    assert_eq!(get(&restarted, &key("a"), look(&model, 3)).await.unwrap().origin, Origin::Computed);
    assert!(restarted.picture(key("a").as_str(), 2).is_some());
}

#[tokio::test]
async fn pictures_are_there_as_long_as_their_encoding() {
    let model = model();
    let kept = encodings(ROOM, None);
    get(&kept, &key("a"), look(&model, 3)).await.unwrap();
    let jpeg = kept.picture(key("a").as_str(), 2).unwrap();
    assert_eq!(jpeg[..2], [0xff, 0xd8]);
    assert!(kept.picture(key("a").as_str(), 3).is_none() && kept.picture("../a", 0).is_none());
    let nothing = encodings(0, None);
    let found = get(&nothing, &key("a"), look(&model, 3)).await.unwrap();
    assert!(nothing.picture(key("a").as_str(), 2).is_some(), "while it is in use");
    drop(found);
    unused(&nothing, &key("a"));
    assert_eq!(
        (nothing.memory_used(), get(&nothing, &key("a"), look(&model, 3)).await.unwrap().origin),
        (0, Origin::Computed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_video_at_once_encode_it_once_and_see_its_progress() {
    let (encodings, works) = (encodings(ROOM, None), Arc::new(AtomicUsize::new(0)));
    let request = || {
        let (encodings, works) = (Arc::clone(&encodings), Arc::clone(&works));
        tokio::spawn(async move {
            let model = model();
            let seen = Mutex::new(Vec::new());
            let note = |advance: Advance| seen.lock().unwrap().push(advance);
            let work = move |job: &Job| {
                works.fetch_add(1, Ordering::Relaxed);
                look(&model, 12)(job)
            };
            let found = encodings.get_or_encode(&key("a"), &super::testing::model(), note, work).await.unwrap();
            (found.origin, seen.into_inner().unwrap())
        })
    };
    model();
    let mut origins = Vec::new();
    for request in [(); 8].map(|()| request()) {
        let (origin, seen) = request.await.unwrap();
        if origin != Origin::Memory {
            assert!(seen.iter().any(|advance| advance.step == Step::Look && advance.total == Some(12)), "{seen:?}");
        }
        origins.push(origin);
    }
    assert_eq!(works.load(Ordering::Relaxed), 1);
    assert_eq!(origins.iter().filter(|origin| **origin == Origin::Computed).count(), 1, "{origins:?}");
    assert!(!origins.contains(&Origin::Disk));
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Work that says when it runs, and goes on until it is stopped.
struct Endless {
    running: mpsc::Receiver<()>,
    ended: mpsc::Receiver<bool>,
}

fn endless(encodings: &Arc<Encodings>) -> (JoinHandle<Result<Found, ApiError>>, Endless) {
    let (begin, running) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let encodings = Arc::clone(encodings);
    let request = tokio::spawn(async move {
        get(&encodings, &key("a"), move |job| {
            let (killed, hook) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&hook);
            job.on_stop(move || add(&count));
            begin.send(()).unwrap();
            let model = model().watched(job.watch());
            let endless = std::iter::repeat_with(|| frames(1).next().unwrap());
            let error = model.encode(Clip::from_frames(endless, None)).unwrap_err();
            // What is asked for later is done at once.
            let count = Arc::clone(&killed);
            job.on_stop(move || add(&count));
            end.send(hook.load(Ordering::Relaxed) == 1 && killed.load(Ordering::Relaxed) == 1).unwrap();
            Err(ApiError::of(&error))
        })
        .await
    });
    (request, Endless { running, ended })
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_for_who_still_waits_and_ends_when_nobody_does() {
    let encodings = encodings(ROOM, None);
    let (first, work) = endless(&encodings);
    work.running.recv_timeout(SOON).unwrap();
    let (second, unused) = endless(&encodings);
    let other = Arc::clone(&encodings);
    let (waits, waiting) = mpsc::channel();
    let third = tokio::spawn(async move {
        other.get_or_encode(&key("a"), &model(), move |_| waits.send(()).unwrap_or_default(), no_work).await
    });
    waiting.recv_timeout(SOON).unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    second.abort();
    // The work is told of again and again, long after those who began it went.
    (0..3).for_each(|_| waiting.recv_timeout(SOON).unwrap());
    assert!(work.ended.try_recv().is_err() && unused.running.try_recv().is_err());
    let start = Instant::now();
    third.abort();
    assert!(work.ended.recv_timeout(SOON).unwrap(), "the hooks were called, once each");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // Nothing of it is kept, and the next request begins anew.
    let found = get(&encodings, &key("a"), look(&model(), 2)).await.unwrap();
    assert_eq!(found.origin, Origin::Computed);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_work_is_being_stopped_begins_anew() {
    let encodings = encodings(ROOM, None);
    let (begun, running) = mpsc::channel();
    let hold = Arc::new(Barrier::new(2));
    let (held, other) = (Arc::clone(&hold), Arc::clone(&encodings));
    let slow = tokio::spawn(async move {
        get(&other, &key("a"), move |job| {
            begun.send(()).unwrap();
            // It does not notice at once that it is to stop, and even comes to its end.
            held.wait();
            assert!(job.is_stopped());
            Ok(entry(&model(), 5))
        })
        .await
    });
    running.recv_timeout(SOON).unwrap();
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    let found = get(&encodings, &key("a"), look(&model(), 2)).await.unwrap();
    assert_eq!((found.origin, found.entry.video.sampled_frames()), (Origin::Computed, 2));
    hold.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_panics_go_to_all_who_wait_and_are_not_kept() {
    let encodings = encodings(ROOM, None);
    for panics in [false, true] {
        let (begun, running) = mpsc::channel();
        let hold = Arc::new(Barrier::new(2));
        let (held, other) = (Arc::clone(&hold), Arc::clone(&encodings));
        let first = tokio::spawn(async move {
            get(&other, &key("a"), move |job| {
                let told = job.watch();
                model().watched(told).encode(Clip::from_frames(frames(1), Some(1))).unwrap();
                begun.send(()).unwrap();
                held.wait();
                assert!(!panics, "the work breaks down");
                Err(ApiError::bad_request("the video is damaged").param("messages[0]"))
            })
            .await
        });
        running.recv_timeout(SOON).unwrap();
        let other = Arc::clone(&encodings);
        let (waits, waiting) = mpsc::channel();
        let second = tokio::spawn(async move {
            other.get_or_encode(&key("a"), &model(), move |_| waits.send(()).unwrap_or_default(), no_work).await
        });
        waiting.recv_timeout(SOON).unwrap();
        hold.wait();
        for request in [first, second] {
            let error = timeout(SOON, request).await.unwrap().unwrap().unwrap_err();
            match panics {
                true => assert!(error.status.is_server_error(), "{error:?}"),
                false => {
                    assert_eq!((&*error.message, error.param.as_deref()), ("the video is damaged", Some("messages[0]")))
                }
            }
        }
        let found = get(&encodings, &Key::new("a", "b", if panics { "1" } else { "2" }), look(&model(), 1)).await;
        assert_eq!(found.unwrap().origin, Origin::Computed);
    }
    assert_eq!(get(&encodings, &key("a"), look(&model(), 1)).await.unwrap().origin, Origin::Computed);
}

#[tokio::test]
async fn damaged_files_are_encoded_again_and_mended() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model());
    let first = encodings(ROOM, Some(folder.path()));
    get(&first, &key("a"), look(&model, 3)).await.unwrap();
    first.settled().await;
    let path = folder.path().join(format!("{}.longvu", key("a")));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let next = encodings(ROOM, Some(folder.path()));
    assert_eq!(get(&next, &key("a"), look(&model, 3)).await.unwrap().origin, Origin::Computed);
    next.settled().await;
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

/// Several servers on one folder take each other's encodings, and lose nothing by each other's evictions.
#[tokio::test(flavor = "multi_thread")]
async fn servers_may_share_a_folder() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model());
    let small = entry(&model, 2).memory() * 3;
    let servers = [ROOM, small, small].map(|disk| Encodings::open(0, Some(folder.path()), disk).unwrap());
    let mut requests = Vec::new();
    for round in 0..6 {
        for server in &servers {
            let (server, name) = (Arc::clone(server), format!("{}", round % 4));
            let work = look(&model, 2);
            requests.push(tokio::spawn(async move { get(&server, &key(&name), work).await }));
        }
    }
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().entry.video.sampled_frames(), 2);
    }
    for server in &servers {
        server.settled().await;
    }
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".tmp")), "{:?}", names(folder.path()));
}

/// The environment variable that names the folder, of the process whose files may not grow.
#[cfg(unix)]
const FULL: &str = "LONGVU_TEST_FULL_DISK";

/// A disk that takes no more: the answer comes, and nothing half-written stays.
#[test]
#[cfg(unix)]
fn a_full_disk_costs_no_answer() {
    use std::process::Command;
    if std::env::var_os(FULL).is_some() {
        return;
    }
    // The miniature's files are there before files may not grow.
    model();
    let folder = tempfile::tempdir().unwrap();
    // Two to eight kilobytes, by what the shell calls a block: the pictures fit, the encoding does not.
    let limited =
        "trap '' XFSZ; ulimit -f 8 && exec \"$0\" --exact encodings::tests::on_a_full_disk --ignored --nocapture";
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh").arg("-c").arg(limited).arg(program).env(FULL, folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

#[tokio::test]
#[cfg(unix)]
#[ignore = "run by the test above, in a process whose files may not grow"]
async fn on_a_full_disk() {
    let Some(folder) = std::env::var_os(FULL) else { return };
    let (encodings, model) = (encodings(ROOM, Some(folder.as_ref())), model());
    let found = get(&encodings, &key("a"), look(&model, 8)).await.unwrap();
    assert!(found.entry.memory() > 16 << 10, "too small for the limit: {}", found.entry.memory());
    encodings.settled().await;
    assert_eq!((found.origin, names(folder.as_ref()).len()), (Origin::Computed, 0));
    assert_eq!(get(&encodings, &key("a"), no_work).await.unwrap().origin, Origin::Memory);
}
