//! The page around its sections, and what stands at its head.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    costs,
    data::{Data, Run},
    frames,
    pictures::Pictures,
    query, spatial, temporal, window,
    words::plain,
};

/// Nothing may be fetched from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("style.css");

/// The page.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn page(data: &Data, pictures: &Pictures) -> Result<String> {
    let sections = [
        section(data, "frames", "Sampled frames", |run| Ok(frames::strip(run, pictures)))?,
        section(data, "temporal", "Temporal reduction", temporal::section)?,
        section(data, "query", "Scores against the question", query::section)?,
        section(data, "spatial", "Tokens of the frames", |run| Ok(spatial::section(run, pictures)))?,
        section(data, "window", "The prompt's window", window::section)?,
        section(data, "costs", "Seconds and memory", |run| Ok(costs::section(run)))?,
    ];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "longvu: " (plain(&data.question)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (frames::definitions(pictures))
                (header(data))
                main { @for section in sections { (section) } }
            }
        }
    };
    Ok(markup.into_string())
}

fn section(data: &Data, id: &str, title: &str, show: impl Fn(&Run) -> Result<Markup>) -> Result<Markup> {
    let shown = data.runs.iter().map(show).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (side_by_side(&shown))
        }
    })
}

/// One run as it is; of two each under its letter.
fn side_by_side(shown: &[Markup]) -> Markup {
    html! {
        @if let [only] = shown {
            (only)
        } @else {
            div.pair {
                @for (letter, shown) in ["A", "B"].iter().zip(shown) {
                    div { h3.letter { "Run " (letter) } (shown) }
                }
            }
        }
    }
}

fn header(data: &Data) -> Markup {
    let answers: Vec<Markup> = data.runs.iter().map(answer).collect();
    html! {
        header {
            p.file { (plain(&data.file)) }
            h1 { (plain(&data.question)) }
            (side_by_side(&answers))
            p.small { "Made by longvu " (data.longvu) "." }
            nav aria-label="Sections" {
                @for (id, title) in [
                    ("frames", "frames"), ("temporal", "temporal"), ("query", "scores"), ("spatial", "tokens"),
                    ("window", "window"), ("costs", "costs"),
                ] {
                    a href={ "#" (id) } { (title) }
                }
            }
        }
    }
}

fn answer(run: &Run) -> Markup {
    let model = &run.model;
    html! {
        blockquote.answer { (plain(run.answer.trim())) }
        dl {
            dt { "model" }
            dd { (plain(&model.name)) " (" (model.model_type) ", " (model.dtype) ", " (model.device) ")" }
            dt { "preset" }
            dd { (model.preset) }
            dt { "settings" }
            dd {
                @if run.settings.is_empty() { "as they come" }
                @for setting in &run.settings {
                    code { (setting.flag) @if let Some(value) = &setting.value { " " (plain(value)) } }
                    " "
                }
            }
        }
        @if !run.warnings.is_empty() {
            ul.warnings { @for warning in &run.warnings { li { (plain(warning)) } } }
        }
    }
}
