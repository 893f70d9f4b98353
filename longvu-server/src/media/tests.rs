//! References of every kind, and what is said of those that are none.

use super::*;

fn sources(change: impl FnOnce(&mut MediaConfig)) -> (tempfile::TempDir, Arc<MediaSources>) {
    let parent = tempfile::tempdir().unwrap();
    let mut config = MediaConfig::new(parent.path().join("media"));
    change(&mut config);
    let sources = MediaSources::new(config).unwrap();
    (parent, sources)
}

#[tokio::test]
async fn other_references_are_told_what_there_is() {
    let (_parent, sources) = sources(|_| {});
    for reference in [
        "",
        " ",
        "clip.mp4",
        "/etc/passwd",
        "../a.mp4",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://example.com/a.mp4",
        "concat:a|b",
        "http://example.com/a.mp4",
        "HTTPS://example.com/",
        "blob:http://a/b",
        "javascript:1",
        "rtsp://example.com/",
        "\0",
        "é:b",
    ] {
        let error = sources.resolve(reference).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, Some("invalid_media_reference")), "{reference:?}");
        assert_eq!(error.message.matches("off on this server").count(), 2, "{}", error.message);
    }
    for reference in ["file-", "file-../../etc/passwd", "file-aaaaaaaaaaaaaaaaaaaaaaaa", "file-\0"] {
        assert_eq!(sources.resolve(reference).await.unwrap_err().status, 404, "{reference:?}");
    }
}

#[tokio::test]
async fn schemes_that_are_off_stay_off_beside_those_that_are_on() {
    let (_parent, sources) = sources(|config| {
        config.hosts = vec!["example.com".to_owned()];
        config.folders = vec![config.folder.parent().unwrap().to_owned()];
    });
    for reference in ["file:///etc/passwd", "ftp://example.com/a.mp4", "concat:a|b", ""] {
        let error = sources.resolve(reference).await.unwrap_err();
        assert_eq!(error.code, Some("invalid_media_reference"), "{reference:?}");
        assert!(!error.message.contains("off on this server"));
    }
    assert_eq!(sources.resolve("missing.mp4").await.unwrap_err().code, Some("file_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_folders_and_data_urls() {
    let (parent, sources) = sources(|config| config.folders = vec![config.folder.parent().unwrap().to_owned()]);
    std::fs::write(parent.path().join("clip.mp4"), "hello").unwrap();
    let path = parent.path().join("clip.mp4");
    for (reference, name) in
        [("clip.mp4", "clip.mp4"), (path.to_str().unwrap(), "clip.mp4"), ("data:;base64,aGVsbG8=", "data URL")]
    {
        let media = sources.resolve(reference).await.unwrap();
        assert_eq!((media.name(), media.bytes(), media.changed()), (name, 5, false));
        assert_eq!(media.sha256(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(std::fs::read(media.path()).unwrap(), b"hello");
    }
    assert!(path.exists());
    assert_eq!(sources.account.used(), 0);

    let media = sources.resolve("clip.mp4").await.unwrap();
    std::fs::write(&path, "other").unwrap();
    assert!(media.changed());
}

#[tokio::test]
async fn closing_leaves_no_file() {
    let (parent, sources) = sources(|_| {});
    let _media = sources.resolve("data:,hello").await.unwrap();
    sources.close();
    let left: Vec<_> =
        parent.path().join("media").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(sources.resolve("data:,hello").await.unwrap_err().status, 500);
}

#[test]
fn settings_that_contradict_each_other_or_name_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let config = || MediaConfig::new(parent.path());
    let missing = parent.path().join("missing");
    for config in [
        MediaConfig { max_stored: 1, ..config() },
        MediaConfig { hosts: vec!["http://example.com".to_owned()], ..config() },
        MediaConfig { folders: vec![missing.clone()], ..config() },
    ] {
        assert!(MediaSources::new(config).is_err());
    }
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(MediaSources::new(MediaConfig::new(&file)).unwrap_err().to_string().contains("file"));
}

#[test]
fn schemes() {
    for (reference, expected) in [
        ("http://a", Some("http")),
        ("HTTP://a", Some("http")),
        ("a+b.c-d:e", Some("a+b.c-d")),
        ("C:\\a.mp4", None),
        ("/a:b", None),
        ("a/b:c", None),
        (":a", None),
        ("1a:b", None),
        ("", None),
    ] {
        assert_eq!(scheme(reference).as_deref(), expected, "{reference}");
    }
}
