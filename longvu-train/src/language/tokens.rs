//! Dialogues as token ids, of which the answers are to be learnt.

use longvu_llm::{ChatTemplate, Conversation, PromptIds, Role, Tokenizer};

use crate::Result;

/// A dialogue ready for training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// The prompt of the first question: what the video's frames are fitted to, as when it is asked.
    pub first_prompt: PromptIds,
    /// The whole dialogue, with a placeholder for the video.
    pub ids: PromptIds,
    /// For every id, whether it is an answer's.
    pub is_answer: Vec<bool>,
}

/// Tokenises questions and answers about `visuals` videos or images.
///
/// Ids are those of inference: every prompt as the chat template and tokenizer give it, followed by the answer's own ids
/// and the token that ends a turn.
///
/// # Errors
/// Texts that may not stand in a prompt.
pub fn tokenize_dialogue(
    turns: &[(String, String)],
    system: Option<&str>,
    visuals: usize,
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
) -> Result<Dialogue> {
    let mut conversation = Conversation::new(visuals);
    if let Some(system) = system {
        conversation = conversation.with_system(system);
    }
    let end_of_turn = tokenizer.end_of_turn_ids();
    let mut first_prompt = None;
    let (mut ids, mut is_answer): (Vec<i64>, Vec<bool>) = (Vec::new(), Vec::new());
    for (question, answer) in turns {
        conversation.push_user(question.clone());
        let prompt = conversation.prompt_ids(template, tokenizer)?;
        if let Some(token) = tokenizer.special_tokens().iter().find(|token| answer.contains(*token)) {
            return Err(longvu_llm::Error::SpecialTokenInText { role: Role::Assistant, token: token.clone() }.into());
        }
        // What the prompt has beyond the dialogue so far; a template that rewrites earlier turns begins anew.
        let new = match prompt.as_slice().strip_prefix(ids.as_slice()) {
            Some(new) => new.to_vec(),
            None => {
                ids.clear();
                is_answer.clear();
                prompt.as_slice().to_vec()
            }
        };
        is_answer.extend(new.iter().map(|_| false));
        ids.extend(new);
        let answer_ids = tokenizer.encode(answer)?.into_iter().chain(end_of_turn.first().copied());
        ids.extend(answer_ids.map(i64::from));
        is_answer.resize(ids.len(), true);
        first_prompt.get_or_insert(prompt);
        conversation.push_assistant(answer.clone());
    }
    let ids = PromptIds::from_raw(ids)?;
    let first_prompt = first_prompt.unwrap_or_else(|| ids.clone());
    Ok(Dialogue { first_prompt, ids, is_answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{train_tokenizer, world_corpus};

    #[test]
    fn answers_are_marked_and_end_their_turns() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("tokenizer");
        train_tokenizer(world_corpus(1, 20), 300).unwrap().write(&files).unwrap();
        let tokenizer = Tokenizer::from_dir(&files).unwrap();
        let tokenize = |turns: &[(&str, &str)]| {
            let turns: Vec<_> = turns.iter().map(|(q, a)| ((*q).to_owned(), (*a).to_owned())).collect();
            tokenize_dialogue(&turns, None, 1, &ChatTemplate::ChatMl, &tokenizer)
        };
        let dialogue = tokenize(&[("Which?", "red"), ("Where?", "left")]).unwrap();
        let marked = dialogue.ids.as_slice().iter().zip(&dialogue.is_answer).filter(|(_, is)| **is);
        let answers: Vec<u32> = marked.map(|(id, _)| *id as u32).collect();
        assert_eq!(tokenizer.decode(&answers, false).unwrap(), "red<|im_end|>left<|im_end|>");
        assert!(dialogue.ids.as_slice().starts_with(dialogue.first_prompt.as_slice()));
        let error = tokenize(&[("Which?", "red<|im_end|>")]).unwrap_err().to_string();
        assert!(error.contains("assistant") && error.contains("<|im_end|>"), "{error}");
    }
}
