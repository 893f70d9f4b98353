//! A method of one's own in twenty lines, used by name exactly as the built-in ones: of each frame the tokens of the greatest
//! length.
//!
//! `cargo run --example own_method -- [STAGE…]`, such as `longest:keep=0.25 evs:q=0.75 none`; the video is drawn.
#![allow(clippy::print_stdout)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::error::Error;

use longvu::{
    Frame, GenerationConfig, LongVu,
    compress::{Methods, NamedStage, PrunedTokens, StageError, StageName, TokenChunk, TokenPruner},
    miniature_folder,
};
use longvu_world::{Script, ScriptOptions};

/// Keeps a share of each frame's tokens, those of the greatest length.
struct Longest {
    keep: f64,
}

impl TokenPruner for Longest {
    fn chunk(&self) -> usize {
        8
    }

    fn always(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let [frames, count, _] = chunk.tokens.dims();
        let lengths: Vec<f32> = chunk.tokens.clone().square().sum_dim(2).into_data().iter().collect();
        let mut kept = Vec::with_capacity(frames);
        for lengths in lengths.chunks(count).take(frames) {
            let mut places = chunk.visual_places();
            let most = (self.keep * places.len() as f64).ceil() as usize;
            places.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]));
            places.truncate(most);
            places.sort_unstable();
            kept.push(places);
        }
        Ok(PrunedTokens::new(kept))
    }
}

/// The built-in stages and this one.
fn methods() -> Result<Methods, Box<dyn Error>> {
    let longest = NamedStage::new("longest", "tokens of the greatest length", &[("keep", "0.5")]);
    Ok(Methods::default().with_pruner(longest, |settings| Ok(Longest { keep: settings.number("keep", 0.0..=1.0)? }))?)
}

/// Visual tokens of a prompt, and the answer, with the spatial stage that a name and its settings give.
fn ask(stage: &str, frames: &[Frame], question: &str) -> Result<(usize, String), Box<dyn Error>> {
    let builder = LongVu::builder(miniature_folder()?).methods(methods()?);
    let model = builder.named_stage(StageName::Spatial, stage.parse()?).load()?;
    let video = model.encode(frames.to_vec())?;
    let answer = model.stream(&[&video], question, &GenerationConfig::default())?.finish()?;
    Ok((answer.visual_tokens, answer.text))
}

/// A video of five seconds, one frame a second, and its first question with the true answer.
fn drawn() -> Result<(Vec<Frame>, String, String), Box<dyn Error>> {
    let script = Script::draw(7, &ScriptOptions::default().with_duration(5.0))?;
    let frames = script
        .frames(1.0)?
        .enumerate()
        .map(|(index, frame)| Frame::new(index, frame.timestamp, frame.width, frame.height, frame.rgb));
    let frames = frames.collect::<Result<_, _>>()?;
    let question = script.questions().into_iter().next().ok_or("nothing to ask about this video")?;
    Ok((frames, question.text, question.answer))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut stages: Vec<String> = std::env::args().skip(1).collect();
    if stages.is_empty() {
        stages = ["none", "longest", "longest:keep=0.25", "evs:q=0.75"].map(String::from).to_vec();
    }
    let (frames, question, truth) = drawn()?;
    println!("{question} ({truth})");
    for stage in stages {
        let (tokens, text) = ask(&stage, &frames, &question)?;
        println!("{stage:20} {tokens:4} visual tokens: {text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ask, drawn};

    #[test]
    fn the_method_is_used_by_name() {
        let (frames, question, _) = drawn().unwrap();
        let tokens = |stage: &str| ask(stage, &frames, &question).map(|(tokens, _)| tokens);
        let (all, half, quarter) =
            (tokens("none").unwrap(), tokens("longest").unwrap(), tokens("longest:keep=0.25").unwrap());
        assert!(quarter < half && half < all, "{quarter} {half} {all}");
        let error = tokens("shortest").unwrap_err().to_string();
        assert!(error.contains("visionzip, longest"), "{error}");
    }
}
