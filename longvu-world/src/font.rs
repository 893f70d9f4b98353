//! Digits and letters as 5 by 7 bitmaps.

/// Rows from the top, each of five bits with the leftmost the highest.
pub(crate) type Bitmap = [u8; 7];

/// The digits 0 to 9.
const DIGITS: [Bitmap; 10] = [
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
    [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

/// The bitmap of a digit; blank above 9.
pub(crate) fn digit(digit: u8) -> Bitmap {
    DIGITS.get(usize::from(digit)).copied().unwrap_or_default()
}

/// The capital of one of [`LETTERS`](crate::LETTERS); blank for another.
pub(crate) fn letter(letter: char) -> Bitmap {
    match letter {
        'c' => [0b01111, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b01111],
        'e' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
        'f' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000],
        'h' => [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'k' => [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001],
        'l' => [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
        'm' => [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001],
        'n' => [0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001],
        'p' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'r' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        't' => [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
        'u' => [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        'v' => [0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b01010, 0b00100],
        'x' => [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001],
        'y' => [0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100],
        _ => Bitmap::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LETTERS;

    #[test]
    fn no_two_glyphs_are_nearly_alike() {
        let glyphs: Vec<Bitmap> = (0..10).map(digit).chain(LETTERS.map(letter)).collect();
        for (place, one) in glyphs.iter().enumerate() {
            assert!(one.iter().all(|row| *row < 32) && one.iter().any(|row| *row > 0));
            for other in &glyphs[..place] {
                let apart: u32 = one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert!(apart >= 3, "{one:?} and {other:?} differ in {apart} dots");
            }
        }
    }
}
