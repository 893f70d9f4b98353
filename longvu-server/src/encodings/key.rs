//! The name of an encoding: what it is of, and what shaped it.

use std::fmt;

use sha2::{Digest, Sha256};

/// Which encoding: of which file, by a model with which settings, of which samples of it.
///
/// Where all three are the same, so are the encodings, today and after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(String);

/// Bytes of the hash.
pub(super) const BYTES: usize = 32;

impl Key {
    /// The encoding of the file whose contents have the hash `sha256`, by a model with this
    /// [`encoding_fingerprint`](longvu::LongVu::encoding_fingerprint), of what `sampling` says in any words that are the same
    /// for the same samples: frames a second, start, end, the most frames.
    pub fn new(sha256: &str, fingerprint: &str, sampling: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [sha256, fingerprint, sampling] {
            // With its length, so that no part can pass for the end of the one before.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(format!("{:x}", hash.finalize()))
    }

    /// The key that `text` is, if it is one: 64 hexadecimal digits, no capitals among them. So it can stand in a file's name.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 2 * BYTES && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_nothing_else() {
        let key = Key::new("aa", "bb", "fps=1");
        assert_eq!(key, Key::new("aa", "bb", "fps=1"));
        assert_eq!(key.as_str(), "41cd72eac2fddcc5a482356035b1688320251c052155561ef6d0204f185ced5b");
        for other in [("ab", "bb", "fps=1"), ("aa", "bc", "fps=1"), ("aa", "bb", "fps=2"), ("aab", "b", "fps=1")] {
            assert_ne!(Key::new(other.0, other.1, other.2), key);
        }
    }

    #[test]
    fn only_keys_are_read_as_keys() {
        let key = Key::new("aa", "bb", "");
        assert_eq!(Key::parse(key.as_str()), Some(key.clone()));
        let capitals = key.as_str().to_uppercase();
        for text in ["", "../../etc/passwd", &capitals, &key.as_str()[1..], &format!("{key}0")] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }
}
