//! Every answer is what somebody who watches the video would say, and no answer can be guessed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{Subject, Track, watch};
use longvu_world::{Question, QuestionKind, Script, ScriptKind, ScriptOptions, Split, matches_description};
use proptest::prelude::*;

/// The answer by watching; panics if there is not just one.
fn observed(question: &Question, tracks: &[Track], size: (u32, u32)) -> String {
    let subject = Subject::of(&question.text);
    let fitting: Vec<&Track> = tracks.iter().filter(|track| subject.fits(track)).collect();
    let only = || -> &Track {
        assert_eq!(fitting.len(), 1, "{question:?} fits {fitting:?}");
        fitting[0]
    };
    let neighbour = |scene: Option<usize>| -> String {
        let there: Vec<&Track> = tracks.iter().filter(|track| Some(track.scene) == scene).collect();
        assert_eq!(there.len(), 1, "{question:?}: {there:?}");
        there[0].colour_and_thing()
    };
    match question.kind {
        QuestionKind::Colour => only().colour.to_owned(),
        QuestionKind::Shape => {
            let alike = tracks.iter().filter(|track| Some(track.colour) == subject.colour).count();
            assert_eq!(alike, 1, "{question:?}");
            only().thing.clone()
        }
        QuestionKind::Direction => only().direction().expect("something that moves").to_owned(),
        QuestionKind::Action => only().action().to_owned(),
        QuestionKind::Count => {
            let shapes: Vec<_> = fitting.iter().filter(|track| track.class == "shape").collect();
            assert!(shapes.windows(2).all(|pair| pair[0].scene == pair[1].scene), "{question:?}");
            ["none", "one", "two", "three", "four"][shapes.len()].to_owned()
        }
        QuestionKind::Presence => if fitting.is_empty() { "no" } else { "yes" }.to_owned(),
        QuestionKind::Before => neighbour(only().scene.checked_sub(1)),
        QuestionKind::After => neighbour(Some(only().scene + 1)),
        QuestionKind::Glyph => only().thing.clone(),
        QuestionKind::Needle => {
            let brief = |track: &&&Track| track.seen[track.seen.len() - 1].0 - track.seen[0].0 < 1.6;
            let brief: Vec<&&Track> = fitting.iter().filter(brief).collect();
            assert_eq!(brief.len(), 1, "{question:?} fits {brief:?}");
            brief[0].thing.clone()
        }
        QuestionKind::Place => {
            let track = only();
            let is_at_end = question.text.contains("at the end");
            assert_eq!(
                is_at_end || question.text.contains("at the start"),
                track.direction().is_some(),
                "{question:?}"
            );
            track.place(if is_at_end { track.seen.len() - 1 } else { 0 }, size)
        }
        QuestionKind::Description => panic!("compared scene by scene"),
        kind => panic!("no truth is derived for {kind:?}"),
    }
}

fn check(script: &Script, variant: u64) {
    let tracks = watch(script);
    for question in QuestionKind::ALL.iter().filter_map(|kind| script.question(*kind, variant)) {
        assert!(question.is_answered_by(&question.answer), "{question:?}");
        assert!(!question.text.contains(['{', '}']), "{question:?}");
        if question.kind == QuestionKind::Description {
            let count = script.scenes().len();
            let said: Vec<String> = (0..count)
                .map(|scene| {
                    let there = tracks.iter().filter(|track| track.scene == scene);
                    let name = |track: &Track| match track.class {
                        "shape" => track.colour_and_thing(),
                        class => format!("{} {class} {}", track.colour, track.thing),
                    };
                    there.map(name).collect::<Vec<_>>().join(", ")
                })
                .collect();
            assert!(matches_description(&question.answer, &said.join(". ")), "{question:?}: {said:?}");
            continue;
        }
        assert_eq!(
            observed(&question, &tracks, script.size()),
            question.answer,
            "{question:?} of seed {}",
            script.seed()
        );
        let has_choice = matches!(question.kind, QuestionKind::Direction | QuestionKind::Action);
        let padded = |text: &str| format!(" {} ", text.replace(|c: char| !c.is_alphanumeric(), " "));
        let gives_away = padded(&question.text).contains(&format!(" {} ", question.answer));
        assert!(has_choice || !gives_away, "{question:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn answers_are_what_a_viewer_would_say(seed: u64, variant in 0_u64..50, duration in 1.0_f64..40.0, wide: bool) {
        let mut options = ScriptOptions::default().with_duration(duration);
        if wide {
            options.aspect = longvu_world::Aspect::Wide;
        }
        check(&Script::draw(seed, &options).unwrap(), variant);
    }

    #[test]
    fn answers_of_each_kind_of_video_too(seed: u64, variant in 0_u64..50, kind in 0_usize..4, longer in 1.0_f64..8.0) {
        let kind = ScriptKind::ALL[kind];
        let options = ScriptOptions::default().with_kind(kind).with_duration(kind.least_duration() * longer);
        check(&Script::draw(seed, &options).unwrap(), variant);
    }
}

/// How often each answer is given, by kind of question and form of the subject, over 1,000 videos of each kind of script.
fn answers(kind: QuestionKind) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for script in ScriptKind::ALL {
        for index in 0..1000 {
            let duration = if script == ScriptKind::Needle { 60.0 } else { 10.0 };
            let options = ScriptOptions::default().with_kind(script).with_duration(duration);
            let script = Script::draw(Split::Train.seed(index), &options).unwrap();
            let Some(question) = script.question(kind, 0) else { continue };
            let subject = Subject::of(&question.text);
            let form = match (subject.colour.is_some(), subject.thing.is_some(), subject.class) {
                (true, true, _) => "both",
                (true, false, _) => "colour",
                (false, true, Some(_)) => "glyph",
                (false, true, None) => "thing",
                (false, false, _) => "other",
            };
            *counts.entry(form.to_owned()).or_default().entry(question.answer).or_default() += 1;
        }
    }
    counts
}

/// Each of `answers` must have an even share, give or take; also within each form that is asked often.
fn assert_even(kind: QuestionKind, expected: &[&str], tolerance: f64) {
    let by_form = answers(kind);
    let total: usize = by_form.values().flat_map(BTreeMap::values).sum();
    assert!(total >= 500, "{kind} is asked {total} times only");
    for (form, counts) in by_form {
        let of_form: usize = counts.values().sum();
        if of_form < 150 {
            continue;
        }
        // Fewer questions scatter more: up to three standard deviations.
        let even = 1.0 / expected.len() as f64;
        let slack = tolerance.max(3.0 * (even * (1.0 - even) / of_form as f64).sqrt());
        for answer in expected {
            let share = counts.get(*answer).copied().unwrap_or(0) as f64 / of_form as f64;
            assert!(
                (share - even).abs() <= slack,
                "{kind} about {form}: {answer} in {share:.3} of {of_form}: {counts:?}"
            );
        }
        assert!(counts.keys().all(|answer| expected.contains(&answer.as_str())), "{kind}: {counts:?}");
    }
}

#[test]
fn counts_are_even_whatever_is_counted() {
    assert_even(QuestionKind::Count, &["one", "two", "three"], 0.03);
}

#[test]
fn yes_and_no_are_even_whatever_is_asked_about() {
    assert_even(QuestionKind::Presence, &["yes", "no"], 0.03);
}

#[test]
fn other_answers_are_even_too() {
    assert_even(QuestionKind::Direction, &["left", "right", "up", "down"], 0.04);
    assert_even(QuestionKind::Action, &["moves", "blinks", "stands"], 0.05);
    assert_even(QuestionKind::Colour, &["red", "orange", "yellow", "green", "blue", "purple", "white", "black"], 0.03);
    assert_even(QuestionKind::Shape, &["circle", "square", "triangle", "star", "cross", "ring"], 0.03);
    let places = ["at the top left", "at the top", "at the top right", "on the left", "in the middle", "on the right"];
    let bottom = ["at the bottom left", "at the bottom", "at the bottom right"];
    assert_even(QuestionKind::Place, &[places.as_slice(), &bottom].concat(), 0.03);
}

#[test]
fn open_answers_are_many() {
    for (kind, distinct) in [
        (QuestionKind::Before, 45),
        (QuestionKind::After, 45),
        (QuestionKind::Glyph, 25),
        (QuestionKind::Needle, 31),
        (QuestionKind::Description, 1000),
    ] {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (answer, count) in answers(kind).into_values().flatten() {
            *counts.entry(answer).or_default() += count;
        }
        let (total, most) = (counts.values().sum::<usize>(), counts.values().max().copied().unwrap_or(0));
        assert!(total >= 400 && counts.len() >= distinct, "{kind}: {} of {total}: {counts:?}", counts.len());
        assert!(most * 12 <= total, "{kind}: {counts:?}");
    }
}

#[test]
fn wordings_vary_and_variants_ask_about_other_things() {
    let options = ScriptOptions::default().with_kind(ScriptKind::Cuts).with_duration(12.0);
    let mut texts: BTreeMap<QuestionKind, std::collections::BTreeSet<String>> = BTreeMap::new();
    for index in 0..40 {
        let script = Script::draw(Split::Validation.seed(index), &options).unwrap();
        for variant in 0..20 {
            for question in QuestionKind::ALL.iter().filter_map(|kind| script.question(*kind, variant)) {
                texts.entry(question.kind).or_default().insert(question.text);
            }
        }
    }
    for kind in QuestionKind::ALL.into_iter().filter(|kind| *kind != QuestionKind::Needle) {
        assert!(texts[&kind].len() >= 7, "{kind}: {:?}", texts[&kind]);
    }
}
