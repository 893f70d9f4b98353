//! Token ids to text, one id at a time.

use crate::{Tokenizer, stop_strings::StopStrings};

/// Turns an answer's ids into pieces of text as they are generated.
///
/// A piece never ends inside a character, and all pieces together are what [`Tokenizer::decode`] with special tokens
/// skipped gives for all ids. The work for an id does not grow with the length of the answer.
///
/// With stop strings, the text ends before the first of them: what may be the start of one is
/// held back until the next ids decide, and [`TextStream::is_stopped`] tells when it came.
#[derive(Debug, Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// The bytes of a character whose other bytes are still to come: at most three.
    unfinished: Vec<u8>,
    stops: StopStrings,
}

impl TextStream {
    /// A stream that ends at any of the stop strings. Empty stop strings are ignored.
    pub fn new(tokenizer: &Tokenizer, stop_strings: &[String]) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            unfinished: Vec::new(),
            stops: StopStrings::new(stop_strings.iter().cloned()),
        }
    }

    /// Adds one id; returns the text that is now certain, `None` when there is none yet or the stream has stopped.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.is_stopped() {
            return None;
        }
        self.unfinished.extend(self.tokenizer.bytes_of(id));
        let text = take_characters(&mut self.unfinished);
        non_empty(self.stops.push(&text))
    }

    /// Ends the answer; returns what was held back. A character that never became whole gives U+FFFD.
    pub fn finish(&mut self) -> Option<String> {
        if self.is_stopped() {
            return None;
        }
        let mut text = String::new();
        if !self.unfinished.is_empty() {
            self.unfinished.clear();
            text = self.stops.push("\u{FFFD}");
        }
        if !self.is_stopped() {
            text.push_str(&self.stops.finish());
        }
        non_empty(text)
    }

    /// Whether a stop string has come: no more text will.
    pub fn is_stopped(&self) -> bool {
        self.stops.is_stopped()
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Takes all bytes but those of a last character that more bytes could complete. What can no
/// longer become a character gives U+FFFD, as many as decoding all bytes at once would.
fn take_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        done += chunk.valid().len();
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        let is_last = done + invalid.len() == bytes.len();
        if is_last && is_unfinished(invalid) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        done += invalid.len();
    }
    bytes.drain(..done);
    text
}

/// Whether bytes are the beginning of a character.
fn is_unfinished(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let mut bytes = "é".as_bytes()[..1].to_vec();
        assert_eq!(take_characters(&mut bytes), "");
        bytes.push("é".as_bytes()[1]);
        assert_eq!(take_characters(&mut bytes), "é");
        assert!(bytes.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_decode_as_at_once(
            pieces in prop::collection::vec(prop::collection::vec(
                prop_oneof![any::<u8>(), Just(0xF0), Just(0x9F), Just(0x98), Just(0x80)], 0..5), 0..20)
        ) {
            let mut text = String::new();
            let mut bytes = Vec::new();
            for piece in &pieces {
                bytes.extend(piece);
                text.push_str(&take_characters(&mut bytes));
                prop_assert!(bytes.len() < 4);
            }
            if !bytes.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            let all = pieces.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&all).into_owned());
        }
    }
}
