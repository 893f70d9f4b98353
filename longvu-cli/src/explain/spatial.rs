//! The tokens of each frame, cell by cell: kept, dropped by the spatial stage, or cut with the padding.

use longvu::{FrameUse, TokenGrid, VisualExplanation, VisualKind, compress::SpatialReport};
use maud::{Markup, html};

use super::{choice, data::Run, frames, pictures::Pictures, words};

/// The section.
pub fn section(run: &Run, pictures: &Pictures) -> Markup {
    let Some(visual) = run.visual() else { return html! {} };
    let shown = choice::grids(visual);
    let used = visual.frames.iter().filter(|frame| frame.tokens > 0).count();
    html! {
        p { (outcome(visual)) }
        p.small {
            "A cell is a token. Grey cells were dropped, hatched ones were cut as padding before any stage; the ticks at the right are \
             the newlines after the rows, hollow where they were dropped. "
            @if visual.kind == VisualKind::Video && visual.full.tokens() < visual.full.side * (visual.full.side + 1) {
                "Of videos not the sides that were padded are cut but the other two: so the released models were trained. "
            }
            @if let Some(text) = words::shown(shown.len(), used, "frames of the prompt") { (text) }
        }
        ol.grids {
            @for frame in &shown {
                @if let Some(grid) = visual.grid(frame.fate) {
                    li { (grid_of(visual, frame, grid, pictures)) }
                }
            }
        }
    }
}

fn outcome(visual: &VisualExplanation) -> String {
    let side = |grid: &TokenGrid| format!("{0}x{0}, {1} of it with tokens", grid.side, extent(grid));
    let grids =
        format!("Full resolution is a grid of {}; low resolution one of {}.", side(&visual.full), side(&visual.low));
    let ran = match &visual.fusion.spatial {
        None => "The spatial stage did not run: what the other stages left fits.".to_owned(),
        Some(SpatialReport { tokens_before: before, tokens_similar_dropped: left, tokens_after: after, .. }) => {
            let cut = match left - after {
                0 => String::new(),
                cut => format!(", and {cut} more had to go because they did not fit"),
            };
            format!("The spatial stage kept {after} of {before} tokens: it dropped {}{cut}.", before - left)
        }
    };
    format!("{ran} {grids}")
}

fn extent(grid: &TokenGrid) -> String {
    format!("{}x{}", grid.columns.len(), grid.rows.len())
}

/// A frame under its grid.
fn grid_of(visual: &VisualExplanation, frame: &FrameUse, grid: &TokenGrid, pictures: &Pictures) -> Markup {
    let kept: Vec<usize> = visual.kept(frame).map_or_else(|| (0..grid.tokens()).collect(), <[usize]>::to_vec);
    let cells = Cells::new(grid, &kept);
    let side = grid.side;
    let dropped = grid.tokens() - kept.len();
    let described = format!("{}; {dropped} of its {} tokens dropped", frames::described(frame), grid.tokens());
    html! {
        svg class={ "grid " (words::class(frame.fate)) } viewBox={ "0 0 " (side as f64 * 1.08) " " (side) } role="img"
            aria-label=(described) data-sample=(frame.info.sample) data-kept=(kept.len()) {
            g transform={ "scale(" (side) ")" } { (frames::picture(frame, pictures)) }
            path.dropped d=(cells.dropped) {}
            path.cut d=(cells.cut) {}
            path.lines d=(cells.lines) {}
            path.newline d=(cells.newlines) {}
            path.newline-gone d=(cells.newlines_gone) {}
        }
        span.time { (words::time(frame.info.timestamp)) }
        span.fate { (frame.tokens) " of " (grid.tokens()) }
    }
}

/// Outlines of a grid's cells, in units of a cell.
struct Cells {
    dropped: String,
    cut: String,
    lines: String,
    newlines: String,
    newlines_gone: String,
}

impl Cells {
    fn new(grid: &TokenGrid, kept: &[usize]) -> Self {
        let side = grid.side;
        let mut cells = Self {
            dropped: String::new(),
            cut: String::new(),
            lines: (0..=side).map(|i| format!("M0 {i}H{side}M{i} 0V{side}")).collect(),
            newlines: String::new(),
            newlines_gone: String::new(),
        };
        for position in 0..grid.tokens() {
            let is_kept = kept.binary_search(&position).is_ok();
            match grid.cell(position) {
                Some((row, column)) if !is_kept => cells.dropped += &square(row, column),
                Some(_) => {}
                None => {
                    let row = grid.rows.start + position / grid.row_len();
                    let (x, y, width) = (side as f64 * 1.03, row as f64 + 0.2, side as f64 * 0.04);
                    let tick = format!("M{x:.2} {y:.1}h{width:.2}v0.6h-{width:.2}z");
                    if is_kept { cells.newlines += &tick } else { cells.newlines_gone += &tick }
                }
            }
        }
        let all = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
        let is_cut = |(row, column): &(usize, usize)| !grid.rows.contains(row) || !grid.columns.contains(column);
        cells.cut = all.filter(is_cut).map(|(row, column)| square(row, column)).collect();
        cells
    }
}

fn square(row: usize, column: usize) -> String {
    format!("M{column} {row}h1v1h-1z")
}
