//! Several questions in a row about the same videos and images.

use std::thread;

use crate::{
    Answer, AnswerStream, EncodedVideo, LongVu, PromptCache, Result,
    llm::{Conversation, GenerationConfig},
};

/// A conversation whose earlier turns the model sees.
///
/// Of each prompt only what follows its longest common beginning with the last one goes through the language model.
/// Without a video that is the new question; with one, the visual tokens depend on the prompt's text, and everything
/// from the first that changed is pushed again.
pub struct Chat<'a> {
    model: &'a LongVu,
    visuals: Vec<&'a EncodedVideo>,
    conversation: Conversation,
    config: GenerationConfig,
    cache: PromptCache,
}

impl LongVu {
    /// Starts a conversation about `visuals`.
    pub fn chat<'a>(&'a self, visuals: &[&'a EncodedVideo]) -> Chat<'a> {
        Chat {
            model: self,
            visuals: visuals.to_vec(),
            conversation: Conversation::new(visuals.len()),
            config: self.generation_config(),
            cache: PromptCache::default(),
        }
    }
}

impl<'a> Chat<'a> {
    /// Replaces the generation settings.
    #[must_use]
    pub fn with_config(mut self, config: GenerationConfig) -> Self {
        self.config = config;
        self
    }

    /// Replaces the conversation so far: another system prompt, turns from elsewhere, or none.
    #[must_use]
    pub fn with_conversation(mut self, conversation: Conversation) -> Self {
        self.conversation = conversation;
        self
    }

    /// Asks the next question; the answer comes in pieces.
    ///
    /// The turn belongs to the conversation once the answer has ended. Until then, and for good if the stream fails or
    /// is dropped before, the conversation is as it was.
    ///
    /// # Errors
    /// As [`LongVu::ask`].
    pub fn stream(&mut self, question: &str) -> Result<ChatStream<'_, 'a>> {
        let mut next = self.conversation.clone();
        next.push_user(question);
        let stream = self.model.reply_from(&mut self.cache, &self.visuals, &next, &self.config)?;
        Ok(ChatStream { answer: stream.answer().clone(), stream: Some(stream), next, chat: self })
    }

    /// Asks the next question; `on_piece` gets the answer's text as it comes.
    ///
    /// A question that fails leaves the conversation as it was.
    ///
    /// # Errors
    /// As [`LongVu::ask`].
    pub fn ask_with(&mut self, question: &str, mut on_piece: impl FnMut(&str)) -> Result<Answer> {
        let mut stream = self.stream(question)?;
        for piece in stream.by_ref() {
            on_piece(&piece?);
        }
        stream.finish()
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

/// An answer of a [`Chat`] as it is generated: an iterator of text pieces.
pub struct ChatStream<'c, 'a> {
    chat: &'c mut Chat<'a>,
    /// Gone once the answer has ended.
    stream: Option<AnswerStream<'a>>,
    /// The answer once it has ended.
    answer: Answer,
    /// The conversation with this question.
    next: Conversation,
}

impl ChatStream<'_, '_> {
    /// The answer so far, with what is known of the prompt.
    pub fn answer(&self) -> &Answer {
        self.stream.as_ref().map_or(&self.answer, AnswerStream::answer)
    }

    /// Generates the rest and returns the whole answer.
    ///
    /// # Errors
    /// As the iterator's items.
    pub fn finish(mut self) -> Result<Answer> {
        for piece in self.by_ref() {
            piece?;
        }
        Ok(self.answer.clone())
    }

    /// Gives the chat its cache back and, for a whole answer, the turn.
    fn end(&mut self, whole: bool) {
        let Some(stream) = self.stream.take() else { return };
        self.answer = stream.answer().clone();
        self.chat.cache = stream.into_cache();
        if whole {
            self.next.push_assistant(self.answer.text.clone());
            self.chat.conversation = self.next.clone();
        }
    }
}

impl Iterator for ChatStream<'_, '_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.stream.as_mut()?.next();
        match &piece {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.end(false),
            None => self.end(true),
        }
        piece
    }
}

impl Drop for ChatStream<'_, '_> {
    fn drop(&mut self) {
        // After a panic in the language model its cache may be half-written.
        if !thread::panicking() {
            self.end(false);
        }
    }
}
