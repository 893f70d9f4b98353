//! Refusing a question that no prompt can hold, before a video is looked at for it.

use crate::{
    Error, LongVu, Result,
    llm::{ChatTemplate, Conversation},
};

impl LongVu {
    /// Checks what can be told of a conversation without its images and videos: the order of its turns, texts that may not
    /// stand in a prompt, and whether there is room for them.
    ///
    /// For whoever would rather know before a video is encoded; asking checks all of it again.
    ///
    /// # Errors
    /// As [`LongVu::prompt_ids`], [`Error::EmptyQuestion`], and [`Error::PromptTooLong`].
    pub fn check_question(&self, conversation: &Conversation) -> Result<()> {
        if conversation.turns().last().is_none_or(|turn| turn.content.trim().is_empty()) {
            return Err(Error::EmptyQuestion);
        }
        // The template adds tokens of its own, but does not matter for what may stand in a text.
        conversation.prompt(&ChatTemplate::ChatMl, self.tokenizer())?;
        let (budget, mut tokens) = (self.budget(), 0);
        for turn in conversation.turns() {
            tokens += self.tokenizer().encode(&turn.content)?.len();
            if budget.room(tokens) == 0 {
                let (window, reserved) = (budget.max_len, budget.inference_max_length);
                return Err(Error::PromptTooLong { tokens, window, reserved });
            }
        }
        Ok(())
    }
}
