//! What is left of an answer that was stopped, or whose watcher broke down: an error and no half of an answer.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use longvu::{Error, ErrorKind, GenerationConfig, LongVu, Step, Watch};

use crate::support::{features, model};

/// A handle whose watcher says stop as soon as `step` has come so far.
fn stopped_at(model: &LongVu, step: Step, at: u64) -> LongVu {
    model.watched(Watch::new(move |progress| match progress.step == step && progress.done >= at {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }))
}

#[test]
fn frames_that_go_to_the_prompt_can_be_stopped() {
    let model = model();
    let video = features(&model, 3);
    for step in [Step::Project, Step::Prompt] {
        let answer = stopped_at(&model, step, 0).stream(&[&video], "What?", &GenerationConfig::default());
        assert!(matches!(answer.err(), Some(Error::Cancelled(_))), "{step}");
    }
}

#[test]
fn half_an_answer_is_none() {
    let model = model();
    let video = features(&model, 2);
    let request = stopped_at(&model, Step::Answer, 2);
    let mut stream = request.stream(&[&video], "What?", &GenerationConfig::default()).unwrap();
    assert_eq!(stream.answer().finish_reason, None);
    assert!(matches!(stream.by_ref().find_map(Result::err), Some(Error::Cancelled(_))));
    assert!(stream.next().is_none());
    assert_eq!((stream.answer().finish_reason, stream.answer().generated_ids.len()), (None, 1));
    let error = stream.finish().unwrap_err();
    assert!(matches!(error, Error::AnswerBroken { kind: ErrorKind::Cancelled }), "{error}");

    let mut chat = model.chat(&[&video]);
    chat.set_model(request);
    let mut stream = chat.stream("What?").unwrap();
    stream.by_ref().for_each(drop);
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(chat.turns().is_empty());
}

#[test]
fn a_chat_survives_a_panic_in_the_middle_of_an_answer() {
    let model = model();
    let video = features(&model, 2);
    let expected = model.ask(&video, "What?").unwrap();
    let mut chat = model.chat(&[&video]);
    chat.set_model(model.watched(Watch::new(|progress| {
        assert!(progress.step != Step::Answer, "the watcher breaks down");
        ControlFlow::Continue(())
    })));
    let mut stream = chat.stream("What?").unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| stream.next())).is_err());
    assert!(stream.next().is_none());
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
    chat.set_model(model);
    assert_eq!(chat.ask("What?").unwrap(), expected);
}
