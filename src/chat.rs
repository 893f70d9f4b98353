//! Several questions in a row about the same videos and images.

use crate::{
    Answer, EncodedVideo, LongVu, Result,
    llm::{Conversation, GenerationConfig},
};

/// A conversation whose earlier turns the model sees.
pub struct Chat<'a> {
    model: &'a LongVu,
    visuals: Vec<&'a EncodedVideo>,
    conversation: Conversation,
    config: GenerationConfig,
}

impl LongVu {
    /// Starts a conversation about `visuals`.
    pub fn chat<'a>(&'a self, visuals: &[&'a EncodedVideo]) -> Chat<'a> {
        Chat {
            model: self,
            visuals: visuals.to_vec(),
            conversation: Conversation::new(visuals.len()),
            config: self.generation_config(),
        }
    }
}

impl Chat<'_> {
    /// Replaces the generation settings.
    #[must_use]
    pub fn with_config(mut self, config: GenerationConfig) -> Self {
        self.config = config;
        self
    }

    /// Asks the next question; `on_piece` gets the answer's text as it comes.
    ///
    /// A question that fails leaves the conversation as it was.
    ///
    /// # Errors
    /// As [`LongVu::ask`].
    pub fn ask_with(&mut self, question: &str, mut on_piece: impl FnMut(&str)) -> Result<Answer> {
        let mut next = self.conversation.clone();
        next.push_user(question);
        let mut stream = self.model.reply(&self.visuals, &next, &self.config)?;
        for piece in stream.by_ref() {
            on_piece(&piece?);
        }
        let answer = stream.finish()?;
        next.push_assistant(answer.text.clone());
        self.conversation = next;
        Ok(answer)
    }

    /// Asks the next question.
    ///
    /// # Errors
    /// As [`LongVu::ask`].
    pub fn ask(&mut self, question: &str) -> Result<String> {
        Ok(self.ask_with(question, |_| {})?.text)
    }

    /// The turns so far.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }
}
