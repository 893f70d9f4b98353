//! What errors of every crate say: each message for itself, and the chain of causes once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{error::Error, io, path::PathBuf};

use longvu::{checkpoint, compress, llm, text::chain, video};

const CAUSE: &str = "the platter is scratched";

fn path() -> PathBuf {
    "some/file".into()
}

fn cause() -> io::Error {
    io::Error::other(CAUSE)
}

/// Every kind of error that has a cause, and some that pass on another crate's.
fn caused() -> Vec<Box<dyn Error>> {
    let unread = || checkpoint::Error::Read { path: path(), source: cause() };
    let image = || video::Error::Image { path: path(), source: image::ImageError::IoError(cause()) };
    let lost = || longvu::Error::TowerNotFound {
        family: checkpoint::config::TowerFamily::Dinov2,
        looked_for: vec!["dinov2".into()],
        repo: "a/b".into(),
        source: Box::new(unread()),
    };
    vec![
        Box::new(unread()),
        Box::new(checkpoint::Error::Write { path: path(), source: cause() }),
        Box::new(llm::Error::Read { path: path(), source: cause() }),
        Box::new(llm::Error::Json { path: path(), source: CAUSE.into() }),
        Box::new(llm::Error::TokenizerFile { path: path(), source: CAUSE.into() }),
        Box::new(llm::Error::Tokenize { action: "encode a text", source: CAUSE.into() }),
        Box::new(video::Error::Io { path: path(), source: cause() }),
        Box::new(image()),
        Box::new(longvu::Error::Checkpoint(unread())),
        Box::new(longvu::Error::Video(image())),
        Box::new(longvu::Error::Source(CAUSE.into())),
        Box::new(longvu::Error::Thread { source: cause() }),
        Box::new(longvu::Error::Spill { folder: path(), bytes: 1, source: cause() }),
        Box::new(longvu::Error::Unpack { folder: path(), source: cause() }),
        Box::new(lost()),
        Box::new(compress::Error::Stage { stage: compress::StageName::Spatial, source: CAUSE.into() }),
        Box::new(longvu_world::Error::Io { path: path(), source: cause() }),
        Box::new(longvu_train::Error::Read { path: path(), source: cause() }),
        Box::new(longvu_train::Error::Write { path: path(), source: cause() }),
        Box::new(longvu_train::Error::LongVu(lost())),
        Box::new(longvu_train::Error::World(longvu_world::Error::Io { path: path(), source: cause() })),
    ]
}

#[test]
fn no_message_repeats_its_cause_and_the_chain_says_it_once() {
    for error in caused() {
        let mut message = error.to_string();
        let mut below = error.source();
        assert!(below.is_some(), "{error:?} keeps its cause to itself");
        while let Some(cause) = below {
            let cause_message = cause.to_string();
            assert!(!message.contains(&cause_message), "{message}\nrepeats: {cause_message}");
            (message, below) = (cause_message, cause.source());
        }
        let chain = chain(error.as_ref());
        assert_eq!(chain.matches(CAUSE).count(), 1, "{chain}");
        assert!(chain.ends_with(CAUSE), "{chain}");
    }
}

#[test]
fn chains_of_files_that_cannot_be_used_name_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let png = at("a.png", b"\x89PNG\r\n\x1a\nnothing of a picture");
    let text = chain(&longvu::open_image(&png).unwrap_err());
    assert!(text.contains("a.png") && text.contains("PNG, JPEG, WebP"), "{text}");
    at("tokenizer.json", b"{");
    let text = chain(&llm::Tokenizer::from_dir(folder.path()).unwrap_err());
    assert!(text.contains("tokenizer.json") && text.contains("download") && text.contains("line 1"), "{text}");
    let text = chain(&checkpoint::Repo::folder(folder.path()).get("tokenizer.json/x").unwrap_err());
    assert!(text.contains("not found"), "{text}");
    let text = chain(&longvu_train::Recipe::read(folder.path()).unwrap_err());
    assert!(text.contains("cannot be read: it is a folder"), "{text}");
}
