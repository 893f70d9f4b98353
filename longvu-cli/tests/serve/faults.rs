//! Requests and files with faults: each costs itself, and nothing else.

use std::{fs, io::Read, path::Path, time::Duration};

use image::{Delay, Frame, RgbaImage, codecs::gif::GifEncoder};
use serde_json::json;
use tempfile::tempdir;

use crate::support::{Server, about, golden, video, wait_until, with};

#[test]
fn broken_requests_are_refused_with_the_field_at_fault() {
    let server = Server::start(&[]);
    let ask = |more| server.ask(&with(json!({"messages": [{"role": "user", "content": "Hi"}]}), more));
    for (more, status, field) in [
        (json!({"tools": [{"type": "function"}]}), 400, "tools"),
        (json!({"response_format": {"type": "json_object"}}), 400, "response_format"),
        (json!({"logprobs": true}), 400, "logprobs"),
        (json!({"n": 2}), 422, "n"),
        (json!({"max_tokens": 0}), 422, "max_tokens"),
        (json!({"max_completion_tokens": 1_000_000_000}), 422, "max_completion_tokens"),
        (json!({"temperature": -1}), 422, "temperature"),
        (json!({"temperature": "hot"}), 400, "temperature"),
        (json!({"top_p": 7}), 422, "top_p"),
        (json!({"stop": ""}), 422, "stop"),
        (json!({"stop": vec!["x"; 100]}), 422, "stop"),
        (json!({"seed": "x"}), 400, "seed"),
        (json!({"model": "gpt-4"}), 404, "model"),
        (json!({"messages": "Hi"}), 400, "messages"),
        (json!({"messages": null}), 400, "messages"),
        (json!({"messages": []}), 422, "messages"),
        (json!({"messages": [{"role": "user", "content": " "}]}), 422, "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": "x ".repeat(20_000)}]}), 413, "messages"),
        (json!({"media_io_kwargs": {"video": {"num_frames": 0}}}), 422, "media_io_kwargs.video.num_frames"),
        (json!({"media_io_kwargs": {"video": {"backend": "x"}}}), 400, "media_io_kwargs.video.backend"),
        (json!({"longvu": {"start": -1}}), 422, "longvu.start"),
        (json!({"longvu": {"dino_threshold": "x"}}), 400, "longvu.dino_threshold"),
        (json!({"longvu": {"repeats": 256}}), 400, "longvu.repeats"),
    ] {
        assert_eq!(ask(more.clone()).refused(status, &[]).as_deref(), Some(field), "{more}");
    }
    ask(json!({"zz": vec![0; 300_000]})).refused(413, &["commas"]);
    let parts = vec![json!({"type": "text", "text": "x"}); 1000];
    ask(json!({"messages": [{"role": "user", "content": parts}]})).refused(413, &["parts"]);
    for body in ["", "{", "[]", "null", "{\"messages\": [", "\u{0}", "{\"messages\": 1e999}"] {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close",
            body.len()
        );
        let mut text = String::new();
        server.begin(&head, body.as_bytes()).read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 400") && text.contains("\"error\""), "{body}: {text}");
    }
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close",
        deep.len()
    );
    let mut text = String::new();
    server.begin(&head, deep.as_bytes()).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    // It goes on.
    ask(json!({"max_tokens": 2})).ok();
}

#[test]
fn announced_sizes_are_refused_before_anything_is_read() {
    let server = Server::start(&[]);
    let kinds = [("/v1/files", "multipart/form-data; boundary=x"), ("/v1/chat/completions", "application/json")];
    for (route, kind) in kinds {
        let head = format!(
            "POST {route} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close",
            1_u64 << 40
        );
        let mut text = String::new();
        server.begin(&head, b"").read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    }
    assert!(server.temp_files().is_empty());
}

#[test]
fn connections_that_say_nothing_whole_are_closed() {
    let server = Server::start(&[]);
    let silent: Vec<_> = ["", "P", "G", "PRI * HTTP/2", "GET /health HTTP/1.1\r\nHost: x"]
        .map(|said| {
            let mut stream = server.connect();
            std::io::Write::write_all(&mut stream, said.as_bytes()).unwrap();
            stream
        })
        .into();
    let start = std::time::Instant::now();
    for mut stream in silent {
        // It ends, with a word or without.
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    }
}

#[test]
fn ids_lead_nowhere_else() {
    let server = Server::start(&[]);
    for id in [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "file-../../../../etc/passwd",
        "file-",
        "%00",
        "file-aaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let reply = server.get(&format!("/v1/files/{id}"));
        assert!([400, 404].contains(&reply.status), "{id}: {}", reply.text);
        let reply = server.get(&format!("/v1/files/{id}/content"));
        assert!([400, 404].contains(&reply.status) && !reply.text.contains("root:"), "{id}: {}", reply.text);
        assert!([400, 404].contains(&server.ask(&about(id, "What?")).status), "{id}");
    }
}

#[test]
fn media_with_faults_are_refused_and_cost_themselves_only() {
    let server = Server::start(&["--max-frames", "600"]);
    server.upload_bytes(b"", "empty.mp4").refused(400, &["empty"]);
    let folder = tempdir().unwrap();
    for (name, bytes, status, parts) in media_with_faults(folder.path()) {
        let id = server.upload_bytes(&bytes, name).ok()["id"].as_str().unwrap().to_owned();
        let field = server.ask(&about(&id, "What?")).refused(status, parts);
        assert_eq!(field.as_deref(), Some("messages[0].content[0].video_url.url"), "{name}");
    }
    assert!(server.children().is_empty());
    let id = server.upload(&video("video3.mp4"));
    server.ask(&about(&id, "What?")).ok();
}

type Faulty = (&'static str, Vec<u8>, u16, &'static [&'static str]);

fn media_with_faults(folder: &Path) -> Vec<Faulty> {
    let whole = fs::read(video("video3.mp4")).unwrap();
    let mut cut = whole.clone();
    cut.truncate(whole.len() / 2);
    let long = folder.join("long.gif");
    // Ten hours at a frame a second.
    let mut encoder = GifEncoder::new(fs::File::create(&long).unwrap());
    for _ in 0..36_000 {
        let delay = Delay::from_saturating_duration(Duration::from_secs(1));
        encoder.encode_frame(Frame::from_parts(RgbaImage::new(8, 8), 0, 0, delay)).unwrap();
    }
    drop(encoder);
    let hls = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nsecret.ts\n#EXT-X-ENDLIST\n".to_vec();
    let dash =
        b"<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><Period/></MPD>".to_vec();
    vec![
        ("cut.mp4", cut, 400, &["video"]),
        ("text.mp4", b"this is no video".to_vec(), 400, &[]),
        ("bomb.png", png_bomb(30_000), 413, &["30000"]),
        ("long.gif", fs::read(long).unwrap(), 413, &["36000", "600"]),
        ("list.mp4", hls, 400, &["playlist"]),
        ("concat.mp4", b"ffconcat version 1.0\nfile 'secret.ts'\n".to_vec(), 400, &["playlist"]),
        ("dash.mp4", dash, 400, &[]),
    ]
}

/// A PNG of black bits, `side` by `side`, that is small as a file.
fn png_bomb(side: u32) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; side as usize / 8 + 1];
    (0..side).for_each(|_| packed.write_all(&row).unwrap());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [&kind[..], data].concat();
        let mut sum = flate2::Crc::new();
        sum.update(&body);
        png.extend_from_slice(&(data.len() as u32).to_be_bytes());
        png.extend_from_slice(&body);
        png.extend_from_slice(&sum.sum().to_be_bytes());
    };
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    chunk(b"IHDR", &header);
    chunk(b"IDAT", &packed.finish().unwrap());
    chunk(b"IEND", b"");
    png
}

#[test]
fn a_decoder_that_is_killed_costs_one_request() {
    let server = Server::start(&[]);
    let id = server.upload(&crate::hang_up::long_video());
    let every = with(about(&id, "What?"), json!({"media_io_kwargs": {"video": {"num_frames": -1}}}));
    let reply = std::thread::scope(|scope| {
        let asking = scope.spawn(|| server.ask(&every));
        wait_until(Duration::from_secs(60), "a decoder", || !server.children().is_empty());
        for child in server.children() {
            let kill = std::process::Command::new("kill").args(["-9", &child.to_string()]).status().unwrap();
            assert!(kill.success());
        }
        asking.join().unwrap()
    });
    assert!([400, 500].contains(&reply.status), "{}", reply.text);
    wait_until(Duration::from_secs(5), "no decoder", || server.children().is_empty());
    server.ask(&about(&id, "What?")).ok();
}

#[test]
fn pictures_are_told_from_videos() {
    let server = Server::start(&[]);
    let picture = golden().join("../../models");
    assert!(picture.exists());
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(64, 48, image::Rgb([200, 30, 30])).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let id = server.upload_bytes(png.get_ref(), "red.png").ok()["id"].as_str().unwrap().to_owned();
    let image = |id: &str| {
        json!({"max_tokens": 4, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": id}}, {"type": "text", "text": "What colour?"}]}]})
    };
    let seen = server.ask(&image(&id)).ok();
    assert_eq!(
        (&seen["longvu"]["visuals"][0]["kind"], &seen["longvu"]["visuals"][0]["warnings"]),
        (&json!("image"), &json!([]))
    );
    let as_video = server.ask(&about(&id, "What colour?")).ok();
    assert!(as_video["longvu"]["visuals"][0]["warnings"][0].as_str().unwrap().contains("picture"));
    let id = server.upload(&video("video3.mp4"));
    server.ask(&image(&id)).refused(400, &["video_url"]);
}
