//! Captions that are wrong in one word.

use crate::rng::{Rng, mix};
use crate::script::micros;
use crate::things::{NUMBERS, with_article};
use crate::{Colour, LETTERS, Script, Shape, Size};

impl Script {
    /// A [caption](Self::caption) with one word changed, so that it is not true of the frame: a colour, a shape, a digit or
    /// letter, a size, a number, or where something is. Nothing where the caption has no such word.
    ///
    /// To tell it from the true one takes a look at that very thing, which telling pictures apart rarely does.
    ///
    /// ```
    /// # use longvu_world::{Script, ScriptKind, ScriptOptions};
    /// # let script = Script::draw(1, &ScriptOptions::default().with_kind(ScriptKind::Single))?;
    /// assert_ne!(script.altered_caption(0.5, 0), Some(script.caption(0.5, 0)));
    /// # Ok::<(), longvu_world::Error>(())
    /// ```
    #[must_use]
    pub fn altered_caption(&self, time: f64, variant: u64) -> Option<String> {
        let mut rng = Rng::new(self.seed ^ mix(micros(time)), (3 << 32) | variant);
        alter(&self.caption(time, variant), &mut rng)
    }
}

fn alter(caption: &str, rng: &mut Rng) -> Option<String> {
    let mut words: Vec<String> = caption.split(' ').map(str::to_owned).collect();
    let mut places = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).map_or("", |before| words[before].as_str());
        let others = others(bare(word), before);
        if !others.is_empty() {
            places.push((place, others));
        }
    }
    let (place, others) = rng.choose(&places)?;
    let other = rng.choose(others)?;
    let end = &words[*place][bare(&words[*place]).len()..];
    words[*place] = format!("{other}{end}");
    // The article must not give it away.
    if let Some(before) = place.checked_sub(1)
        && matches!(words[before].as_str(), "a" | "an")
        && let Some((article, _)) = with_article(other).split_once(' ')
    {
        words[before] = article.to_owned();
    }
    Some(words.join(" "))
}

/// A word without the punctuation after it.
fn bare(word: &str) -> &str {
    word.trim_end_matches([',', ':', '.'])
}

/// The words that can stand in a word's place and mean something else.
fn others(word: &str, before: &str) -> Vec<String> {
    let glyphs: Vec<String> = match before {
        "digit" => (0..10).map(|digit: u8| digit.to_string()).collect(),
        "letter" => LETTERS.iter().map(char::to_string).collect(),
        _ => Vec::new(),
    };
    let glyphs: Vec<&str> = glyphs.iter().map(String::as_str).collect();
    let (colours, sizes) = (Colour::ALL.map(Colour::name), Size::ALL.map(Size::name));
    let (shapes, plurals) = (Shape::ALL.map(Shape::name), Shape::ALL.map(Shape::plural));
    let numbers = &NUMBERS[2..4];
    let [sides, ends, relations] = [["left", "right"], ["top", "bottom"], ["above", "below"]];
    let kinds: [&[&str]; 9] = [&glyphs, &colours, &shapes, &plurals, &sizes, numbers, &sides, &ends, &relations];
    let kind = kinds.into_iter().find(|kind| kind.contains(&word)).unwrap_or_default();
    kind.iter().filter(|other| **other != word).map(|other| (*other).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScriptOptions;

    #[test]
    fn one_word_is_another_of_its_kind() {
        let mut rng = Rng::new(1, 0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..400 {
            seen.insert(alter("an orange star, two red circles: a white digit 7 on the left", &mut rng).unwrap());
        }
        assert!(seen.contains("a red star, two red circles: a white digit 7 on the left"), "{seen:?}");
        assert!(seen.contains("an orange ring, two red circles: a white digit 7 on the left"));
        assert!(seen.contains("an orange star, three red circles: a white digit 7 on the left"));
        assert!(seen.contains("an orange star, two red squares: a white digit 7 on the left"));
        assert!(seen.contains("an orange star, two red circles: an orange digit 7 on the left"));
        assert!(seen.contains("an orange star, two red circles: a white digit 0 on the left"));
        assert!(seen.contains("an orange star, two red circles: a white digit 7 on the right"));
        assert!(!seen.iter().any(|text| text.contains("an red") || text.contains("a orange")), "{seen:?}");
        assert_eq!(alter("a picture of nothing", &mut rng), None);
    }

    #[test]
    fn it_is_never_the_caption_itself() {
        for seed in 0..200 {
            let script = Script::draw(seed, &ScriptOptions::default()).unwrap();
            for variant in 0..20 {
                let caption = script.caption(0.5, variant);
                let Some(altered) = script.altered_caption(0.5, variant) else {
                    assert!(script.visible(0.5).is_empty(), "{caption}");
                    continue;
                };
                let changed = caption.split(' ').zip(altered.split(' ')).filter(|(a, b)| a != b).count();
                assert!((1..=2).contains(&changed), "{caption}: {altered}");
            }
        }
    }
}
