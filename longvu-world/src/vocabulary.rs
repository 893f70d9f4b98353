//! The words of the world.

use std::collections::BTreeSet;

use crate::background::Texture;
use crate::things::NUMBERS;
use crate::{Colour, Direction, LETTERS, QuestionKind, Shape, Size, wording};

/// Every word that questions, answers and captions can contain, as it is written there ("What" and "what" are two), sorted
/// and without punctuation; digits and letters that are shown count as words. A small tokenizer can be made of it.
///
/// ```
/// let words = longvu_world::vocabulary();
/// assert!(words.contains("colour") && words.contains("What") && words.contains("7"));
/// ```
#[must_use]
pub fn vocabulary() -> BTreeSet<String> {
    let questions = QuestionKind::ALL.into_iter().map(wording::of_questions);
    let captions: [&[&str]; 6] =
        [&wording::ONE, &wording::TWO, &wording::MANY, &wording::NONE, &wording::RELATIONS, &wording::PLACES];
    let rest: [&[&str]; 4] = [
        &wording::SUBJECTS,
        &[wording::THEN, "and", "plain", "graded"],
        &["moves", "blinks", "stands", "yes", "no"],
        &NUMBERS[1..4],
    ];
    let texts = questions.chain(captions).chain(rest).flatten().copied();
    let names = (Colour::ALL.iter().map(|colour| colour.name()))
        .chain(Shape::ALL.iter().flat_map(|shape| [shape.name(), shape.plural()]))
        .chain(Size::ALL.iter().map(|size| size.name()))
        .chain(Direction::ALL.iter().map(|direction| direction.name()))
        .chain(Texture::ALL.iter().map(|texture| texture.name()));
    let glyphs = (0..10).map(|digit: u8| digit.to_string()).chain(LETTERS.iter().map(char::to_string));
    texts.chain(names).flat_map(words).map(str::to_owned).chain(glyphs).collect()
}

/// The words of a template, without its placeholders.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '{' && c != '}'))
        .filter(|word| !word.is_empty() && !word.contains('{'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Script, ScriptOptions};

    #[test]
    fn all_that_is_said_is_in_it_and_little_else() {
        let known = vocabulary();
        let mut said = BTreeSet::new();
        let mut hear = |text: &str| {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            said.extend(words.map(str::to_owned));
        };
        for seed in 0..3000 {
            let script = Script::draw(seed, &ScriptOptions::default().with_duration(14.0)).unwrap();
            for question in script.questions() {
                hear(&question.text);
                hear(&question.answer);
            }
            for second in 0..14 {
                hear(&script.caption(f64::from(second), seed));
            }
        }
        assert_eq!(said.difference(&known).collect::<Vec<_>>(), [""; 0], "missing");
        assert_eq!(known.difference(&said).collect::<Vec<_>>(), [""; 0], "never said");
    }
}
