//! Answers in the protocol's form.

use std::time::{SystemTime, UNIX_EPOCH};

use longvu::{Answer, FinishReason, FrameUse, VisualKind, WindowUse};
use rand::{RngExt, distr::Alphanumeric};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{encodings::Origin, protocol::extension::Seconds};

/// A whole answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub model: String,
    pub choices: [Choice; 1],
    pub usage: Usage,
    #[schema(value_type = Object)]
    pub longvu: Report,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Choice {
    pub index: u32,
    pub message: AssistantMessage,
    pub finish_reason: &'static str,
    #[schema(value_type = Option<Object>)]
    pub logprobs: (),
}

/// What the model said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssistantMessage {
    pub role: &'static str,
    pub content: String,
    #[schema(value_type = Option<Object>)]
    pub refusal: (),
}

/// A piece of an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChatCompletionChunk {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub model: String,
    pub choices: Vec<ChunkChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub longvu: Option<Report>,
}

/// What a piece adds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ChunkChoice {
    pub index: u32,
    pub delta: Delta,
    pub finish_reason: Option<&'static str>,
    #[schema(value_type = Option<Object>)]
    pub logprobs: (),
}

/// What a piece adds to the message.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Numbers of tokens.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Positions of the prompt, visual tokens included.
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptTokens,
}

/// What a prompt consists of.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct PromptTokens {
    pub cached_tokens: usize,
    /// Tokens of videos and images.
    pub visual_tokens: usize,
}

impl Usage {
    pub fn of(answer: &Answer) -> Self {
        let (prompt_tokens, completion_tokens) = (answer.prompt_tokens, answer.generated_ids.len());
        let (cached_tokens, visual_tokens) = (answer.cached_tokens, answer.visual_tokens);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokens { cached_tokens, visual_tokens },
        }
    }
}

/// What became of the videos and images, under the key `longvu`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub visuals: Vec<VisualReport>,
    pub window: WindowUse,
    pub seconds: Seconds,
    /// What else there is to say of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Fields of the request that were ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// What became of a video or image.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct VisualReport {
    /// What its file was called.
    pub name: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// Names its pictures: `/v1/longvu/pictures/{key}/{sample}.jpg`.
    pub key: String,
    pub kind: VisualKind,
    /// Width and height in pixels.
    pub dimensions: (u32, u32),
    /// Frames that were looked at.
    pub frames_sampled: usize,
    /// Frames of them that the towers were spared, for they repeat another.
    pub frames_repeated: usize,
    /// Frames of which the prompt has something.
    pub frames_kept: usize,
    pub frames_full: usize,
    pub frames_low: usize,
    /// Tokens in the prompt.
    pub tokens: usize,
    /// Where the encoded video came from: `computed`, `shared`, `memory` or `disk`.
    pub origin: Origin,
    /// What was wrong with the file, and what was read otherwise than it was named.
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Vec<FrameUse>>,
}

/// The protocol's word for an answer's end.
pub(crate) fn finish_reason(reason: Option<FinishReason>) -> &'static str {
    match reason {
        Some(FinishReason::Length) => "length",
        _ => "stop",
    }
}

/// What all pieces of an answer have.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub id: String,
    pub created: u64,
    pub model: String,
}

impl Head {
    pub fn new(model: &str) -> Self {
        let name: String = rand::rng().sample_iter(Alphanumeric).take(24).map(char::from).collect();
        Self { id: format!("chatcmpl-{name}"), created: unix_now(), model: model.to_owned() }
    }

    /// A piece; `usage` is there, and empty, in every piece of a stream that ends with it.
    pub fn chunk(&self, delta: Delta, finish_reason: Option<&'static str>, usage: bool) -> ChatCompletionChunk {
        let choice = ChunkChoice { index: 0, delta, finish_reason, logprobs: () };
        self.piece(vec![choice], usage.then_some(None))
    }

    /// The last piece of a stream, which has no answer but the numbers of tokens.
    pub fn usage(&self, usage: Usage) -> ChatCompletionChunk {
        self.piece(Vec::new(), Some(Some(usage)))
    }

    fn piece(&self, choices: Vec<ChunkChoice>, usage: Option<Option<Usage>>) -> ChatCompletionChunk {
        let Self { id, created, model } = self.clone();
        ChatCompletionChunk { id, object: "chat.completion.chunk", created, model, choices, usage, longvu: None }
    }

    pub fn whole(&self, answer: &Answer, longvu: Report) -> ChatCompletion {
        let Self { id, created, model } = self.clone();
        let message = AssistantMessage { role: "assistant", content: answer.text.clone(), refusal: () };
        let finish_reason = finish_reason(answer.finish_reason);
        let choices = [Choice { index: 0, message, finish_reason, logprobs: () }];
        let usage = Usage::of(answer);
        ChatCompletion { id, object: "chat.completion", created, model, choices, usage, longvu }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
