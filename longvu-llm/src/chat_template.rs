//! How each model writes a conversation as one text.

use std::path::Path;

use crate::{JinjaTemplate, Limits, Message, Result, Role};

/// The layout of a prompt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ChatTemplate {
    /// Turns between `<|im_start|>` and `<|im_end|>`, as Qwen2 reads them.
    ChatMl,
    /// Turns with `<|start_header_id|>` and `<|eot_id|>`, as Llama 3 reads them.
    Llama3,
    /// The checkpoint's own template.
    Jinja(JinjaTemplate),
}

impl ChatTemplate {
    /// The template for a LongVU checkpoint built on Llama: the folder's own (`chat_template.jinja`, else
    /// `chat_template` in `tokenizer_config.json`), or [`ChatTemplate::Llama3`] where it has none. Checkpoints built on
    /// Qwen2 always take [`ChatTemplate::ChatMl`].
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) or [`Error::Json`](crate::Error::Json) when a file
    /// is unreadable or too large, [`Error::ChatTemplate`](crate::Error::ChatTemplate) when the
    /// template does not parse, or none of several is the default.
    pub fn for_llama(dir: impl AsRef<Path>) -> Result<Self> {
        Self::for_llama_with(dir, &Limits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// As [`ChatTemplate::for_llama`].
    pub fn for_llama_with(dir: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        Ok(JinjaTemplate::from_dir_with(dir, limits)?.map_or(Self::Llama3, Self::Jinja))
    }

    /// Writes the messages as one text that ends where the assistant's next answer begins. A
    /// begin token, where the model has one, comes once at the front.
    ///
    /// Contents go in as they are: [`Conversation`](crate::Conversation) is what keeps special tokens out of them.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`](crate::Error::ChatTemplate) when the checkpoint's template fails
    /// or refuses the messages.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        match self {
            Self::ChatMl => Ok(chat_ml(messages)),
            Self::Llama3 => Ok(llama3(messages)),
            Self::Jinja(template) => template.render(messages),
        }
    }
}

fn chat_ml(messages: &[Message]) -> String {
    let mut text = String::new();
    for Message { role, content } in messages {
        text.push_str(&format!("<|im_start|>{role}\n{content}<|im_end|>\n"));
    }
    text.push_str(&format!("<|im_start|>{}\n", Role::Assistant));
    text
}

fn llama3(messages: &[Message]) -> String {
    let header = |role: Role| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    let mut text = String::from("<|begin_of_text|>");
    for Message { role, content } in messages {
        text.push_str(&format!("{}{content}<|eot_id|>", header(*role)));
    }
    text.push_str(&header(Role::Assistant));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_turns() -> Vec<Message> {
        vec![Message::new(Role::User, "a?"), Message::new(Role::Assistant, "b"), Message::new(Role::User, "c?")]
    }

    #[test]
    fn chat_ml_writes_every_turn() {
        assert_eq!(
            ChatTemplate::ChatMl.render(&two_turns()).unwrap(),
            "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n\
             <|im_start|>user\nc?<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn llama3_writes_every_turn_after_one_begin_token() {
        assert_eq!(
            ChatTemplate::Llama3.render(&two_turns()).unwrap(),
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nb<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nc?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
    }

    #[test]
    fn a_folder_without_a_template_takes_the_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(ChatTemplate::for_llama(dir.path()), Ok(ChatTemplate::Llama3)));
    }
}
