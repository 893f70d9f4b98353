//! Encode once, ask many times, chat, images, frames of one's own.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
    thread,
};

use burn::tensor::Tensor;
use longvu::{
    Clip, Device, EncodedVideo, Error, FinishReason, Frame, GenerationConfig, LongVu, Residency, Step, Watch, Workload,
    compress::{FrameSelector, StageError, WindowSelection},
    llm::{Conversation, Role},
};

use crate::support::{builder, frames, model};

fn embeds(model: &LongVu, video: &EncodedVideo, question: &str) -> (Vec<usize>, Vec<f32>) {
    let mut conversation = Conversation::new(1);
    conversation.push_user(question);
    let prompt = model.prompt_ids(&conversation).unwrap();
    let prepared = model.prepare(&prompt, &[video]).unwrap();
    let values = prepared.inputs_embeds.into_data().iter::<f32>().collect();
    (prepared.selected[0].clone(), values)
}

#[test]
fn a_model_is_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    let model = model();
    shareable(&model);
    let video = Arc::new(model.encode(frames(5, 64, 48)).unwrap());
    let alone = model.ask(&video, "What is this?").unwrap();
    let ask = |_| {
        let (model, video) = (model.clone(), video.clone());
        thread::spawn(move || model.ask(&video, "What is this?").unwrap())
    };
    let answers: Vec<_> = (0..4).map(ask).map(|t| t.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| *answer == alone));
}

/// The frames that a question sees follow from its length, whatever was asked before: a video near the temporal
/// stage's limit gives what encoding for that very prompt would give.
#[test]
fn encoding_serves_questions_of_any_length() {
    // A window of 1,024 tokens: 15 frames at low resolution for the shortest prompts, 14 and fewer for longer ones.
    let model = builder("qwen").dino_threshold(0.2).load().unwrap();
    let video = model.encode(frames(14, 64, 64)).unwrap();
    assert_eq!(video.frames().len(), 14, "every frame is held for short prompts");
    let reduced = &video.temporal_report().selected;
    assert!(reduced.len() < 14, "the stage would drop some: {reduced:?}");
    let (short, _) = embeds(&model, &video, "Why?");
    let (long, _) = embeds(&model, &video, &"Why is it so? ".repeat(12));
    assert_eq!(short, (0..14).collect::<Vec<_>>());
    assert_eq!(&long, reduced);
}

/// What is asked first does not change what is answered next.
#[test]
fn questions_do_not_disturb_each_other() {
    let model = model();
    let video = model.encode(frames(9, 96, 54)).unwrap();
    let first = embeds(&model, &video, "What colour is it?");
    embeds(&model, &video, "Something else entirely?");
    assert_eq!(embeds(&model, &video, "What colour is it?"), first);
}

#[test]
fn frames_may_come_from_a_stream() {
    let model = model();
    let all = frames(20, 64, 36);
    let whole = model.encode(all.clone()).unwrap();
    let looked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&looked);
    let stream = Clip::from_frames(all.into_iter().map(Ok), None);
    let watch = Watch::new(move |progress| {
        if progress.step == Step::Look {
            seen.lock().unwrap().push(progress.done);
        }
        ControlFlow::Continue(())
    });
    let streamed = model.watched(watch).encode(stream).unwrap();
    let mut looked = looked.lock().unwrap().clone();
    assert!(looked.is_sorted(), "{looked:?}");
    looked.dedup();
    assert_eq!(looked, (0..=20).collect::<Vec<_>>());
    assert_eq!(streamed.frames(), whole.frames());
    let difference: f32 = (streamed.features() - whole.features()).abs().max().into_scalar();
    assert_eq!(difference, 0.0);
    assert_eq!(streamed.sampled_frames(), 20);
    assert!(streamed.memory() > 0);
}

#[test]
fn a_thread_of_a_frame_is_looked_at_whole() {
    let model = model();
    let video = model.encode(frames(2, 400, 4)).unwrap();
    let config = GenerationConfig::default().with_max_new_tokens(1);
    let answer = model.stream(&[&video], "What?", &config).unwrap().finish().unwrap();
    assert_eq!(answer.visual_tokens, 2 * 12 * 13);
}

#[test]
fn frame_positions_change_the_tokens_of_models_that_have_them() {
    let plain = model();
    let placed = builder("qwen").config_value("frame_pos", true).load().unwrap();
    let (_, without) = embeds(&plain, &plain.encode(frames(2, 48, 48)).unwrap(), "What?");
    let (_, with) = embeds(&placed, &placed.encode(frames(2, 48, 48)).unwrap(), "What?");
    let added = |token: usize, channel: usize| with[token * 64 + channel] - without[token * 64 + channel];
    let first_visual = (0..).find(|&t| added(t, 1) != 0.0).unwrap();
    assert!((added(first_visual, 1) - 1.0).abs() < 1e-5);
    assert!((added(first_visual + 156, 0) - 1f32.sin()).abs() < 1e-5);
}

#[test]
fn a_failing_source_is_reported() {
    let broken = frames(3, 32, 32).into_iter().map(Ok).chain([Err(Error::Source("camera unplugged".into()))]);
    let error = model().encode(Clip::from_frames(broken.collect::<Vec<_>>(), None)).unwrap_err();
    assert_eq!(longvu::text::chain(&error), "the frame source failed: camera unplugged");
}

#[test]
fn tower_batches_change_nothing_but_speed() {
    let single = builder("qwen").tower_batch(1).load().unwrap().encode(frames(7, 64, 48)).unwrap();
    let batched = builder("qwen").tower_batch(4).load().unwrap().encode(frames(7, 64, 48)).unwrap();
    assert_eq!(single.frames(), batched.frames());
    let difference: f32 = (single.features() - batched.features()).abs().max().into_scalar();
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn images_text_and_several_visuals() {
    let model = model();
    let picture = |w, h| Clip::from_image(frames(1, w, h).remove(0));
    let image = model.encode(picture(64, 36)).unwrap();
    let video = model.encode(frames(3, 64, 36)).unwrap();
    let config = GenerationConfig::default().with_max_new_tokens(4);
    let answer = model.stream(&[&image, &video], "Which is brighter?", &config).unwrap().finish().unwrap();
    assert_eq!(answer.reports.len(), 2);
    // 4 x 9 low-resolution tokens for the image, 3 x 84 for the video: rows are cut in the one, columns in the other.
    assert_eq!(answer.visual_tokens, 36 + 3 * 84);
    assert!(answer.generated_ids.len() <= 4);
    model.ask_text("What is a video?").unwrap();
    let error = model.prepare(&longvu::llm::PromptIds::from_raw(vec![1, 2, 3]).unwrap(), &[&image]).err().unwrap();
    assert!(matches!(error, Error::PlaceholderCount { places: 0, given: 1 }));
}

#[test]
fn chats_remember_and_survive_bad_questions() {
    let model = model();
    let video = model.encode(frames(4, 48, 48)).unwrap();
    let config = GenerationConfig::default().with_max_new_tokens(6);
    let mut chat = model.chat(&[&video]).with_config(config.clone());
    let mut pieces = String::new();
    let first = chat.ask_with("What happens?", |piece| pieces.push_str(piece)).unwrap();
    assert_eq!(pieces, first.text);
    assert!(matches!(chat.ask("  "), Err(Error::EmptyQuestion)));
    let second = chat.ask_with("And then?", |_| {}).unwrap();
    assert!(second.prompt_tokens > first.prompt_tokens);
    let roles: Vec<Role> = chat.conversation().turns().iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    let fresh = model.stream(&[&video], "What happens?", &config).unwrap().finish().unwrap();
    assert_eq!(fresh.text, first.text);
}

#[test]
fn generation_ends_for_the_stated_reason() {
    let model = model();
    let video = model.encode(frames(2, 48, 48)).unwrap();
    let long = GenerationConfig::default().with_max_new_tokens(30).with_eos_token_ids([]);
    let whole = model.stream(&[&video], "Tell me.", &long).unwrap().finish().unwrap();
    assert_eq!(whole.finish_reason, Some(FinishReason::Length));
    assert_eq!(whole.generated_ids.len(), 30);
    let end = whole.generated_ids[10];
    let place = whole.generated_ids.iter().position(|&id| id == end).unwrap();
    let stopping = long.clone().with_eos_token_ids([end]);
    let stopped = model.stream(&[&video], "Tell me.", &stopping).unwrap().finish().unwrap();
    assert_eq!(stopped.finish_reason, Some(FinishReason::Stop));
    assert_eq!(stopped.generated_ids, whole.generated_ids[..place]);
    let word: String = whole.text.chars().skip(8).take(3).collect();
    let cut = long.clone().with_stop_strings([word.clone()]);
    let cut = model.stream(&[&video], "Tell me.", &cut).unwrap().finish().unwrap();
    assert_eq!(cut.finish_reason, Some(FinishReason::StopString));
    assert_eq!(cut.text, whole.text.split(&word).next().unwrap());
    let sampled = long.with_temperature(1.0).with_seed(7);
    let draw = || model.stream(&[&video], "Tell me.", &sampled).unwrap().finish().unwrap().generated_ids;
    assert_eq!(draw(), draw());
}

#[test]
fn impossible_requests_say_what_and_why() {
    let model = model();
    assert!(matches!(model.encode(Vec::<Frame>::new()), Err(Error::NoFrames)));
    let video = model.encode(frames(1, 40, 40)).unwrap();
    assert!(matches!(model.ask(&video, ""), Err(Error::EmptyQuestion)));
    let error = model.ask(&video, &"word ".repeat(2000)).unwrap_err();
    assert!(matches!(error, Error::PromptTooLong { window: 1024, .. }), "{error}");
    assert!(Frame::new(0, 0.0, 10, 10, vec![0; 10]).is_err());
    let error = builder("qwen").dino_threshold(-2.0).load().unwrap().encode(frames(3, 40, 40)).unwrap_err();
    assert!(error.to_string().contains("threshold"), "{error}");
    let wide = LongVu::builder("tests/golden/checkpoint/longvu_qwen").config_value("query_num_list", vec![576]);
    let error = wide.config_value("image_token_len", 576).load().err().unwrap().to_string();
    assert!(error.contains("144 for video models"), "{error}");
}

/// Keeps the first frame of every window.
struct FirstOfWindow;

impl FrameSelector for FirstOfWindow {
    fn window(&self) -> usize {
        5
    }

    fn applies(&self, _frames: usize, _limit: usize) -> bool {
        true
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        Ok(WindowSelection::new(vec![0.0; features.dims()[0]], vec![0]))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

#[test]
fn a_stage_can_be_replaced() {
    let model = builder("llama").temporal_stage(Arc::new(FirstOfWindow)).load().unwrap();
    let video = model.encode(frames(12, 48, 36)).unwrap();
    let kept: Vec<usize> = video.frames().iter().map(|frame| frame.index).collect();
    assert_eq!(kept, [0, 5, 10]);
}

#[test]
fn half_precision_runs_and_stays_close() {
    let full = model();
    for dtype in [longvu::Dtype::F16, longvu::Dtype::Bf16] {
        let half = builder("qwen").weights(dtype).device(&Device::flex()).load().unwrap();
        let video = half.encode(frames(3, 64, 48)).unwrap();
        let reference = full.encode(frames(3, 64, 48)).unwrap().features();
        let found = video.features().cast(burn::tensor::DType::F32);
        let norm = |x: Tensor<3>| x.square().sum().sqrt().into_scalar::<f32>();
        let error = norm(found - reference.clone()) / norm(reference);
        let bound = if dtype == longvu::Dtype::F16 { 0.01 } else { 0.08 };
        assert!(error < bound, "{dtype}: {error}");
        half.ask(&video, "What is it?").unwrap();
    }
}

/// Parts that come and go compute what those that stay do.
#[test]
fn a_model_on_demand_answers_alike() {
    let whole = model();
    assert!(whole.has_towers() && whole.residency() == Residency::Whole);
    let model = builder("qwen").residency(Residency::OnDemand).load().unwrap();
    assert!(!model.has_towers(), "nothing has needed them yet");
    let question = "What happens?";
    assert_eq!(model.ask_text(question).unwrap(), whole.ask_text(question).unwrap());
    assert!(!model.has_towers(), "a text needs no tower");
    for count in [4, 9] {
        let video = model.encode(frames(count, 64, 48)).unwrap();
        assert!(!model.has_towers(), "they go with the frames");
        let expected = whole.encode(frames(count, 64, 48)).unwrap();
        assert_eq!(embeds(&model, &video, question), embeds(&whole, &expected, question));
        assert_eq!(model.ask(&video, question).unwrap(), whole.ask(&expected, question).unwrap());
    }
}

#[test]
fn towers_can_be_released_and_come_back() {
    let model = model();
    let first = model.encode(frames(5, 48, 48)).unwrap();
    let used = model.dinov2().unwrap();
    model.release_towers();
    assert!(model.has_towers(), "one is in use");
    drop(used);
    assert!(!model.has_towers());
    model.ask(&first, "What is it?").unwrap();
    let encode = |_| {
        let model = model.clone();
        thread::spawn(move || model.encode(frames(5, 48, 48)).unwrap())
    };
    let again: Vec<_> = (0..3).map(encode).map(|thread| thread.join().unwrap()).collect();
    assert!(model.has_towers(), "they stay, as before");
    for video in again {
        assert_eq!(embeds(&model, &video, "What?"), embeds(&model, &first, "What?"));
    }
}

#[test]
fn a_run_that_does_not_fit_is_refused_before_anything_is_loaded() {
    let workload = Workload::default().with_frames(30).with_size((64, 48));
    let plan = builder("qwen").plan(workload, None).unwrap();
    assert_eq!((plan.fits, plan.advice.len()), (None, 0));
    builder("qwen").fit_memory(workload, plan.peak).unwrap().load().unwrap();
    let Err(error) = builder("qwen").fit_memory(workload, 1 << 20) else { panic!("a megabyte is too little") };
    assert!(matches!(&error, Error::Memory(plan) if plan.fits == Some(false)));
    assert!(error.to_string().contains("1 MiB can be had"), "{error}");
}
