//! Prompts and answers of the published package's runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use longvu_llm::{Conversation, TextStream};
use safetensors::SafeTensors;
use serde::Deserialize;

use common::{golden_dir, template, tokenizer};

/// The settings and texts of a run.
#[derive(Deserialize)]
struct Case {
    prompt: String,
    question: String,
    kind: String,
    answer: String,
}

/// A run's case and its `prompt_ids` and `generated_ids`.
fn load(path: &Path) -> (Case, Vec<i64>, Vec<i64>) {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let case = &header.metadata().as_ref().expect("a case")["case"];
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| {
        let (words, rest) = tensors.tensor(name).unwrap().data().as_chunks::<8>();
        assert!(rest.is_empty());
        words.iter().map(|&word| i64::from_le_bytes(word)).collect()
    };
    (serde_json::from_str(case).unwrap(), ids("prompt_ids"), ids("generated_ids"))
}

fn runs() -> Vec<PathBuf> {
    let dir = golden_dir();
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut runs: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("run_") && name.ends_with(".safetensors")
        })
        .collect();
    runs.sort();
    assert!(!runs.is_empty(), "no run_*.safetensors in {}", dir.display());
    runs
}

#[test]
fn prompts_are_the_published_packages() {
    for path in runs() {
        let (case, prompt_ids, _) = load(&path);
        let tokenizer = tokenizer(&case.kind);
        let template = template(&case.kind);
        let mut conversation = Conversation::new(1);
        conversation.push_user(&case.question);
        let prompt = conversation.prompt(&template, &tokenizer).unwrap();
        assert_eq!(prompt, case.prompt, "{}", path.display());
        let ids = conversation.prompt_ids(&template, &tokenizer).unwrap();
        assert_eq!(ids.as_slice(), prompt_ids, "{}", path.display());
        assert_eq!(ids.num_placeholders(), 1);
    }
}

#[test]
fn answers_are_the_published_packages() {
    for path in runs() {
        let (case, _, generated) = load(&path);
        let tokenizer = tokenizer(&case.kind);
        let ids: Vec<u32> = generated.into_iter().map(|id| id.try_into().unwrap()).collect();
        let text = tokenizer.decode(&ids, true).unwrap();
        assert_eq!(text, case.answer, "{}", path.display());

        let mut stream = TextStream::new(&tokenizer, &[]);
        let mut streamed: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
        streamed.extend(stream.finish());
        assert_eq!(streamed, case.answer, "{}", path.display());
    }
}
