//! Messages: texts, videos and images.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api_error::ApiError;

/// Parts of all messages together.
const MAX_PARTS: usize = 256;

/// Messages of a request.
const MAX_MESSAGES: usize = 1024;

/// Fields of a video or image: where it is, and what changes nothing.
const MEDIA_KEYS: &[&str] =
    &["url", "file_id", "file_data", "data", "filename", "format", "mime_type", "detail", "uuid"];

/// Videos and images of a request.
const MAX_VISUALS: usize = 64;

/// A message as it comes.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(crate) struct Message {
    /// `system`, `developer`, `user` or `assistant`.
    pub role: String,
    /// A text, or a list of parts: `text`, `video_url`, `image_url`, `file`, `input_video`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub content: Value,
    #[serde(default)]
    #[schema(ignore)]
    tool_calls: Value,
    #[serde(default)]
    #[schema(ignore)]
    function_call: Value,
    #[serde(default)]
    #[schema(ignore)]
    audio: Value,
}

/// What a part is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaKind {
    Video,
    Image,
    /// Whichever of the two it is.
    File,
}

/// A video or image that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub kind: MediaKind,
    /// A `data:` URL, the id of an upload, another URL, or a path.
    pub url: String,
    /// Where it stands in the request.
    pub param: String,
}

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub is_user: bool,
    pub text: String,
    /// Videos and images that the turn shows, before its text.
    pub visuals: usize,
    /// Where it stands in the request.
    pub param: String,
}

/// All messages, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dialogue {
    /// What `system` and `developer` messages say.
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    pub visuals: Vec<Reference>,
}

impl Dialogue {
    /// Reads messages.
    ///
    /// # Errors
    /// 400 for parts that there are not, 422 for messages in an order that makes no conversation; both name the field.
    pub fn read(messages: &[Message]) -> Result<Self, ApiError> {
        if messages.len() > MAX_MESSAGES {
            let message = format!("there are more than {MAX_MESSAGES} messages");
            return Err(ApiError::too_large(message).param("messages"));
        }
        let mut dialogue = Self::default();
        let mut parts = 0;
        for (index, message) in messages.iter().enumerate() {
            let param = format!("messages[{index}]");
            refuse_calls(message, &param)?;
            let read = Content::read(&message.content, &param, &mut parts)?;
            match message.role.as_str() {
                "system" | "developer" => dialogue.push_system(read, &param)?,
                "user" => dialogue.push_user(read, param)?,
                "assistant" => dialogue.push_assistant(read, param)?,
                _ => {
                    let message = "there are no messages of this role: use system, user and assistant";
                    return Err(ApiError::bad_request(message).param(format!("{param}.role")));
                }
            }
        }
        match dialogue.turns.last() {
            Some(turn) if turn.is_user => Ok(dialogue),
            Some(turn) => Err(ApiError::unprocessable("the last message must be the user's").param(&turn.param)),
            None => Err(ApiError::unprocessable("there is no message of a user").param("messages")),
        }
    }

    fn push_system(&mut self, content: Content, param: &str) -> Result<(), ApiError> {
        if !self.turns.is_empty() {
            let message = "system messages must come before all others";
            return Err(ApiError::unprocessable(message).param(param));
        }
        content.refuse_visuals("a system message")?;
        match &mut self.system {
            None => self.system = Some(content.text),
            Some(system) => *system = format!("{system}\n\n{}", content.text),
        }
        Ok(())
    }

    fn push_user(&mut self, content: Content, param: String) -> Result<(), ApiError> {
        if self.turns.last().is_some_and(|turn| turn.is_user) {
            let message = "two user messages follow each other; join them, or put the answer between them";
            return Err(ApiError::unprocessable(message).param(param));
        }
        let visuals = content.visuals.len();
        if self.visuals.len() + visuals > MAX_VISUALS {
            let message = format!("there are more than {MAX_VISUALS} videos and images");
            return Err(ApiError::too_large(message).param(param));
        }
        self.visuals.extend(content.visuals);
        self.turns.push(Turn { is_user: true, text: content.text, visuals, param });
        Ok(())
    }

    fn push_assistant(&mut self, content: Content, param: String) -> Result<(), ApiError> {
        if self.turns.last().is_none_or(|turn| !turn.is_user) {
            return Err(ApiError::unprocessable("an answer must follow a user message").param(param));
        }
        content.refuse_visuals("an answer")?;
        self.turns.push(Turn { is_user: false, text: content.text, visuals: 0, param });
        Ok(())
    }
}

fn refuse_calls(message: &Message, param: &str) -> Result<(), ApiError> {
    let given = |value: &Value| !value.is_null() && *value != Value::Array(Vec::new());
    let calls =
        [("tool_calls", &message.tool_calls), ("function_call", &message.function_call), ("audio", &message.audio)];
    match calls.into_iter().find(|(_, value)| given(value)) {
        Some((name, _)) => {
            let error = ApiError::bad_request(format!("`{name}` is not supported by this server; leave it out"));
            Err(error.param(format!("{param}.{name}")).code("unsupported_parameter"))
        }
        None => Ok(()),
    }
}

/// A message's content, read.
#[derive(Debug, Default)]
struct Content {
    text: String,
    visuals: Vec<Reference>,
}

impl Content {
    fn read(content: &Value, param: &str, parts: &mut usize) -> Result<Self, ApiError> {
        let param = format!("{param}.content");
        match content {
            Value::String(text) => Ok(Self { text: text.clone(), visuals: Vec::new() }),
            Value::Null => Ok(Self::default()),
            Value::Array(list) => {
                *parts += list.len();
                if *parts > MAX_PARTS {
                    let message = format!("the messages have more than {MAX_PARTS} parts");
                    return Err(ApiError::too_large(message).param(param));
                }
                let mut content = Self::default();
                for (index, part) in list.iter().enumerate() {
                    content.push(part, format!("{param}[{index}]"))?;
                }
                Ok(content)
            }
            _ => Err(ApiError::bad_request("`content` must be a text or a list of parts").param(param)),
        }
    }

    fn push(&mut self, part: &Value, param: String) -> Result<(), ApiError> {
        let kind = part.get("type").and_then(Value::as_str);
        // vLLM also takes a part without a type, by the name of its only field.
        let named =
            ["text", "video_url", "image_url", "file", "input_video"].into_iter().find(|name| part.get(name).is_some());
        match kind.or(named) {
            Some("text") => match part.get("text").and_then(Value::as_str) {
                Some(text) => {
                    if !self.text.is_empty() {
                        self.text.push('\n');
                    }
                    self.text.push_str(text);
                    Ok(())
                }
                None => Err(ApiError::bad_request("`text` must be a text").param(format!("{param}.text"))),
            },
            Some(name @ ("video_url" | "input_video")) => self.push_media(part, name, MediaKind::Video, &param),
            Some(name @ "image_url") => self.push_media(part, name, MediaKind::Image, &param),
            Some(name @ "file") => self.push_media(part, name, MediaKind::File, &param),
            Some(_) => {
                let message = "there are no parts of this type: use text, video_url, image_url, file or input_video";
                Err(ApiError::bad_request(message).param(format!("{param}.type")))
            }
            None => Err(ApiError::bad_request("a part must have a `type`").param(format!("{param}.type"))),
        }
    }

    fn push_media(&mut self, part: &Value, name: &str, kind: MediaKind, param: &str) -> Result<(), ApiError> {
        let value = part.get(name).unwrap_or(&Value::Null);
        let unknown = |key: &&String| !MEDIA_KEYS.contains(&key.as_str());
        if let Some(key) = value.as_object().and_then(|fields| fields.keys().find(unknown)) {
            let message = "a video or image has no such field here; `media_io_kwargs` says how frames are taken";
            let key: String = key.chars().take(64).collect();
            return Err(ApiError::bad_request(message).param(format!("{param}.{name}.{key}")));
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let (url, raw, field) = match value.as_str() {
            Some(url) => (Some(url), name == "input_video" && is_base64(url), format!("{param}.{name}")),
            None => match (text("url"), text("file_id"), text("file_data").or_else(|| text("data"))) {
                (Some(url), ..) => (Some(url), false, format!("{param}.{name}.url")),
                (None, Some(id), _) => (Some(id), false, format!("{param}.{name}.file_id")),
                (None, None, data) => (data, data.is_some_and(|data| !is_named(data)), format!("{param}.{name}.data")),
            },
        };
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            let field = if name == "file" { "file_id" } else { "url" };
            let message = format!("`{name}` must have a `{field}`");
            return Err(ApiError::bad_request(message).param(format!("{param}.{name}.{field}")));
        };
        // llama.cpp's form has the file itself in base64, without a word before it.
        let url = if raw { format!("data:;base64,{url}") } else { url.to_owned() };
        self.visuals.push(Reference { kind, url, param: field });
        Ok(())
    }

    fn refuse_visuals(&self, place: &str) -> Result<(), ApiError> {
        match self.visuals.first() {
            Some(visual) => {
                let message = format!("{place} cannot show a video or image; put it into a user message");
                Err(ApiError::bad_request(message).param(&visual.param))
            }
            None => Ok(()),
        }
    }
}

/// Whether a text names a file in place of being one.
fn is_named(text: &str) -> bool {
    ["data:", "http:", "https:", "file-"].iter().any(|start| text.starts_with(start))
}

/// Whether a text can only be a file in base64: ids and most paths are shorter, URLs have a colon.
fn is_base64(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    text.len() > 256 && text.bytes().all(alphabet)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(messages: Value) -> Result<Dialogue, ApiError> {
        Dialogue::read(&serde_json::from_value::<Vec<Message>>(messages).unwrap())
    }

    #[test]
    fn every_form_of_a_video_is_read() {
        let raw = "AAAA".repeat(100);
        for (part, url, kind) in [
            (json!({"type": "video_url", "video_url": {"url": "file-abc"}}), "file-abc", MediaKind::Video),
            (
                json!({"type": "video_url", "video_url": "data:video/mp4;base64,AAAA"}),
                "data:video/mp4;base64,AAAA",
                MediaKind::Video,
            ),
            (json!({"video_url": {"url": "https://a/b.mp4"}}), "https://a/b.mp4", MediaKind::Video),
            (json!({"type": "input_video", "input_video": {"data": "AAAA"}}), "data:;base64,AAAA", MediaKind::Video),
            (json!({"type": "input_video", "input_video": raw}), &format!("data:;base64,{raw}"), MediaKind::Video),
            (json!({"type": "input_video", "input_video": {"url": "file-abc"}}), "file-abc", MediaKind::Video),
            (json!({"type": "file", "file": {"file_id": "file-abc"}}), "file-abc", MediaKind::File),
            (
                json!({"type": "file", "file": {"filename": "a.mp4", "file_data": "data:video/mp4;base64,AAAA"}}),
                "data:video/mp4;base64,AAAA",
                MediaKind::File,
            ),
            (
                json!({"type": "image_url", "image_url": {"url": "file-abc", "detail": "auto"}}),
                "file-abc",
                MediaKind::Image,
            ),
        ] {
            let dialogue =
                read(json!([{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}])).unwrap();
            let visual = &dialogue.visuals[0];
            assert_eq!((visual.url.as_str(), visual.kind), (url, kind));
            assert_eq!((dialogue.turns[0].visuals, dialogue.turns[0].text.as_str()), (1, "What?"));
        }
    }

    #[test]
    fn turns_and_system_messages_are_read() {
        let dialogue = read(json!([
            {"role": "system", "content": "Be brief."}, {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}, {"role": "user", "content": "Two?"},
        ]));
        let dialogue = dialogue.unwrap();
        assert_eq!(dialogue.system.as_deref(), Some("Be brief.\n\nBe kind."));
        assert_eq!(dialogue.turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>(), ["One?", "1", "Two?"]);
    }

    #[test]
    fn faults_are_named() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let picture = json!({"type": "image_url", "image_url": {"url": "file-abc"}});
        for (messages, status, param) in [
            (json!([]), 422, "messages"),
            (json!([{"role": "user", "content": 7}]), 400, "messages[0].content"),
            (json!([{"role": "robot", "content": "x"}]), 400, "messages[0].role"),
            (
                json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
                400,
                "messages[0].content[0].type",
            ),
            (
                json!([{"role": "user", "content": [text("x"), {"type": "video_url", "video_url": {}}]}]),
                400,
                "messages[0].content[1].video_url.url",
            ),
            (json!([{"role": "system", "content": [picture.clone()]}]), 400, "messages[0].content[0].image_url.url"),
            (json!([{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]), 422, "messages[1]"),
            (json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]), 422, "messages[1]"),
            (json!([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]), 422, "messages[1]"),
            (json!([{"role": "user", "content": vec![text("x"); 1000]}]), 413, "messages[0].content"),
            (json!([{"role": "user", "content": vec![picture; 65]}]), 413, "messages[0]"),
            (json!([{"role": "assistant", "content": null, "tool_calls": [{}]}]), 400, "messages[0].tool_calls"),
        ] {
            let error = read(messages.clone()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (status, Some(param)), "{messages}");
        }
    }
}
