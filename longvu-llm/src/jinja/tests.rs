#![allow(clippy::unwrap_used)]

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::Role;

/// A template with the constructs that Llama 3.2's published one uses for plain conversations.
const LLAMA_LIKE: &str = r#"{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date is defined %}
    {%- if strftime_now is defined %}
        {%- set date = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today Date: " + date + "\n\n" }}
{{- system }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- else %}
        {{- raise_exception("This template takes no tool calls!") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

fn template(source: &str) -> JinjaTemplate {
    let tokens = Tokens {
        bos_token: Some("<|begin_of_text|>".into()),
        eos_token: Some("<|eot_id|>".into()),
        pad_token: None,
        unk_token: None,
    };
    JinjaTemplate::new(source, "chat_template.jinja".into(), tokens, &Limits::default()).unwrap()
}

fn messages() -> Vec<Message> {
    vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "<image>\nWhat is \"this\" & <that>?")]
}

#[test]
fn a_template_like_llamas_renders_as_hugging_face_does() {
    let expected = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n\
        Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|>\
        <|start_header_id|>user<|end_header_id|>\n\n\
        <image>\nWhat is \"this\" & <that>?<|eot_id|>\
        <|start_header_id|>assistant<|end_header_id|>\n\n";
    assert_eq!(template(LLAMA_LIKE).render(&messages()).unwrap(), expected);
}

#[test]
fn a_date_is_given_on_request() {
    let template = template(LLAMA_LIKE).with_date(UNIX_EPOCH + Duration::from_secs(951_782_400));
    assert!(template.render(&messages()).unwrap().contains("Today Date: 29 Feb 2000\n"));
}

#[test]
fn a_template_that_needs_the_date_gets_today() {
    let rendered = template("{{ strftime_now('%Y') }}").render(&messages()).unwrap();
    let year: u32 = rendered.trim_start_matches("<|begin_of_text|>").parse().unwrap();
    assert!(year >= 2024);
}

#[test]
fn the_begin_token_comes_exactly_once() {
    for source in ["text", "{{ bos_token }}text", "{{ bos_token }}{{ bos_token }}text"] {
        assert_eq!(template(source).render(&[]).unwrap(), "<|begin_of_text|>text");
    }
}

#[test]
fn python_methods_json_and_loop_controls_work() {
    let source = "{% for m in messages %}
        {% if m.role == 'system' %}
            {% continue %}
        {% endif %}
{{ m.content.split('\\n')[1].strip('?').startswith('What') }}
{{ m | tojson }} {{ {'b': [1, 2], 'a': none} | tojson(indent=1) }}
{% endfor %}{{ missing }}";
    let expected = "<|begin_of_text|>True\n\
        {\"role\": \"user\", \"content\": \"<image>\\nWhat is \\\"this\\\" & <that>?\"} \
        {\n \"b\": [\n  1,\n  2\n ],\n \"a\": null\n}\n";
    assert_eq!(template(source).render(&messages()).unwrap(), expected);
}

#[test]
fn a_template_can_refuse_and_a_broken_one_is_named() {
    let refused = template("{{ raise_exception('no system turn, please') }}").render(&[]);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("no system turn, please"), "{message}");
    assert!(message.contains("chat_template.jinja"), "{message}");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(TEMPLATE_FILE), "{% if %}").unwrap();
    let message = JinjaTemplate::from_dir(dir.path()).unwrap_err().to_string();
    assert!(message.contains(TEMPLATE_FILE) && message.contains("built-in"), "{message}");
}

#[test]
fn a_template_is_found_in_each_of_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let load = || JinjaTemplate::from_dir(dir.path()).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    assert!(load().is_none());

    write("tokenizer_config.json", r#"{"bos_token": {"content": "<s>"}}"#);
    assert!(load().is_none());
    write("tokenizer_config.json", r#"{"bos_token": "<s>", "chat_template": "one"}"#);
    assert_eq!(load().unwrap().render(&[]).unwrap(), "<s>one");
    write(
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<s>"}, "chat_template": [
            {"name": "rag", "template": "two"}, {"name": "default", "template": "three"}]}"#,
    );
    assert_eq!(load().unwrap().render(&[]).unwrap(), "<s>three");
    write("chat_template.jinja", "four");
    assert_eq!(load().unwrap().render(&[]).unwrap(), "<s>four");

    write("tokenizer_config.json", "{");
    let message = JinjaTemplate::from_dir(dir.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer_config.json"), "{message}");
}
