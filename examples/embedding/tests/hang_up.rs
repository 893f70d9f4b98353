//! Two clients at once; one hangs up in the middle, and its work stops within a second while the other's goes on.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use embedding::server::router;
use longvu::{ErrorKind, GenerationConfig, LongVu, Sampling, Step, Video, VideoOptions, Watch};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

mod common;

/// Enough frames to hang up among.
const FPS: f64 = 20.0;

/// Starts the server; its address.
async fn serve(model: LongVu) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router(model)).await });
    address
}

/// Sends a question; the connection, from which the response is still to be read.
async fn send(address: &str, question: &Value) -> TcpStream {
    let body = question.to_string();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /ask HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).await.unwrap();
    connection
}

/// Reads until `marker` has come, then hangs up; what was read.
async fn read_until(mut connection: TcpStream, marker: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(marker) {
        let count = connection.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the response ended without {marker:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

async fn read_all(mut connection: TcpStream) -> Vec<u8> {
    let mut response = Vec::new();
    connection.read_to_end(&mut response).await.unwrap();
    response
}

/// A model whose every step is counted, whoever asks.
fn counted() -> (LongVu, impl Fn() -> [u64; 2]) {
    let model = common::model();
    let counters = model.clone();
    let count = move || {
        let work = counters.work_counters();
        [work.dinov2_frames, work.prompt_positions]
    };
    (model, count)
}

/// Waits a second, and then checks that `count` stands still.
async fn stopped(count: impl Fn() -> u64) -> u64 {
    sleep(Duration::from_secs(1)).await;
    let there = count();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(count(), there, "work goes on for a client that has hung up");
    there
}

/// One test after the other: the counters are the model's.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_stops_and_the_other_client_gets_its_answer() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (model, count) = counted();
    let short = model.encode(Video::open(common::video("slow_half_fps.mp4")).unwrap()).unwrap();
    let stream = model.stream(&[&short], "What?", &GenerationConfig::default()).unwrap();
    let expected: String = stream.map(Result::unwrap).collect();
    let address = serve(model).await;
    let before = count()[0];

    let leaving = send(
        &address,
        &json!({ "video": common::video("video3.mp4"), "fps": FPS, "question": "What?", "progress": true }),
    )
    .await;
    let staying = send(&address, &json!({ "video": common::video("slow_half_fps.mp4"), "question": "What?" })).await;
    read_until(leaving, ": look 3 ").await;
    let response = read_all(staying).await;
    let body = decode(&response);
    assert_eq!(body, expected);

    let looked = stopped(|| count()[0]).await - before - short.samples().len() as u64;
    let options = VideoOptions::default().with_sampling(Sampling::Fps(FPS));
    let all = Video::open_with(common::video("video3.mp4"), options).unwrap().sampled_indices().len() as u64;
    assert!(looked >= 3 && looked < all, "{looked} of {all} frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_eight_thousand_positions_stops() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (model, count) = counted();
    let address = serve(model.clone()).await;
    let long = "What is this? ".repeat(560);
    let before = count()[1];
    let leaving = send(&address, &json!({ "question": long, "progress": true })).await;
    let text = read_until(leaving, ": prompt ").await;
    let total: u64 = text.rsplit(" of ").next().unwrap().trim().parse().unwrap();
    assert!(total > 7_800, "{total} positions");
    let pushed = stopped(|| count()[1]).await - before;
    assert!(pushed < total, "{pushed} of {total} positions");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_its_first_line_does_not_look_whole() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let address = serve(counted().0).await;
    let ask = async |question: String| {
        let question = json!({ "video": common::video("slow_half_fps.mp4"), "question": question, "progress": true });
        String::from_utf8(read_all(send(&address, &question).await).await).unwrap()
    };
    let (whole, broken) = (ask("What?".into()).await, ask("word ".repeat(50_000)).await);
    assert!(whole.contains(": look ") && whole.ends_with("\r\n0\r\n\r\n"), "{whole}");
    assert!(broken.contains(": look ") && !broken.ends_with("\r\n0\r\n\r\n"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_stops() {
    let told = Arc::new(AtomicU64::new(0));
    let last = Arc::new(Mutex::new(None));
    let (count, when) = (Arc::clone(&told), Arc::clone(&last));
    let watch = Watch::new(move |progress| {
        if progress.step != Step::Load || count.fetch_add(1, Ordering::SeqCst) < 20 {
            return ControlFlow::Continue(());
        }
        when.lock().unwrap().get_or_insert_with(Instant::now);
        ControlFlow::Break(())
    });
    let load = tokio::task::spawn_blocking(|| LongVu::builder(common::folder()).watch(watch).load().map(drop));
    let error = load.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(last.lock().unwrap().unwrap().elapsed() < Duration::from_secs(1));
    // Three parts are read side by side, and each is told once.
    assert!(told.load(Ordering::SeqCst) <= 20 + 3, "{told:?} tensors");
}

/// The body of a response in chunks.
fn decode(response: &[u8]) -> String {
    let text = String::from_utf8_lossy(response);
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}
