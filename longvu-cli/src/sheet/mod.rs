//! A contact sheet: what became of every sampled frame for a question, as a picture.

mod draw;
mod letters;
mod thumbnails;

use std::io::Write;

use anyhow::Result;
use longvu::{Answer, VisualExplanation};

use self::draw::{Cell, Fate};
pub use self::thumbnails::Thumbnails;

/// Writes a sheet as PNG to `out`: the question and the answer, how many frames had which fate, and every frame.
///
/// It is drawn and written a row at a time, so that memory does not grow with the length of a video.
///
/// # Errors
/// Those of `out`, and a sheet of more pixels than PNG has.
pub fn write(
    out: &mut dyn Write,
    question: &str,
    answer: &str,
    told: &Answer,
    visual: &VisualExplanation,
    thumbnails: &Thumbnails,
) -> Result<()> {
    let cells: Vec<Cell<'_>> = visual.frames.iter().map(|frame| Cell::new(frame, thumbnails)).collect();
    let count = |is: fn(&Fate) -> bool| cells.iter().filter(|cell| is(&cell.fate)).count();
    let title = [
        format!("Q: {question}"),
        format!("A: {answer}"),
        format!(
            "{} frame{} sampled, {} at full resolution, {} at low, {} dropped; {} visual tokens",
            cells.len(),
            if cells.len() == 1 { "" } else { "s" },
            count(|fate| matches!(fate, Fate::Full(_))),
            count(|fate| matches!(fate, Fate::Low(_))),
            count(|fate| matches!(fate, Fate::Dropped)),
            told.visual_tokens
        ),
    ];
    draw::write(out, &title, &cells)
}
