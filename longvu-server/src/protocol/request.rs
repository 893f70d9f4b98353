//! A request for an answer, read and checked as far as that goes without a model.

use longvu::{GenerationConfig, Preset, Sampling, VideoOptions};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    api_error::ApiError,
    protocol::{
        content::{Dialogue, Message},
        extension::{Extension, MediaIo},
        fields,
    },
};

/// What `POST /v1/chat/completions` takes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct ChatCompletionRequest {
    /// The model, as `/v1/models` names it.
    #[serde(default)]
    pub model: Option<String>,
    pub messages: Vec<Message>,
    /// Most tokens of the answer; 128 unless set.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// The same under its newer name, which goes first.
    #[serde(default)]
    pub max_completion_tokens: Option<usize>,
    /// 0 unless set: the likeliest token each time.
    #[serde(default)]
    pub temperature: Option<f32>,
    #[serde(default)]
    pub top_p: Option<f32>,
    #[serde(default)]
    pub top_k: Option<i64>,
    #[serde(default)]
    pub repetition_penalty: Option<f32>,
    #[serde(default)]
    pub seed: Option<i64>,
    /// A text, or a list of up to 16.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// 1: one answer.
    #[serde(default)]
    pub n: Option<u64>,
    #[serde(default)]
    pub stream: Option<bool>,
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    #[serde(default)]
    pub media_io_kwargs: Option<MediaIo>,
    #[serde(default)]
    pub longvu: Option<Extension>,
}

/// One text or several.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Stop {
    One(String),
    Several(Vec<String>),
}

/// What a stream tells beside the answer.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk has the numbers of tokens.
    #[serde(default)]
    pub include_usage: bool,
}

/// A request that can be worked at.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub model: Option<String>,
    pub dialogue: Dialogue,
    pub generation: GenerationConfig,
    pub video: VideoOptions,
    pub extension: Extension,
    pub stream: bool,
    pub include_usage: bool,
    /// Fields that nobody here knows.
    pub ignored: Vec<String>,
}

/// Texts of `stop`.
const MAX_STOPS: usize = 16;

/// Values in a request's JSON: each takes some hundred bytes beside its text while it is read.
const MAX_VALUES: usize = 200_000;

impl Request {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400 for what is no such request and for fields that are refused, 422 for values that make no sense.
    pub fn read(body: &[u8], preset: Preset) -> Result<Self, ApiError> {
        let values = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        if values > MAX_VALUES {
            return Err(ApiError::too_large(format!("the body has more than {MAX_VALUES} commas and brackets")));
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
        let fields = value.as_object().ok_or_else(|| ApiError::bad_request("the body must be a JSON object"))?;
        let ignored = fields::check(fields)?;
        let request: ChatCompletionRequest = serde_path_to_error::deserialize(value).map_err(|error| {
            let param = error.path().to_string();
            let inner = plain(&error.inner().to_string());
            if param != "." {
                return ApiError::bad_request(format!("`{param}`: {inner}")).param(param);
            }
            // What is missing has no place of its own.
            let missing = inner.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            let param = missing.map(str::to_owned);
            ApiError { param, ..ApiError::bad_request(inner) }
        })?;
        request.check(ignored, preset)
    }
}

impl ChatCompletionRequest {
    fn check(self, ignored: Vec<String>, default: Preset) -> Result<Request, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::unprocessable("`n` must be 1: there is one answer to a request").param("n"));
        }
        let dialogue = Dialogue::read(&self.messages)?;
        let generation = self.generation()?;
        let extension = self.longvu.unwrap_or_default();
        let preset = extension.preset()?.unwrap_or(default);
        let video = video(self.media_io_kwargs.unwrap_or_default(), &extension, preset)?;
        Ok(Request {
            model: self.model,
            dialogue,
            generation,
            video,
            extension,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.unwrap_or_default().include_usage,
            ignored,
        })
    }

    fn generation(&self) -> Result<GenerationConfig, ApiError> {
        let mut config = GenerationConfig::default()
            .with_temperature(self.temperature)
            .with_top_p(self.top_p)
            // Random numbers start from any 64 bits.
            .with_seed(self.seed.map(i64::cast_unsigned));
        let tokens = self.max_completion_tokens.map(|tokens| ("max_completion_tokens", tokens));
        let tokens = tokens.or(self.max_tokens.map(|tokens| ("max_tokens", tokens)));
        if let Some((_, tokens)) = tokens {
            config = config.with_max_new_tokens(tokens);
        }
        if let Some(top_k) = self.top_k {
            // vLLM writes -1 for all.
            config = config.with_top_k(usize::try_from(top_k).unwrap_or(0));
        }
        if let Some(penalty) = self.repetition_penalty {
            config = config.with_repetition_penalty(penalty);
        }
        let stops = match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Several(texts)) if texts.len() > MAX_STOPS => {
                let message = format!("`stop` may have {MAX_STOPS} texts");
                return Err(ApiError::unprocessable(message).param("stop"));
            }
            Some(Stop::Several(texts)) => texts.clone(),
        };
        config = config.with_stop_strings(stops);
        config.validate().map_err(|error| {
            let tokens = tokens.map_or("max_tokens", |(name, _)| name);
            let names = [
                ("max_new_tokens", tokens),
                ("stop_strings", "stop"),
                ("temperature", "temperature"),
                ("top_p", "top_p"),
                ("top_k", "top_k"),
                ("repetition_penalty", "repetition_penalty"),
            ];
            let text = error.to_string();
            match names.into_iter().find(|(name, _)| text.contains(name)) {
                Some((ours, theirs)) => ApiError::unprocessable(text.replace(ours, theirs)).param(theirs),
                None => ApiError::unprocessable(text),
            }
        })?;
        Ok(config)
    }
}

/// Which frames are looked at.
fn video(media: MediaIo, extension: &Extension, preset: Preset) -> Result<VideoOptions, ApiError> {
    let bad = |message: &'static str, param: &str| Err(ApiError::unprocessable(message).param(param));
    let fps = media.video.fps.filter(|fps| *fps > 0.0);
    if media.video.fps.is_some_and(|fps| !fps.is_finite()) {
        return bad("`fps` must be a number", "media_io_kwargs.video.fps");
    }
    let count = match media.video.num_frames {
        Some(count) if count == 0 || count < -1 => {
            return bad("`num_frames` must be at least 1, or -1 for all", "media_io_kwargs.video.num_frames");
        }
        Some(count) => usize::try_from(count).ok(),
        None => None,
    };
    let sampling = match (fps, count, media.video.num_frames) {
        (Some(fps), ..) => Sampling::Fps(fps),
        (None, Some(count), _) => Sampling::Uniform(count),
        (None, None, Some(_)) => Sampling::Every(1),
        (None, None, None) => Sampling::Fps(preset.sample_fps()),
    };
    let mut options = VideoOptions::default().with_sampling(sampling);
    (options.start, options.end) = (extension.start, extension.end);
    options.max_frames = fps.and(count);
    match options.validate() {
        Ok(()) => Ok(options),
        Err(error) => {
            let text = error.to_string();
            let param = if text.contains("start") {
                "longvu.start"
            } else if text.contains("end") {
                "longvu.end"
            } else {
                "media_io_kwargs.video"
            };
            Err(ApiError::unprocessable(text).param(param))
        }
    }
}

/// What serde expects, in words of JSON.
fn plain(text: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("expected a boolean", "expected true or false"),
        ("expected struct Extension", "expected an object"),
        ("expected struct MediaIo", "expected an object"),
        ("expected struct VideoIo", "expected an object"),
        ("expected struct StreamOptions", "expected an object"),
        ("expected struct Message", "expected an object"),
        ("data did not match any variant of untagged enum Stop", "expected a text or a list of texts"),
    ];
    WORDS.iter().fold(text.to_owned(), |text, (serde, words)| text.replace(serde, words))
}
