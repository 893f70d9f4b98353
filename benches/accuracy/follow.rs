//! Long answers, token by token.

use burn::tensor::Tensor;
use longvu::llm::Decoder;

use crate::{
    Result,
    distance::{floats, likeliest},
};

/// The likeliest token again and again: `count` of them after a prompt `[positions, hidden_size]`, ends of turns ignored.
pub fn greedy(decoder: &Decoder, prompt: &Tensor<2>, count: usize) -> Result<Vec<u32>> {
    let mut answer = Vec::new();
    follow(decoder, prompt, count, |likeliest| {
        answer.push(likeliest);
        (answer.len() < count).then_some(likeliest)
    })?;
    Ok(answer)
}

/// How many tokens of `answer` are the likeliest after the prompt and those before them.
pub fn agreement(decoder: &Decoder, prompt: &Tensor<2>, answer: &[u32]) -> Result<usize> {
    let (mut same, mut given) = (0, answer.iter().copied());
    follow(decoder, prompt, answer.len(), |likeliest| {
        let next = given.next()?;
        same += usize::from(next == likeliest);
        Some(next)
    })?;
    Ok(same)
}

/// Gives `choose` the likeliest token again and again, and goes on with what it returns.
fn follow(
    decoder: &Decoder,
    prompt: &Tensor<2>,
    count: usize,
    mut choose: impl FnMut(u32) -> Option<u32>,
) -> Result<()> {
    let prompt = prompt.clone().unsqueeze::<3>();
    let mut cache = decoder.new_cache(prompt.dims()[1] + count);
    let mut last = decoder.prefill(prompt, &mut cache, 1024);
    loop {
        let logits = floats(decoder.logits(last));
        let Some(next) = choose(u32::try_from(likeliest(&logits))?) else { return Ok(()) };
        last = decoder.forward(decoder.embed(&[next]).unsqueeze(), &mut cache);
    }
}
