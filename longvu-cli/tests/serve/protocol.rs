//! What clients send, and what they get.

use serde_json::json;

use crate::support::{Server, about, data_url, events, streamed, video, with};

#[test]
fn an_answer_comes_whole_and_in_pieces() {
    let server = Server::start(&[]);
    let id = server.upload(&video("video3.mp4"));
    let question = about(&id, "Is there a square in the video?");
    let whole = server.ask(&question);
    let body = whole.ok();
    assert_eq!((body["object"].as_str(), body["model"].as_str()), (Some("chat.completion"), Some("miniature")));
    assert!(["stop", "length"].contains(&body["choices"][0]["finish_reason"].as_str().unwrap()));
    let usage = &body["usage"];
    let number = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(number("prompt_tokens") + number("completion_tokens"), number("total_tokens"));
    let report = &body["longvu"]["visuals"][0];
    assert!(report["frames_sampled"].as_u64().unwrap() > 0 && report["tokens"].as_u64().unwrap() > 0, "{report}");
    assert!(report["frames"].is_null());

    let stream =
        server.ask(&with(question.clone(), json!({"stream": true, "stream_options": {"include_usage": true}})));
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(streamed(&stream.text), whole.answer());
    let (data, _) = events(&stream.text);
    assert_eq!(data.last().unwrap(), "[DONE]");
    let chunk = |data: &String| serde_json::from_str::<serde_json::Value>(data).unwrap();
    let (last, usage) = (chunk(&data[data.len() - 3]), chunk(&data[data.len() - 2]));
    assert_eq!(last["choices"][0]["finish_reason"], body["choices"][0]["finish_reason"]);
    assert_eq!(usage["usage"], body["usage"]);
    assert_eq!(usage["choices"], json!([]));
    // Without tower work: both questions are about one encoding.
    assert_eq!(
        (report["origin"].as_str(), last["longvu"]["visuals"][0]["origin"].as_str()),
        (Some("computed"), Some("memory"))
    );

    let plain = server.ask(&with(question, json!({"stream": true})));
    assert!(!plain.text.contains("\"usage\""), "{}", plain.text);
}

#[test]
fn frames_that_repeat_others_are_counted() {
    let server = Server::start(&[]);
    let question = about(&server.upload(&video("video3.mp4")), "How many circles are there?");
    let report = |repeats: serde_json::Value| {
        let reply = server.ask(&with(question.clone(), json!({"longvu": {"repeats": repeats}})));
        reply.ok()["longvu"]["visuals"][0].clone()
    };
    let (same, all) = (report(json!(null)), report(json!(255)));
    let sampled = same["frames_sampled"].as_u64().unwrap();
    assert!(same["frames_repeated"].as_u64().unwrap() < sampled && same["warnings"] == json!([]), "{same}");
    assert_eq!(all["frames_repeated"], sampled - 1);
    assert!(all["warnings"][0].as_str().unwrap().contains("taken for an earlier one"), "{all}");
    // Each has an encoding of its own, and levels of 0 are what it was without any.
    let origins = (&same["origin"], &all["origin"], &report(json!(0))["origin"]);
    assert_eq!(origins, (&json!("computed"), &json!("computed"), &json!("memory")));
}

#[test]
fn every_way_of_naming_a_video_is_taken() {
    let folder = video("video3.mp4").parent().unwrap().canonicalize().unwrap();
    let server = Server::start(&["--allow-folder", folder.to_str().unwrap()]);
    let id = server.upload(&video("video3.mp4"));
    let question = "How many circles are there?";
    let expected = server.ask(&about(&id, question)).answer();
    let path = folder.join("video3.mp4");
    for url in [data_url(&video("video3.mp4")), path.to_str().unwrap().to_owned()] {
        let reply = server.ask(&about(&url, question));
        assert_eq!(reply.answer(), expected);
        // One content, one encoding.
        assert_eq!(reply.json()["longvu"]["visuals"][0]["origin"], "memory");
    }
    let raw = data_url(&video("video3.mp4")).split_once(',').unwrap().1.to_owned();
    let llama = json!({"messages": [{"role": "user", "content": [
        {"type": "input_video", "input_video": {"data": raw}}, {"type": "text", "text": question}
    ]}], "max_tokens": 8});
    assert_eq!(server.ask(&llama).answer(), expected);
}

#[test]
fn files_are_kept_listed_and_deleted() {
    let server = Server::start(&[]);
    let id = server.upload(&video("video3.mp4"));
    let list = server.get("/v1/files").ok();
    assert_eq!(list["data"][0]["id"], json!(id));
    assert_eq!(server.get(&format!("/v1/files/{id}")).ok()["filename"], "video3.mp4");
    assert_eq!(server.delete(&format!("/v1/files/{id}")).ok()["deleted"], true);
    server.get(&format!("/v1/files/{id}")).refused(404, &[]);
    let field = server.ask(&about(&id, "What?")).refused(404, &[]);
    assert_eq!(field.as_deref(), Some("messages[0].content[0].video_url.url"));
}

#[test]
fn several_turns_and_visuals_make_one_prompt() {
    let server = Server::start(&[]);
    let (one, two) = (server.upload(&video("video3.mp4")), server.upload(&video("video1.mp4")));
    let part = |url: &str| json!({"type": "video_url", "video_url": {"url": url}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let body = json!({"max_tokens": 4, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [part(&one), part(&two), text("Which is longer?")]},
        {"role": "assistant", "content": "The first."},
        {"role": "user", "content": [part(&one), text("Why?")]},
    ]});
    let reply = server.ask(&body).ok();
    assert_eq!(reply["longvu"]["visuals"].as_array().unwrap().len(), 3);
    let text_only = json!({"max_tokens": 4, "messages": [{"role": "user", "content": "Hello?"}]});
    assert_eq!(server.ask(&text_only).ok()["longvu"]["visuals"], json!([]));
}

#[test]
fn frames_are_sampled_as_asked() {
    let server = Server::start(&[]);
    let id = server.upload(&video("video3.mp4"));
    let sampled = |more| {
        let reply = server.ask(&with(about(&id, "What?"), more)).ok();
        reply["longvu"]["visuals"][0]["frames_sampled"].as_u64().unwrap()
    };
    let all = sampled(json!({"media_io_kwargs": {"video": {"num_frames": -1}}}));
    assert_eq!(sampled(json!({"media_io_kwargs": {"video": {"num_frames": 5}}})), 5);
    assert_eq!(sampled(json!({"media_io_kwargs": {"video": {"fps": 2.0, "num_frames": 3}}})), 3);
    let (once, twice) = (sampled(json!({})), sampled(json!({"media_io_kwargs": {"video": {"fps": 2.0}}})));
    assert!(once < twice && twice < all, "{once} {twice} {all}");
    assert!(sampled(json!({"longvu": {"start": 1.0}})) < once);

    let frames = server.ask(&with(about(&id, "What?"), json!({"longvu": {"frames": true}}))).ok();
    let visual = &frames["longvu"]["visuals"][0];
    let listed = visual["frames"].as_array().unwrap();
    assert_eq!(listed.len() as u64, once);
    let tokens: u64 = listed.iter().map(|frame| frame["tokens"].as_u64().unwrap()).sum();
    assert_eq!(visual["tokens"].as_u64().unwrap(), tokens);
    let picture = server.get(&format!("/v1/longvu/pictures/{}/0.jpg", visual["key"].as_str().unwrap()));
    assert_eq!((picture.status, picture.headers["content-type"].to_str().unwrap()), (200, "image/jpeg"));
    server.get(&format!("/v1/longvu/pictures/{}/99999.jpg", visual["key"].as_str().unwrap())).refused(404, &[]);
    server.get("/v1/longvu/pictures/../../etc/passwd").refused(404, &[]);
}

#[test]
fn settings_of_a_request_are_its_own() {
    let server = Server::start(&[]);
    let id = server.upload(&video("video3.mp4"));
    let kept = |more| {
        let reply = server.ask(&with(about(&id, "What?"), json!({"longvu": more}))).ok();
        let visual = reply["longvu"]["visuals"][0].clone();
        (visual["key"].as_str().unwrap().to_owned(), visual["origin"].as_str().unwrap().to_owned())
    };
    let (package, _) = kept(json!({}));
    let (paper, origin) = kept(json!({"preset": "paper"}));
    assert_ne!(package, paper);
    assert_eq!(origin, "computed");
    assert_eq!(kept(json!({})), (package.clone(), "memory".into()));
    // The spatial stage does not shape an encoding.
    assert_eq!(kept(json!({"drop_threshold": 0.5})), (package, "memory".into()));
    let refused = server.ask(&with(about(&id, "What?"), json!({"longvu": {"preset": "best"}})));
    assert_eq!(refused.refused(422, &["best", "paper"]).as_deref(), Some("longvu.preset"));
    let refused = server.ask(&with(about(&id, "What?"), json!({"longvu": {"threshold": 1}})));
    assert_eq!(refused.refused(400, &["threshold"]).as_deref(), Some("longvu.threshold"));
}

#[test]
fn models_health_and_the_description_are_there() {
    let server = Server::start(&["--metrics"]);
    let models = server.get("/v1/models").ok();
    assert_eq!(models["data"][0]["id"], "miniature");
    assert_eq!(models["data"][0]["architecture"]["input_modalities"], json!(["text", "image", "video"]));
    server.get("/v1/models/miniature").ok();
    server.get("/v1/models/gpt-4").refused(404, &["miniature"]);
    assert_eq!(server.get("/health").ok()["status"], "ok");
    let paths = server.get("/openapi.json").ok()["paths"].clone();
    for path in ["/v1/chat/completions", "/v1/files", "/v1/models", "/health"] {
        assert!(paths[path].is_object(), "{path} is not in {paths}");
    }
    assert!(server.get("/metrics").text.contains("longvu_requests_total"));
    assert_eq!(Server::start(&[]).get("/metrics").status, 404);
    server.get("/v2/nothing").refused(404, &[]);
    server.get("/v1/chat/completions").refused(405, &[]);
}

#[test]
fn the_log_has_nothing_of_what_was_asked() {
    let server = Server::start(&[]);
    server.ask(&json!({"max_tokens": 4, "messages": [{"role": "user", "content": "A secret question?"}]})).ok();
    server.ask(&about("http://secret.example/secret.mp4", "A secret question?")).refused(400, &[]);
    server.get("/secret-path?secret=1").refused(404, &[]);
    let log = server.log();
    assert!(log.contains("/v1/chat/completions") && log.contains("200"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}
