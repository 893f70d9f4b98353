//! One model on two devices: how far apart are their logits, and are their answers the same?
//!
//! `cargo run --example two_devices -- MODEL VIDEO [DEVICE DEVICE]`, with device strings such as `cpu` and `wgpu:0`;
//! a backend has to be compiled in with the feature of its name.
#![allow(clippy::print_stdout)]

use longvu::{
    Answer, GenerationConfig, LongVu, Video,
    llm::{Conversation, Generation},
    parse_device,
};

const QUESTION: &str = "What happens in this video?";

fn run(model: &str, video: &Video, device: &str) -> Result<(Vec<f32>, Answer), Box<dyn std::error::Error>> {
    let model = LongVu::from_pretrained(model, &parse_device(device)?)?;
    let encoded = model.encode(video)?;
    let config = GenerationConfig::default().with_max_new_tokens(24);
    let answer = model.stream(&[&encoded], QUESTION, &config)?.finish()?;

    // The scores of the answer's first token.
    let mut conversation = Conversation::new(1);
    conversation.push_user(QUESTION);
    let prepared = model.prepare(&model.prompt_ids(&conversation)?, &[&encoded])?;
    let logits = Generation::new(model.decoder()?, prepared.inputs_embeds, None, &config, longvu::Watch::default())?
        .next_logits();

    println!("{device}: {:.1} s to encode, {:?}", encoded.timings().total(), answer.text);
    Ok((logits, answer))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, video, devices @ ..] = args.as_slice() else {
        return Err("usage: two_devices MODEL VIDEO [DEVICE DEVICE]".into());
    };
    let device = |i: usize| devices.get(i).map_or("cpu", String::as_str);
    let video = Video::open(video)?;
    let (first, first_answer) = run(model, &video, device(0))?;
    let (second, second_answer) = run(model, &video, device(1))?;

    let difference: f32 = first.iter().zip(&second).map(|(a, b)| (a - b).powi(2)).sum();
    let norm: f32 = first.iter().map(|a| a.powi(2)).sum();
    println!("logits: relative error {:.1e}", (difference / norm).sqrt());
    println!("answers: {}", if first_answer.generated_ids == second_answer.generated_ids { "equal" } else { "differ" });
    Ok(())
}
