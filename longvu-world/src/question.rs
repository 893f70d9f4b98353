//! Questions about a script, with answers that are true and the only ones.

use serde::{Deserialize, Serialize};

use crate::caption::list_things;
use crate::judge::{matches, matches_description, matches_place};
use crate::layout::LIVELY_MS;
use crate::rng::Rng;
use crate::script::Counted;
use crate::things::{NUMBERS, named, with_article};
use crate::wording::{self, fill};
use crate::{Colour, LETTERS, Motion, Object, Script, ScriptKind, Shape, Thing};

named! {
    /// What a question asks for.
    QuestionKind {
        /// The colour of something that is in the video once.
        Colour = "colour",
        /// The shape of the only thing of a colour.
        Shape = "shape",
        /// Where something moves.
        Direction = "direction",
        /// Whether something moves, blinks or stands.
        Action = "action",
        /// How many of something there are: one, two or three.
        Count = "count",
        /// Whether something is in the video.
        Presence = "presence",
        /// What the scene before that of a thing shows.
        Before = "before",
        /// What the scene after that of a thing shows.
        After = "after",
        /// The digit or the letter of a scene.
        Glyph = "glyph",
        /// What is on screen for a moment only.
        Needle = "needle",
        /// All scenes in order.
        Description = "description",
        /// Where something is, of what moves where at the start or at the end.
        Place = "place",
    }
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Question {
    /// What it asks for.
    pub kind: QuestionKind,
    /// The question.
    pub text: String,
    /// The answer: a word or two in lower case, or for a description the things of each scene.
    pub answer: String,
}

impl Question {
    /// A question with its answer.
    #[must_use]
    pub fn new(kind: QuestionKind, text: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { kind, text: text.into(), answer: answer.into() }
    }

    /// Whether an answer in anyone's words is right; see [`matches`](fn@matches),
    /// [`matches_description`](fn@matches_description) and [`matches_place`](fn@matches_place).
    #[must_use]
    pub fn is_answered_by(&self, given: &str) -> bool {
        match self.kind {
            QuestionKind::Description => matches_description(&self.answer, given),
            QuestionKind::Place => matches_place(&self.answer, given),
            _ => matches(&self.answer, given),
        }
    }
}

impl Script {
    /// A question of a kind, or nothing if this video allows none with a single true answer. Each `variant` chooses again
    /// what to ask about, and in which words.
    ///
    /// Over many videos, counts are even over one, two and three, and `yes` as frequent as `no`, whatever is asked about.
    #[must_use]
    pub fn question(&self, kind: QuestionKind, variant: u64) -> Option<Question> {
        let mut rng = Rng::new(self.seed, (2 << 32) | (variant << 8) | kind as u64);
        let candidates = match kind {
            QuestionKind::Colour => self.colours(),
            QuestionKind::Shape => self.shapes(),
            QuestionKind::Direction => self.directions(),
            QuestionKind::Action => self.actions(),
            QuestionKind::Count => self.count(),
            QuestionKind::Presence => self.presence(&mut rng),
            QuestionKind::Before => self.neighbours(true),
            QuestionKind::After => self.neighbours(false),
            QuestionKind::Glyph => self.glyphs(),
            QuestionKind::Needle => self.momentary(),
            QuestionKind::Description => self.description(),
            QuestionKind::Place => self.places(),
        };
        let (subject, answer) = rng.choose(&candidates)?;
        let text = fill(rng.choose(wording::of_questions(kind))?, &[("s", subject)]);
        let answer = answer.clone();
        Some(Question { kind, text, answer })
    }

    /// One question of each kind that this video allows.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        QuestionKind::ALL.into_iter().filter_map(|kind| self.question(kind, 0)).collect()
    }

    /// The object that alone in the whole video is as asked.
    fn only(&self, is_asked: impl Fn(&Object) -> bool) -> Option<&Object> {
        let mut found = self.objects().filter(|(_, object)| is_asked(object));
        match (found.next(), found.next()) {
            (Some((_, object)), None) => Some(object),
            _ => None,
        }
    }

    /// The names that mean this object and no other of the video: `star`, `red star`.
    fn names(&self, object: &Object) -> Vec<String> {
        let mut names = Vec::new();
        if self.only(|other| other.thing == object.thing).is_some() {
            names.push(object.thing.to_string());
        }
        if self.only(|other| other.thing == object.thing && other.colour == object.colour).is_some() {
            names.push(format!("{} {}", object.colour, object.thing));
        }
        names
    }

    fn colours(&self) -> Vec<Candidate> {
        let shapes = Shape::ALL.into_iter().filter_map(|shape| {
            let object = self.only(|object| object.shape() == Some(shape))?;
            Some((shape.name().to_owned(), object.colour.to_string()))
        });
        let classes = ["shape", "digit", "letter"].into_iter().filter_map(|class| {
            let object = self.only(|object| object.thing.class() == class)?;
            Some((class.to_owned(), object.colour.to_string()))
        });
        shapes.chain(classes).collect()
    }

    fn shapes(&self) -> Vec<Candidate> {
        let of_colour = |colour: Colour| {
            let object = self.only(|object| object.colour == colour)?;
            Some((colour.to_string(), object.shape()?.to_string()))
        };
        Colour::ALL.into_iter().filter_map(of_colour).collect()
    }

    fn directions(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (_, object) in self.objects() {
            let Some(direction) = object.direction() else { continue };
            let mut names = self.names(object);
            if self.only(|other| other.direction().is_some()).is_some() {
                names.push("moving thing".to_owned());
            }
            candidates.extend(names.into_iter().map(|name| (name, direction.to_string())));
        }
        candidates
    }

    /// Only objects that may do any of the three: the length of a scene must not give the answer away.
    fn actions(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (_, object) in self.objects() {
            let is_lively = LIVELY_MS.contains(&(object.end_ms - object.start_ms));
            if self.kind == ScriptKind::Still || object.needle || !is_lively {
                continue;
            }
            let action = match object.motion {
                Motion::Stand => "stands",
                Motion::Move(_) => "moves",
                Motion::Blink => "blinks",
            };
            candidates.extend(self.names(object).into_iter().map(|name| (name, action.to_owned())));
        }
        candidates
    }

    /// Only of what the script was drawn to be asked about: among all that could be counted, most is there once.
    fn count(&self) -> Vec<Candidate> {
        let Some(counted) = self.counted else { return Vec::new() };
        let is_counted = |object: &Object| match (counted, object.shape()) {
            (_, None) => false,
            (Counted::All, Some(_)) => true,
            (Counted::Shape(asked), Some(shape)) => asked == shape,
            (Counted::Colour(asked), Some(_)) => asked == object.colour,
        };
        let scenes: Vec<usize> =
            self.objects().filter(|(_, object)| is_counted(object)).map(|(scene, _)| scene).collect();
        let name = match counted {
            Counted::All => "shapes".to_owned(),
            Counted::Shape(shape) => shape.plural().to_owned(),
            Counted::Colour(colour) => format!("{colour} shapes"),
        };
        let is_in_one_scene = scenes.windows(2).all(|pair| pair[0] == pair[1]);
        match NUMBERS.get(scenes.len()) {
            Some(number) if is_in_one_scene && (1..=3).contains(&scenes.len()) => vec![(name, (*number).to_owned())],
            _ => Vec::new(),
        }
    }

    /// First the form of the question, then yes or no, then what it is about: the words do not give the answer away.
    fn presence(&self, rng: &mut Rng) -> Vec<Candidate> {
        let is_shown = |thing: Thing| self.objects().any(|(_, object)| object.thing == thing);
        let has_pair = |colour: Colour, thing: Thing| {
            self.objects().any(|(_, object)| (object.colour, object.thing) == (colour, thing))
        };
        let all_shapes = Shape::ALL.map(Thing::Shape);
        let digits: Vec<Thing> = (0..10).map(Thing::Digit).collect();
        let letters: Vec<Thing> = LETTERS.into_iter().map(Thing::Letter).collect();

        // The forms: a shape, a shape in a colour, a digit, a letter. Each lists what is there and what is not.
        let split = |things: &[Thing]| -> [Vec<String>; 2] {
            let (there, not): (Vec<Thing>, Vec<Thing>) = things.iter().copied().partition(|thing| is_shown(*thing));
            [there, not].map(|things| things.iter().map(Thing::to_string).collect())
        };
        let mut pairs = [Vec::new(), Vec::new()];
        for colour in Colour::ALL {
            for thing in all_shapes {
                // A distractor has the colour or the shape of something that is there.
                let is_near = is_shown(thing) || self.objects().any(|(_, object)| object.colour == colour);
                match (has_pair(colour, thing), is_near) {
                    (true, _) => pairs[0].push(format!("{colour} {thing}")),
                    (false, true) => pairs[1].push(format!("{colour} {thing}")),
                    (false, false) => {}
                }
            }
        }
        let mut forms = vec![split(&all_shapes), pairs, split(&digits), split(&letters)];
        forms.retain(|[there, not]| !there.is_empty() && !not.is_empty());
        let Some([there, not]) = rng.choose(&forms) else { return Vec::new() };
        let (names, answer) = if rng.chance(1, 2) { (there, "yes") } else { (not, "no") };
        names.iter().map(|name| (with_article(name), answer.to_owned())).collect()
    }

    /// Things that are in one scene only, and what the only shape of the scene before or after is.
    fn neighbours(&self, before: bool) -> Vec<Candidate> {
        if self.kind == ScriptKind::Needle {
            return Vec::new();
        }
        let mut candidates = Vec::new();
        for pair in self.scenes.windows(2) {
            let (asked, answer) = if before { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
            let [Object { thing: Thing::Shape(shape), colour, .. }] = answer.objects.as_slice() else { continue };
            let names = asked.objects.iter().flat_map(|object| self.names(object));
            candidates.extend(names.map(|name| (name, format!("{colour} {shape}"))));
        }
        candidates
    }

    fn glyphs(&self) -> Vec<Candidate> {
        let of_class = |class: &str| {
            let object = self.only(|object| object.thing.class() == class)?;
            (!object.needle).then(|| (class.to_owned(), object.thing.answer()))
        };
        ["digit", "letter"].into_iter().filter_map(of_class).collect()
    }

    fn momentary(&self) -> Vec<Candidate> {
        let Some((_, needle)) = self.needle() else { return Vec::new() };
        match self.only(|object| object.thing == needle.thing) {
            Some(_) => vec![(needle.thing.class().to_owned(), needle.thing.answer())],
            None => Vec::new(),
        }
    }

    /// Things of a scene are named in one order, by colour, so that there is one right text.
    fn description(&self) -> Vec<Candidate> {
        if self.needle().is_some() || self.scenes.len() > 4 {
            return Vec::new();
        }
        let scenes: Vec<String> = self
            .scenes
            .iter()
            .map(|scene| {
                let mut things: Vec<_> = scene.objects.iter().map(|object| (object.colour, object.thing)).collect();
                things.sort_unstable();
                list_things(&things)
            })
            .collect();
        vec![(String::new(), scenes.join(wording::THEN))]
    }

    fn places(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (_, object) in self.objects() {
            let names = self.names(object);
            let [start, end] = [object.start_ms, object.end_ms - 1].map(|ms| f64::from(ms) / 1000.0);
            let moments: &[(f64, f64, &str)] = match object.direction() {
                Some(_) => &[(start, 1.0, AT_START), (end, -1.0, AT_END)],
                None => &[(start, 0.0, "")],
            };
            for &(time, inwards, when) in moments {
                let place = self.place_name(object, time);
                // Whoever looks once a second must see it there.
                if self.place_name(object, time + inwards) == place {
                    candidates.extend(names.iter().map(|name| (format!("{name}{when}"), place.to_owned())));
                }
            }
        }
        candidates
    }
}

/// When something that moves is asked for, behind its name.
const AT_START: &str = " at the start";
const AT_END: &str = " at the end";

/// What is asked about, and the answer.
type Candidate = (String, String);
