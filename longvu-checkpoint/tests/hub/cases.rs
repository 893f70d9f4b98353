//! What a user meets when models come from the Hub.

use std::path::Path;

use crate::{
    client::{Child, Outcome},
    server::{Behaviour, COMMIT, Seen, Server, etag},
};

/// A safetensors file of about a megabyte.
pub fn weights() -> Vec<u8> {
    let data: Vec<u8> = (0..300_000u32).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![300_000], &data).unwrap();
    safetensors::serialize([("a", view)], None).unwrap()
}

pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![("config.json", b"{\"a\": 1}".to_vec()), ("model.safetensors", weights()), ("empty.txt", Vec::new())]
}

pub fn child(server: &Server, files: &str, home: &Path) -> Child {
    Child::new("owner/model", files, home).env("HF_ENDPOINT", &server.endpoint)
}

pub fn only_error(outcome: &Outcome) -> &str {
    assert!(outcome.got.is_empty() && outcome.errors.len() == 1, "{outcome:?}");
    &outcome.errors[0]
}

pub fn bodies(seen: &[Seen], name: &str) -> Vec<Seen> {
    seen.iter().filter(|s| s.method == "GET" && s.path.ends_with(name)).cloned().collect()
}

/// A request for the weights from `start` on.
pub fn rest_from(start: usize) -> String {
    format!("bytes={start}-{}", weights().len() - 1)
}

pub fn model_folder(home: &Path) -> std::path::PathBuf {
    home.join("hub/models--owner--model")
}

pub fn leftovers(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(model_folder(home).join("blobs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains('.')).collect()
}

#[test]
fn a_download_fills_the_cache_as_python_does_and_is_not_repeated() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json,empty.txt,weights", home.path()).run();
    assert_eq!((outcome.errors.len(), outcome.weights.as_slice()), (0, &["1 1".to_owned()][..]), "{outcome:?}");

    let folder = model_folder(home.path());
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    for (name, bytes) in files() {
        let pointer = folder.join("snapshots").join(COMMIT).join(name);
        assert_eq!(std::fs::read(&pointer).unwrap(), bytes, "{name}");
        assert_eq!(std::fs::read(folder.join("blobs").join(etag(&bytes))).unwrap(), bytes, "{name}");
        #[cfg(unix)]
        assert_eq!(std::fs::read_link(&pointer).unwrap(), Path::new("../../blobs").join(etag(&bytes)));
    }
    assert_eq!(outcome.got[0], folder.join("snapshots").join(COMMIT).join("config.json"));
    assert_eq!(leftovers(home.path()), Vec::<String>::new());

    // Progress never falls and ends with the whole.
    let total = weights().len() as u64;
    let steps: Vec<_> = outcome.progress.iter().filter(|(file, ..)| file == "model.safetensors").collect();
    assert!(steps.len() > 1 && steps.is_sorted_by_key(|(_, done, _)| *done), "{steps:?}");
    assert!(steps.iter().all(|(_, _, of)| *of == total) && steps.last().unwrap().1 == total, "{steps:?}");
    assert_eq!(bodies(&server.seen(), "model.safetensors").len(), 1);

    server.forget();
    let again = child(&server, "config.json,empty.txt,weights", home.path()).run();
    assert_eq!((again.got, again.weights), (outcome.got, outcome.weights));
    assert_eq!(server.seen(), [], "all of it is cached");

    let offline = child(&server, "config.json,weights", home.path()).env("HF_HUB_OFFLINE", "1").run();
    assert_eq!((offline.got.len(), offline.weights.len(), offline.errors.len()), (1, 1, 0), "{offline:?}");
    assert_eq!(server.seen(), []);
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_stopped() {
    let server = Server::start(&files(), Behaviour { cut: Some((400_000, 2)), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
    let ranges: Vec<_> = bodies(&server.seen(), "model.safetensors").into_iter().map(|s| s.range).collect();
    assert_eq!(ranges, [None, Some(rest_from(400_000)), Some(rest_from(800_000))]);
}

#[test]
fn a_process_that_was_stopped_resumes_when_started_again() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let blob = model_folder(home.path()).join("blobs").join(etag(&weights()));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    let partial = blob.with_extension("incomplete");
    std::fs::write(&partial, &weights()[..123_456]).unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
    let first = bodies(&server.seen(), "model.safetensors")[0].range.clone();
    assert_eq!(first, Some(rest_from(123_456)));
    assert_eq!(outcome.progress.last().unwrap().1, weights().len() as u64);
    assert!(!partial.exists());
}

#[test]
fn a_connection_that_keeps_failing_keeps_what_has_come() {
    let server = Server::start(&files(), Behaviour { cut: Some((400_000, 1)), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    // The first part comes, and nothing after it.
    let partial = model_folder(home.path()).join("blobs").join(etag(&weights())).with_extension("incomplete");
    server.behave(|b| b.cut = Some((400_000, 1)));
    server.behave(|b| b.then_nothing = true);
    let outcome = child(&server, "model.safetensors", home.path()).run();
    let error = only_error(&outcome);
    assert!(error.contains("cut off after 400000 of") && error.contains("resumes"), "{error}");
    assert_eq!(std::fs::read(&partial).unwrap(), weights()[..400_000]);
    server.behave(|b| b.then_nothing = false);
    server.forget();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
    assert_eq!(bodies(&server.seen(), "model.safetensors")[0].range, Some(rest_from(400_000)));
}

#[test]
fn a_partial_file_that_is_complete_or_too_long_does_no_harm() {
    let server = Server::start(&files(), Behaviour::default());
    for extra in [&b""[..], b"more"] {
        let home = tempfile::tempdir().unwrap();
        let blob = model_folder(home.path()).join("blobs").join(etag(&weights()));
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(blob.with_extension("incomplete"), [&weights(), extra].concat()).unwrap();
        let outcome = child(&server, "model.safetensors", home.path()).run();
        assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
        assert_eq!(leftovers(home.path()), Vec::<String>::new());
    }
}

#[test]
fn a_server_without_ranges_sends_the_whole_again() {
    let behaviour = Behaviour { cut: Some((400_000, 1)), whole: true, ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
}

#[test]
fn a_file_of_another_size_than_stated_is_refused() {
    let behaviour = Behaviour { redirect: true, claims: Some(1_000_000), ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    let error = only_error(&outcome);
    assert!(error.contains("1000000"), "{error}");
    assert_eq!(leftovers(home.path()), Vec::<String>::new());
    assert!(!model_folder(home.path()).join("snapshots").exists());
}

#[test]
fn the_token_is_sent_to_the_hub_and_to_no_other_host() {
    let behaviour = Behaviour { token: Some("hf_secret".into()), redirect: true, ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json,weights", home.path()).env("HF_TOKEN", "hf_secret").run();
    assert_eq!((outcome.got.len(), outcome.weights.len()), (1, 1), "{outcome:?}");
    let (elsewhere, hub): (Vec<_>, Vec<_>) = server.seen().into_iter().partition(|s| s.elsewhere);
    assert!(!hub.is_empty() && hub.iter().all(|s| s.authorization.as_deref() == Some("Bearer hf_secret")));
    assert_eq!(elsewhere.iter().filter(|s| s.method == "GET").count(), 2, "{elsewhere:?}");
    assert!(elsewhere.iter().all(|s| s.authorization.is_none()), "{elsewhere:?}");
    // The content's name comes from the Hub, not from the host that keeps it.
    assert!(model_folder(home.path()).join("blobs").join(etag(&weights())).exists());

    // A login leaves the token in a file.
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "hf_secret\n").unwrap();
    let outcome = child(&server, "config.json", home.path()).run();
    assert_eq!(outcome.got.len(), 1, "{outcome:?}");
}

#[test]
fn refusals_say_what_to_do() {
    let server = Server::start(&files(), Behaviour { token: Some("hf_secret".into()), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    for child in [
        child(&server, "config.json", home.path()),
        child(&server, "config.json", home.path()).env("HF_TOKEN", "wrong"),
    ] {
        let outcome = child.run();
        let error = only_error(&outcome);
        assert!(error.contains("owner/model") && error.contains("401") && error.contains("HF_TOKEN"), "{error}");
    }
    let outcome = child(&server, "config.json", home.path()).env("HF_TOKEN", "new\nline\u{7f}").run();
    assert!(!only_error(&outcome).contains("new"), "a token is no part of a message: {outcome:?}");

    server.behave(|b| b.token = None);
    let missing = Child::new("owner/none", "config.json", home.path()).env("HF_ENDPOINT", &server.endpoint).run();
    assert!(only_error(&missing).contains("404") && only_error(&missing).contains("check the names"), "{missing:?}");
    let revision = child(&server, "config.json", home.path()).env("LONGVU_TEST_REVISION", "v9").run();
    assert!(only_error(&revision).contains("404"), "{revision:?}");
    let revision = child(&server, "config.json", home.path()).env("LONGVU_TEST_REVISION", "../../x").run();
    assert!(only_error(&revision).contains("no revision"), "{revision:?}");
    let file = child(&server, "generation_config.json", home.path()).run();
    assert!(only_error(&file).contains("no such file at revision `main`"), "{file:?}");

    // Nobody answers there.
    let closed = Child::new("owner/model", "config.json", home.path()).env("HF_ENDPOINT", "http://127.0.0.1:9").run();
    assert!(only_error(&closed).contains("check the connection"), "{closed:?}");
    // Nor does anything there speak TLS; that it is tried shows that this build can.
    let secure = server.endpoint.replace("http:", "https:");
    let plain = Child::new("owner/model", "config.json", home.path()).env("HF_ENDPOINT", secure).run();
    assert!(
        !only_error(&plain).contains("feature") && only_error(&plain).contains("check the connection"),
        "{plain:?}"
    );
    let odd = Child::new("owner/model", "config.json", home.path()).env("HF_ENDPOINT", "not an address").run();
    assert!(only_error(&odd).contains("HF_ENDPOINT"), "{odd:?}");
}

#[test]
fn trouble_that_passes_is_waited_out() {
    let server = Server::start(&files(), Behaviour { fail: Some((503, 2)), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json", home.path()).run();
    assert_eq!(outcome.got.len(), 1, "{outcome:?}");
}

#[test]
fn offline_without_a_cache_is_a_clear_error() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json", home.path()).env("HF_HUB_OFFLINE", "1").run();
    assert!(only_error(&outcome).contains("HF_HUB_OFFLINE is set"), "{outcome:?}");
    let outcome = child(&server, "weights", home.path()).env("HF_HUB_OFFLINE", "1").run();
    assert!(only_error(&outcome).contains("HF_HUB_OFFLINE is set"), "{outcome:?}");
    assert_eq!(server.seen(), []);
    assert!(!home.path().join("hub").exists());
}

#[test]
fn the_cache_lies_where_the_environment_says() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let start = || child(&server, "config.json", home.path()).without("HF_HOME").env("HOME", at("home"));
    for (child, folder) in [
        (start().env("HF_HUB_CACHE", at("a")), "a"),
        (start().env("HF_HOME", at("b")), "b/hub"),
        (start().env("HF_HOME", "~/c"), "home/c/hub"),
        (start().env("XDG_CACHE_HOME", at("d")), "d/huggingface/hub"),
        (start(), "home/.cache/huggingface/hub"),
    ] {
        assert!(child.run().got[0].starts_with(at(folder)), "{folder}");
    }
}

#[test]
fn files_of_two_commits_do_not_mix() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let first = child(&server, "config.json", home.path()).run();
    // The branch moves on between two downloads: the rest still comes from the commit that is cached.
    let newer = "f".repeat(40);
    server.behave(|b| b.commit = Some(newer.clone()));
    let second = child(&server, "config.json,model.safetensors", home.path()).run();
    assert_eq!(second.got[0], first.got[0]);
    assert_eq!(second.got[1].parent(), first.got[0].parent());
    // Where that commit is gone, the branch is followed.
    server.behave(|b| b.gone = vec![COMMIT.into()]);
    let third = child(&server, "empty.txt,config.json", home.path()).run();
    assert!(third.got.iter().all(|path| path.parent().unwrap().ends_with(&newer)), "{third:?}");
    // A revision that is itself a commit needs no ref, and branches may have slashes.
    let by_commit = child(&server, "config.json", home.path()).env("LONGVU_TEST_REVISION", &newer);
    server.forget();
    assert_eq!(by_commit.env("HF_HUB_OFFLINE", "1").run().got, [third.got[1].clone()]);
    let branch = child(&server, "config.json", home.path()).env("LONGVU_TEST_REVISION", "refs/pr/1").run();
    assert_eq!(branch.got, [third.got[1].clone()]);
    assert_eq!(std::fs::read_to_string(model_folder(home.path()).join("refs/refs/pr/1")).unwrap(), newer);
}

#[test]
fn shards_are_fetched_as_the_index_lists_them() {
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let shard = |name: &str| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    };
    let listed = |second: bool| {
        let mut files = vec![
            ("model.safetensors.index.json", index.as_bytes().to_vec()),
            ("model-00001-of-00002.safetensors", shard("a")),
        ];
        files.extend(second.then(|| ("model-00002-of-00002.safetensors", shard("b"))));
        files
    };
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&listed(true), Behaviour::default());
    assert_eq!(child(&server, "weights", home.path()).run().weights, ["2 2"]);
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&listed(false), Behaviour::default());
    let outcome = child(&server, "weights", home.path()).run();
    assert!(only_error(&outcome).contains("model-00002-of-00002.safetensors"), "{outcome:?}");
}

/// Two processes want the same file: the second waits for the first and fetches nothing itself.
#[test]
fn two_processes_share_one_download() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = || child(&server, "model.safetensors", home.path()).run();
        let threads = [scope.spawn(run), scope.spawn(run), scope.spawn(run)];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    for outcome in outcomes {
        assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
    }
    assert_eq!(bodies(&server.seen(), "model.safetensors").len(), 1);
}

#[test]
fn a_file_that_never_ends_is_given_up_and_removed() {
    let server = Server::start(&files(), Behaviour { endless: true, ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json", home.path()).env("LONGVU_TEST_UNSTATED", "1000000").run();
    let error = only_error(&outcome);
    assert!(error.contains("config.json goes on after 1000000 bytes") && error.contains("HF_ENDPOINT"), "{error}");
    assert_eq!(bodies(&server.seen(), "config.json").len(), 1);
    assert_eq!(leftovers(home.path()), Vec::<String>::new());
    assert!(!model_folder(home.path()).join("snapshots").exists());
}

#[test]
fn a_server_that_sends_a_byte_an_attempt_is_given_up() {
    let server = Server::start(&files(), Behaviour { cut: Some((1, 1000)), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    assert!(only_error(&outcome).contains("cut off after 5 of"), "{outcome:?}");
    assert_eq!(bodies(&server.seen(), "model.safetensors").len(), 5);
}

#[test]
fn a_file_larger_than_the_disk_is_refused_before_it_is_fetched() {
    let behaviour = Behaviour { redirect: true, claims: Some(1 << 60), ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).run();
    let error = only_error(&outcome);
    assert!(error.contains("needs 1152921504606846976 bytes") && error.contains("free"), "{error}");
    assert_eq!(bodies(&server.seen(), "model.safetensors").len(), 0);
}

#[test]
fn the_token_does_not_come_back_with_a_redirect_from_elsewhere() {
    let behaviour = Behaviour { redirect: true, bounce: true, ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json", home.path()).env("HF_TOKEN", "hf_secret").run();
    only_error(&outcome);
    let seen = server.seen();
    let back: Vec<_> = seen.iter().filter(|seen| seen.path.ends_with("?back")).collect();
    assert!(!back.is_empty() && back.iter().all(|seen| seen.authorization.is_none()), "{seen:?}");
    assert!(seen.iter().any(|seen| seen.authorization.is_some()));
}

#[test]
fn answers_do_not_move_the_cursor() {
    let server = Server::start(&files(), Behaviour { commit: Some("\u{1b}[31m\u{7}".into()), ..Behaviour::default() });
    let home = tempfile::tempdir().unwrap();
    let outcome = child(&server, "config.json", home.path()).run();
    let error = only_error(&outcome);
    assert!(error.contains(r"`\u{1b}[31m\u{7}`") && !error.contains(char::is_control), "{error:?}");
}

#[test]
fn folders_of_a_repository_are_found_online_and_offline() {
    let files = [("config.json", b"{}".to_vec()), ("siglip/config.json", b"{\"a\": 1}".to_vec())];
    let server = Server::start(&files, Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let folder = |name: &str| child(&server, "config.json", home.path()).env("LONGVU_TEST_FOLDER", name);
    let online = folder("siglip").run();
    assert!(online.got[0].ends_with("siglip/config.json"), "{online:?}");
    assert_eq!(std::fs::read(&online.got[0]).unwrap(), b"{\"a\": 1}");
    assert_eq!(folder("siglip").env("HF_HUB_OFFLINE", "1").run().got, online.got);
    let none = folder("dinov2").env("HF_HUB_OFFLINE", "1").run();
    assert!(only_error(&none).contains("owner/model/dinov2/config.json"), "{none:?}");
}
