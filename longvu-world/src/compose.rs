//! Draws scripts from seeds: the times of the scenes, and what is in them.

use std::ops::Range;

use crate::background::{Texture, Tone};
use crate::layout::{Idea, Stage, arrange};
use crate::rng::Rng;
use crate::script::Counted;
use crate::{
    Background, Colour, LETTERS, Object, Result, Scene, Script, ScriptKind, ScriptOptions, Shape, Thing, caption,
};

/// How often each kind is drawn where the options leave it open.
const WEIGHTS: [(ScriptKind, usize); 4] =
    [(ScriptKind::Single, 3), (ScriptKind::Cuts, 4), (ScriptKind::Still, 2), (ScriptKind::Needle, 3)];

/// The shortest scene between cuts.
const LEAST_SCENE_MS: u32 = 2_000;

/// Scenes around a needle last this long,
const FILLER_MS: Range<u32> = 4_000..15_000;

/// or, two times in three, this long, with nothing happening: most of a long video is more of the same.
const LULL_MS: Range<u32> = 20_000..60_000;

/// How long a needle is seen. A second or more, so that a frame a second never misses it.
const NEEDLE_MS: Range<u32> = 1_000..1_500;

impl Script {
    /// Draws the video of a seed. The same seed and options give the same script, byte for byte, on every platform.
    ///
    /// ```
    /// use longvu_world::{Script, ScriptOptions, Split};
    /// let script = Script::draw(Split::Train.seed(0), &ScriptOptions::default())?;
    /// assert_eq!(script.frame(0.5).len(), 378 * 378 * 3);
    /// # Ok::<(), longvu_world::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ScriptOptions::validate`].
    pub fn draw(seed: u64, options: &ScriptOptions) -> Result<Self> {
        options.validate()?;
        let duration_ms = (options.duration * 1000.0).round() as u32;
        let mut rng = Rng::new(seed, 0);
        let kind = options.kind.unwrap_or_else(|| draw_kind(&mut rng, options.duration));
        let (width, height) = options.picture_size();
        let short = width.min(height).max(1);
        let mut composer = Composer {
            rng,
            width: (width * 1000 / short) as i32,
            height: (height * 1000 / short) as i32,
            shapes: Shape::ALL.to_vec(),
            colours: Colour::ALL.to_vec(),
            glyphs: options.glyphs.map(|share| (share * 1000.0).round() as u64),
        };
        let (scenes, counted) = match kind {
            ScriptKind::Single => composer.story(&back_to_back(&[duration_ms]), None),
            ScriptKind::Cuts => composer.with_cuts(duration_ms),
            ScriptKind::Still => composer.with_still(duration_ms),
            ScriptKind::Needle => (composer.with_needle(duration_ms), None),
        };
        Ok(Self { seed, kind, width, height, fps: options.fps, duration_ms, counted, scenes })
    }
}

fn draw_kind(rng: &mut Rng, duration: f64) -> ScriptKind {
    let fitting: Vec<ScriptKind> = WEIGHTS
        .into_iter()
        .filter(|(kind, _)| kind.least_duration() <= duration)
        .flat_map(|(kind, weight)| std::iter::repeat_n(kind, weight))
        .collect();
    rng.choose(&fitting).copied().unwrap_or(ScriptKind::Single)
}

struct Composer {
    rng: Rng,
    /// The picture's width and height, in thousandths of its shorter side.
    width: i32,
    height: i32,
    /// What may be drawn where nothing is asked for.
    shapes: Vec<Shape>,
    colours: Vec<Colour>,
    /// How many things in a thousand are digits or letters where they can be, if it is set.
    glyphs: Option<u64>,
}

impl Composer {
    fn with_cuts(&mut self, duration: u32) -> (Vec<Scene>, Option<Counted>) {
        let most = (duration / LEAST_SCENE_MS).min(4);
        let count = self.rng.range(2, most as i32) as u32;
        let lengths = self.lengths(duration, count);
        self.story(&back_to_back(&lengths), None)
    }

    fn with_still(&mut self, duration: u32) -> (Vec<Scene>, Option<Counted>) {
        let shorts = self.rng.below(3) as u32;
        // At most a quarter of the video each, so that the long one is at least half of it.
        let most = (duration / 4).clamp(1_500, 4_000);
        let mut lengths: Vec<u32> = (0..shorts).map(|_| self.rng.range(1_500, most as i32) as u32).collect();
        let long = duration - lengths.iter().sum::<u32>();
        let place = self.rng.index(lengths.len() + 1);
        lengths.insert(place, long);
        self.story(&back_to_back(&lengths), Some(place))
    }

    /// Scenes about different things, of which one has a known count of something seen in no other. In the scene `still`,
    /// nothing moves or blinks.
    fn story(&mut self, times: &[Range<u32>], still: Option<usize>) -> (Vec<Scene>, Option<Counted>) {
        let is_single = times.len() == 1;
        let counted = match self.rng.below(if is_single { 3 } else { 2 }) {
            0 => Counted::Shape(self.rng.pick(&Shape::ALL)),
            1 => Counted::Colour(self.rng.pick(&Colour::ALL)),
            _ => Counted::All,
        };
        let count = 1 + self.rng.index(3);
        let counting = self.rng.index(times.len());
        let group: Vec<Idea> = (0..count).map(|_| self.counted_idea(counted)).collect();
        // What is counted is seen nowhere else.
        match counted {
            Counted::All => {}
            Counted::Shape(shape) => self.shapes.retain(|other| *other != shape),
            Counted::Colour(colour) => self.colours.retain(|other| *other != colour),
        }
        let mut group = Some(group);
        let mut told: Vec<String> = Vec::new();
        let mut scenes = Vec::new();
        for (place, times) in times.iter().enumerate() {
            let ideas = match group.take_if(|_| place == counting) {
                Some(mut group) => {
                    if counted != Counted::All {
                        let others = self.rng.index(4 - count);
                        group.extend((0..others).map(|_| self.other_idea(1, 6)));
                    }
                    self.rng.shuffle(&mut group);
                    group
                }
                None => self.untold_ideas(&told),
            };
            told.push(phrase(&ideas));
            scenes.push(self.scene(times.clone(), still == Some(place), &ideas));
        }
        (scenes, Some(counted))
    }

    /// Things for a scene that no other scene has shown just so.
    fn untold_ideas(&mut self, told: &[String]) -> Vec<Idea> {
        loop {
            let count = self.rng.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3]);
            let ideas: Vec<Idea> = (0..count).map(|_| self.other_idea(1, 8)).collect();
            if !told.contains(&phrase(&ideas)) {
                return ideas;
            }
        }
    }

    /// Many scenes, with the needle in one of them or in a scene of its own.
    fn with_needle(&mut self, duration: u32) -> Vec<Scene> {
        let class = match self.glyphs {
            None => self.rng.below(5),
            Some(share) if self.rng.chance(share, 1000) => self.rng.below(4),
            Some(_) => 4,
        };
        let thing = match class {
            0 | 1 => self.digit(),
            2 | 3 => self.letter(),
            _ => Thing::Shape(self.rng.pick(&Shape::ALL)),
        };
        let colour = self.rng.pick(&Colour::ALL);
        // Few kinds of things, so that some are never seen however long the video is.
        self.shapes.retain(|shape| thing != Thing::Shape(*shape));
        self.rng.shuffle(&mut self.shapes);
        self.shapes.truncate(4);
        self.rng.shuffle(&mut self.colours);
        self.colours.truncate(5);

        let length = self.rng.range(NEEDLE_MS.start as i32, NEEDLE_MS.end as i32) as u32;
        let start = self.rng.range(2_000, (duration - length - 2_000) as i32) as u32;
        let moment = start..start + length;
        let mut needle = Some(Idea { thing, colour, moment: Some(moment.clone()) });
        let mut times = Vec::new();
        if self.rng.chance(1, 2) {
            times.extend(self.fill(0..start));
            times.push(moment.clone());
            times.extend(self.fill(moment.end..duration));
        } else {
            times.extend(self.fill_around(&moment, duration));
        }

        let mut scenes = Vec::new();
        let mut last = String::new();
        for times in times {
            let mut ideas = if times == moment { Vec::new() } else { self.filler_ideas(&last) };
            last = phrase(&ideas);
            if times.start <= moment.start && moment.end <= times.end {
                ideas.extend(needle.take());
            }
            scenes.push(self.scene(times, false, &ideas));
        }
        scenes
    }

    /// One or two things, other than the scene before showed.
    fn filler_ideas(&mut self, last: &str) -> Vec<Idea> {
        loop {
            let count = 1 + self.rng.index(2);
            let ideas: Vec<Idea> = (0..count).map(|_| self.other_idea(0, 1)).collect();
            if phrase(&ideas) != last {
                return ideas;
            }
        }
    }

    /// Scenes that fill a stretch of time.
    fn fill(&mut self, times: Range<u32>) -> Vec<Range<u32>> {
        let mut scenes = Vec::new();
        let mut start = times.start;
        while times.end - start > FILLER_MS.end {
            let left = times.end - start - FILLER_MS.start;
            let lengths = if left > LULL_MS.start && self.rng.chance(2, 3) { LULL_MS } else { FILLER_MS };
            let most = lengths.end.min(left);
            let end = start + self.rng.range(lengths.start as i32, most as i32) as u32;
            scenes.push(start..end);
            start = end;
        }
        scenes.push(start..times.end);
        scenes
    }

    /// Scenes that fill a video, with no cut during a moment or within half a second of it.
    fn fill_around(&mut self, moment: &Range<u32>, duration: u32) -> Vec<Range<u32>> {
        let before = self.rng.range(500, 5_000) as u32;
        let after = self.rng.range(500, 5_000) as u32;
        // What would be left over as a scene of under two seconds goes to the one with the needle.
        let start = moment.start.saturating_sub(before);
        let start = if start < LEAST_SCENE_MS { 0 } else { start };
        let end = (moment.end + after).min(duration);
        let end = if duration - end < LEAST_SCENE_MS { duration } else { end };
        let mut scenes = if start > 0 { self.fill(0..start) } else { Vec::new() };
        scenes.push(start..end);
        if end < duration {
            scenes.extend(self.fill(end..duration));
        }
        scenes
    }

    /// `count` lengths of at least [`LEAST_SCENE_MS`] with a sum of `duration`.
    fn lengths(&mut self, duration: u32, count: u32) -> Vec<u32> {
        let spare = duration - count * LEAST_SCENE_MS;
        let mut marks: Vec<u32> = (1..count).map(|_| self.rng.range(0, spare as i32) as u32).collect();
        marks.extend([0, spare]);
        marks.sort_unstable();
        marks.windows(2).map(|pair| pair[1] - pair[0] + LEAST_SCENE_MS).collect()
    }

    fn counted_idea(&mut self, counted: Counted) -> Idea {
        let (shape, colour) = (self.rng.pick(&Shape::ALL), self.rng.pick(&Colour::ALL));
        let (shape, colour) = match counted {
            Counted::All => (shape, colour),
            Counted::Shape(shape) => (shape, colour),
            Counted::Colour(colour) => (shape, colour),
        };
        Idea { thing: Thing::Shape(shape), colour, moment: None }
    }

    /// Something that is not counted; in `part` of `whole` cases a digit or a letter, unless the options say how often.
    fn other_idea(&mut self, part: u64, whole: u64) -> Idea {
        let (part, whole) = match self.glyphs {
            Some(share) if part > 0 => (share, 1000),
            _ => (part, whole),
        };
        let thing = if self.rng.chance(part, whole) {
            if self.rng.chance(1, 2) { self.digit() } else { self.letter() }
        } else {
            Thing::Shape(self.rng.choose(&self.shapes).copied().unwrap_or(Shape::Circle))
        };
        let colour = self.rng.choose(&self.colours).copied().unwrap_or(Colour::White);
        Idea { thing, colour, moment: None }
    }

    fn digit(&mut self) -> Thing {
        Thing::Digit(self.rng.below(10) as u8)
    }

    fn letter(&mut self) -> Thing {
        Thing::Letter(self.rng.pick(&LETTERS))
    }

    fn scene(&mut self, times: Range<u32>, still: bool, ideas: &[Idea]) -> Scene {
        let background = draw_background(&mut self.rng);
        let (start_ms, end_ms) = (times.start, times.end);
        let stage = Stage { start_ms, end_ms, width: self.width, height: self.height, still };
        let objects: Vec<Object> = arrange(&mut self.rng, &stage, ideas);
        Scene { start_ms, end_ms, background, objects }
    }
}

fn draw_background(rng: &mut Rng) -> Background {
    let tone = rng.pick(&Tone::ALL);
    match rng.below(3) {
        0 => Background::Plain(tone),
        1 => Background::Graded { from: tone, to: rng.pick(&Tone::ALL), sideways: rng.chance(1, 2) },
        _ => {
            let (texture, seed) = (rng.pick(&Texture::ALL), rng.below(1 << 32) as u32);
            Background::Textured { tone, texture, seed }
        }
    }
}

/// Ranges of these lengths from 0, each from the end of the one before.
fn back_to_back(lengths: &[u32]) -> Vec<Range<u32>> {
    let mut end = 0;
    lengths
        .iter()
        .map(|length| {
            let start = end;
            end += length;
            start..end
        })
        .collect()
}

/// What a description would say of a scene, by which scenes are told apart.
fn phrase(ideas: &[Idea]) -> String {
    let mut things: Vec<_> = ideas.iter().map(|idea| (idea.colour, idea.thing)).collect();
    things.sort_unstable();
    caption::list_things(&things)
}
