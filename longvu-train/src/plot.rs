//! Curves, as SVG: its text needs no fonts of this machine.

use std::{collections::BTreeMap, ops::Range, path::Path};

use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};

use crate::{Error, LogLine, Result};

/// Colours that are told apart in print and by most eyes, after Okabe and Ito.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

const SIZE: (u32, u32) = (860, 480);

/// A named line of points.
pub type Series = (String, Vec<(f64, f64)>);

/// Draws lines with points at their values, and a legend; with `log_x`, the horizontal axis is logarithmic where values
/// span more than a factor of ten.
///
/// # Errors
/// [`Error::Plot`] for a file that cannot be written.
pub fn lines_chart(
    title: &str,
    (x_label, y_label): (&str, &str),
    series: &[Series],
    log_x: bool,
    path: &Path,
) -> Result<()> {
    draw_lines(title, (x_label, y_label), series, log_x, SeriesLabelPosition::LowerRight, path)
}

fn draw_lines(
    title: &str,
    labels: (&str, &str),
    series: &[Series],
    log_x: bool,
    legend: SeriesLabelPosition,
    path: &Path,
) -> Result<()> {
    let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let (x, y) = (extent(points().map(|p| p.0)), extent(points().map(|p| p.1)));
    // A logarithmic axis without a power of ten would get no labels.
    let is_log = log_x && x.start > 0.0 && x.end > 10.0 * x.start;
    let chart = Chart { title, labels, series, legend, y: padded(&y), is_log };
    let drawn =
        if is_log { chart.draw((x.start * 0.9..x.end * 1.1).log_scale(), path) } else { chart.draw(padded(&x), path) };
    drawn.map_err(|reason| Error::Plot { path: path.to_owned(), reason })
}

/// Draws the loss of each stage over its steps.
///
/// # Errors
/// As [`lines_chart`].
pub fn loss_curves(lines: &[LogLine], path: &Path) -> Result<()> {
    let mut series: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        series.entry(&line.stage).or_default().push((line.samples as f64, line.loss));
    }
    let series: Vec<Series> = series.into_iter().map(|(name, points)| (name.to_owned(), smoothed(&points))).collect();
    // A loss falls, and ends where the other legends are.
    draw_lines("Loss", ("samples", "loss"), &series, true, SeriesLabelPosition::UpperRight, path)
}

/// Draws what was measured on held-out data, a line for each measure of each stage that is a share from 0 to 1.
///
/// # Errors
/// As [`lines_chart`].
pub fn validation_curves(lines: &[LogLine], path: &Path) -> Result<()> {
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        for (name, value) in line.validation.iter().filter(|(name, _)| *name != "loss") {
            let points = series.entry(format!("{}: {name}", line.stage)).or_default();
            points.push((line.samples as f64, *value));
        }
    }
    let series: Vec<Series> = series.into_iter().collect();
    lines_chart("Held out", ("samples", ""), &series, true, path)
}

/// Means of up to nine neighbouring values.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mean = |i: usize| {
        let near = &points[i.saturating_sub(4)..(i + 5).min(points.len())];
        near.iter().map(|point| point.1).sum::<f64>() / near.len() as f64
    };
    points.iter().enumerate().map(|(i, point)| (point.0, mean(i))).collect()
}

fn extent(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if least <= most { least..most } else { 0.0..1.0 }
}

fn padded(range: &Range<f64>) -> Range<f64> {
    let margin = ((range.end - range.start) * 0.05).max(1e-3);
    range.start - margin..range.end + margin
}

/// A number without the noise of binary fractions, and no more digits than it has.
fn plain(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    if rounded == 0.0 && value != 0.0 { format!("{value:.0e}") } else { rounded.to_string() }
}

/// Whether the first digit is a 1, 2 or 5 and the others 0.
fn is_round(value: f64) -> bool {
    let mantissa = value / 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().any(|round| (mantissa - round).abs() < 1e-6)
}

struct Chart<'a> {
    title: &'a str,
    labels: (&'a str, &'a str),
    series: &'a [Series],
    legend: SeriesLabelPosition,
    y: Range<f64>,
    /// On a logarithmic axis there is room for labels at 1, 2 and 5 of every decade, not for all nine.
    is_log: bool,
}

impl Chart<'_> {
    fn draw<X>(&self, x: X, path: &Path) -> Result<(), String>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            // Half of the last label stands beyond the axis.
            .margin_right(32)
            .caption(self.title, ("sans-serif", 20))
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(x, self.y.clone())
            .map_err(|e| failed(&e))?;
        let x_label = |x: &f64| if self.is_log && !is_round(*x) { String::new() } else { plain(*x) };
        let y_label = |y: &f64| plain(*y);
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE).bold_line_style(RGBColor(225, 225, 225));
        mesh.x_desc(self.labels.0).y_desc(self.labels.1).label_style(("sans-serif", 13));
        mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
        mesh.draw().map_err(|e| failed(&e))?;
        for (place, (name, points)) in self.series.iter().enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let finite = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            let line = LineSeries::new(finite, colour.stroke_width(2));
            let line = if points.len() < 40 { line.point_size(3) } else { line };
            let drawn = chart.draw_series(line).map_err(|e| failed(&e))?;
            drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        let mut legend = chart.configure_series_labels();
        legend.background_style(WHITE.mix(0.85)).border_style(RGBColor(200, 200, 200)).label_font(("sans-serif", 13));
        legend.position(self.legend.clone()).draw().map_err(|e| failed(&e))?;
        area.present().map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_have_their_lines_and_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chart.svg");
        let series = [("one".to_owned(), vec![(10.0, 1.0), (100.0, 2.0)]), ("two".to_owned(), vec![(20.0, 5.0)])];
        for log_x in [true, false] {
            lines_chart("Title", ("tokens", "right"), &series, log_x, &path).unwrap();
            let svg = std::fs::read_to_string(&path).unwrap();
            assert!(
                ["Title", "tokens", "right", "one", "two", "polyline"].iter().all(|part| svg.contains(part)),
                "{svg}"
            );
        }
        for (from, to, label) in [(2000.0, 9000.0, "3000"), (150.0, 100_000.0, "1000")] {
            lines_chart("", ("", ""), &[("one".to_owned(), vec![(from, 1.0), (to, 2.0)])], true, &path).unwrap();
            assert!(std::fs::read_to_string(&path).unwrap().contains(&format!("\n{label}\n")), "{label}");
        }
        lines_chart("Nothing", ("", ""), &[], true, &path).unwrap();
        assert!(lines_chart("Nowhere", ("", ""), &series, true, &folder.path().join("no/chart.svg")).is_err());
    }
}
