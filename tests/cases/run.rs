//! `run_*`: a video and a question to an answer.

use longvu::{
    GenerationConfig, Sampling, Video, VideoOptions,
    llm::{Conversation, Generation, TextStream, tokenize_prompt},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Case, assert_close, cases, golden_dir, models::model, relative_error};

#[derive(Deserialize)]
struct Settings {
    kind: String,
    config: Map<String, Value>,
    prompt: String,
    question: String,
    video: String,
    sample_fps: f64,
    frames_in: usize,
    visual_tokens: usize,
    answer: String,
}

fn check(case: &Case) {
    let settings: Settings = case.settings();
    let model = model(&settings.kind, &settings.config);
    let options = VideoOptions::default().with_sampling(Sampling::Fps(settings.sample_fps));
    let video = Video::open_with(golden_dir().join("videos").join(&settings.video), options).unwrap();
    let encoded = model.encode(&video).unwrap();
    assert_eq!(encoded.sampled_frames(), settings.frames_in, "{}", case.name);

    let prompt = tokenize_prompt(model.tokenizer(), &settings.prompt).unwrap();
    assert_eq!(prompt.as_slice(), case.ints("prompt_ids"), "{}", case.name);
    let prepared = model.prepare(&prompt, &[&encoded]).unwrap();
    assert_eq!(prepared.visual_tokens(), settings.visual_tokens, "{}", case.name);
    assert_eq!(prepared.selected[0], case.indices("selected_frames"), "{}", case.name);
    let embeds = prepared.inputs_embeds;
    assert_eq!(embeds.dims().to_vec(), case.shape("inputs_embeds"), "{}", case.name);
    assert_close(&case.name, embeds.clone(), &case.floats("inputs_embeds"), 1e-3);

    let expected: Vec<u32> = case.ints("generated_ids").into_iter().map(|id| id as u32).collect();
    // The reference runs on past end tokens; so does this, and the ids are compared one by one.
    let config = GenerationConfig::default().with_max_new_tokens(expected.len()).with_eos_token_ids([]);
    let mut generation =
        Generation::new(model.decoder().unwrap(), embeds, None, &config, longvu::Watch::default()).unwrap();
    let error = relative_error(&generation.next_logits(), &case.floats("last_logits"));
    assert!(error < 1e-3, "{}: logits are off by {error:.3e}", case.name);
    let ids: Vec<u32> = generation.by_ref().map(Result::unwrap).collect();
    assert_eq!(ids, expected, "{}", case.name);
    let mut text = TextStream::new(model.tokenizer(), &[]);
    let mut answer: String = ids.iter().filter_map(|&id| text.push(id)).collect();
    answer.extend(text.finish());
    assert_eq!(answer, settings.answer, "{}", case.name);

    let mut conversation = Conversation::new(1);
    conversation.push_user(&settings.question);
    let mut stream = model.reply(&[&encoded], &conversation, &config).unwrap();
    let pieces: String = stream.by_ref().map(Result::unwrap).collect();
    assert_eq!(pieces, settings.answer, "{}: the streamed answer", case.name);
    assert_eq!(stream.answer().text, pieces);
    assert_eq!(stream.answer().prompt_tokens, case.shape("inputs_embeds")[0]);
}

#[test]
fn videos_to_answers() {
    for case in cases("run_") {
        check(&case);
    }
}
