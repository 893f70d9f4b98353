//! Prompts as token ids with places for images and videos.

use crate::{Error, Result, Tokenizer};

/// The text that marks the place of an image or video in a prompt.
pub const IMAGE_PLACEHOLDER: &str = "<image>";

/// The id that marks the place of an image or video among token ids. It is in no vocabulary.
pub const IMAGE_TOKEN_INDEX: i64 = -200;

/// The system prompt that LongVU was trained with.
pub const DEFAULT_SYSTEM_PROMPT: &str = "You are a helpful assistant.";

/// A prompt's token ids, with [`IMAGE_TOKEN_INDEX`] where an image or video goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptIds(Vec<i64>);

impl PromptIds {
    /// Takes ids as they are.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] when one is neither a token id nor [`IMAGE_TOKEN_INDEX`].
    pub fn from_raw(ids: Vec<i64>) -> Result<Self> {
        match ids.iter().find(|&&id| id != IMAGE_TOKEN_INDEX && u32::try_from(id).is_err()) {
            Some(id) => Err(Error::InvalidSetting {
                name: "a prompt id",
                value: id.to_string(),
                expected: "a token id from 0 on, or -200 for an image or video",
            }),
            None => Ok(Self(ids)),
        }
    }

    /// Refuses ids that an embedding of `rows` has no row for, and a prompt without ids.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the first such id.
    pub fn check_embedding(&self, rows: usize) -> Result<()> {
        if self.0.is_empty() {
            let (name, value, expected) = ("the prompt's length in tokens", "0".into(), "at least 1");
            return Err(Error::InvalidSetting { name, value, expected });
        }
        let beyond = |id: &&i64| usize::try_from(**id).is_ok_and(|id| id >= rows);
        match self.0.iter().find(beyond) {
            Some(id) => Err(Error::InvalidSetting {
                name: "a prompt id",
                value: format!("{id} with an embedding of {rows} rows"),
                expected: "the id of a token that the language model has",
            }),
            None => Ok(()),
        }
    }

    /// The ids, placeholders included.
    pub fn as_slice(&self) -> &[i64] {
        &self.0
    }

    /// The length in tokens with each placeholder counted as one. Where the prompt is padded with
    /// `pad_id` (LongVU takes 151643 for Qwen, 128002 for Llama), the place of the first pad.
    pub fn text_len(&self, pad_id: Option<u32>) -> usize {
        let first_pad = pad_id.and_then(|pad| self.0.iter().position(|&id| id == i64::from(pad)));
        first_pad.unwrap_or(self.0.len())
    }

    /// The number of places for images and videos.
    pub fn num_placeholders(&self) -> usize {
        self.0.iter().filter(|&&id| id == IMAGE_TOKEN_INDEX).count()
    }

    /// The token ids without the placeholders.
    pub fn text_ids_without_placeholders(&self) -> Vec<u32> {
        text_ids(&self.0)
    }

    /// The token ids after the first placeholder, later placeholders left out; empty when there is none.
    pub fn ids_after_first_placeholder(&self) -> Vec<u32> {
        let first = self.0.iter().position(|&id| id == IMAGE_TOKEN_INDEX);
        first.map_or_else(Vec::new, |first| text_ids(&self.0[first + 1..]))
    }

    /// The token ids between the placeholders: one piece more than there are placeholders, some possibly empty.
    pub fn text_segments(&self) -> Vec<Vec<u32>> {
        self.0.split(|&id| id == IMAGE_TOKEN_INDEX).map(text_ids).collect()
    }
}

/// The ids that are tokens.
fn text_ids(ids: &[i64]) -> Vec<u32> {
    ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect()
}

/// Tokenises a prompt as LongVU does: the text is split at `<image>`, each piece is tokenised on
/// its own and [`IMAGE_TOKEN_INDEX`] put between the pieces. No begin token is added: the prompt's
/// text has its own where the model wants one.
///
/// # Errors
/// [`Error::Tokenize`] when the tokenizer fails.
pub fn tokenize_prompt(tokenizer: &Tokenizer, text: &str) -> Result<PromptIds> {
    let mut ids = Vec::new();
    for (index, piece) in text.split(IMAGE_PLACEHOLDER).enumerate() {
        if index > 0 {
            ids.push(IMAGE_TOKEN_INDEX);
        }
        ids.extend(tokenizer.encode(piece)?.into_iter().map(i64::from));
    }
    Ok(PromptIds(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_a_placeholder_once_and_stop_at_padding() {
        let ids = PromptIds::from_raw(vec![5, -200, 6, 7, -200, 8, 9, 9]).unwrap();
        assert_eq!(ids.text_len(None), 8);
        assert_eq!(ids.text_len(Some(9)), 6);
        assert_eq!(ids.text_len(Some(4)), 8);
        assert_eq!(ids.num_placeholders(), 2);
        assert_eq!(ids.text_ids_without_placeholders(), [5, 6, 7, 8, 9, 9]);
        assert_eq!(ids.ids_after_first_placeholder(), [6, 7, 8, 9, 9]);
        assert_eq!(ids.text_segments(), [vec![5], vec![6, 7], vec![8, 9, 9]]);
    }

    #[test]
    fn without_a_placeholder_nothing_comes_after_it() {
        let ids = PromptIds::from_raw(vec![1, 2]).unwrap();
        assert!(ids.ids_after_first_placeholder().is_empty());
        assert_eq!(ids.text_segments(), [vec![1, 2]]);
    }

    #[test]
    fn ids_without_a_row_are_refused() {
        let ids = PromptIds::from_raw(vec![1, -200, 7]).unwrap();
        ids.check_embedding(8).unwrap();
        assert!(PromptIds::from_raw(Vec::new()).unwrap().check_embedding(8).is_err());
        let message = ids.check_embedding(7).unwrap_err().to_string();
        assert!(message.contains("7 with an embedding of 7 rows"), "{message}");
    }

    #[test]
    fn other_negative_ids_are_refused() {
        let message = PromptIds::from_raw(vec![1, -1]).unwrap_err().to_string();
        assert!(message.contains("-1"), "{message}");
    }
}
