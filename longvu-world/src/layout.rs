//! Where the objects of a scene go, on a grid of tiles, so that none overlap, also while they move.

use std::ops::Range;

use crate::rng::Rng;
use crate::things::TILE;
use crate::{Colour, Direction, Motion, Object, Size, Thing};

/// The least and the most that an object moves, in tiles, so that its direction shows in a few frames.
const TRAVEL: [i32; 2] = [3, 5];

/// Scenes in which objects may move or blink, in thousandths of a second: long enough to see it in a frame a second, and
/// not so long that it looks like standing.
pub(crate) const LIVELY_MS: Range<u32> = 3_000..12_000;

/// An object before it has a place.
pub(crate) struct Idea {
    pub thing: Thing,
    pub colour: Colour,
    /// When it can be seen, if not during the whole scene.
    pub moment: Option<Range<u32>>,
}

/// A scene's frame in time and space.
pub(crate) struct Stage {
    pub start_ms: u32,
    pub end_ms: u32,
    /// The picture's width and height, in thousandths of its shorter side.
    pub width: i32,
    pub height: i32,
    /// Whether nothing may move or blink.
    pub still: bool,
}

/// A size and a motion for each object, and a place that no other's path touches.
pub(crate) fn arrange(rng: &mut Rng, stage: &Stage, ideas: &[Idea]) -> Vec<Object> {
    let mut objects: Vec<Object> = ideas.iter().map(|idea| unplaced(rng, stage, idea)).collect();
    for attempt in 1..=120 {
        if place_all(rng, stage, &mut objects) {
            return objects;
        }
        if attempt % 12 == 0 {
            shrink_largest(&mut objects);
        }
    }
    line_up(stage, &mut objects);
    objects
}

fn unplaced(rng: &mut Rng, stage: &Stage, idea: &Idea) -> Object {
    let is_lively = !stage.still && LIVELY_MS.contains(&(stage.end_ms - stage.start_ms)) && idea.moment.is_none();
    let motion = match if is_lively { rng.below(3) } else { 0 } {
        0 => Motion::Stand,
        1 => Motion::Move(rng.pick(&Direction::ALL)),
        _ => Motion::Blink,
    };
    let size = if idea.thing.is_glyph() { rng.pick(&[Size::Medium, Size::Large]) } else { rng.pick(&Size::ALL) };
    let times = idea.moment.clone().unwrap_or(stage.start_ms..stage.end_ms);
    Object {
        thing: idea.thing,
        colour: idea.colour,
        size,
        motion,
        x: 0,
        y: 0,
        travel: 0,
        start_ms: times.start,
        end_ms: times.end,
        needle: idea.moment.is_some(),
    }
}

/// Tries one place for each object; false if two of them come too near.
fn place_all(rng: &mut Rng, stage: &Stage, objects: &mut [Object]) -> bool {
    let mut taken: Vec<[Range<i32>; 2]> = Vec::with_capacity(objects.len());
    for object in objects {
        let step = object.direction().map_or((0, 0), Direction::step);
        let [least, most] = TRAVEL;
        let room = if step.0 == 0 { stage.height } else { stage.width } / TILE - object.size.tiles();
        object.travel = if step == (0, 0) { 0 } else { rng.range(least, room.min(most)) * TILE };
        let (x, columns) = place_along(rng, stage.width, object, step.0);
        let (y, rows) = place_along(rng, stage.height, object, step.1);
        (object.x, object.y) = (x, y);
        let overlap = |one: &Range<i32>, other: &Range<i32>| one.start < other.end && other.start < one.end;
        if taken.iter().any(|[x, y]| overlap(x, &columns) && overlap(y, &rows)) {
            return false;
        }
        taken.push([columns, rows]);
    }
    true
}

/// Where an object's middle starts along one side of the picture, and the tiles that it covers of that side on its way.
fn place_along(rng: &mut Rng, side: i32, object: &Object, step: i32) -> (i32, Range<i32>) {
    let tiles = object.size.tiles();
    let moved = step * object.travel / TILE;
    let first = rng.range(-moved.min(0), side / TILE - tiles - moved.max(0));
    (middle(first, tiles), first + moved.min(0)..first + moved.max(0) + tiles)
}

/// The middle of a row of tiles.
fn middle(first: i32, tiles: i32) -> i32 {
    (2 * first + tiles) * TILE / 2
}

/// Makes the largest object smaller; digits and letters last, which need their size to be read.
fn shrink_largest(objects: &mut [Object]) {
    if let Some(object) = objects.iter_mut().max_by_key(|object| (object.size, !object.thing.is_glyph())) {
        object.size = if object.size == Size::Large { Size::Medium } else { Size::Small };
    }
}

/// The way out where chance finds no room: small things side by side.
fn line_up(stage: &Stage, objects: &mut [Object]) {
    let count = objects.len() as i32;
    for (place, object) in objects.iter_mut().enumerate() {
        object.size = Size::Small;
        object.motion = Motion::Stand;
        object.travel = 0;
        object.x = middle(stage.width / TILE * (2 * place as i32 + 1) / (2 * count), 1);
        object.y = middle(stage.height / TILE / 2, 1);
    }
}
