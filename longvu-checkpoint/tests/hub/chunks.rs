//! As much of the Hub's chunk store as a download sees: a file as one xorb, of chunks that are not compressed.

use serde_json::json;

use crate::{
    cases::{child, files, leftovers, model_folder, weights},
    server::{Behaviour, Server, etag},
};

/// Names the file, and its one xorb.
pub const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What the chunk store's own token is.
pub const TOKEN: &str = "for-the-chunk-store";

/// Bytes of a chunk but the last.
const CHUNK: usize = 100_000;

/// Bytes before each chunk.
const HEAD: usize = 8;

/// The whole xorb of a file.
fn xorb(bytes: &[u8]) -> Vec<u8> {
    let length = |chunk: &[u8]| (chunk.len() as u32).to_le_bytes();
    let head = |chunk: &[u8]| [&[0], &length(chunk)[..3], &[0], &length(chunk)[..3]].concat();
    bytes.chunks(CHUNK).flat_map(|chunk| [head(chunk), chunk.to_vec()].concat()).collect()
}

/// The answer to `path` of the store at `endpoint`, for the bytes `range` of the file.
pub fn answer(path: &str, range: Option<&str>, bytes: &[u8], endpoint: &str) -> Option<(String, Vec<u8>)> {
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let range = range.and_then(|(start, end)| Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()?)));
    let (start, end) = range.map_or((0, bytes.len()), |(start, end)| (start, end.saturating_add(1)));
    if path == "/xorb" {
        let part = xorb(bytes)[start..end].to_vec();
        return Some((format!("206 Partial Content\r\ncontent-length: {}", part.len()), part));
    }
    if path != format!("/v1/reconstructions/{HASH}") {
        return None;
    }
    if start >= bytes.len() {
        return Some(("416 Range Not Satisfiable\r\ncontent-length: 0".into(), Vec::new()));
    }
    let end = end.min(bytes.len());
    let (first, last) = (start / CHUNK, end.div_ceil(CHUNK));
    let range = json!({ "start": first, "end": last });
    let place = |chunk: usize| (chunk * CHUNK).min(bytes.len()) + chunk * HEAD;
    let json = json!({
        "offset_into_first_range": start - first * CHUNK,
        "terms": [{ "hash": HASH, "range": range,
            "unpacked_length": (last * CHUNK).min(bytes.len()) - first * CHUNK }],
        "fetch_info": { HASH: [{ "range": range, "url": format!("{endpoint}/xorb"),
            "url_range": { "start": place(first), "end": place(last) - 1 } }] },
    });
    let body = json.to_string().into_bytes();
    Some((format!("200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len()), body))
}

#[test]
fn a_file_in_the_chunk_store_comes_from_there_and_goes_on_where_it_stopped() {
    let behaviour = Behaviour { token: Some("hf_secret".into()), chunks: true, ..Behaviour::default() };
    let server = Server::start(&files(), behaviour);
    for here in [0, 123_456, 1_000_000] {
        let home = tempfile::tempdir().unwrap();
        let blob = model_folder(home.path()).join("blobs").join(etag(&weights()));
        if here > 0 {
            std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
            std::fs::write(blob.with_extension("incomplete"), &weights()[..here]).unwrap();
        }
        server.forget();
        let outcome = child(&server, "model.safetensors", home.path()).env("HF_TOKEN", "hf_secret").run();
        assert_eq!(outcome.errors, Vec::<String>::new());
        assert_eq!(std::fs::read(&outcome.got[0]).unwrap(), weights());
        assert_eq!(leftovers(home.path()), Vec::<String>::new());
        assert_eq!(outcome.progress.last().unwrap().1, weights().len() as u64);
        let seen = server.seen();
        let asked: Vec<_> = seen.iter().filter(|seen| seen.path.starts_with("/v1/reconstructions")).collect();
        assert!(
            !asked.is_empty()
                && asked.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer for-the-chunk-store"))
        );
        if here > 0 {
            let range = asked[0].range.as_deref().unwrap();
            assert!(range.starts_with(&format!("bytes={here}-")), "{range}");
        }
        // The Hub's token goes to the Hub alone, and nothing else is told to anyone.
        for seen in seen.iter().filter(|seen| seen.elsewhere) {
            assert!(seen.authorization.as_deref() != Some("Bearer hf_secret"), "{seen:?}");
            assert!(seen.method == "GET", "{seen:?}");
        }
    }
}
