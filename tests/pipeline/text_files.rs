//! A checkpoint's text side that does not go with its language model.

use std::{fs, path::Path};

use longvu::{
    Error, GenerationConfig, LongVu, LongVuBuilder, Watch,
    llm::{Conversation, Generation, Limits, PromptIds},
    text::chain,
};
use serde_json::{Value, json};

use crate::support::{checkpoints, model};

/// A copy of the Llama checkpoint and its towers.
fn copy(to: &Path) -> LongVuBuilder {
    for part in ["longvu_llama", "siglip", "dinov2"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for file in fs::read_dir(checkpoints().join(part)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(part).join(file.file_name())).unwrap();
        }
    }
    LongVu::builder(to.join("longvu_llama").to_str().unwrap())
}

fn refusal(builder: &LongVuBuilder) -> String {
    match builder.clone().load() {
        Err(error @ Error::Llm(_)) => chain(&error),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("loaded"),
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn tokens_that_were_added_without_rows_are_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let builder = copy(folder.path());
    let rows = builder.files().unwrap().config.decoder.vocab_size;
    change(&folder.path().join("longvu_llama/tokenizer.json"), |json| {
        let mut token = json["added_tokens"][0].clone();
        (token["id"], token["content"]) = (json!(rows), json!("<|video|>"));
        json["added_tokens"].as_array_mut().unwrap().push(token);
    });
    let message = refusal(&builder);
    assert!(message.contains("<|video|>") && message.contains(&format!("token {rows}")), "{message}");
    assert!(message.contains(&format!("which has {rows}")), "{message}");
}

#[test]
fn a_template_of_the_checkpoint_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let builder = copy(folder.path());
    let template = folder.path().join("longvu_llama/chat_template.jinja");
    fs::write(&template, format!("{{{{ {}1 }}}}", "-".repeat(100_000))).unwrap();
    assert!(refusal(&builder).contains("chat_template.jinja"));

    fs::write(&template, "{{ '' }}").unwrap();
    let message = chain(&builder.clone().load().unwrap().ask_text("Why?").unwrap_err());
    assert!(message.contains("chat_template.jinja") && message.contains("writes nothing"), "{message}");
    let message = refusal(&builder.text_limits(Limits::default().with_template_bytes(4)));
    assert!(message.contains("chat_template.jinja") && message.contains("4 allowed"), "{message}");
}

#[test]
fn end_tokens_that_the_model_does_not_have_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let builder = copy(folder.path());
    fs::write(folder.path().join("longvu_llama/generation_config.json"), r#"{"eos_token_id": [3, 4000000000]}"#)
        .unwrap();
    let ends = builder.load().unwrap().eos_token_ids().to_vec();
    assert!(ends.contains(&3) && !ends.contains(&4_000_000_000), "{ends:?}");
}

#[test]
fn answers_without_an_end_are_refused_and_long_ones_take_memory_as_they_grow() {
    let model = model();
    let mut config = GenerationConfig::default().with_max_new_tokens(9_223_372_036_854_775_807);
    let mut conversation = Conversation::new(0);
    conversation.push_user("Why?");
    let Err(error) = model.reply(&[], &conversation, &config) else { panic!("generated") };
    assert!(error.to_string().contains("max_new_tokens is 9223372036854775807"), "{error}");

    // Keys and values of a million positions would be more than this machine has.
    config.max_new_tokens = 1_000_000;
    let mut stream = model.reply(&[], &conversation, &config).unwrap();
    let many: Vec<String> = stream.by_ref().take(3).map(Result::unwrap).collect();
    assert!(!many.is_empty());

    let prompt = model.prompt_ids(&conversation).unwrap();
    let embeds = || model.prepare(&prompt, &[]).unwrap().inputs_embeds;
    let decoder = model.decoder().unwrap();
    let ids = |tokens: usize| {
        let config = GenerationConfig::default().with_max_new_tokens(tokens).with_eos_token_ids([]);
        let ids =
            Generation::new(decoder.clone(), embeds(), None, &config, Watch::default()).unwrap().map(Result::unwrap);
        ids.take(1100).collect::<Vec<u32>>()
    };
    // Past the first growth, the answer is the same as with room for it from the beginning.
    assert_eq!(ids(1_000_000), ids(1100));
    assert!(
        Generation::new(decoder.clone(), decoder.embed(&[]), None, &GenerationConfig::default(), Watch::default())
            .is_err()
    );
}

#[test]
fn ids_that_the_model_does_not_have_are_refused() {
    let model = model();
    let Err(error) = model.prepare(&PromptIds::from_raw(vec![1, 4_000_000_000]).unwrap(), &[]) else {
        panic!("prepared")
    };
    assert!(error.to_string().contains("4000000000"), "{error}");
    assert!(model.prepare(&PromptIds::from_raw(Vec::new()).unwrap(), &[]).is_err());
}
