//! The alphabet in which byte-level BPE vocabularies write bytes.
//!
//! Vocabulary files hold text, so GPT-2 and its heirs stand one printable character for each byte: printable Latin-1
//! bytes stand for themselves and the 68 others take the characters from U+0100 on, in byte order.

/// Bytes that have no printable Latin-1 character, in order.
const REMAPPED: [u8; 68] = remapped_bytes();

/// The first character given to a remapped byte.
const FIRST_REMAPPED: u32 = 0x100;

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn remapped_bytes() -> [u8; 68] {
    let mut bytes = [0; 68];
    let mut count = 0;
    let mut byte = 0;
    while byte < 256 {
        if !is_printable(byte as u8) {
            bytes[count] = byte as u8;
            count += 1;
        }
        byte += 1;
    }
    bytes
}

/// The byte that a character stands for, if any.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => is_printable(byte).then_some(byte),
        Err(_) => REMAPPED.get((code - FIRST_REMAPPED) as usize).copied(),
    }
}

/// The character that stands for a byte.
pub(crate) fn byte_to_char(byte: u8) -> char {
    match REMAPPED.iter().position(|&remapped| remapped == byte) {
        Some(place) => char::from_u32(FIRST_REMAPPED + place as u32).unwrap_or_default(),
        None => char::from(byte),
    }
}

/// The bytes of a vocabulary entry. An entry with a character outside the alphabet (an added
/// token in plain text) stands for its own UTF-8 bytes.
pub(crate) fn token_bytes(token: &str) -> Vec<u8> {
    token.chars().map(byte_of).collect::<Option<Vec<u8>>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_entries_decode() {
        assert_eq!(token_bytes("Ġthe"), b" the");
        assert_eq!(token_bytes("Ċ"), b"\n");
        assert_eq!(token_bytes("Ã©"), "é".as_bytes());
        assert_eq!(token_bytes("a b"), b"a b", "a plain space is outside the alphabet");
    }

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let mut seen: Vec<u8> = (0..0x180).filter_map(char::from_u32).filter_map(byte_of).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
    }
}
