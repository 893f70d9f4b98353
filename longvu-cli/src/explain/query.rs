//! The query-guided stage: each frame's score against the question, and which frames were picked.

use anyhow::Result;
use longvu::{FrameFate, FrameUse, VisualKind, compress::Layout};
use maud::{Markup, html};

use super::{
    charts::{self, Mark, Series},
    data::Run,
    figure::chart,
    words,
};

/// The section.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn section(run: &Run) -> Result<Markup> {
    let Some(visual) = run.visual() else { return Ok(html! {}) };
    let fusion = &visual.fusion;
    let Some(query) = fusion.query.as_ref().filter(|query| !query.scores.is_empty()) else {
        let why = match (visual.kind, fusion.layout, fusion.query.is_some()) {
            (VisualKind::Image, ..) => "An image goes by this stage.",
            (_, _, true) => "No frame was scored: there was no room to raise any to full resolution.",
            (_, Layout::Full, _) => "It did not run: every frame went on at full resolution.",
            _ => "It did not run.",
        };
        return Ok(html! { p { (why) } });
    };
    let scored = |picked: bool| {
        let chosen = visual.frames.iter().filter(|frame| frame.query_score.is_some() && is_picked(frame) == picked);
        let point = |frame: &FrameUse| (frame.info.timestamp, f64::from(frame.query_score.unwrap_or_default()));
        chosen.map(point).collect::<Vec<_>>()
    };
    let others = match fusion.layout {
        Layout::Picked => "not picked: dropped",
        _ => "not picked: low resolution",
    };
    let mut all: Vec<(f64, f64)> = [scored(true), scored(false)].concat();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut series = vec![
        Series { name: "score", mark: Mark::Line, colour: charts::GONE, points: all },
        Series { name: "picked: full resolution", mark: Mark::Triangle, colour: charts::FULL, points: scored(true) },
        Series { name: others, mark: Mark::Cross, colour: charts::LOW, points: scored(false) },
    ];
    series.retain(|series| !series.points.is_empty());
    let legend: Vec<_> = series.iter().map(|series| (series.name, series.mark, series.colour)).collect();
    let svg = charts::over_time("score", &series, None)?;
    let bound = |start: f32, pick: fn(f32, f32) -> f32| query.scores.iter().copied().fold(start, pick);
    let (least, most) = (bound(f32::INFINITY, f32::min), bound(f32::NEG_INFINITY, f32::max));
    let (picked, frames) = (query.full.len(), query.scores.len());
    let range = format!("{} to {}", words::score(least), words::score(most));
    let described = format!("Scores over time from {range}: {picked} of {frames} frames picked");
    Ok(html! {
        p {
            strong { (picked) } " of " (frames) " scored frames were picked for full resolution. Scores go from " (range) "."
        }
        (chart(&svg, &described, &legend))
    })
}

fn is_picked(frame: &FrameUse) -> bool {
    frame.fate == FrameFate::Full
}
