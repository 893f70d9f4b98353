//! The strip of sampled frames, and the pictures that all sections take their frames from.

use longvu::{FrameFate, FrameUse};
use maud::{Markup, html};

use super::{choice, data::Run, pictures::Pictures, words};

/// Every picture once, and the hatching of what was cut; other places refer to them.
pub fn definitions(pictures: &Pictures) -> Markup {
    html! {
        svg.definitions aria-hidden="true" width="0" height="0" {
            defs {
                pattern id="hatch" width="0.5" height="0.5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="0.5" height="0.5" class="hatch-ground" {}
                    rect width="0.16" height="0.5" class="hatch-line" {}
                }
                @for (index, picture) in pictures.iter() {
                    image id={ "frame-" (index) } width="1" height="1" preserveAspectRatio="xMidYMid meet"
                        href=(picture.address) {}
                }
            }
        }
    }
}

/// A frame's picture in a square of one unit, as the towers see it; an empty square where there is none.
pub fn picture(frame: &FrameUse, pictures: &Pictures) -> Markup {
    html! {
        rect.ground width="1" height="1" {}
        @if pictures.get(frame.info.index).is_some() { use href={ "#frame-" (frame.info.index) } {} }
    }
}

/// Where a frame is and what became of it, in words.
pub fn described(frame: &FrameUse) -> String {
    let tokens = words::count(frame.tokens, "token");
    format!("Frame at {}: {}, {tokens}", words::time(frame.info.timestamp), words::fate(frame.fate))
}

/// The strip.
pub fn strip(run: &Run, pictures: &Pictures) -> Markup {
    let Some(visual) = run.visual() else { return html! {} };
    let shown = choice::strip(visual);
    let count = |fate| visual.frames.iter().filter(|frame| frame.fate == fate).count();
    let (full, low) = (count(FrameFate::Full), count(FrameFate::Low));
    let dropped = [
        ("temporal", count(FrameFate::TemporalDropped)),
        ("query-guided", count(FrameFate::QueryDropped)),
        ("spatial", count(FrameFate::SpatialDropped)),
    ];
    let (width, height) = visual.dimensions;
    html! {
        p {
            (words::count(visual.frames.len(), "frame")) " of " (width) "x" (height) " sampled: "
            strong { (full) } " at full resolution, " strong { (low) } " at low resolution, "
            strong { (visual.frames.len() - full - low) } " dropped"
            @for (stage, count) in dropped.iter().filter(|(_, count)| *count > 0) { ", " (count) " by the " (stage) " stage" }
            ". "
            @if shown.len() < visual.frames.len() {
                (shown.len()) " of " (visual.frames.len())
                " frames are shown, evenly spread among those in the prompt and among the others. "
            }
            @if !shown.iter().any(|frame| pictures.get(frame.info.index).is_some()) {
                "There are no pictures: an encoded video keeps none."
            }
        }
        ol.strip {
            @for frame in &shown {
                li class=(words::class(frame.fate)) {
                    svg.thumb viewBox="0 0 1 1" role="img" aria-label=(described(frame)) { (picture(frame, pictures)) }
                    span.time { (words::time(frame.info.timestamp)) }
                    span.fate { (short(frame)) }
                }
            }
        }
        details {
            summary { "Numbers of these frames" }
            div.scroll { (table(&shown)) }
        }
    }
}

/// A caption of a few letters.
fn short(frame: &FrameUse) -> String {
    match frame.fate {
        FrameFate::Full => format!("full {}", frame.tokens),
        FrameFate::Low => format!("low {}", frame.tokens),
        _ => "dropped".into(),
    }
}

fn table(frames: &[&FrameUse]) -> Markup {
    let dash = || "–".to_owned();
    html! {
        table {
            thead { tr {
                th { "time" } th { "frame" } th { "became" } th { "tokens" } th { "newlines" } th { "similarity" } th { "score" }
            } }
            tbody {
                @for frame in frames {
                    tr data-sample=(frame.info.sample) {
                        (words::number(words::time(frame.info.timestamp)))
                        (words::number(frame.info.index))
                        td { (words::fate(frame.fate)) }
                        (words::number(frame.tokens))
                        (words::number(frame.newlines))
                        (words::number(frame.temporal_score.map_or_else(dash, words::similarity)))
                        (words::number(frame.query_score.map_or_else(dash, words::score)))
                    }
                }
            }
        }
    }
}
