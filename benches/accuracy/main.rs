//! What a model loses when its weights are held, and computed with, in fewer bits.
//!
//! `cargo run --release -p longvu-benches --example accuracy -- text MODEL [--text FILE]… [--tokens N] [FORMAT…]` for a
//! checkpoint whose language model is trained: perplexity, likeliest tokens and answers to questions without a video. Texts are
//! English, and some of this project's own unless named. `tools/smollm2.sh` makes such a checkpoint.
//!
//! `… --example accuracy -- videos [--videos N] [FORMAT…]` for the models that the project carries: what the stages keep, and
//! how many answers of the miniature are right.
//!
//! A format is `f32`, `f16`, `bf16`, `int8` or `int4`; all compare with the first, f32 unless named. `int4@FOLDER` is another
//! checkpoint with the same tokenizer, beside MODEL. What is printed are rows of tables.
#![allow(missing_docs, clippy::print_stdout)]

mod distance;
mod follow;
mod format;
mod golden;
mod miniature;
mod text;

use std::{error::Error, path::PathBuf};

use format::Format;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line says.
struct Arguments {
    words: Vec<String>,
    texts: Vec<PathBuf>,
    tokens: usize,
    videos: u64,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let mut parsed = Self { words: Vec::new(), texts: Vec::new(), tokens: 4096, videos: 40 };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--text" => parsed.texts.push(value()?.into()),
                "--tokens" => parsed.tokens = value()?.parse()?,
                "--videos" => parsed.videos = value()?.parse()?,
                _ => parsed.words.push(word),
            }
        }
        Ok(parsed)
    }
}

fn formats(words: &[String]) -> Result<Vec<Format>> {
    let names: Vec<&str> = match words {
        [] => vec!["f32", "bf16", "int8", "int4"],
        words => words.iter().map(String::as_str).collect(),
    };
    names.into_iter().map(Format::parse).collect()
}

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    match &arguments.words[..] {
        [what, model, rest @ ..] if what == "text" => {
            text::measure(model.as_ref(), &arguments.texts, arguments.tokens, &formats(rest)?)
        }
        [what, rest @ ..] if what == "videos" => {
            let formats = formats(rest)?;
            golden::measure(&formats)?;
            println!();
            miniature::measure(arguments.videos, &formats)
        }
        _ => Err("name what to measure: `text MODEL` or `videos`".into()),
    }
}
