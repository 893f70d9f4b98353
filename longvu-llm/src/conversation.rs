//! A conversation about images and videos, from turns to a prompt.

use crate::{
    ChatTemplate, DEFAULT_SYSTEM_PROMPT, Error, IMAGE_PLACEHOLDER, Message, PromptIds, Result, Role, Tokenizer,
    tokenize_prompt,
};

/// The turns so far, and how many images and videos they are about.
///
/// The first user turn begins with one `<image>` and a line end for each image or video, in their order; so does a later
/// one with those that it shows itself ([`Conversation::push_user_about`]). The texts of
/// users and the system prompt may contain neither `<image>` nor a special token of the model, for these would put the
/// video in the wrong place or end the turn early: they are refused. In earlier answers, which the model wrote, they
/// are broken up by a space instead. An empty question is allowed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    visuals: usize,
    system: String,
    turns: Vec<Message>,
    /// Images and videos that a turn shows beside those of the conversation: one number for each turn.
    shown: Vec<usize>,
}

impl Conversation {
    /// A conversation about this many images and videos (0 for text only) with [`DEFAULT_SYSTEM_PROMPT`].
    pub fn new(visuals: usize) -> Self {
        Self { visuals, system: DEFAULT_SYSTEM_PROMPT.into(), turns: Vec::new(), shown: Vec::new() }
    }

    /// Sets the system prompt; an empty one leaves the system turn out.
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = system.into();
        self
    }

    /// Forgets all turns; the system prompt stays.
    pub fn clear(&mut self) -> &mut Self {
        self.turns.clear();
        self.shown.clear();
        self
    }

    /// Adds a question.
    pub fn push_user(&mut self, question: impl Into<String>) -> &mut Self {
        self.push_user_about(0, question)
    }

    /// Adds a question that shows so many images and videos of its own: they stand in this turn, before its text, and
    /// follow all earlier ones in the order in which visuals are given.
    pub fn push_user_about(&mut self, visuals: usize, question: impl Into<String>) -> &mut Self {
        self.turns.push(Message::new(Role::User, question));
        self.shown.push(visuals);
        self
    }

    /// Adds the answer to the last question.
    pub fn push_assistant(&mut self, answer: impl Into<String>) -> &mut Self {
        self.turns.push(Message::new(Role::Assistant, answer));
        self.shown.push(0);
        self
    }

    /// The turns so far, without the system prompt and placeholders.
    pub fn turns(&self) -> &[Message] {
        &self.turns
    }

    /// The number of images and videos.
    pub fn num_visuals(&self) -> usize {
        self.visuals + self.shown.iter().sum::<usize>()
    }

    /// The prompt as text, ending where the next answer begins.
    ///
    /// # Errors
    /// [`Error::TurnOrder`] when user and assistant turns do not alternate from one question to another,
    /// [`Error::PlaceholderInText`] and [`Error::SpecialTokenInText`] for texts that may not stand in a prompt,
    /// [`Error::ChatTemplate`] and [`Error::PlaceholderCount`] when the template fails or loses a placeholder.
    pub fn prompt(&self, template: &ChatTemplate, tokenizer: &Tokenizer) -> Result<String> {
        let text = template.render(&self.messages(tokenizer)?)?;
        let found = text.matches(IMAGE_PLACEHOLDER).count();
        let expected = self.num_visuals();
        if found != expected {
            return Err(Error::PlaceholderCount { expected, found });
        }
        Ok(text)
    }

    /// The prompt as token ids.
    ///
    /// # Errors
    /// As [`Conversation::prompt`], and [`Error::Tokenize`] when the tokenizer fails.
    pub fn prompt_ids(&self, template: &ChatTemplate, tokenizer: &Tokenizer) -> Result<PromptIds> {
        tokenize_prompt(tokenizer, &self.prompt(template, tokenizer)?)
    }

    /// The checked messages that the template gets.
    fn messages(&self, tokenizer: &Tokenizer) -> Result<Vec<Message>> {
        self.check_order()?;
        let mut messages = Vec::with_capacity(self.turns.len() + 1);
        if !self.system.is_empty() {
            check_text(tokenizer, Role::System, &self.system)?;
            messages.push(Message::new(Role::System, &self.system));
        }
        for (index, turn) in self.turns.iter().enumerate() {
            let content = match turn.role {
                Role::Assistant => break_up_markers(tokenizer, &turn.content),
                role => {
                    check_text(tokenizer, role, &turn.content)?;
                    let first = if index == 0 { self.visuals } else { 0 };
                    let visuals = first + self.shown.get(index).copied().unwrap_or(0);
                    format!("{IMAGE_PLACEHOLDER}\n").repeat(visuals) + &turn.content
                }
            };
            messages.push(Message::new(turn.role, content));
        }
        Ok(messages)
    }

    fn check_order(&self) -> Result<()> {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        for (index, (turn, expected)) in self.turns.iter().zip(roles).enumerate() {
            if turn.role != expected {
                let problem = format!("turn {} is the {}'s", index + 1, turn.role);
                return Err(Error::TurnOrder { problem });
            }
        }
        match self.turns.last() {
            Some(turn) if turn.role == Role::User => Ok(()),
            Some(_) => Err(Error::TurnOrder { problem: "the last turn is an answer".into() }),
            None => Err(Error::TurnOrder { problem: "there is no turn yet".into() }),
        }
    }
}

/// Refuses a text that would change the prompt's structure.
fn check_text(tokenizer: &Tokenizer, role: Role, text: &str) -> Result<()> {
    if text.contains(IMAGE_PLACEHOLDER) {
        return Err(Error::PlaceholderInText { role });
    }
    match markers(tokenizer).find(|token| text.contains(token)) {
        Some(token) => Err(Error::SpecialTokenInText { role, token: token.into() }),
        None => Ok(()),
    }
}

/// Puts a space after the first character of each marker, so that it reads the same and is plain text to the tokenizer.
fn break_up_markers(tokenizer: &Tokenizer, text: &str) -> String {
    let mut text = text.to_owned();
    for marker in markers(tokenizer).chain([IMAGE_PLACEHOLDER]) {
        if text.contains(marker) {
            let first = marker.chars().next().map_or(0, char::len_utf8);
            let (head, tail) = marker.split_at(first);
            text = text.replace(marker, &format!("{head} {tail}"));
        }
    }
    text
}

/// The special tokens' texts.
fn markers(tokenizer: &Tokenizer) -> impl Iterator<Item = &str> {
    tokenizer.special_tokens().iter().map(String::as_str).filter(|token| !token.is_empty())
}
