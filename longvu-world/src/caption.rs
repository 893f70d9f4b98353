//! Words for what is on screen.

use crate::rng::{Rng, mix};
use crate::script::micros;
use crate::things::{NUMBERS, with_article};
use crate::wording::{MANY, NONE, ONE, PLACES, RELATIONS, TWO, fill};
use crate::{Colour, Object, Script, Thing};

impl Script {
    /// One sentence about the frame at a time in seconds, for image and text training. Every `variant` chooses again among
    /// the wordings, and which sizes and places to name.
    ///
    /// It says only what a single frame shows: no motion, and nothing of an object that has just blinked away.
    ///
    /// ```
    /// # use longvu_world::{Script, ScriptKind, ScriptOptions};
    /// # let script = Script::draw(1, &ScriptOptions::default().with_kind(ScriptKind::Single))?;
    /// println!("{}", script.caption(0.5, 0)); // such as "a small red star to the left of a blue circle"
    /// # Ok::<(), longvu_world::Error>(())
    /// ```
    #[must_use]
    pub fn caption(&self, time: f64, variant: u64) -> String {
        let mut rng = Rng::new(self.seed ^ mix(micros(time)), (1 << 32) | variant);
        let Some(scene) = self.scenes.get(self.scene_at(micros(time))) else { return String::new() };
        let style = scene.background.style();
        let visible = self.visible(time);
        match visible.as_slice() {
            [] => fill(rng.pick(&NONE), &[("style", style)]),
            [object] => {
                let (a, place) = (noun(&mut rng, object), self.place_name(object, time));
                fill(rng.pick(&ONE), &[("a", &a), ("style", style), ("place", place)])
            }
            [one, other] => {
                let (one, other) = if rng.chance(1, 2) { (one, other) } else { (other, one) };
                let (a, b) = (noun(&mut rng, one), noun(&mut rng, other));
                let relation = relation(one, other, time);
                fill(rng.pick(&TWO), &[("a", &a), ("b", &b), ("relation", relation), ("style", style)])
            }
            many => {
                let mut things: Vec<_> = many.iter().map(|object| (object.colour, object.thing)).collect();
                rng.shuffle(&mut things);
                let count = NUMBERS.get(many.len()).copied().unwrap_or("many");
                fill(rng.pick(&MANY), &[("list", &list_things(&things)), ("n", count), ("style", style)])
            }
        }
    }

    /// In which ninth of the picture an object is.
    pub(crate) fn place_name(&self, object: &Object, time: f64) -> &'static str {
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let short = width.min(height);
        let third = |place: f64, side: f64| ((place * short / 1000.0 * 3.0 / side) as usize).min(2);
        let (x, y) = object.position(time);
        PLACES[third(y, height) * 3 + third(x, width)]
    }
}

/// Where `one` is, seen from `other`: along the axis on which they are further apart.
fn relation(one: &Object, other: &Object, time: f64) -> &'static str {
    let ((x, y), (other_x, other_y)) = (one.position(time), other.position(time));
    let (right, down) = (x - other_x, y - other_y);
    let [is_left, is_right, is_above, is_below] = RELATIONS;
    match (right.abs() > down.abs(), right > 0.0, down > 0.0) {
        (true, true, _) => is_right,
        (true, false, _) => is_left,
        (false, _, true) => is_below,
        (false, _, false) => is_above,
    }
}

/// An object with its article, and its size in half of the cases.
fn noun(rng: &mut Rng, object: &Object) -> String {
    let plain = format!("{} {}", object.colour, object.thing);
    if rng.chance(1, 2) { with_article(&format!("{} {plain}", object.size)) } else { with_article(&plain) }
}

/// `a red star, two blue circles and a white digit 7`; things that are alike are counted together.
pub(crate) fn list_things(things: &[(Colour, Thing)]) -> String {
    let mut groups: Vec<(Colour, Thing, usize)> = Vec::new();
    for (colour, thing) in things {
        let alike = |(known, other, _): &&mut (Colour, Thing, usize)| known == colour && other == thing;
        match groups.iter_mut().find(alike) {
            Some((.., count)) if !thing.is_glyph() => *count += 1,
            _ => groups.push((*colour, *thing, 1)),
        }
    }
    let phrases: Vec<String> = groups
        .into_iter()
        .map(|(colour, thing, count)| match (thing, NUMBERS.get(count)) {
            (Thing::Shape(shape), Some(number)) if count > 1 => format!("{number} {colour} {}", shape.plural()),
            _ => with_article(&format!("{colour} {thing}")),
        })
        .collect();
    match phrases.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScriptKind, ScriptOptions, Shape};

    #[test]
    fn things_alike_are_counted_together() {
        let (star, ring) = (Thing::Shape(Shape::Star), Thing::Shape(Shape::Ring));
        let things =
            [(Colour::Red, star), (Colour::Orange, ring), (Colour::Red, star), (Colour::White, Thing::Digit(7))];
        assert_eq!(list_things(&things), "two red stars, an orange ring and a white digit 7");
        assert_eq!(list_things(&things[..1]), "a red star");
        assert_eq!(list_things(&[]), "nothing");
    }

    #[test]
    fn captions_name_what_is_visible_and_vary() {
        for seed in 0..200 {
            let script = Script::draw(seed, &ScriptOptions::default().with_kind(ScriptKind::Single)).unwrap();
            for time in [0.5, 1.5] {
                let visible = script.visible(time);
                let captions: Vec<String> = (0..30).map(|variant| script.caption(time, variant)).collect();
                for caption in &captions {
                    let has = |word: &str| caption.split(|c: char| !c.is_alphanumeric()).any(|other| other == word);
                    assert!(visible.iter().all(|object| has(object.colour.name())), "{caption}");
                    let named = Colour::ALL.iter().filter(|colour| has(colour.name())).count();
                    assert!(named <= visible.len(), "{caption}");
                }
                let distinct: std::collections::BTreeSet<&String> = captions.iter().collect();
                assert!(distinct.len() >= 4, "{distinct:?}");
            }
        }
    }
}
