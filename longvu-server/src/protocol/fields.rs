//! Fields of a request that this server cannot do.

use serde_json::{Map, Value};

use crate::api_error::ApiError;

/// Fields that are understood.
const KNOWN: &[&str] = &[
    "max_completion_tokens",
    "max_tokens",
    "media_io_kwargs",
    "longvu",
    "messages",
    "model",
    "n",
    "repetition_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_k",
    "top_p",
];

/// Fields that change nothing about an answer.
const HARMLESS: &[&str] = &[
    "cache_salt",
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "priority",
    "prompt_cache_key",
    "prompt_cache_retention",
    "request_id",
    "safety_identifier",
    "service_tier",
    "store",
    "timings_per_token",
    "user",
];

/// Fields that ask for something else than this server gives, with the values that ask for nothing.
const REFUSED: &[(&str, &[&str])] = &[
    ("tools", &["[]"]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("functions", &["[]"]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("response_format", &["{\"type\":\"text\"}"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("prompt_logprobs", &["0"]),
    ("logit_bias", &["{}"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("modalities", &["[\"text\"]"]),
    ("audio", &[]),
    ("web_search_options", &[]),
    ("reasoning_effort", &["\"none\""]),
    ("verbosity", &["\"medium\""]),
    ("best_of", &["1"]),
    ("use_beam_search", &["false"]),
    ("min_p", &["0", "0.0"]),
    ("typical_p", &["1", "1.0"]),
    ("min_tokens", &["0"]),
    ("stop_token_ids", &["[]"]),
    ("ignore_eos", &["false"]),
    ("include_stop_str_in_output", &["false"]),
    ("skip_special_tokens", &["true"]),
    ("echo", &["false"]),
    ("add_generation_prompt", &["true"]),
    ("continue_final_message", &["false"]),
    ("add_special_tokens", &["false"]),
    ("chat_template", &[]),
    ("chat_template_kwargs", &["{}"]),
    ("mm_processor_kwargs", &["{}"]),
    ("documents", &["[]"]),
    ("structured_outputs", &[]),
    ("guided_json", &[]),
    ("guided_regex", &[]),
    ("guided_choice", &[]),
    ("guided_grammar", &[]),
    ("grammar", &["\"\""]),
    ("json_schema", &[]),
    ("bad_words", &["[]"]),
    ("truncate_prompt_tokens", &[]),
    ("mirostat", &["0"]),
    ("samplers", &[]),
];

/// Names of unknown fields that are told, and their characters.
const MAX_TOLD: usize = 20;
const MAX_NAME: usize = 64;

/// Refuses what would be answered otherwise than it was meant; returns the names of fields that nobody here knows, which
/// are ignored and told.
///
/// # Errors
/// 400 that names the field.
pub(crate) fn check(request: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
    let mut unknown = Vec::new();
    for (name, value) in request {
        if value.is_null() || KNOWN.contains(&name.as_str()) || HARMLESS.contains(&name.as_str()) {
            continue;
        }
        match REFUSED.iter().find(|(refused, _)| refused == name) {
            Some((_, neutral)) if neutral.contains(&value.to_string().as_str()) => {}
            Some((name, _)) => {
                let advice = match *name {
                    "mm_processor_kwargs" => "say how frames are taken in `media_io_kwargs.video`",
                    _ => "leave it out",
                };
                let message = format!("`{name}` is not supported by this server; {advice}");
                return Err(ApiError::bad_request(message).param(*name).code("unsupported_parameter"));
            }
            None if unknown.len() < MAX_TOLD => unknown.push(name.chars().take(MAX_NAME).collect()),
            None => {}
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Result<Vec<String>, ApiError> {
        check(value.as_object().unwrap())
    }

    #[test]
    fn what_changes_an_answer_is_refused_by_name() {
        for (name, value) in [
            ("tools", json!([{"type": "function"}])),
            ("response_format", json!({"type": "json_object"})),
            ("logprobs", json!(true)),
            ("logit_bias", json!({"50256": -100})),
            ("frequency_penalty", json!(0.5)),
            ("guided_json", json!("{}")),
        ] {
            let error = fields(json!({"messages": [], name: value})).unwrap_err();
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(name)));
        }
    }

    #[test]
    fn what_asks_for_nothing_is_let_through() {
        let request = json!({
            "model": "x", "tools": null, "tool_choice": "none", "logprobs": false, "response_format": {"type": "text"},
            "frequency_penalty": 0, "presence_penalty": 0.0, "user": "me", "metadata": {"a": "b"}, "heat": 1
        });
        assert_eq!(fields(request).unwrap(), ["heat"]);
    }
}
