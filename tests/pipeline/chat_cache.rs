//! What a chat takes from its cache: as much as two prompts share, and never an answer that differs.

use std::sync::Arc;

use burn::tensor::Tensor;
use longvu::{
    EncodedVideo, GenerationConfig, LongVu, PromptCache,
    compress::{FrameSelector, Layout, StageError, WindowSelection},
    llm::Conversation,
};

use crate::support::{builder, features, model};

/// Drops the first frame of each window once the video overflows the budget.
struct AllButFirst;

impl FrameSelector for AllButFirst {
    fn window(&self) -> usize {
        4
    }

    fn applies(&self, frames: usize, limit: usize) -> bool {
        frames >= limit
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let frames = features.dims()[0];
        Ok(WindowSelection::new(vec![0.0; frames], (1..frames).collect()))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

fn config() -> GenerationConfig {
    GenerationConfig::default().with_max_new_tokens(6)
}

fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    let difference: f32 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / expected.iter().map(|b| b.powi(2)).sum::<f32>()).sqrt()
}

/// What one turn took from the cache.
struct Turn {
    prompt: usize,
    cached: usize,
    layout: Option<Layout>,
    selected: Vec<Vec<usize>>,
}

/// Asks the questions in a row, with a cache and without, and checks that ids, logits and counts agree.
fn compare(model: &LongVu, visuals: &[&EncodedVideo], questions: &[&str]) -> Vec<Turn> {
    let config = config();
    let (mut conversation, mut cache, mut turns) =
        (Conversation::new(visuals.len()), PromptCache::default(), Vec::new());
    for question in questions {
        conversation.push_user(*question);
        let mut plain = model.reply(visuals, &conversation, &config).unwrap();
        let before = model.work_counters().prompt_positions;
        let mut cached = model.reply_from(&mut cache, visuals, &conversation, &config).unwrap();
        let pushed = (model.work_counters().prompt_positions - before) as usize;
        let error = relative_error(&cached.next_logits(), &plain.next_logits());
        assert!(error < 1e-5, "{question}: logits are off by {error:.1e}");
        let plain = plain.finish().unwrap();
        let answer;
        (answer, cache) = cached.finish_with_cache().unwrap();
        assert_eq!(answer.generated_ids, plain.generated_ids, "{question}");
        assert_eq!(answer.selected, plain.selected, "{question}");
        assert_eq!(pushed, answer.prompt_tokens - answer.cached_tokens);
        assert!(pushed > 0 && plain.cached_tokens == 0);
        conversation.push_assistant(answer.text);
        let layout = answer.reports.first().map(|report| report.layout);
        turns.push(Turn {
            prompt: answer.prompt_tokens,
            cached: answer.cached_tokens,
            layout,
            selected: answer.selected,
        });
    }
    turns
}

#[test]
fn a_chat_about_text_pushes_only_what_is_new() {
    for kind in ["qwen", "llama"] {
        let model = builder(kind).load().unwrap();
        let turns = compare(&model, &[], &["Hello?", "What is a video?", "Why?"]);
        assert_eq!(turns[0].cached, 0);
        for pair in turns.windows(2) {
            assert!(pair[1].cached >= pair[0].prompt, "{} of {}", pair[1].cached, pair[0].prompt);
        }
    }
}

#[test]
fn a_video_that_fits_is_pushed_once() {
    let model = model();
    let video = features(&model, 3);
    let turns = compare(&model, &[&video], &["What is it?", "What colour?", "And then?"]);
    assert!(turns.iter().all(|turn| turn.layout == Some(Layout::Full)));
    assert!(turns[1].cached >= turns[0].prompt && turns[2].cached >= turns[1].prompt);
}

/// A longer prompt raises other frames to full resolution: what follows the first change is pushed again.
#[test]
fn frames_chosen_by_the_question_are_pushed_again() {
    let model = model();
    let video = features(&model, 8);
    let turns = compare(&model, &[&video], &["What is it?", "And what was there to be seen before?", "Why?"]);
    assert!(turns.iter().all(|turn| turn.layout == Some(Layout::QueryGuided)));
    assert!(turns.iter().skip(1).any(|turn| turn.cached < turns[0].prompt), "some choice changed");
    assert!(turns.iter().skip(1).all(|turn| turn.cached > 10), "the system prompt stays");
}

/// A longer prompt lets the temporal stage drop frames that the turn before could use.
#[test]
fn frames_that_the_temporal_stage_drops_later() {
    let model = builder("qwen").temporal_stage(Arc::new(AllButFirst)).load().unwrap();
    let video = features(&model, 14);
    let turns = compare(&model, &[&video], &["Why?", &"Why is it so? ".repeat(10), "Why?"]);
    assert_eq!((turns[0].selected[0].len(), turns[1].selected[0].len()), (14, 10));
    assert!(turns[1].cached < 40, "the first frame is another: {}", turns[1].cached);
    assert!(turns[2].cached > turns[1].cached);
}

#[test]
fn the_same_question_again_pushes_one_position() {
    let model = model();
    let video = features(&model, 2);
    let config = config();
    let mut conversation = Conversation::new(1);
    conversation.push_user("What?");
    let mut cache = PromptCache::default();
    let first = model.reply_from(&mut cache, &[&video], &conversation, &config).unwrap();
    assert!(cache.is_empty());
    let (first, mut cache) = first.finish_with_cache().unwrap();
    assert!(cache.len() >= first.prompt_tokens);
    let again = model.reply_from(&mut cache, &[&video], &conversation, &config).unwrap().finish().unwrap();
    assert_eq!((again.cached_tokens, again.generated_ids), (first.prompt_tokens - 1, first.generated_ids));
}

#[test]
fn another_models_cache_is_not_used() {
    let (model, other) = (model(), builder("qwen").load().unwrap());
    let config = config();
    let mut conversation = Conversation::new(0);
    conversation.push_user("What?");
    let stream = model.reply_from(&mut PromptCache::default(), &[], &conversation, &config).unwrap();
    let (answer, mut cache) = stream.finish_with_cache().unwrap();
    let clone = model.clone();
    let shared = clone.reply_from(&mut cache, &[], &conversation, &config).unwrap();
    assert_eq!(shared.answer().cached_tokens, answer.prompt_tokens - 1, "clones share their weights");
    let foreign = other.reply_from(&mut shared.into_cache(), &[], &conversation, &config).unwrap();
    assert_eq!(foreign.answer().cached_tokens, 0);
}

#[test]
fn a_chat_survives_answers_that_are_dropped() {
    let model = model();
    let video = features(&model, 2);
    let mut chat = model.chat(&[&video]).with_config(config());
    chat.ask("What is it?").unwrap();
    let mut undisturbed = model.chat(&[&video]).with_config(config());
    undisturbed.ask("What is it?").unwrap();
    for pieces in 0..3 {
        let mut stream = chat.stream("Never mind?").unwrap();
        assert!(stream.by_ref().take(pieces).all(|piece| piece.is_ok()));
        assert!(stream.answer().cached_tokens > 0);
    }
    assert!(chat.ask(" ").is_err());
    assert_eq!(chat.conversation().turns().len(), 2);
    let next = chat.ask_with("And then?", |_| {}).unwrap();
    let expected = undisturbed.ask_with("And then?", |_| {}).unwrap();
    assert_eq!((&next.generated_ids, &next.text), (&expected.generated_ids, &expected.text));
    assert!(next.cached_tokens >= expected.cached_tokens);
    assert_eq!(chat.conversation(), undisturbed.conversation());
}

#[test]
fn a_turn_counts_once_its_answer_was_read_to_the_end() {
    let model = model();
    let mut chat = model.chat(&[]).with_config(config());
    let text: String = chat.stream("Hello?").unwrap().map(Result::unwrap).collect();
    assert_eq!(chat.conversation().turns()[1].content, text);
}
