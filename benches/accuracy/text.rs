//! A trained language model without videos: how well it foretells a text, and what it answers.

use std::{fs, path::Path, path::PathBuf, sync::Arc};

use burn::tensor::Tensor;
use longvu::{
    GenerationConfig, LongVu,
    llm::{Conversation, Decoder},
};

use crate::{
    Result,
    distance::{Distance, floats, likeliest, log_sum},
    follow::{agreement, greedy},
    format::Format,
};

/// Tokens that are foretold from those before them in the same window.
const WINDOW: usize = 1024;

/// Positions whose scores of the vocabulary are in memory at once.
const POSITIONS: usize = 128;

/// Texts of this project that are mostly sentences.
const TEXTS: [&str; 4] = ["docs/reliability.md", "docs/embedding.md", "docs/training.md", "docs/checkpoints.md"];

const QUESTIONS: [&str; 5] = [
    "What is the capital of France?",
    "Why is the sky blue?",
    "Write a short story about a fox and a river.",
    "Name three things that a person needs to bake bread.",
    "How does a video differ from a single picture?",
];

/// What the long answer is about, and its tokens.
const LONG: (&str, usize) = ("Tell me the history of the bicycle in as much detail as you can.", 256);

/// What a format's answers and scores are like.
#[derive(Default)]
struct Found {
    /// Sum of the negative logarithms of the probabilities of the text's tokens.
    surprise: f64,
    /// Sum of the Kullback-Leibler divergences from the first format's probabilities.
    divergence: f64,
    likeliest: usize,
    logits: Distance,
    long: usize,
    answers: usize,
}

pub fn measure(model: &Path, texts: &[PathBuf], tokens: usize, formats: &[Format]) -> Result<()> {
    let load = |format: &Format| -> Result<(LongVu, Arc<Decoder>)> {
        let model = format.open(model)?;
        let decoder = model.decoder()?;
        Ok((model, decoder))
    };
    let models = formats.iter().map(load).collect::<Result<Vec<_>>>()?;
    let (exact, _) = models.first().ok_or("no format is named")?;
    let ids = exact.tokenizer().encode(&read(texts)?)?;
    let mut found: Vec<Found> = models.iter().map(|_| Found::default()).collect();
    let mut scored = 0;
    for window in ids[..tokens.min(ids.len())].chunks(WINDOW) {
        scored += foretell(&models, window, &mut found)?;
    }
    converse(&models, &mut found)?;
    println!(
        "| weights | perplexity | divergence | same likeliest token of {scored} | relative error of logits | \
         of {} in a long answer | same answers of {} |",
        LONG.1,
        QUESTIONS.len()
    );
    println!("|{}", "---|".repeat(7));
    for (format, found) in formats.iter().zip(found) {
        let mean = |sum: f64| sum / scored as f64;
        println!(
            "| {} | {:.3} | {:.4} | {:.1} % | {:.1e} | {} | {} |",
            format.name,
            mean(found.surprise).exp(),
            mean(found.divergence),
            100.0 * mean(found.likeliest as f64),
            found.logits.relative(),
            found.long,
            found.answers,
        );
    }
    Ok(())
}

fn read(texts: &[PathBuf]) -> Result<String> {
    let own = || TEXTS.map(|text| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(text)).to_vec();
    let texts = if texts.is_empty() { own() } else { texts.to_vec() };
    let mut read = String::new();
    for path in texts {
        read += &fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(read)
}

/// Adds the scores of a window's tokens; returns how many were foretold.
fn foretell(models: &[(LongVu, Arc<Decoder>)], window: &[u32], found: &mut [Found]) -> Result<usize> {
    let Some(count) = window.len().checked_sub(1).filter(|&count| count > 0) else { return Ok(0) };
    let states: Vec<Tensor<3>> = models
        .iter()
        .map(|(_, decoder)| decoder.forward_sequences(decoder.embed(&window[..count]).unsqueeze()))
        .collect();
    for start in (0..count).step_by(POSITIONS) {
        let part = POSITIONS.min(count - start);
        let mut exact: Vec<f32> = Vec::new();
        for (((_, decoder), states), found) in models.iter().zip(&states).zip(&mut *found) {
            let logits = floats(decoder.logits(states.clone().narrow(1, start, part)));
            if exact.is_empty() {
                exact.clone_from(&logits);
            }
            found.logits.add(&logits, &exact);
            let width = logits.len() / part;
            let rows = logits.chunks_exact(width).zip(exact.chunks_exact(width));
            for ((row, exact), &next) in rows.zip(&window[start + 1..]) {
                found.add(row, exact, next as usize);
            }
        }
    }
    Ok(count)
}

impl Found {
    /// A position's scores, and the token that stands there.
    fn add(&mut self, logits: &[f32], exact: &[f32], next: usize) {
        let (sum, exact_sum) = (log_sum(logits), log_sum(exact));
        self.surprise += sum - f64::from(logits[next]);
        self.likeliest += usize::from(likeliest(logits) == likeliest(exact));
        let term = |(&x, &exact): (&f32, &f32)| {
            let log = f64::from(exact) - exact_sum;
            log.exp() * (log - (f64::from(x) - sum))
        };
        self.divergence += logits.iter().zip(exact).map(term).sum::<f64>();
    }
}

/// Counts the tokens of a long answer, and whole answers, that are those of the first model.
fn converse(models: &[(LongVu, Arc<Decoder>)], found: &mut [Found]) -> Result<()> {
    let mut conversation = Conversation::new(0);
    conversation.push_user(LONG.0);
    let config = GenerationConfig::default().with_max_new_tokens(64);
    let (mut long, mut first) = (Vec::new(), Vec::new());
    for ((model, decoder), found) in models.iter().zip(found) {
        let prompt = model.prepare(&model.prompt_ids(&conversation)?, &[])?.inputs_embeds;
        if long.is_empty() {
            long = greedy(decoder, &prompt, LONG.1)?;
        }
        found.long = agreement(decoder, &prompt, &long)?;
        let ask = |question: &&str| -> Result<String> { Ok(model.stream(&[], question, &config)?.finish()?.text) };
        let answers = QUESTIONS.iter().map(ask).collect::<Result<Vec<_>>>()?;
        if first.is_empty() {
            first.clone_from(&answers);
        }
        found.answers = answers.iter().zip(&first).filter(|(answer, first)| answer == first).count();
    }
    Ok(())
}
