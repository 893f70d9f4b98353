//! Text on a picture, in letters of 8 x 8 dots.

use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

/// Dots of a letter, in both directions.
pub const LETTER: u32 = 8;

/// What stands for a character that the font has not.
const UNKNOWN: char = '?';

/// Fills a rectangle, as far as it is on the picture.
pub fn fill(picture: &mut RgbImage, (x, y): (u32, u32), (width, height): (u32, u32), colour: Rgb<u8>) {
    for row in y..(y + height).min(picture.height()) {
        for column in x..(x + width).min(picture.width()) {
            picture.put_pixel(column, row, colour);
        }
    }
}

/// Writes a line in letters each of whose dots is `scale` pixels wide.
pub fn write(picture: &mut RgbImage, text: &str, (x, y): (u32, u32), scale: u32, colour: Rgb<u8>) {
    for (place, character) in text.chars().enumerate() {
        let left = x + place as u32 * LETTER * scale;
        for (row, dots) in (0u32..).zip(glyph(character)) {
            for column in (0..LETTER).filter(|column| dots >> column & 1 == 1) {
                fill(picture, (left + column * scale, y + row * scale), (scale, scale), colour);
            }
        }
    }
}

fn glyph(character: char) -> [u8; 8] {
    let known = |character| {
        let (latin, greek) = (font8x8::LATIN_FONTS.get(character), font8x8::GREEK_FONTS.get(character));
        font8x8::BASIC_FONTS.get(character).or(latin).or(greek)
    };
    known(character).or_else(|| known(UNKNOWN)).unwrap_or_default()
}

/// Breaks `text` into lines of at most `width` characters, between words where that can be.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let taken = line.chars().count();
        if taken > 0 && taken + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        } else if taken > 0 {
            line.push(' ');
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        line.extend(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_anywhere() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a\nb\tc", 9), ["a b c"]);
        assert_eq!(wrapped("x abcdefgh", 3), ["x", "abc", "def", "gh"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    #[test]
    fn accents_are_drawn_and_what_is_unknown_is_marked() {
        assert_ne!(glyph('é'), glyph('e'));
        assert_ne!(glyph('é'), glyph('?'));
        assert_eq!(glyph('漢'), glyph('?'));
    }
}
