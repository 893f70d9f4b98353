//! Chat templates render as Hugging Face's transformers renders them. `data/make_templates.py` made what is expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use longvu_llm::{ChatTemplate, Error, JinjaTemplate, Message};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Data {
    messages: Vec<Message>,
    now: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    source: String,
    /// Absent where Python raises an error.
    rendered: Option<String>,
}

fn data() -> Data {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/templates.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn template_in(dir: &Path, source: &str) -> Result<JinjaTemplate, Error> {
    std::fs::write(dir.join("chat_template.jinja"), source).unwrap();
    JinjaTemplate::from_dir(dir).map(Option::unwrap)
}

#[test]
fn every_template_renders_as_transformers_does() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
    std::fs::write(dir.path().join("tokenizer_config.json"), tokens.to_string()).unwrap();
    let Data { messages, now, cases } = data();
    assert!(cases.len() > 200);
    let mut wrong = Vec::new();
    for Case { name, source, rendered } in cases {
        let template = template_in(dir.path(), &source).map(|t| t.with_date(UNIX_EPOCH + Duration::from_secs(now)));
        let got = template.and_then(|template| ChatTemplate::Jinja(template).render(&messages));
        // The begin token comes once whether the template writes it or not.
        let expected = rendered.map(|text| format!("<s>{}", text.trim_start_matches("<s>")));
        match (got, expected) {
            (Ok(got), Some(expected)) if got == expected => {}
            (Err(Error::ChatTemplate { .. }), None) => {}
            (got, expected) => wrong.push(format!("{name}\n  expected {expected:?}\n  got      {got:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn of_several_templates_the_default_is_taken_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let load = |templates: serde_json::Value| {
        let config = json!({ "chat_template": templates }).to_string();
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        JinjaTemplate::from_dir(dir.path())
    };
    let messages = [Message::new(longvu_llm::Role::User, "?")];
    let render = |template: Result<Option<JinjaTemplate>, Error>| {
        ChatTemplate::Jinja(template.unwrap().unwrap()).render(&messages).unwrap()
    };
    let named = |name: &str, template: &str| json!({"name": name, "template": template});
    assert_eq!(render(load(json!([named("rag", "a"), named("default", "b")]))), "b");
    assert_eq!(render(load(json!([named("default", "a"), named("default", "b")]))), "b", "the last one, as in Python");
    assert_eq!(render(load(json!({"default": "c", "tool_use": "d"}))), "c");
    for templates in
        [json!([named("rag", "a"), named("tool_use", "b")]), json!([named("rag", "a")]), json!([]), json!({"rag": "a"})]
    {
        let message = load(templates.clone()).unwrap_err().to_string();
        assert!(message.contains("tokenizer_config.json") && message.contains("\"default\""), "{templates}: {message}");
        assert_eq!(message.contains("\"rag\""), templates.to_string().contains("rag"), "{message}");
    }
}

#[test]
fn a_template_that_writes_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for source in ["", " \n\t", "{{ '' }}", "{# nothing #}", "{% if false %}x{% endif %}\n"] {
        let error = ChatTemplate::Jinja(template_in(dir.path(), source).unwrap()).render(&data().messages).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("chat_template.jinja") && message.contains("writes nothing"), "{source:?}: {message}");
    }
}

#[test]
fn what_a_template_says_cannot_steer_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let source = "{{ raise_exception('\u{1b}[31mred\u{7} \u{9b}2J \u{202e}txt\\n' ~ messages[0].content) }}";
    let template = ChatTemplate::Jinja(template_in(dir.path(), source).unwrap());
    let message = template.render(&[Message::new(longvu_llm::Role::User, "\u{1b}]0;x\u{7}")]).unwrap_err().to_string();
    assert!(message.contains("\\u{1b}[31mred\\u{7} \\u{9b}2J \\u{202e}txt"), "{message}");
    assert!(message.contains("\\u{1b}]0;x"), "{message}");
    assert!(!message.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{message:?}");

    let long = template_in(dir.path(), "{{ raise_exception('x' * 1000000) }}").unwrap();
    let message = ChatTemplate::Jinja(long).render(&data().messages).unwrap_err().to_string();
    assert!(message.len() < 5000, "{}", message.len());
}
