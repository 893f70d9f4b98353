//! Judges answers in anyone's words.

use crate::things::NUMBERS;
use crate::{Colour, Direction, LETTERS, Shape, Thing};

/// Whether `given` says what `answer` says, whatever the case, the punctuation and the words around: `red` is matched by
/// "It is red." and "A RED star".
///
/// Words count by what they are: a colour, a shape, a direction, a number, a letter, what a thing does, yes or no. Of each
/// kind that the answer has, `given` must have just the same; so "red or blue" does not match `red`. Other kinds do not
/// matter. Numbers match as digits and as words. An answer without any such word is compared word by word.
///
/// ```
/// use longvu_world::matches;
/// assert!(matches("blue circle", "It is a circle, and it's blue!"));
/// assert!(!matches("blue circle", "a blue square"));
/// assert!(matches("three", "There are 3."));
/// ```
#[must_use]
pub fn matches(answer: &str, given: &str) -> bool {
    let (wanted, got) = (meanings(answer), meanings(given));
    if wanted.is_empty() {
        let content = |text| -> Vec<String> {
            words(text).filter(|word| !matches!(word.as_str(), "a" | "an" | "the" | BREAK)).collect()
        };
        return !content(answer).is_empty() && content(answer) == content(given);
    }
    wanted.iter().all(|one| {
        let of_kind = |all: &[Meaning]| -> Vec<Meaning> {
            let kind = std::mem::discriminant(one);
            let mut same: Vec<Meaning> =
                all.iter().copied().filter(|other| std::mem::discriminant(other) == kind).collect();
            same.sort_unstable();
            same.dedup();
            same
        };
        of_kind(&wanted) == of_kind(&got)
    })
}

/// Whether `given` names the things of every scene that `answer` names, scene by scene in the same order; within a scene the
/// order does not matter. What else it says does not matter either.
///
/// A scene ends at a full stop, a semicolon, a colon, a line's end, or a word like "then" and "followed".
///
/// ```
/// use longvu_world::matches_description;
/// let answer = "a red star, then two blue circles and a white digit 7";
/// assert!(matches_description(answer, "First a small red star. Then a white digit seven and 2 blue circles."));
/// assert!(!matches_description(answer, "two blue circles and a white digit 7, then a red star"));
/// ```
#[must_use]
pub fn matches_description(answer: &str, given: &str) -> bool {
    let wanted = scenes(answer);
    !wanted.is_empty() && wanted == scenes(given)
}

/// Whether `given` names the part of the picture that `answer` names, whatever the words around.
///
/// ```
/// use longvu_world::matches_place;
/// assert!(matches_place("at the top left", "It is in the upper left corner."));
/// assert!(matches_place("on the left", "middle left"));
/// assert!(!matches_place("at the top", "at the top left"));
/// ```
#[must_use]
pub fn matches_place(answer: &str, given: &str) -> bool {
    let wanted = sides(answer);
    wanted.is_some() && wanted == sides(given)
}

/// Where a text is in the picture: along its height and its width, -1, 0 or 1. Nothing if it names no part, or two.
fn sides(text: &str) -> Option<[i32; 2]> {
    let (mut sides, mut is_in_the_middle) = ([None, None], false);
    for word in words(text) {
        let (axis, side) = match word.as_str() {
            "top" | "upper" | "above" => (0, -1),
            "bottom" | "lower" | "below" => (0, 1),
            "left" => (1, -1),
            "right" => (1, 1),
            "middle" | "centre" | "center" => {
                is_in_the_middle = true;
                continue;
            }
            _ => continue,
        };
        if sides[axis].replace(side).is_some_and(|other| other != side) {
            return None;
        }
    }
    let is_named = is_in_the_middle || sides.iter().any(Option::is_some);
    is_named.then(|| sides.map(Option::unwrap_or_default))
}

/// What a word means to a judge. Variants are the kinds that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Colour(Colour),
    Shape(Shape),
    Direction(Direction),
    Action(&'static str),
    Number(u32),
    Letter(char),
    Yes(bool),
}

/// Stands for the end of a clause among words.
const BREAK: &str = ".";

/// The words of a text in lower case, without apostrophes, and [`BREAK`] where a clause ends.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            '\'' | '’' => {}
            '.' | ';' | ':' | '!' | '?' | '\n' => words.extend([BREAK.to_owned(), String::new()]),
            _ if character.is_alphanumeric() => {
                if let Some(last) = words.last_mut() {
                    last.push(character);
                }
            }
            _ => words.push(String::new()),
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

fn meaning(word: &str) -> Option<Meaning> {
    if let Some(colour) = Colour::ALL.into_iter().find(|colour| colour.name() == word) {
        return Some(Meaning::Colour(colour));
    }
    if let Some(shape) = Shape::ALL.into_iter().find(|shape| shape.name() == word || shape.plural() == word) {
        return Some(Meaning::Shape(shape));
    }
    let stem = word.strip_suffix("wards").or(word.strip_suffix("ward")).unwrap_or(word);
    if let Some(direction) = Direction::ALL.into_iter().find(|direction| direction.name() == stem) {
        return Some(Meaning::Direction(direction));
    }
    if let Some(number) = NUMBERS.iter().position(|number| *number == word) {
        return Some(Meaning::Number(number as u32));
    }
    if let Ok(number) = word.parse() {
        return Some(Meaning::Number(number));
    }
    if let Some(letter) = LETTERS.into_iter().find(|letter| word.strip_prefix(*letter) == Some("")) {
        return Some(Meaning::Letter(letter));
    }
    Some(match word {
        "violet" => Meaning::Colour(Colour::Purple),
        "disc" | "disk" => Meaning::Shape(Shape::Circle),
        "plus" => Meaning::Shape(Shape::Cross),
        "move" | "moves" | "moving" | "moved" => Meaning::Action("moves"),
        "blink" | "blinks" | "blinking" | "flashes" | "flashing" => Meaning::Action("blinks"),
        "stand" | "stands" | "standing" | "still" | "stays" | "static" | "stationary" => Meaning::Action("stands"),
        "yes" | "yeah" | "yep" => Meaning::Yes(true),
        "no" | "nope" | "not" | "never" | "isnt" | "doesnt" | "cannot" | "cant" => Meaning::Yes(false),
        _ => return None,
    })
}

/// All words with a meaning, but for the one in "from the left", which is not where something goes.
fn meanings(text: &str) -> Vec<Meaning> {
    let mut found = Vec::new();
    let mut comes_from = false;
    for word in words(text) {
        match meaning(&word) {
            Some(Meaning::Direction(_)) if comes_from => comes_from = false,
            Some(meaning) => {
                comes_from = false;
                found.push(meaning);
            }
            None => comes_from = word == "from" || (comes_from && word == "the"),
        }
    }
    found
}

/// A thing as a description names it, and its colour.
type Named = (Option<Colour>, Thing);

/// The things of each scene that a description names, in one order.
fn scenes(text: &str) -> Vec<Vec<Named>> {
    let mut scenes = vec![Vec::new()];
    let (mut count, mut colour, mut awaits_glyph) = (1, None, false);
    for word in words(text) {
        if matches!(word.as_str(), BREAK | "then" | "followed" | "next" | "afterwards" | "finally" | "after") {
            scenes.push(Vec::new());
            (count, colour, awaits_glyph) = (1, None, false);
            continue;
        }
        let thing = match meaning(&word) {
            Some(Meaning::Colour(named)) => {
                colour = Some(named);
                continue;
            }
            Some(Meaning::Number(digit @ 0..=9)) if awaits_glyph => Thing::Digit(digit as u8),
            Some(Meaning::Letter(letter)) if awaits_glyph => Thing::Letter(letter),
            Some(Meaning::Shape(shape)) => Thing::Shape(shape),
            Some(Meaning::Number(number)) => {
                count = number.min(9) as usize;
                continue;
            }
            _ => {
                awaits_glyph |= matches!(word.as_str(), "digit" | "letter");
                continue;
            }
        };
        if let Some(scene) = scenes.last_mut() {
            scene.extend(std::iter::repeat_n((colour, thing), count));
        }
        (count, colour, awaits_glyph) = (1, None, false);
    }
    scenes.retain(|scene| !scene.is_empty());
    scenes.iter_mut().for_each(|scene| scene.sort_unstable());
    scenes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_answers_match_in_any_words() {
        for (answer, given) in [
            ("red", "red"),
            ("red", "It is RED."),
            ("red", "The star is red, red!"),
            ("purple", "violet"),
            ("star", "a red star"),
            ("star", "Stars."),
            ("left", "to the left"),
            ("left", "It moves leftwards"),
            ("right", "from left to right"),
            ("right", "from the left to the right"),
            ("moves", "it is moving"),
            ("stands", "It's standing still."),
            ("three", "3"),
            ("three", "There are three circles."),
            ("7", "the digit seven"),
            ("7", "It's a 7."),
            ("k", "The letter K"),
            ("yes", "Yes, there is a star."),
            ("no", "No."),
            ("no", "There isn't one"),
            ("blue circle", "The blue circle"),
            ("blue circle", "a circle in blue"),
            ("a cat", "The cat."),
        ] {
            assert!(matches(answer, given), "{answer}: {given}");
            assert!(matches(answer, answer));
        }
    }

    #[test]
    fn wrong_and_hedged_answers_do_not() {
        for (answer, given) in [
            ("red", ""),
            ("red", "blue"),
            ("red", "red or blue"),
            ("red", "reddish"),
            ("star", "a star or a circle"),
            ("left", "right"),
            ("left", "from left to right"),
            ("left", "left and right"),
            ("three", "two"),
            ("three", "2 or 3"),
            ("7", "17"),
            ("7", "1 or 7"),
            ("k", "x"),
            ("k", "kite"),
            ("yes", "no"),
            ("yes", "yes and no"),
            ("no", "maybe"),
            ("blue circle", "blue"),
            ("blue circle", "circle"),
            ("blue circle", "a red circle"),
            ("blue circle", "a blue circle and a red star"),
            ("a cat", "a dog"),
            ("", ""),
        ] {
            assert!(!matches(answer, given), "{answer}: {given}");
        }
    }

    #[test]
    fn places_match_in_any_words_and_only_if_whole() {
        for (answer, given) in [
            ("at the top left", "Top left."),
            ("at the bottom", "bottom centre"),
            ("in the middle", "It is in the center"),
            ("on the right", "right"),
        ] {
            assert!(matches_place(answer, given) && matches_place(answer, answer), "{answer}: {given}");
        }
        for (answer, given) in [
            ("at the top left", "at the top"),
            ("at the top", "at the bottom"),
            ("at the top", ""),
            ("on the left", "on the left or on the right"),
            ("in the middle", "on the left"),
            ("", ""),
        ] {
            assert!(!matches_place(answer, given), "{answer}: {given}");
        }
    }

    #[test]
    fn descriptions_need_every_scene_in_order() {
        let answer = "a red star, then two blue circles and an orange letter k, then a green cross";
        for given in [
            answer,
            "A red star is followed by an orange letter K and two blue circles. Finally, a green cross.",
            "1. a red star\n2. 2 blue circles, orange letter k\n3. green cross",
            "First there is a large red star moving left; then a blue circle, a blue circle and an orange letter k; then \
             a green cross that blinks.",
        ] {
            assert!(matches_description(answer, given), "{given}");
        }
        for given in [
            "",
            "a red star",
            "a red star, two blue circles and an orange letter k, then a green cross",
            "a red star, then a blue circle and an orange letter k, then a green cross",
            "a red star, then two blue circles and an orange letter m, then a green cross",
            "a green cross, then two blue circles and an orange letter k, then a red star",
            "a star, then two circles and a letter k, then a cross",
            "a red star, then two blue circles and an orange letter k, then a green cross, then a red star",
        ] {
            assert!(!matches_description(answer, given), "{given}");
        }
    }
}
