//! The wordings of questions and captions. `{s}` stands for what is asked about.

use crate::QuestionKind;

/// What a question of a kind can be put into words as.
pub(crate) fn of_questions(kind: QuestionKind) -> &'static [&'static str] {
    match kind {
        QuestionKind::Colour => &COLOUR,
        QuestionKind::Shape => &SHAPE,
        QuestionKind::Direction => &DIRECTION,
        QuestionKind::Action => &ACTION,
        QuestionKind::Count => &COUNT,
        QuestionKind::Presence => &PRESENCE,
        QuestionKind::Before => &BEFORE,
        QuestionKind::After => &AFTER,
        QuestionKind::Glyph => &GLYPH,
        QuestionKind::Needle => &NEEDLE,
        QuestionKind::Description => &DESCRIPTION,
        QuestionKind::Place => &PLACE,
    }
}

const COLOUR: [&str; 9] = [
    "What colour is the {s}?",
    "Which colour is the {s}?",
    "What color is the {s}?",
    "What is the colour of the {s}?",
    "Name the colour of the {s}.",
    "In which colour is the {s} drawn?",
    "Tell me the color of the {s}.",
    "The {s} has which colour?",
    "Which color does the {s} have?",
];

const SHAPE: [&str; 8] = [
    "What shape is the {s} thing?",
    "Which shape is {s}?",
    "What is the shape of the {s} object?",
    "Name the shape that is {s}.",
    "The {s} thing has which shape?",
    "Which shape is drawn in {s}?",
    "What {s} shape is in the video?",
    "Tell me the shape of the {s} thing.",
];

const DIRECTION: [&str; 8] = [
    "In which direction does the {s} move?",
    "Which way does the {s} move?",
    "Which way does the {s} go?",
    "Does the {s} move left, right, up or down?",
    "What is the direction of the {s}?",
    "Name the direction in which the {s} moves.",
    "Where is the {s} heading?",
    "Tell me which way the {s} is moving.",
];

const ACTION: [&str; 7] = [
    "What does the {s} do?",
    "Does the {s} move, blink or stand?",
    "How does the {s} behave?",
    "Is the {s} moving, blinking or standing?",
    "Tell me what the {s} does.",
    "What is the {s} doing?",
    "Say whether the {s} moves, blinks or stands.",
];

const COUNT: [&str; 8] = [
    "How many {s} are there?",
    "How many {s} are shown?",
    "How many {s} can be seen?",
    "Count the {s}.",
    "What is the number of {s}?",
    "How many {s} appear in the video?",
    "Tell me how many {s} there are.",
    "How many {s} do you see?",
];

const PRESENCE: [&str; 8] = [
    "Is there {s} in the video?",
    "Does {s} appear?",
    "Can {s} be seen?",
    "Is {s} shown at any time?",
    "Do you see {s}?",
    "Does the video show {s}?",
    "Is {s} ever on screen?",
    "Did {s} appear in this video?",
];

const BEFORE: [&str; 7] = [
    "What comes right before the {s}?",
    "What is shown just before the {s}?",
    "What was seen immediately before the {s}?",
    "Which thing comes directly before the {s}?",
    "What did the video show just before the {s}?",
    "Name what comes right before the {s}.",
    "Right before the {s}, what is on screen?",
];

const AFTER: [&str; 7] = [
    "What comes right after the {s}?",
    "What is shown just after the {s}?",
    "What was seen immediately after the {s}?",
    "Which thing comes directly after the {s}?",
    "What did the video show just after the {s}?",
    "Name what comes right after the {s}.",
    "Right after the {s}, what is on screen?",
];

const GLYPH: [&str; 7] = [
    "Which {s} is shown?",
    "What {s} is in the video?",
    "Which {s} can be seen?",
    "Read the {s}.",
    "Name the {s} that is shown.",
    "What is the {s} in this video?",
    "Tell me which {s} appears.",
];

const NEEDLE: [&str; 8] = [
    "Which {s} is seen only for a moment?",
    "Which {s} flashes up for about a second?",
    "What {s} appears very briefly?",
    "One {s} is shown for only a second. Which one?",
    "Name the {s} that is seen only briefly.",
    "Which {s} appears for just a moment?",
    "Tell me which {s} flashes up.",
    "What {s} was on screen for only a second?",
];

const DESCRIPTION: [&str; 8] = [
    "Describe this video.",
    "Describe the video.",
    "What happens in this video?",
    "What is shown in this video, scene by scene?",
    "List the scenes in order.",
    "Tell me what the video shows, in order.",
    "Give a short description of this video.",
    "What can be seen in the video?",
];

const PLACE: [&str; 8] = [
    "Where is the {s}?",
    "Where can the {s} be seen?",
    "Where do you see the {s}?",
    "In which part of the picture is the {s}?",
    "Where on the screen is the {s}?",
    "Where in the picture is the {s}?",
    "Tell me where to look for the {s}.",
    "What is the place of the {s}?",
];

/// Words of the things asked about that are no names of things.
pub(crate) const SUBJECTS: [&str; 9] =
    ["shape", "shapes", "digit", "letter", "moving thing", "a", "an", "at the start", "at the end"];

/// Captions of a frame with one object: `{a}` is the object, `{style}` the background's, `{place}` where it is.
pub(crate) const ONE: [&str; 8] = [
    "{a}",
    "there is {a}",
    "a picture of {a}",
    "{a} on a {style} background",
    "{a} {place}",
    "there is {a} {place}",
    "an image with {a}",
    "{a} in front of a {style} background",
];

/// Captions of a frame with two objects: `{relation}` says where the first is, seen from the second.
pub(crate) const TWO: [&str; 6] = [
    "{a} {relation} {b}",
    "there is {a} {relation} {b}",
    "a picture of {a} and {b}",
    "{a} {relation} {b} on a {style} background",
    "{a} and {b}",
    "{a} next to {b}",
];

/// Captions of a frame with more objects.
pub(crate) const MANY: [&str; 6] = [
    "{list}",
    "a picture of {list}",
    "there are {n} things: {list}",
    "{list} on a {style} background",
    "an image with {list}",
    "{n} things in front of a {style} background: {list}",
];

/// Captions of a frame without objects.
pub(crate) const NONE: [&str; 6] = [
    "nothing on a {style} background",
    "an empty {style} background",
    "a picture of nothing",
    "there is nothing",
    "an image with nothing in it",
    "an empty picture",
];

pub(crate) const RELATIONS: [&str; 4] = ["to the left of", "to the right of", "above", "below"];

/// Where a thing is: row by row from the top, each from the left.
pub(crate) const PLACES: [&str; 9] = [
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the middle",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
];

/// What stands between the scenes of a description.
pub(crate) const THEN: &str = ", then ";

/// A template with its placeholders filled in.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}
