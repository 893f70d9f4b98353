//! Where the positions of the language model's window went.

use anyhow::Result;
use maud::{Markup, html};

use super::{
    charts::{self, Mark},
    data::Run,
    figure::{chart, glyph},
    words,
};

/// The section.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn section(run: &Run) -> Result<Markup> {
    let window = &run.explanation.window;
    let parts = [
        ("text", window.text, charts::TEXT),
        ("frames at low resolution", window.low, charts::LOW),
        ("frames at full resolution", window.full, charts::FULL),
        ("newlines of frames", window.newlines, charts::LIMIT),
        ("reserved for the answer", window.reserved, charts::GONE),
        ("spare", window.spare, charts::EMPTY),
    ];
    let svg = charts::bar(&parts.map(|(_, tokens, colour)| (tokens, colour)))?;
    let listed: Vec<String> = parts.iter().map(|(name, tokens, _)| format!("{name} {tokens}")).collect();
    let described = format!("{} tokens: {}", window.window, listed.join(", "));
    Ok(html! {
        p {
            "The window holds " (window.window) " tokens. The prompt took " strong { (run.prompt_tokens) } ", "
            strong { (run.visual_tokens) } " of them visual"
            @if let Some(most) = run.model.budget.visual_tokens { " (at most " (most) " were allowed)" }
            "; the answer took " (run.generated_tokens) "."
        }
        @if let Some(decoder) = &run.decoder {
            p data-part="decoder" {
                "The language model's first " (decoder.stage.k) " layers saw " (decoder.visual_tokens) " visual tokens, the later ones "
                strong { (decoder.kept_tokens) } "."
            }
        }
        div.bar { (chart(&svg, &described, &[])) }
        table.window {
            thead { tr { th { "what" } th { "tokens" } th { "share" } } }
            tbody {
                @for (name, tokens, colour) in parts {
                    tr data-part=(name) {
                        td { (glyph(Mark::Square, colour)) " " (name) }
                        (words::number(tokens))
                        (words::number(format!("{:.1} %", 100.0 * tokens as f64 / window.window.max(1) as f64)))
                    }
                }
            }
        }
    })
}
