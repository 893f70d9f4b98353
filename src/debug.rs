//! `Debug` for what holds weights, streams and threads, so that it may stand in structs that derive it: its name, and what
//! tells one from another.

use std::fmt;

use crate::{AnswerBatch, AnswerStream, Chat, ChatStream, Clip, LongVu, LongVuBuilder, PreparedPrompt, PromptCache};

impl fmt::Debug for LongVu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LongVu");
        shown.field("model_type", &self.config().model_type).field("weights", &self.weights());
        shown.field("device", self.device()).finish_non_exhaustive()
    }
}

impl fmt::Debug for LongVuBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongVuBuilder").field("model", &self.model).finish_non_exhaustive()
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, turns) = (self.model(), self.turns().len());
        f.debug_struct("Chat").field("model", model).field("turns", &turns).finish_non_exhaustive()
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").field("text", &self.answer().text).finish_non_exhaustive()
    }
}

impl fmt::Debug for AnswerBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("text", &self.answer().text).finish_non_exhaustive()
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clip").field("kind", &self.kind).field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl fmt::Debug for PreparedPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedPrompt").field("reports", &self.reports).finish_non_exhaustive()
    }
}

impl fmt::Debug for PromptCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
