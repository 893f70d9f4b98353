//! A second look at scripts: what could be seen and followed by watching them, without how they are built.
#![allow(dead_code)]

use std::collections::BTreeMap;

use longvu_world::{Colour, LETTERS, Object, Script, Shape};

/// Seconds between two looks.
pub const STEP: f64 = 0.1;

/// One thing, followed while it is on screen.
#[derive(Debug)]
pub struct Track {
    pub colour: &'static str,
    /// `star`, `7`, `k`.
    pub thing: String,
    /// `shape`, `digit`, `letter`.
    pub class: &'static str,
    /// Place of its scene, counted by the cuts that were seen.
    pub scene: usize,
    /// Times and places.
    pub seen: Vec<(f64, f64, f64)>,
}

impl Track {
    pub fn colour_and_thing(&self) -> String {
        format!("{} {}", self.colour, self.thing)
    }

    /// How it went from the first sight to the last, if it did.
    pub fn direction(&self) -> Option<&'static str> {
        let (first, last) = (self.seen[0], self.seen[self.seen.len() - 1]);
        let (right, down) = (last.1 - first.1, last.2 - first.2);
        match (right, down) {
            _ if right.abs().max(down.abs()) < 100.0 => None,
            _ if right.abs() > down.abs() => Some(if right > 0.0 { "right" } else { "left" }),
            _ => Some(if down > 0.0 { "down" } else { "up" }),
        }
    }

    /// Where it was at a look, in a picture of a size.
    pub fn place(&self, look: usize, (width, height): (u32, u32)) -> String {
        let (_, x, y) = self.seen[look];
        let short = f64::from(width.min(height));
        let third = |place: f64, side: u32| (place / 1000.0 * short / f64::from(side) * 3.0).floor() as usize;
        let names = [
            ["at the top left", "at the top", "at the top right"],
            ["on the left", "in the middle", "on the right"],
            ["at the bottom left", "at the bottom", "at the bottom right"],
        ];
        names[third(y, height)][third(x, width)].to_owned()
    }

    pub fn action(&self) -> &'static str {
        let has_gap = self.seen.windows(2).any(|pair| pair[1].0 - pair[0].0 > 0.5);
        match (self.direction(), has_gap) {
            (Some(_), false) => "moves",
            (None, true) => "blinks",
            (None, false) => "stands",
            (Some(_), true) => panic!("{self:?} moves and blinks"),
        }
    }
}

/// Watches a script from start to end.
pub fn watch(script: &Script) -> Vec<Track> {
    let mut tracks: BTreeMap<(usize, *const Object), Track> = BTreeMap::new();
    let looks = (script.duration() / STEP).floor() as usize;
    for look in 0..looks {
        let time = look as f64 * STEP + 1e-4;
        let scene = script.scenes().iter().filter(|scene| scene.times().start <= time).count() - 1;
        for object in script.visible(time) {
            let (x, y) = object.position(time);
            let track = tracks.entry((scene, std::ptr::from_ref(object))).or_insert_with(|| Track {
                colour: object.colour.name(),
                thing: object.thing.answer(),
                class: object.thing.class(),
                scene,
                seen: Vec::new(),
            });
            track.seen.push((time, x, y));
        }
    }
    tracks.into_values().collect()
}

/// What a question is about, as its words have it.
#[derive(Debug, Default)]
pub struct Subject {
    pub colour: Option<&'static str>,
    pub thing: Option<String>,
    pub class: Option<&'static str>,
    pub moves: bool,
}

impl Subject {
    pub fn of(text: &str) -> Self {
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let mut subject = Self::default();
        for (place, word) in words.iter().enumerate() {
            if let Some(colour) = Colour::ALL.iter().find(|colour| colour.name() == *word) {
                subject.colour = Some(colour.name());
            }
            if let Some(shape) = Shape::ALL.iter().find(|shape| shape.name() == *word || shape.plural() == *word) {
                subject.thing = Some(shape.name().to_owned());
            }
            match *word {
                "digit" | "letter" => {
                    subject.class = Some(if *word == "digit" { "digit" } else { "letter" });
                    let is_glyph = |next: &str| {
                        let mut characters = next.chars();
                        let first = characters.next();
                        first.is_some_and(|c| c.is_ascii_digit() || LETTERS.contains(&c)) && characters.next().is_none()
                    };
                    if let Some(next) = words.get(place + 1).filter(|next| is_glyph(next)) {
                        subject.thing = Some((*next).to_owned());
                    }
                }
                "shape" | "shapes" => subject.class = Some("shape"),
                "moving" if words.get(place + 1) == Some(&"thing") => subject.moves = true,
                _ => {}
            }
        }
        subject
    }

    pub fn fits(&self, track: &Track) -> bool {
        self.colour.is_none_or(|colour| track.colour == colour)
            && self.thing.as_ref().is_none_or(|thing| track.thing == *thing)
            && self.class.is_none_or(|class| track.class == class)
            && (!self.moves || track.direction().is_some())
    }
}
