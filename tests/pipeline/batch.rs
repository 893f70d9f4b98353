//! Answers that go through the language model together, each of which has to be the one that it is alone.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use longvu::{
    Answer, AnswerBatch, AnswerStream, BatchEvent, BatchId, Dtype, EncodedVideo, Error, ErrorKind, FinishReason,
    GenerationConfig, LongVu, PromptCache, Quantize, Step, Watch, WeightFormat, compress::FastV, llm::Conversation,
};

use crate::support::{builder, features, model};

/// What a batch told of each answer.
#[derive(Default)]
struct Told {
    texts: BTreeMap<BatchId, String>,
    ended: BTreeMap<BatchId, AnswerStream>,
    failed: BTreeMap<BatchId, Error>,
}

impl Told {
    fn step(&mut self, batch: &mut AnswerBatch) {
        for (id, event) in batch.next_pieces() {
            assert!(!self.ended.contains_key(&id) && !self.failed.contains_key(&id), "{id:?} had left");
            match event {
                BatchEvent::Piece(text) => self.texts.entry(id).or_default().push_str(&text),
                BatchEvent::Ended(stream) => assert!(self.ended.insert(id, *stream).is_none()),
                BatchEvent::Failed(error) => assert!(self.failed.insert(id, error).is_none()),
                other => panic!("{other:?}"),
            }
        }
    }

    fn all(batch: &mut AnswerBatch) -> Self {
        let mut told = Self::default();
        while !batch.is_empty() {
            told.step(batch);
        }
        told
    }
}

/// Greedy, of so many tokens.
fn tokens(count: usize) -> GenerationConfig {
    GenerationConfig::default().with_max_new_tokens(count).with_eos_token_ids([])
}

/// All but the seconds.
fn without_times(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    answer.timings = longvu::AnswerTimings::default();
    answer
}

/// Settings of every kind, and answers of every length.
fn settings(text: &str) -> Vec<GenerationConfig> {
    let word: String = text.chars().skip(8).take(3).collect();
    vec![
        tokens(12),
        tokens(1),
        tokens(16).with_temperature(1.0).with_seed(7),
        tokens(16).with_stop_strings([word]),
        tokens(9).with_temperature(0.7).with_top_p(0.8).with_top_k(20).with_repetition_penalty(1.2).with_seed(3),
        tokens(25),
        GenerationConfig::default().with_max_new_tokens(20),
        tokens(14).with_temperature(1.3).with_seed(11),
        tokens(5),
        tokens(18).with_repetition_penalty(1.1),
    ]
}

/// More answers than rows of one product, of prompts of three lengths, that begin one after the other.
fn compare(model: &LongVu, visuals: &[Vec<&EncodedVideo>]) {
    let question = |i: usize| ["What is it?", "How does it end, and why?"][i % 2];
    let ask =
        |i: usize, config: &GenerationConfig| model.stream(&visuals[i % visuals.len()], question(i), config).unwrap();
    let whole = ask(3, &tokens(16)).finish().unwrap();
    let settings = settings(&whole.text);
    let (mut batch, mut told, mut ids) = (AnswerBatch::new(), Told::default(), Vec::new());
    for (i, config) in settings.iter().enumerate() {
        ids.push(batch.insert(ask(i, config)).unwrap());
        if i > 4 {
            told.step(&mut batch);
        }
    }
    while !batch.is_empty() {
        told.step(&mut batch);
    }
    assert!(told.failed.is_empty() && told.ended.len() == settings.len());
    for (i, (config, id)) in settings.iter().zip(&ids).enumerate() {
        let (expected, found) = (ask(i, config).finish().unwrap(), told.ended[id].answer());
        assert_eq!(without_times(found), without_times(&expected), "answer {i}");
        assert_eq!(told.texts.get(id).map_or("", String::as_str), expected.text, "answer {i}");
    }
    assert_eq!(told.ended[&ids[3]].answer().finish_reason, Some(FinishReason::StopString));
}

#[test]
fn answers_are_those_that_they_are_alone() {
    for kind in ["qwen", "llama"] {
        let model = builder(kind).load().unwrap();
        let (short, long) = (features(&model, 2), features(&model, 4));
        compare(&model, &[vec![&short], vec![&long], vec![]]);
    }
}

#[test]
fn prompts_whose_visual_tokens_were_pruned_go_with_whole_ones() {
    let model = builder("qwen").decoder_stage(FastV::default().with_k(1).with_r(0.75)).load().unwrap();
    let (short, long) = (features(&model, 2), features(&model, 4));
    compare(&model, &[vec![&short], vec![&long], vec![]]);
}

#[test]
fn the_built_in_model_answers_alike() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/miniature");
    let model = LongVu::from_pretrained(folder, &longvu::default_device()).unwrap();
    let video = model.encode(crate::support::frames(6, 64, 64)).unwrap();
    compare(&model, &[vec![&video], vec![]]);
}

/// Scores of the vocabulary after `steps` tokens, alone and beside others: the same bits, in whatever weights are held.
#[test]
fn scores_are_the_same_to_the_bit() {
    let quantized = |quantize| WeightFormat::from(Dtype::F32).with_quantize(Some(quantize));
    let formats: Vec<WeightFormat> = Dtype::ALL.into_iter().map(WeightFormat::from).collect();
    for format in formats.into_iter().chain(Quantize::ALL.map(quantized)) {
        let model = builder("qwen").weights(format).load().unwrap();
        for count in 1..=9 {
            let ask = |i: usize| model.stream(&[], &"Why? ".repeat(i + 1), &tokens(8)).unwrap();
            let together = after_three_tokens((0..count).map(ask));
            for (i, mut found) in together.into_iter().enumerate() {
                let mut alone = after_three_tokens([ask(i)]).remove(0);
                assert_eq!(alone.answer().generated_ids, found.answer().generated_ids);
                let bits = |scores: Vec<f32>| scores.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                assert_eq!(bits(found.next_logits()), bits(alone.next_logits()), "{format}, {i} of {count}");
            }
        }
    }
}

fn after_three_tokens(answers: impl IntoIterator<Item = AnswerStream>) -> Vec<AnswerStream> {
    let mut batch = AnswerBatch::new();
    let ids: Vec<BatchId> = answers.into_iter().map(|answer| batch.insert(answer).unwrap()).collect();
    for _ in 0..3 {
        batch.next_pieces();
    }
    // The work for the fourth is done together, too.
    ids.into_iter().map(|id| batch.remove(id).unwrap()).collect()
}

#[test]
fn who_leaves_goes_on_alone() {
    let model = model();
    let video = features(&model, 2);
    let ask = |question| model.stream(&[&video], question, &tokens(12)).unwrap();
    let expected = ["What?", "Why?", "Where is it?"].map(|question| ask(question).finish().unwrap());
    let mut batch = AnswerBatch::new();
    let ids = ["What?", "Why?", "Where is it?"].map(|question| batch.insert(ask(question)).unwrap());
    let mut told = Told::default();
    for _ in 0..4 {
        told.step(&mut batch);
    }
    let left = batch.remove(ids[1]).unwrap();
    assert!(batch.remove(ids[1]).is_none() && batch.len() == 2);
    assert_eq!(left.answer().generated_ids, expected[1].generated_ids[..4]);
    let left = left.finish().unwrap();
    assert_eq!((left.text, left.generated_ids), (expected[1].text.clone(), expected[1].generated_ids.clone()));
    while !batch.is_empty() {
        told.step(&mut batch);
    }
    for i in [0, 2] {
        assert_eq!(told.ended[&ids[i]].answer().generated_ids, expected[i].generated_ids);
    }
    assert!(!told.ended.contains_key(&ids[1]) && batch.next_pieces().is_empty());
}

#[test]
fn one_that_is_stopped_fails_and_the_others_go_on() {
    let model = model();
    let video = features(&model, 2);
    let heard = Arc::new(Mutex::new(vec![Vec::new(); 3]));
    let ask = |i: usize| {
        let heard = Arc::clone(&heard);
        let watch = Watch::new(move |progress| {
            if progress.step != Step::Answer {
                return ControlFlow::Continue(());
            }
            heard.lock().unwrap()[i].push(progress.done);
            if i == 1 && progress.done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        model.watched(watch).stream(&[&video], "What?", &tokens(5 + i)).unwrap()
    };
    let mut batch = AnswerBatch::new();
    let ids = [0, 1, 2].map(|i| batch.insert(ask(i)).unwrap());
    let told = Told::all(&mut batch);
    assert!(matches!(told.failed[&ids[1]], Error::Cancelled(_)));
    let alone = model.stream(&[&video], "What?", &tokens(7)).unwrap().finish().unwrap();
    for i in [0, 2] {
        assert_eq!(told.ended[&ids[i]].answer().generated_ids, alone.generated_ids[..5 + i]);
    }
    assert_eq!(*heard.lock().unwrap(), [vec![1, 2, 3, 4, 5], vec![1, 2, 3], vec![1, 2, 3, 4, 5, 6, 7]]);
}

#[test]
fn answers_of_another_model_are_refused() {
    let (one, other) = (model(), model());
    let ask = |model: &LongVu| model.stream(&[], "What?", &tokens(2)).unwrap();
    let mut batch = AnswerBatch::new();
    assert!(batch.takes(&ask(&other)));
    batch.insert(ask(&one)).unwrap();
    let watched = one.watched(Watch::new(|_| ControlFlow::Continue(())));
    assert!(batch.takes(&ask(&watched)) && !batch.takes(&ask(&other)));
    let error = batch.insert(ask(&other)).unwrap_err();
    assert!(matches!(error, Error::OtherModel) && error.kind() == ErrorKind::BadInput, "{error}");
    assert_eq!(Told::all(&mut batch).ended.len(), 1);
    batch.insert(ask(&other)).unwrap();
}

#[test]
fn what_has_ended_or_broken_off_leaves_at_once() {
    let model = model();
    let mut whole = model.stream(&[], "What?", &tokens(4)).unwrap();
    whole.by_ref().for_each(|piece| drop(piece.unwrap()));
    let stopping = model.watched(Watch::new(|progress| match progress.step {
        Step::Answer => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }));
    let mut broken = stopping.stream(&[], "What?", &tokens(4)).unwrap();
    assert!(broken.next().unwrap().is_err());
    let mut batch = AnswerBatch::new();
    let (text, ids) = (whole.answer().text.clone(), [whole, broken].map(|answer| batch.insert(answer).unwrap()));
    let told = Told::all(&mut batch);
    assert_eq!(told.ended[&ids[0]].answer().text, text);
    assert!(matches!(told.failed[&ids[1]], Error::AnswerBroken { kind: ErrorKind::Cancelled }));
}

/// What an answer leaves for the next prompt is right, and its seconds are those of the steps that it took part in.
#[test]
fn the_next_question_goes_on_from_it() {
    let model = model();
    let video = features(&model, 2);
    let mut conversation = Conversation::new(1);
    conversation.push_user("What?");
    let mut batch = AnswerBatch::new();
    let mut ask = |conversation: &Conversation, cache: &mut PromptCache, count| {
        let stream = model.reply_from(cache, &[&video], conversation, &tokens(count)).unwrap();
        batch.insert(stream).unwrap();
    };
    let start = std::time::Instant::now();
    ask(&conversation, &mut PromptCache::default(), 3);
    ask(&conversation, &mut PromptCache::default(), 9);
    let told = Told::all(&mut batch);
    let wall = start.elapsed().as_secs_f64();
    let seconds: Vec<f64> = told.ended.values().map(|stream| stream.answer().timings.generate).collect();
    assert!(0.0 < seconds[0] && seconds[0] < seconds[1] && seconds[1] <= wall, "{seconds:?} of {wall}");
    for stream in told.ended.into_values() {
        let (answer, mut cache) = (stream.answer().clone(), stream.into_cache());
        assert_eq!(cache.len(), answer.prompt_tokens + answer.generated_ids.len() - 1);
        let mut conversation = conversation.clone();
        conversation.push_assistant(answer.text);
        conversation.push_user("And then?");
        let expected = model.reply(&[&video], &conversation, &tokens(6)).unwrap().finish().unwrap();
        let found = model.reply_from(&mut cache, &[&video], &conversation, &tokens(6)).unwrap().finish().unwrap();
        assert!(found.cached_tokens > 0);
        assert_eq!(found.generated_ids, expected.generated_ids);
    }
}
