//! Charts as SVG to be put into the page. Colours are stand-ins that the style sheet replaces, for light and for dark.

use std::ops::Range;

use anyhow::{Result, anyhow};
use longvu::compress::WindowSimilarity;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use super::words::time;

/// Text and axes.
pub const INK: RGBColor = RGBColor(17, 17, 17);
/// Lines behind the data.
const MESH: RGBColor = RGBColor(210, 210, 210);
/// Full resolution, and what is picked; this and those below after Okabe and Ito, whose colours most eyes tell apart.
pub const FULL: RGBColor = RGBColor(0, 114, 178);
/// Low resolution.
pub const LOW: RGBColor = RGBColor(230, 159, 0);
/// Text.
pub const TEXT: RGBColor = RGBColor(0, 158, 115);
/// Thresholds, and newlines.
pub const LIMIT: RGBColor = RGBColor(213, 94, 0);
/// What goes.
pub const GONE: RGBColor = RGBColor(118, 118, 118);
/// What is empty.
pub const EMPTY: RGBColor = RGBColor(235, 235, 235);

/// Points that a line has at most; of longer ones the least and the greatest in each of many short spans are drawn.
const POINTS: usize = 1200;

/// How a series is drawn: by shape as well as by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dashed,
    Square,
    Dot,
    Cross,
    Triangle,
}

/// A named series of values over seconds.
pub struct Series {
    pub name: &'static str,
    pub mark: Mark,
    pub colour: RGBColor,
    pub points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const SIZE: (u32, u32) = (440, 240);

/// Values over time, with a dashed line at `limit`.
///
/// # Errors
/// What the plotting library says.
pub fn over_time(y_label: &str, series: &[Series], limit: Option<f64>) -> Result<String> {
    let points = || series.iter().flat_map(|series| series.points.iter());
    let x = extent(points().map(|point| point.0), 0.02);
    let y = extent(points().map(|point| point.1).chain(limit), 0.08);
    drawn(SIZE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(22)
            .x_label_area_size(32)
            .y_label_area_size(58)
            .build_cartesian_2d(x.clone(), y)?;
        let long = x.end - x.start > 90.0;
        let label = |seconds: &f64| if long { time(*seconds) } else { format!("{} s", rounded(*seconds)) };
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).bold_line_style(MESH).axis_style(INK);
        mesh.x_labels(5)
            .y_labels(6)
            .y_desc(y_label)
            .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
            .label_style(("sans-serif", 14).into_font().color(&INK));
        mesh.x_label_formatter(&label).y_label_formatter(&|value| rounded(*value));
        mesh.draw()?;
        for series in series {
            mark(&mut chart, series)?;
        }
        if let Some(limit) = limit {
            let points = vec![(x.start, limit), (x.end, limit)];
            mark(&mut chart, &Series { name: "threshold", mark: Mark::Dashed, colour: LIMIT, points })?;
        }
        Ok(())
    })
}

fn mark(chart: &mut Plane<'_, '_>, series: &Series) -> Result<(), Fault> {
    let (colour, points) = (series.colour, thinned(&series.points));
    // What comes back is for a legend within the chart, which the page has below it.
    let _ = match series.mark {
        Mark::Line => chart.draw_series(LineSeries::new(points, colour.stroke_width(1)))?,
        Mark::Dashed => chart.draw_series(DashedLineSeries::new(points, 7, 5, colour.stroke_width(2)))?,
        Mark::Dot => chart.draw_series(points.iter().map(|&at| Circle::new(at, 3, colour.filled())))?,
        Mark::Cross => chart.draw_series(points.iter().map(|&at| Cross::new(at, 3, colour.stroke_width(1))))?,
        Mark::Triangle => chart.draw_series(points.iter().map(|&at| TriangleMarker::new(at, 5, colour.filled())))?,
        Mark::Square => {
            let square = |&at| EmptyElement::at(at) + Rectangle::new([(-3, -3), (3, 3)], colour.filled());
            chart.draw_series(points.iter().map(square))?
        }
    };
    Ok(())
}

/// A window's frames against each other, darker for those that differ more, from `least` to 1; the frames at which `kept` holds
/// are marked along both sides. Of windows longer than [`CELLS`] evenly spread frames are drawn.
///
/// # Errors
/// As [`over_time`].
pub fn matrix(window: &WindowSimilarity, least: f32, kept: &[bool]) -> Result<String> {
    let rows = super::choice::spread(&(0..window.similarity.len()).collect::<Vec<_>>(), CELLS);
    let cell = (160 / rows.len().max(1)).clamp(4, 24) as i32;
    let edge = 8;
    let side = (edge + cell * rows.len() as i32 + 1) as u32;
    drawn((side, side), |area| {
        let place = |i: usize| edge + cell * i as i32;
        for (i, &row) in rows.iter().enumerate() {
            for (j, &column) in rows.iter().enumerate() {
                let value = window.similarity[row].get(column).copied().unwrap_or_default();
                let corners = [(place(j), place(i)), (place(j) + cell, place(i) + cell)];
                area.draw(&Rectangle::new(corners, scale(value, least).filled()))?;
            }
            if kept.get(row) == Some(&true) {
                let middle = place(i) + cell / 2;
                area.draw(&Circle::new((edge / 2 - 1, middle), 3, FULL.filled()))?;
                area.draw(&Circle::new((middle, edge / 2 - 1), 3, FULL.filled()))?;
            }
        }
        Ok(())
    })
}

/// Rows of a matrix that are drawn at most.
pub const CELLS: usize = 32;

/// A bar of parts one after the other, as long as their sum.
///
/// # Errors
/// As [`over_time`].
pub fn bar(parts: &[(usize, RGBColor)]) -> Result<String> {
    let (width, height) = (440, 28);
    let total = parts.iter().map(|part| part.0).sum::<usize>().max(1);
    drawn((width, height), |area| {
        let mut done = 0;
        let place = |tokens: usize| (tokens as u64 * u64::from(width) / total as u64) as i32;
        for &(tokens, colour) in parts {
            let corners = [(place(done), 0), (place(done + tokens), height as i32)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
            done += tokens;
        }
        Ok(())
    })
}

/// The colours from `least` (dark blue) to 1 (yellow), light to dark for every eye: six of the map `cividis`.
fn scale(value: f32, least: f32) -> RGBColor {
    const MAP: [[u8; 3]; 6] =
        [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
    let share = ((value - least) / (1.0 - least).max(1e-6)).clamp(0.0, 1.0) * (MAP.len() - 1) as f32;
    let low = (share as usize).min(MAP.len() - 2);
    let mix = |channel: usize| {
        let (a, b) = (f32::from(MAP[low][channel]), f32::from(MAP[low + 1][channel]));
        (a + (b - a) * (share - low as f32)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}

type Fault = DrawingAreaErrorKind<std::io::Error>;

/// An SVG of this size without a background.
fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<(), Fault>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).and_then(|()| area.present()).map_err(|error| anyhow!("a chart cannot be drawn: {error}"))?;
    }
    Ok(svg)
}

fn extent(values: impl Iterator<Item = f64>, margin: f64) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if least > most {
        return 0.0..1.0;
    }
    let margin = ((most - least) * margin).max(most.abs() * 1e-3).max(1e-4);
    least - margin..most + margin
}

/// The points, or of each span of many the lowest and the highest.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if finite.len() <= POINTS {
        return finite;
    }
    let extremes = |span: &[(f64, f64)]| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let mut ends: Vec<(f64, f64)> =
            span.iter().min_by(by_value).into_iter().chain(span.iter().max_by(by_value)).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends
    };
    finite.chunks(finite.len().div_ceil(POINTS / 2)).flat_map(extremes).collect()
}

/// A number without the noise of binary fractions.
fn rounded(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    if rounded == 0.0 && value.abs() > 1e-9 { format!("{value:.0e}") } else { (rounded + 0.0).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_drawn_and_no_number_breaks_it() {
        let series = |mark| Series {
            name: "values",
            mark,
            colour: FULL,
            points: vec![(0.0, 0.5), (1.0, f64::NAN), (2.0, 0.7), (f64::INFINITY, 1.0)],
        };
        let all = [Mark::Line, Mark::Dot, Mark::Cross, Mark::Triangle, Mark::Square].map(series);
        let svg = over_time("score", &all, Some(0.6)).unwrap();
        for part in ["<polyline", "<circle", "<polygon", "<line", "#0072B2", "#D55E00", "#111111", "score"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        over_time("nothing", &[], None).unwrap();
    }

    #[test]
    fn long_series_keep_their_extremes() {
        let points: Vec<(f64, f64)> =
            (0..100_000).map(|i| (f64::from(i), if i == 77_777 { 9.0 } else { 0.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= 2 * POINTS && thin.contains(&(77_777.0, 9.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn matrices_show_each_pair_and_what_is_kept() {
        let similarity = vec![vec![1.0, 0.2], vec![0.2, 1.0]];
        let mut window =
            WindowSimilarity::of(0, longvu::burn::tensor::Tensor::ones([2, 1, 1], &longvu::default_device()));
        window.similarity = similarity;
        let svg = matrix(&window, 0.2, &[false, true]).unwrap();
        assert_eq!(svg.matches("#00224E").count(), 2, "{svg}");
        assert_eq!(svg.matches("#FEE838").count(), 2, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
    }
}
