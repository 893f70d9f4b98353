//! Downloads that are told to stop.

use std::path::Path;

use crate::{
    cases::{bodies, child, files, model_folder, only_error, rest_from, weights},
    server::{Behaviour, Server, etag},
};

#[test]
fn a_download_that_is_told_to_stop_stops_at_once_and_can_go_on() {
    let server = Server::start(&files(), Behaviour { stall: Some(400_000), ..Behaviour::default() });
    let folder = |home: &Path| (model_folder(home).join("blobs").join(etag(&weights())), model_folder(home));
    // In the middle of what comes, and while nothing comes.
    for (limit, value) in [("LONGVU_TEST_STOP_BYTES", "200000"), ("LONGVU_TEST_STOP_SECONDS", "0.7")] {
        let home = tempfile::tempdir().unwrap();
        let (blob, model) = folder(home.path());
        let outcome = child(&server, "model.safetensors", home.path()).env(limit, value).run();
        only_error(&outcome);
        assert!(matches!(outcome.stopped[..], [..1000]), "{outcome:?}");
        // Nothing passes for the whole file.
        assert!(!blob.exists() && !model.join("snapshots").exists());
        let offline = child(&server, "model.safetensors", home.path()).env("HF_HUB_OFFLINE", "1").run();
        only_error(&offline);

        let partial = std::fs::read(blob.with_extension("incomplete")).unwrap();
        assert!(partial.len() >= 200_000 && weights().starts_with(&partial), "{} bytes", partial.len());
        server.behave(|b| b.stall = None);
        server.forget();
        let outcome = child(&server, "model.safetensors", home.path()).run();
        assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
        assert_eq!(bodies(&server.seen(), "model.safetensors")[0].range, Some(rest_from(partial.len())));
        server.behave(|b| b.stall = Some(400_000));
    }
    // Before the first byte.
    let home = tempfile::tempdir().unwrap();
    server.forget();
    let outcome = child(&server, "model.safetensors", home.path()).env("LONGVU_TEST_STOP_BYTES", "0").run();
    assert!(outcome.stopped.len() == 1 && server.seen().is_empty(), "{outcome:?}");
}

#[test]
fn who_waits_for_another_process_can_be_stopped() {
    let server = Server::start(&files(), Behaviour::default());
    let home = tempfile::tempdir().unwrap();
    let locks = home.path().join("hub/.locks/models--owner--model");
    std::fs::create_dir_all(&locks).unwrap();
    let lock = std::fs::File::create(locks.join(format!("{}.lock", etag(&weights())))).unwrap();
    lock.lock().unwrap();
    let outcome = child(&server, "model.safetensors", home.path()).env("LONGVU_TEST_STOP_SECONDS", "0.7").run();
    only_error(&outcome);
    assert!(matches!(outcome.stopped[..], [..1000]), "{outcome:?}");
}
