//! An endless stream of the drawn world's videos with questions, each a function of its index.

use std::collections::BTreeMap;

use longvu_world::{Aspect, Question, QuestionKind, Script, ScriptKind, ScriptOptions, Split};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Videos of one length and kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VideoGroup {
    /// How often, beside the other groups' weights.
    pub weight: f64,
    /// Shortest and longest, in seconds.
    pub seconds: (f64, f64),
    /// How they are built; as the world likes unless set.
    #[serde(default)]
    pub kind: Option<ScriptKind>,
    /// How often each kind of question is asked of them, 0 for kinds that are left out; as of the others unless set. Videos
    /// that cannot be asked any of these are passed over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, f64>,
    /// Tokens that a video may take, where that is fewer than the model's window leaves: short videos are then compressed
    /// as long ones are, at the price of short ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visual_tokens: Option<usize>,
    /// Share of digits and letters where there can be any; as the world likes unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glyphs: Option<f64>,
}

impl VideoGroup {
    /// Videos from `shortest` to `longest` seconds, drawn and asked about as the world likes.
    pub fn new(weight: f64, (shortest, longest): (f64, f64)) -> Self {
        Self { weight, seconds: (shortest, longest), ..Self::default() }
    }

    /// What the world draws by, but for a video's own length and size.
    fn options(&self) -> ScriptOptions {
        let mut options = ScriptOptions::default();
        (options.kind, options.glyphs) = (self.kind, self.glyphs);
        options
    }
}

/// What the world shows and asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WorldMix {
    /// Videos.
    pub videos: Vec<VideoGroup>,
    /// Share of samples that are single pictures.
    pub pictures: f64,
    /// Heights that they are drawn at, in pixels, before the towers' own resizing.
    pub heights: Vec<u32>,
    /// Share of samples that are 16:9 rather than square.
    pub wide: f64,
    /// Questions about a video, at most.
    pub questions: usize,
    /// Share of videos whose questions follow on one another in a dialogue. Of the others each is asked alone.
    pub dialogues: f64,
    /// How often each kind of question is asked where it can be; 1 for kinds that are left out.
    pub kinds: BTreeMap<String, f64>,
}

impl Default for WorldMix {
    fn default() -> Self {
        Self {
            videos: vec![VideoGroup::new(1.0, (3.0, 12.0))],
            pictures: 0.1,
            heights: vec![128, 160, 192, 256],
            wide: 0.15,
            questions: 4,
            dialogues: 0.2,
            kinds: BTreeMap::new(),
        }
    }
}

impl WorldMix {
    /// Checks what would make no sense.
    ///
    /// # Errors
    /// [`Error::Setting`] with the name of the setting.
    pub fn validate(&self) -> Result<()> {
        let wrong = |name, value: String, expected| Err(Error::Setting { name, value, expected });
        let is_weight = |weight: f64| weight >= 0.0 && weight.is_finite();
        if ![self.pictures, self.wide, self.dialogues].into_iter().all(is_share) {
            let value = format!("{}, {}, {}", self.pictures, self.wide, self.dialogues);
            return wrong("pictures, wide, dialogues", value, "shares from 0 to 1");
        }
        if self.heights.is_empty() || self.questions == 0 {
            let value = format!("{:?}, {}", self.heights, self.questions);
            return wrong("heights, questions", value, "one or more");
        }
        for kinds in self.videos.iter().map(|group| &group.kinds).chain([&self.kinds]) {
            if let Some(kind) = kinds.keys().find(|name| QuestionKind::ALL.iter().all(|kind| kind.name() != **name)) {
                return wrong("kinds", kind.clone(), "a kind of question such as colour, count or needle");
            }
            if !kinds.values().all(|weight| is_weight(*weight)) {
                return wrong("kinds", format!("{kinds:?}"), "weights of 0 or more");
            }
        }
        let is_asked = |group| QuestionKind::ALL.into_iter().any(|kind| self.weight(group, kind) > 0.0);
        if !self.videos.iter().map(Some).chain([None]).all(is_asked) {
            return wrong("kinds", format!("{:?}", self.kinds), "a kind that is asked");
        }
        for height in &self.heights {
            ScriptOptions::default().with_size(*height).validate()?;
        }
        let total: f64 = self.videos.iter().map(|group| group.weight).sum();
        if !self.videos.iter().all(|group| is_weight(group.weight)) || total <= 0.0 {
            return wrong("videos", format!("{:?}", self.videos), "weights of 0 or more, and one above 0");
        }
        for group in &self.videos {
            let (least, most) = group.seconds;
            group.options().with_duration(least).validate()?;
            if group.visual_tokens == Some(0) {
                return wrong("visual_tokens", "0".into(), "1 or more");
            }
            if !(most >= least && most <= ScriptOptions::MAX_DURATION) {
                return wrong("seconds", format!("{least} to {most}"), "the shortest first, and at most six hours");
            }
        }
        Ok(())
    }

    /// How often a kind is asked of a group's videos, or of pictures.
    fn weight(&self, group: Option<&VideoGroup>, kind: QuestionKind) -> f64 {
        match group.map(|group| &group.kinds).filter(|kinds| !kinds.is_empty()) {
            Some(kinds) => kinds.get(kind.name()).copied().unwrap_or(0.0),
            None => self.kinds.get(kind.name()).copied().unwrap_or(1.0),
        }
    }
}

/// Whether a number can be a share of something.
pub(crate) fn is_share(share: f64) -> bool {
    (0.0..=1.0).contains(&share)
}

/// A video or picture of the world, and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorldSample {
    /// The video.
    pub script: Script,
    /// Whether only its first moment is shown, as a picture.
    pub is_picture: bool,
    /// Tokens that it may take, where that is fewer than the model's window leaves.
    pub visual_tokens: Option<usize>,
    /// Questions with their answers, at least one.
    pub questions: Vec<Question>,
    /// Whether they follow on one another.
    pub is_dialogue: bool,
}

/// Samples of a mix, drawn from a split of the world's seeds.
#[derive(Debug, Clone)]
pub struct WorldStream {
    mix: WorldMix,
    split: Split,
    seed: u64,
}

/// Samples of one stream, before the next one's begin.
const STREAM: u64 = 1 << 36;

/// Videos drawn for one sample, until one can be asked about: enough for kinds that hardly any video allows.
const ATTEMPTS: u64 = 1024;

impl WorldStream {
    /// Streams of different seeds below 2^24 have no video in common.
    ///
    /// # Errors
    /// As [`WorldMix::validate`].
    pub fn new(mix: WorldMix, split: Split, seed: u64) -> Result<Self> {
        mix.validate()?;
        Ok(Self { mix, split, seed })
    }

    /// The mix, the split and the seed in words.
    pub fn description(&self) -> String {
        let mix = serde_json::to_string(&self.mix).unwrap_or_default();
        format!("{:?} videos from {} of {mix}", self.split, self.seed)
    }

    /// Sample `index`.
    ///
    /// # Errors
    /// Settings that the world refuses, and [`Error::Setting`] for kinds that none of these videos can be asked about.
    pub fn sample(&self, index: u64) -> Result<WorldSample> {
        let place = self.seed.wrapping_mul(STREAM).wrapping_add(index);
        let mut rng = StdRng::seed_from_u64(place);
        // A video without any question that has one answer gives way to the next.
        for attempt in 0..ATTEMPTS {
            let (options, group) = self.options(&mut rng);
            // All attempts stay within the stream, so that streams have none in common.
            let offset = attempt % 64 * (STREAM / 64) + attempt / 64 * (STREAM / ATTEMPTS);
            let seed = self.split.seed(place.wrapping_add(offset));
            let script = Script::draw(seed, &options)?;
            let questions = self.questions(&script, group, &mut rng);
            if !questions.is_empty() {
                let is_dialogue = rng.random_bool(self.mix.dialogues);
                let (is_picture, visual_tokens) = (group.is_none(), group.and_then(|group| group.visual_tokens));
                return Ok(WorldSample { script, is_picture, visual_tokens, questions, is_dialogue });
            }
        }
        let value = format!("{:?}", self.mix.kinds);
        Err(Error::Setting { name: "kinds", value, expected: "kinds that can be asked about these videos" })
    }

    /// What to draw, and the group that it belongs to unless it is a picture.
    fn options(&self, rng: &mut StdRng) -> (ScriptOptions, Option<&VideoGroup>) {
        let mix = &self.mix;
        let mut drawn_of = None;
        let options = if rng.random_bool(mix.pictures) {
            // In a second nothing moves.
            ScriptOptions::default().with_kind(ScriptKind::Single).with_duration(1.0)
        } else {
            let weights = mix.videos.iter().map(|group| group.weight);
            let group = &mix.videos[weighted(rng, weights)];
            drawn_of = Some(group);
            let (least, most) = group.seconds;
            let duration = if most > least { rng.random_range(least..most) } else { least };
            group.options().with_duration(duration)
        };
        let height = mix.heights[rng.random_range(0..mix.heights.len())];
        let aspect = if rng.random_bool(mix.wide) { Aspect::Wide } else { Aspect::Square };
        (options.with_size(height).with_aspect(aspect), drawn_of)
    }

    /// Questions by their weights, none twice.
    fn questions(&self, script: &Script, group: Option<&VideoGroup>, rng: &mut StdRng) -> Vec<Question> {
        let weight = |kind: &QuestionKind| self.mix.weight(group, *kind);
        let kinds: Vec<QuestionKind> = QuestionKind::ALL
            .into_iter()
            .filter(|kind| weight(kind) > 0.0 && script.question(*kind, 0).is_some())
            .collect();
        let mut questions: Vec<Question> = Vec::new();
        if kinds.is_empty() {
            return questions;
        }
        for _ in 0..2 * self.mix.questions {
            let kind = kinds[weighted(rng, kinds.iter().map(weight))];
            let Some(question) = script.question(kind, rng.random_range(0..1 << 20)) else { continue };
            // Answers that follow from one another, as where every answer of a kind came once, would be learnt as such.
            let may_repeat = matches!(kind, QuestionKind::Presence | QuestionKind::Action);
            let is_new = questions.iter().all(|other| {
                other.text != question.text && (may_repeat || (other.kind, &other.answer) != (kind, &question.answer))
            });
            if is_new && questions.len() < self.mix.questions {
                questions.push(question);
            }
        }
        questions
    }
}

/// A place by its weight; the last one for weights that add up to nothing.
fn weighted(rng: &mut impl Rng, weights: impl Iterator<Item = f64> + Clone) -> usize {
    let mut left = weights.clone().sum::<f64>() * rng.random::<f64>();
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        last = place;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(weight: f64, seconds: (f64, f64), kind: Option<ScriptKind>) -> VideoGroup {
        VideoGroup { weight, seconds, kind, ..VideoGroup::default() }
    }

    fn mix() -> WorldMix {
        WorldMix {
            videos: vec![group(3.0, (3.0, 12.0), None), group(1.0, (30.0, 40.0), Some(ScriptKind::Needle))],
            pictures: 0.25,
            heights: vec![32, 48],
            kinds: BTreeMap::from([("needle".to_owned(), 5.0), ("count".to_owned(), 0.0)]),
            ..WorldMix::default()
        }
    }

    /// Weights of 0 for all kinds but these.
    fn only(asked: &[&str]) -> BTreeMap<String, f64> {
        let weight = |kind: QuestionKind| (kind.name().to_owned(), f64::from(u8::from(asked.contains(&kind.name()))));
        QuestionKind::ALL.into_iter().map(weight).collect()
    }

    #[test]
    fn samples_follow_from_their_index_and_the_mix() {
        let stream = WorldStream::new(mix(), Split::Train, 3).unwrap();
        let samples: Vec<WorldSample> = (0..400).map(|index| stream.sample(index).unwrap()).collect();
        assert_eq!(samples[17], WorldStream::new(mix(), Split::Train, 3).unwrap().sample(17).unwrap());
        let share = |is: &dyn Fn(&WorldSample) -> bool| samples.iter().filter(|s| is(s)).count() as f64 / 400.0;
        assert!((share(&|s| s.is_picture) - 0.25).abs() < 0.08);
        assert!((share(&|s| s.is_dialogue) - 0.2).abs() < 0.08);
        assert!((share(&|s| s.script.duration() >= 30.0) - 0.75 / 4.0).abs() < 0.08);
        let kinds: std::collections::BTreeSet<_> =
            samples.iter().flat_map(|s| s.questions.iter().map(|q| q.kind.name())).collect();
        assert_eq!(kinds.len(), QuestionKind::ALL.len() - 1, "{kinds:?}");
        assert!(!kinds.contains("count"));
        for sample in &samples {
            assert_eq!(Split::of(sample.script.seed()), Some(Split::Train));
            assert!((1..=4).contains(&sample.questions.len()));
            assert!(sample.questions.iter().all(|question| question.is_answered_by(&question.answer)));
        }
        let other = WorldStream::new(mix(), Split::Validation, 3).unwrap().sample(17).unwrap();
        assert_ne!(other.script.seed(), samples[17].script.seed());
    }

    #[test]
    fn nonsense_is_refused() {
        let needles = |weight, seconds| group(weight, seconds, Some(ScriptKind::Needle));
        for wrong in [
            WorldMix { pictures: 1.5, ..mix() },
            WorldMix { dialogues: -0.1, ..mix() },
            WorldMix { heights: vec![], ..mix() },
            WorldMix { questions: 0, ..mix() },
            WorldMix { videos: vec![], ..mix() },
            WorldMix { videos: vec![needles(-1.0, (20.0, 30.0))], ..mix() },
            WorldMix { videos: vec![needles(1.0, (2.0, 30.0))], ..mix() },
            WorldMix { videos: vec![needles(1.0, (30.0, 20.0))], ..mix() },
            WorldMix { videos: vec![VideoGroup { visual_tokens: Some(0), ..needles(1.0, (20.0, 30.0)) }], ..mix() },
            WorldMix { videos: vec![VideoGroup { glyphs: Some(-0.1), ..needles(1.0, (20.0, 30.0)) }], ..mix() },
            WorldMix { kinds: BTreeMap::from([("colours".to_owned(), 1.0)]), ..mix() },
            WorldMix { kinds: only(&[]), ..mix() },
            WorldMix { heights: vec![128, 4], ..mix() },
        ] {
            assert!(WorldStream::new(wrong, Split::Train, 0).is_err());
        }
        let needles_of_single_scenes = WorldMix {
            videos: vec![group(1.0, (3.0, 5.0), Some(ScriptKind::Single))],
            kinds: only(&["needle"]),
            ..mix()
        };
        let error = WorldStream::new(needles_of_single_scenes, Split::Train, 0).unwrap().sample(0).unwrap_err();
        assert!(error.to_string().contains("kinds that can be asked"), "{error}");
    }
}
