//! The temporal stage: how alike the frames of each window are, and which of them stay.

use anyhow::Result;
use longvu::{
    FrameFate, VisualExplanation, VisualKind,
    compress::{TemporalReport, WindowSimilarity},
};
use maud::{Markup, PreEscaped, html};

use super::{
    charts::{self, Mark, Series},
    choice,
    data::Run,
    figure::chart,
    words,
};

/// Windows whose matrices are shown at most.
pub const WINDOWS: usize = 12;

/// The section.
///
/// # Errors
/// A chart that cannot be drawn.
pub fn section(run: &Run) -> Result<Markup> {
    let Some(visual) = run.visual() else { return Ok(html! {}) };
    if visual.kind == VisualKind::Image {
        return Ok(html! { p { "An image goes by this stage." } });
    }
    Ok(html! {
        p { (outcome(visual)) }
        (scores(visual)?)
        (matrices(visual)?)
    })
}

fn outcome(visual: &VisualExplanation) -> String {
    let (report, all) = (&visual.temporal, visual.frames.len());
    let gone = visual.frames.iter().filter(|frame| frame.fate == FrameFate::TemporalDropped).count();
    let would = report.selected.len();
    let limit = report.threshold.map_or_else(String::new, |threshold| {
        format!(" Frames go whose mean similarity with their window is {threshold} or more; the middle frame stays.")
    });
    if gone > 0 {
        format!("It dropped {gone} of {all} frames.{limit}")
    } else if would < all {
        format!("It did not run: the frames fit. It would have kept {would} of {all} frames.{limit}")
    } else {
        format!("It dropped none of {}.{limit}", words::count(all, "frame"))
    }
}

/// Mean similarities and those of neighbours over time, against the threshold.
fn scores(visual: &VisualExplanation) -> Result<Markup> {
    let report = &visual.temporal;
    let time = |sample: usize| visual.frames.get(sample).map_or(0.0, |frame| frame.info.timestamp);
    let adjacent: Vec<(f64, f64)> =
        adjacent(&report.windows).into_iter().map(|(sample, value)| (time(sample), f64::from(value))).collect();
    let middles: Vec<usize> = if report.threshold.is_some() { middles(report) } else { Vec::new() };
    let is_kept = |sample: usize| report.selected.binary_search(&sample).is_ok();
    let judged = if report.threshold.is_some() { report.scores.len() } else { 0 };
    let means = |kept: bool| {
        let chosen = (0..judged).filter(|sample| !middles.contains(sample) && is_kept(*sample) == kept);
        chosen.map(|sample| (time(sample), f64::from(report.scores[sample]))).collect::<Vec<_>>()
    };
    let mut series = vec![
        Series { name: "similarity with the frame before", mark: Mark::Line, colour: charts::LOW, points: adjacent },
        Series { name: "mean similarity, kept", mark: Mark::Dot, colour: charts::FULL, points: means(true) },
        Series { name: "mean similarity, dropped", mark: Mark::Cross, colour: charts::GONE, points: means(false) },
    ];
    let values = series.iter().flat_map(|series| &series.points).map(|point| point.1).chain(report.threshold);
    let (floor, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if floor <= most {
        // Below all that has a value.
        let floor = floor - 0.08 * (most - floor).max(0.01);
        let points = middles.iter().map(|&sample| (time(sample), floor)).collect();
        series.push(Series {
            name: "middle of a window, always kept",
            mark: Mark::Triangle,
            colour: charts::FULL,
            points,
        });
    }
    series.retain(|series| !series.points.is_empty());
    if series.is_empty() {
        return Ok(html! { p.small { "This stage compares no frames, or the file does not say how alike they are." } });
    }
    let mut legend: Vec<_> = series.iter().map(|series| (series.name, series.mark, series.colour)).collect();
    legend.extend(report.threshold.map(|_| ("threshold", Mark::Dashed, charts::LIMIT)));
    let svg = charts::over_time("similarity", &series, report.threshold)?;
    let (kept, dropped) = (report.selected.len(), report.frames - report.selected.len());
    let limit =
        report.threshold.map_or_else(|| "no threshold".to_owned(), |threshold| format!("threshold {threshold}"));
    let described = format!("Similarity over time, {limit}: {kept} frames kept, {dropped} dropped by this stage");
    Ok(chart(&svg, &described, &legend))
}

/// Positions of the windows' middle frames, which have no score of their own.
fn middles(report: &TemporalReport) -> Vec<usize> {
    if report.windows.is_empty() {
        // Without the windows, by what the stage says of such frames and hardly of any other.
        return (0..report.scores.len()).filter(|&sample| report.scores[sample] == 0.0).collect();
    }
    report.windows.iter().map(|window| window.first + window.similarity.len() / 2).collect()
}

/// Each frame's similarity with the one before it in its window.
fn adjacent(windows: &[WindowSimilarity]) -> Vec<(usize, f32)> {
    let of = |window: &WindowSimilarity| {
        let (first, rows) = (window.first, window.similarity.iter().enumerate().skip(1));
        rows.filter_map(move |(i, row)| Some((first + i, *row.get(i - 1)?))).collect::<Vec<_>>()
    };
    windows.iter().flat_map(of).collect()
}

fn matrices(visual: &VisualExplanation) -> Result<Markup> {
    let windows: Vec<&WindowSimilarity> = visual.temporal.windows.iter().collect();
    let shown = choice::spread(&windows, WINDOWS);
    if shown.is_empty() {
        return Ok(html! {});
    }
    let values = shown.iter().flat_map(|window| window.similarity.iter().flatten().copied());
    let least = values.fold(1.0f32, f32::min);
    let drawn = shown.iter().map(|window| matrix(visual, window, least)).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        h4 { "How alike the frames of each window are" }
        p.small {
            "Dark is least alike (" (words::similarity(least)) "), yellow the same (1). Dots mark the frames that the stage keeps. "
            @if let Some(text) = words::shown(shown.len(), windows.len(), "windows") { (text) }
        }
        div.matrices { @for figure in drawn { (figure) } }
    })
}

fn matrix(visual: &VisualExplanation, window: &WindowSimilarity, least: f32) -> Result<Markup> {
    let frames = window.similarity.len();
    let kept: Vec<bool> = (window.first..window.first + frames)
        .map(|sample| visual.temporal.selected.binary_search(&sample).is_ok())
        .collect();
    let svg = charts::matrix(window, least, &kept)?;
    let time =
        |sample: usize| visual.frames.get(sample).map_or_else(String::new, |frame| words::time(frame.info.timestamp));
    let span = format!("{} to {}", time(window.first), time(window.first + frames - frames.min(1)));
    let others = window
        .similarity
        .iter()
        .enumerate()
        .flat_map(|(i, row)| row.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, value)| *value));
    let (sum, count, low) =
        others.fold((0.0f32, 0usize, 1.0f32), |(sum, count, low), value| (sum + value, count + 1, low.min(value)));
    let mean = if count == 0 { 1.0 } else { sum / count as f32 };
    let stay = kept.iter().filter(|kept| **kept).count();
    let described = format!(
        "Window from {span}: {}, {stay} kept; similarity {} at least, {} on average",
        words::count(frames, "frame"),
        words::similarity(low),
        words::similarity(mean)
    );
    Ok(html! {
        figure.matrix {
            div role="img" aria-label=(described) { (PreEscaped(svg)) }
            figcaption { (span) br; "mean " (words::similarity(mean)) ", kept " (stay) " of " (frames) }
        }
    })
}
