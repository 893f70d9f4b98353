//! FastV in the language model, as an application uses it.

use longvu::{
    Answer, EncodedVideo, GenerationConfig, LongVu, PromptCache,
    compress::{FastV, StageName},
    llm::Conversation,
};

use crate::support::{builder, features};

fn config() -> GenerationConfig {
    GenerationConfig::default().with_max_new_tokens(4)
}

fn pruning(k: usize, r: f64) -> LongVu {
    builder("qwen").decoder_stage(FastV::default().with_k(k).with_r(r)).load().unwrap()
}

fn logits_and_answer(model: &LongVu, videos: &[&EncodedVideo]) -> (Vec<f32>, Answer) {
    let mut stream = model.stream(videos, "What is it?", &config()).unwrap();
    (stream.next_logits(), stream.finish().unwrap())
}

fn off(found: &[f32], expected: &[f32]) -> f32 {
    let difference: f32 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / expected.iter().map(|b| b.powi(2)).sum::<f32>()).sqrt()
}

#[test]
fn half_of_the_visual_tokens_leave_after_two_layers() {
    let (plain, model) = (builder("qwen").load().unwrap(), pruning(2, 0.5));
    let videos = [features(&plain, 3), features(&plain, 2)];
    let (expected, whole) = logits_and_answer(&plain, &[&videos[0], &videos[1]]);
    assert!(whole.decoder.is_none());
    let (found, answer) = logits_and_answer(&model, &[&videos[0], &videos[1]]);
    let report = answer.decoder.clone().unwrap();
    assert_eq!((report.visual_tokens, report.kept_tokens), (5 * 156, 5 * 78));
    assert!(report.kept.is_sorted_by(|a, b| a < b) && report.kept.len() == 5 * 78 && report.kept[389] < 780);
    // One of three layers does not hold half of the visual tokens.
    let position = report.whole_cache_bytes / answer.prompt_tokens as u64;
    assert_eq!(report.whole_cache_bytes - report.cache_bytes, 390 * position / 3);
    let error = off(&found, &expected);
    assert!(error > 1e-4 && error < 1.0, "{error}");
    assert_eq!(logits_and_answer(&model, &[&videos[0], &videos[1]]).0, found, "the same again");
    // Nothing goes, and nothing but text: as without.
    let (found, answer) = logits_and_answer(&pruning(1, 0.0), &[&videos[0], &videos[1]]);
    assert!(off(&found, &expected) < 1e-5 && answer.decoder.unwrap().kept_tokens == 780);
    let (found, answer) = logits_and_answer(&model, &[]);
    assert!(answer.decoder.is_none() && found == logits_and_answer(&plain, &[]).0);
}

#[test]
fn by_name_and_off_by_name() {
    let named = |spec: &str| builder("qwen").named_stage(StageName::Decoder, spec.parse().unwrap());
    let model = named("fastv:k=1,r=0.75").load().unwrap();
    let video = features(&model, 2);
    let report = logits_and_answer(&model, &[&video]).1.decoder.unwrap();
    assert_eq!((report.stage, report.kept_tokens), (FastV::default().with_k(1).with_r(0.75), 78));
    assert!(logits_and_answer(&named("none").load().unwrap(), &[&video]).1.decoder.is_none());
    for bad in ["fastv:k=3", "fastv:r=2", "evs"] {
        assert!(named(bad).load().is_err(), "{bad}");
    }
    let error = builder("qwen").decoder_stage(FastV::default().with_k(3)).load().unwrap_err();
    assert_eq!(error.settings(), ["decoder_stage"]);
    assert!(error.to_string().contains("after 3 layers of 3"), "{error}");
    assert!(builder("qwen").decoder_stage(FastV::default().with_r(f64::NAN)).load().is_err());
}

/// A chat goes on from what stood before the video, and no answer differs from one without a cache.
#[test]
fn a_cache_never_changes_an_answer() {
    let (plain, model) = (builder("qwen").load().unwrap(), pruning(1, 0.5));
    let video = features(&model, 3);
    let ask = |model: &LongVu, cache: &mut PromptCache, questions: &[&str]| {
        let mut conversation = Conversation::new(1);
        for question in &questions[..questions.len() - 1] {
            conversation.push_user(*question);
            conversation.push_assistant("Yes.");
        }
        conversation.push_user(questions[questions.len() - 1]);
        let mut fresh = model.reply(&[&video], &conversation, &config()).unwrap();
        let mut cached = model.reply_from(cache, &[&video], &conversation, &config()).unwrap();
        assert!(off(&cached.next_logits(), &fresh.next_logits()) < 1e-5, "{questions:?}");
        let answer;
        (answer, *cache) = cached.finish_with_cache().unwrap();
        assert_eq!(answer.generated_ids, fresh.finish().unwrap().generated_ids);
        answer
    };
    let mut cache = PromptCache::default();
    assert_eq!(ask(&model, &mut cache, &["What is it?"]).cached_tokens, 0);
    let second = ask(&model, &mut cache, &["What is it?", "And then?"]);
    assert!((1..30).contains(&second.cached_tokens), "the text before the video: {}", second.cached_tokens);
    assert_eq!(second.decoder.unwrap().visual_tokens, 3 * 156);
    // A model without the stage has weights that are the same, and takes nothing from this cache; nor the other way round.
    assert_eq!(ask(&plain, &mut cache, &["What is it?", "And then?"]).cached_tokens, 0);
    assert!(ask(&plain, &mut cache, &["What is it?", "And then?", "Now?"]).cached_tokens > 3 * 156);
    assert_eq!(ask(&model, &mut cache, &["What is it?", "And then?", "Now?"]).cached_tokens, 0);
}
