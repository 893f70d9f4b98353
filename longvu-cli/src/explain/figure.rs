//! Charts within the page: with words for them, and legends.

use maud::{Markup, PreEscaped, html};
use plotters::style::RGBColor;

use super::charts::Mark;

/// A chart with a text in its stead for those who do not see it, and a legend.
pub fn chart(svg: &str, described: &str, legend: &[(&str, Mark, RGBColor)]) -> Markup {
    html! {
        figure {
            div.chart role="img" aria-label=(described) { (PreEscaped(svg)) }
            @if !legend.is_empty() {
                figcaption.legend {
                    @for (name, mark, colour) in legend { span { (glyph(*mark, *colour)) " " (name) } " " }
                }
            }
        }
    }
}

/// A series' mark in small.
pub fn glyph(mark: Mark, RGBColor(red, green, blue): RGBColor) -> Markup {
    let colour = format!("#{red:02X}{green:02X}{blue:02X}");
    html! {
        svg.glyph viewBox="0 0 14 10" aria-hidden="true" {
            @match mark {
                Mark::Line => { line x1="0" y1="5" x2="14" y2="5" stroke=(colour) stroke-width="2" {} }
                Mark::Dashed => { line x1="0" y1="5" x2="14" y2="5" stroke=(colour) stroke-width="2" stroke-dasharray="4 2" {} }
                Mark::Dot => { circle cx="7" cy="5" r="4" fill=(colour) {} }
                Mark::Cross => { path d="M3 1L11 9M11 1L3 9" stroke=(colour) stroke-width="2" fill="none" {} }
                Mark::Triangle => { path d="M7 1L12 9H2Z" fill=(colour) {} }
                Mark::Square => { path d="M2 0H12V10H2Z" fill=(colour) {} }
            }
        }
    }
}
