//! Tokens a second of answers that are generated one by one and together, on the CPU.
//!
//! `cargo run --release -p longvu-benches --example together -- [--rounds N] [--steps N] [--positions N] [FORMAT…]`, where a
//! format is `f32`, `f16`, `bf16`, `int8`, `int4` for two layers of Qwen2-7B with the share of the vocabulary that falls to
//! them, a fourteenth of the model, or `miniature` for the built-in model.
//!
//! Each round times every number of answers once, so that a machine that changes its speed favours none; what is printed
//! are medians over the rounds, as rows of a table.
#![allow(missing_docs, clippy::expect_used, clippy::print_stdout)]

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use burn::tensor::{Distribution, Tensor};
use longvu::{
    Dtype, LongVu, Quantize, Watch, WeightFormat,
    checkpoint::{
        LoadOptions, Synthetic,
        config::{DecoderConfig, LanguageModel},
        load,
    },
    default_device,
    llm::{Decoder, Generation, GenerationConfig},
};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Answers, and how many of them are advanced together: in one product, as far as [`Decoder::rows_at_once`] says.
const CASES: [(usize, usize); 9] = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (8, 1), (8, 4), (8, 8)];

struct Arguments {
    rounds: usize,
    steps: usize,
    positions: usize,
    formats: Vec<String>,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let mut parsed = Self { rounds: 9, steps: 4, positions: 1024, formats: Vec::new() };
        while let Some(word) = words.next() {
            let mut value =
                || -> Result<usize> { Ok(words.next().ok_or_else(|| format!("{word} needs a value"))?.parse()?) };
            match word.as_str() {
                "--rounds" => parsed.rounds = value()?,
                "--steps" => parsed.steps = value()?,
                "--positions" => parsed.positions = value()?,
                _ => parsed.formats.push(word),
            }
        }
        if parsed.formats.is_empty() {
            parsed.formats = ["f32", "f16", "bf16", "int8", "int4", "miniature"].map(String::from).to_vec();
        }
        Ok(parsed)
    }
}

/// A fourteenth of Qwen2-7B.
fn qwen2(weights: WeightFormat) -> Result<Arc<Decoder>> {
    let config: DecoderConfig = serde_json::from_value(json!({
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 2, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152_064 / 14, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    }))?;
    let options = LoadOptions::new("synthetic", &default_device(), weights);
    Ok(Arc::new(load(Arc::new(Synthetic), &options, |w| Decoder::new(&config, LanguageModel::Qwen2, w))?.0))
}

fn decoder(format: &str) -> Result<Arc<Decoder>> {
    if format == "miniature" {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/miniature");
        return Ok(LongVu::from_pretrained(folder, &default_device())?.decoder()?);
    }
    match format.parse::<Quantize>() {
        Ok(quantize) => qwen2(WeightFormat::from(Dtype::F32).with_quantize(Some(quantize))),
        Err(_) => qwen2(format.parse::<Dtype>()?.into()),
    }
}

/// An answer after a prompt of `positions` that never ends.
fn generation(decoder: &Arc<Decoder>, positions: usize) -> Result<Generation> {
    let shape = [positions, decoder.config().hidden_size];
    let prompt = Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &decoder.device());
    let config = GenerationConfig::default().with_max_new_tokens(1_000_000).with_eos_token_ids([]);
    Ok(Generation::new(Arc::clone(decoder), prompt, None, &config, Watch::default())?)
}

/// Seconds of a token for each of the answers.
fn step(generations: &mut [Generation], together: usize) -> Result<f64> {
    let start = Instant::now();
    for group in generations.chunks_mut(together) {
        Generation::advance_together(&mut group.iter_mut().collect::<Vec<_>>());
        for generation in group {
            generation.next().ok_or("an answer ended")??;
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(format: &str, arguments: &Arguments) -> Result<()> {
    let decoder = decoder(format)?;
    let most = CASES.iter().map(|(answers, _)| *answers).max().unwrap_or(1);
    let mut generations =
        (0..most).map(|_| generation(&decoder, arguments.positions)).collect::<Result<Vec<Generation>>>()?;
    step(&mut generations, most)?;
    let mut seconds = [(); CASES.len()].map(|()| Vec::new());
    for _ in 0..arguments.rounds {
        for (seconds, (answers, together)) in seconds.iter_mut().zip(CASES) {
            for _ in 0..arguments.steps {
                seconds.push(step(&mut generations[..answers], together)?);
            }
        }
    }
    let rates: Vec<f64> =
        seconds.into_iter().zip(CASES).map(|(seconds, (answers, _))| answers as f64 / median(seconds)).collect();
    let cells: Vec<String> = rates.iter().map(|rate| format!("{rate:.1} ({:.2}x)", rate / rates[0])).collect();
    println!("| {format} | {} |", cells.join(" | "));
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let heads = CASES.map(|(answers, together)| match answers == together {
        true => format!("{answers}"),
        false => format!("{answers}, {together} together"),
    });
    println!("| weights | {} |\n|{}", heads.join(" | "), "---|".repeat(CASES.len() + 1));
    arguments.formats.iter().try_for_each(|format| measure(format, &arguments))
}
