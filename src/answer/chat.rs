//! Several questions in a row about the same videos and images.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    Answer, AnswerStream, EncodedVideo, Error, ErrorKind, LongVu, PromptCache, Result,
    llm::{Conversation, GenerationConfig, Message},
};

/// A conversation whose earlier turns the model sees.
///
/// It owns what it needs, and is `Send`: it may stand in a struct beside its model, or be handed to another thread with
/// every question.
///
/// Of each prompt only what follows its longest common beginning with the last one goes through the language model.
/// Without a video that is the new question; with one, the visual tokens depend on the prompt's text, and everything
/// from the first that changed is pushed again.
pub struct Chat {
    model: LongVu,
    visuals: Vec<EncodedVideo>,
    config: GenerationConfig,
    state: Arc<Mutex<State>>,
}

/// What a stream gives back to its chat.
struct State {
    conversation: Conversation,
    cache: PromptCache,
    /// Counts questions and changes: a stream that was overtaken by one has nothing to add.
    version: u64,
}

impl LongVu {
    /// Starts a conversation about `visuals`.
    pub fn chat(&self, visuals: &[&EncodedVideo]) -> Chat {
        let (conversation, cache) = (Conversation::new(visuals.len()), PromptCache::default());
        Chat {
            model: self.clone(),
            visuals: visuals.iter().map(|&visual| visual.clone()).collect(),
            config: GenerationConfig::default(),
            state: Arc::new(Mutex::new(State { conversation, cache, version: 0 })),
        }
    }
}

impl Chat {
    /// Replaces the generation settings.
    #[must_use]
    pub fn with_config(mut self, config: GenerationConfig) -> Self {
        self.config = config;
        self
    }

    /// Replaces the generation settings of the questions that follow.
    pub fn set_config(&mut self, config: GenerationConfig) {
        self.config = config;
    }

    /// Sets the system prompt; an empty one leaves the system turn out.
    #[must_use]
    pub fn with_system(self, system: impl Into<String>) -> Self {
        {
            let mut state = self.change();
            state.conversation = state.conversation.clone().with_system(system);
        }
        self
    }

    /// Replaces the conversation so far: turns from elsewhere, or none.
    #[must_use]
    pub fn with_conversation(self, conversation: Conversation) -> Self {
        self.change().conversation = conversation;
        self
    }

    /// Replaces the handle that questions are asked through: one that is [watched](LongVu::watched), for example.
    pub fn set_model(&mut self, model: LongVu) {
        self.model = model;
    }

    /// Forgets all turns; the system prompt and the videos and images stay.
    ///
    /// A stream that is still open ends as it would, without adding its turn.
    pub fn reset(&mut self) {
        self.change().conversation.clear();
    }

    /// Asks the next question; the answer comes in pieces.
    ///
    /// The turn belongs to the conversation once the answer has ended. Until then, and for good if the stream fails or
    /// is dropped before, or another question is asked, the conversation is as it was. The stream is owned, as
    /// [`LongVu::stream`]'s is.
    ///
    /// # Errors
    /// As [`LongVu::stream`].
    pub fn stream(&mut self, question: &str) -> Result<ChatStream> {
        let (mut next, mut cache, version) = {
            let mut state = self.change();
            (state.conversation.clone(), std::mem::take(&mut state.cache), state.version)
        };
        next.push_user(question);
        let visuals: Vec<&EncodedVideo> = self.visuals.iter().collect();
        let stream = self.model.reply_from(&mut cache, &visuals, &next, &self.config).inspect_err(|_| {
            // A question that was refused has left the cache as it was.
            lock(&self.state).give_back(version, std::mem::take(&mut cache));
        })?;
        let (answer, chat) = (stream.answer().clone(), Arc::clone(&self.state));
        Ok(ChatStream { answer, stream: Some(stream), broken: None, at_work: false, next, chat, version })
    }

    /// Asks the next question; `on_piece` gets the answer's text as it comes.
    ///
    /// A question that fails leaves the conversation as it was.
    ///
    /// # Errors
    /// As [`LongVu::stream`].
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
    /// As [`LongVu::stream`].
    pub fn ask(&mut self, question: &str) -> Result<String> {
        Ok(self.ask_with(question, |_| {})?.text)
    }

    /// The conversation so far.
    pub fn conversation(&self) -> Conversation {
        lock(&self.state).conversation.clone()
    }

    /// The turns so far, without the system prompt.
    pub fn turns(&self) -> Vec<Message> {
        lock(&self.state).conversation.turns().to_vec()
    }

    /// The videos and images that it is about.
    pub fn visuals(&self) -> &[EncodedVideo] {
        &self.visuals
    }

    /// The model that it asks.
    pub fn model(&self) -> &LongVu {
        &self.model
    }

    /// The state, to be changed: open streams are overtaken.
    fn change(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        state.version += 1;
        state
    }
}

impl State {
    /// Takes a cache back, unless something else has begun since.
    fn give_back(&mut self, version: u64, cache: PromptCache) {
        if self.version == version {
            self.cache = cache;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer of a [`Chat`] as it is generated: an iterator of text pieces.
///
/// It is owned and `Send`; see [`Chat::stream`].
pub struct ChatStream {
    chat: Arc<Mutex<State>>,
    version: u64,
    /// Gone once the answer has ended.
    stream: Option<AnswerStream>,
    /// The answer once it has ended.
    answer: Answer,
    /// The kind of the error that it broke off with.
    broken: Option<ErrorKind>,
    /// Whether the language model is at work: it is no more when the stream is dropped, unless it panicked.
    at_work: bool,
    /// The conversation with this question.
    next: Conversation,
}

impl ChatStream {
    /// The answer so far, with what is known of the prompt.
    pub fn answer(&self) -> &Answer {
        self.stream.as_ref().map_or(&self.answer, AnswerStream::answer)
    }

    /// Generates the rest and returns the whole answer.
    ///
    /// # Errors
    /// As the iterator's items, and [`Error::AnswerBroken`] where one of them was an error.
    pub fn finish(mut self) -> Result<Answer> {
        for piece in self.by_ref() {
            piece?;
        }
        self.broken.map_or_else(|| Ok(self.answer.clone()), |kind| Err(Error::AnswerBroken { kind }))
    }

    /// Gives the chat its cache back and, for a whole answer, the turn.
    fn end(&mut self, whole: bool) {
        let Some(stream) = self.stream.take() else { return };
        self.answer = stream.answer().clone();
        let cache = stream.into_cache();
        let mut state = lock(&self.chat);
        if whole && state.version == self.version {
            self.next.push_assistant(self.answer.text.clone());
            state.conversation = self.next.clone();
        }
        state.give_back(self.version, cache);
    }
}

impl Iterator for ChatStream {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at_work {
            self.broken = Some(ErrorKind::Internal);
            return None;
        }
        let stream = self.stream.as_mut()?;
        self.at_work = true;
        let piece = stream.next();
        self.at_work = false;
        match &piece {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                self.broken = Some(error.kind());
                self.end(false);
            }
            None => self.end(true),
        }
        piece
    }
}

impl Drop for ChatStream {
    fn drop(&mut self) {
        // After a panic in the language model its cache may be half-written.
        if !self.at_work {
            self.end(false);
        }
    }
}
