//! Draws a contact sheet of some videos, one a row, and prints their questions.
//!
//! `cargo run --release -p longvu-world --example draw -- SHEET.png [FIRST_SEED]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use image::RgbImage;
use image::imageops::{FilterType, overlay, resize};
use longvu_world::{Aspect, Renderer, Script, ScriptKind, ScriptOptions};

const COLUMNS: u32 = 8;
const CELL: u32 = 160;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = args.first() else { return Err("usage: draw SHEET.png [FIRST_SEED]".into()) };
    let first: u64 = args.get(1).map_or(Ok(0), |seed| seed.parse())?;

    let kinds = ScriptKind::ALL.into_iter().flat_map(|kind| [kind, kind]).enumerate();
    let scripts: Vec<Script> = kinds
        .map(|(place, kind)| {
            let duration = if kind == ScriptKind::Needle { 40.0 } else { 8.0 };
            let aspect = if place % 4 == 3 { Aspect::Wide } else { Aspect::Square };
            let options = ScriptOptions::default().with_kind(kind).with_duration(duration).with_aspect(aspect);
            Script::draw(first + place as u64, &options)
        })
        .collect::<Result<_, _>>()?;

    let mut sheet = RgbImage::new(COLUMNS * (CELL + 4), scripts.len() as u32 * (CELL + 4));
    for (row, script) in scripts.iter().enumerate() {
        for (column, time) in times(script).into_iter().enumerate() {
            let (width, height) = script.size();
            let picture = RgbImage::from_raw(width, height, script.frame(time)).ok_or("a frame of the wrong size")?;
            let picture = resize(&picture, CELL, CELL * height / width, FilterType::Triangle);
            overlay(&mut sheet, &picture, column as i64 * i64::from(CELL + 4), row as i64 * i64::from(CELL + 4));
        }
        println!("{}, seed {}: {}", script.kind(), script.seed(), script.caption(0.0, 0));
        for question in script.questions() {
            println!("    {}: {} — {}", question.kind, question.text, question.answer);
        }
    }
    sheet.save(path)?;

    let (start, mut count) = (Instant::now(), 0);
    for script in &scripts {
        let mut renderer = Renderer::new(script);
        for step in 0..400 {
            std::hint::black_box(renderer.frame(script.duration() * f64::from(step) / 400.0));
            count += 1;
        }
    }
    println!("{count} frames, {:.3} ms each", start.elapsed().as_secs_f64() * 1e3 / f64::from(count));
    Ok(())
}

/// Times to show, evenly spread; one of them is the needle's.
fn times(script: &Script) -> Vec<f64> {
    let mut times: Vec<f64> =
        (0..COLUMNS).map(|i| script.duration() * (f64::from(i) + 0.3) / f64::from(COLUMNS)).collect();
    if let Some((_, needle)) = script.needle() {
        times[COLUMNS as usize / 2] = f64::from(needle.start_ms + needle.end_ms) / 2000.0;
        times.sort_by(f64::total_cmp);
    }
    times
}
