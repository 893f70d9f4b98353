//! longvu's routes beside an application's own, below a path and among them; and the program that has them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::http::Client;
use embedding::mounting;
use longvu_server::{ApiKey, Isolation, Server, ServerConfig};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

mod common;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mounting");
const KEY: &str = "of-the-test";

/// The program, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server in this process. A test's `main` is not its own, so that the program decodes for it.
fn server(has_page: bool) -> Server {
    let mut config = ServerConfig::default();
    config.api_keys = vec![ApiKey::new(KEY).unwrap()];
    config.metrics = true;
    config.page = has_page;
    config.grace = Duration::from_secs(20);
    config.isolation = Isolation::Program { path: PathBuf::from(PROGRAM), args: Vec::new() };
    Server::new(common::model(), config).unwrap()
}

/// Serves routes; their address, what stops it, and what ends when it has stopped.
async fn serve(routes: axum::Router, server: Server) -> (String, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    (address, stop, tokio::spawn(mounting::serve(listener, routes, server, stopped)))
}

fn client(address: &str, below: &'static str) -> Client {
    Client { address: address.to_owned(), below, key: Some(KEY) }
}

async fn check(client: &Client, model: &str) {
    let own = Client { below: "", key: None, address: client.address.clone() };
    assert_eq!(own.get("/").await, (200, "of the application".to_owned()));
    assert_eq!(own.get("/nothing").await.0, 404);
    let (status, models) = client.get("/v1/models").await;
    assert_eq!(status, 200, "{models}");
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["id"], model);

    let stranger = Client { key: None, address: client.address.clone(), ..*client };
    for path in ["/v1/models", "/v1/files"] {
        assert_eq!(stranger.get(path).await.0, 401, "{path}");
    }
    assert_eq!(stranger.get("/health").await.0, 200);

    let file = client.upload(&fs::read(common::video("slow_half_fps.mp4")).unwrap()).await;
    let (status, answer) = client.ask(&file).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["choices"][0]["message"]["content"].is_string());
    assert_eq!(answer["longvu"]["visuals"][0]["origin"], "computed");
    let (_, again) = client.ask(&file).await;
    assert_eq!(again["longvu"]["visuals"][0]["origin"], "memory");
    let (status, error) = client.ask("file-of-nobody").await;
    assert_eq!((status, &error["error"]["type"]), (404, &"not_found_error".into()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_stand_below_a_path_and_among_others() {
    let ways: [(fn(&Server) -> axum::Router, _); 2] = [(mounting::nested, "/longvu"), (mounting::merged, "")];
    for (mount, below) in ways {
        let has_page = !below.is_empty();
        let server = server(has_page);
        let (address, stop, ended) = serve(mount(&server), server).await;
        check(&client(&address, below), "longvu").await;
        if has_page {
            let (status, page) = client(&address, below).get("").await;
            assert!(status == 200 && page.contains("</html>"), "{status}: {page}");
        }
        stop.send(()).unwrap();
        timeout(Duration::from_secs(10), ended).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(&address).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_before_the_end_is_answered() {
    let server = server(false);
    let (address, stop, ended) = serve(mounting::nested(&server), server).await;
    let asking = client(&address, "/longvu");
    let file = asking.upload(&fs::read(common::video("video1.mp4")).unwrap()).await;
    let answer = tokio::spawn(async move { asking.ask(&file).await });
    while !client(&address, "/longvu").get("/metrics").await.1.contains("longvu_running 1") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(()).unwrap();
    let (status, answer) = answer.await.unwrap();
    assert_eq!(status, 200, "{answer}");
    timeout(Duration::from_secs(10), ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_decodes_in_processes_of_its_own() {
    let mut child = Command::new(PROGRAM).arg(common::folder()).args([KEY, "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let _running = Running(child);
    let line = BufReader::new(stdout).lines().next().unwrap().unwrap();
    let address = line.strip_prefix("listening at ").unwrap();
    check(&client(address, "/longvu"), "embedded").await;
}
