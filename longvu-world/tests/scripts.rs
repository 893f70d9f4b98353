//! What holds for every script.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use longvu_world::{Aspect, Error, Motion, Script, ScriptKind, ScriptOptions, Split};
use proptest::prelude::*;

fn needle_options() -> ScriptOptions {
    ScriptOptions::default().with_kind(ScriptKind::Needle).with_duration(60.0).with_size(48)
}

/// The same script without its needle.
fn without_needle(script: &Script) -> Script {
    let mut value = serde_json::to_value(script).unwrap();
    for scene in value["scenes"].as_array_mut().unwrap() {
        scene["objects"].as_array_mut().unwrap().retain(|object| object["needle"] == false);
    }
    serde_json::from_value(value).unwrap()
}

fn scripts() -> impl Strategy<Value = Script> {
    (any::<u64>(), 0_usize..4, 1.0_f64..12.0, any::<bool>()).prop_map(|(seed, kind, longer, wide)| {
        let kind = ScriptKind::ALL[kind];
        let aspect = if wide { Aspect::Wide } else { Aspect::Square };
        let options = ScriptOptions::default().with_kind(kind).with_duration(kind.least_duration() * longer);
        Script::draw(seed, &options.with_aspect(aspect).with_size(48)).unwrap()
    })
}

proptest! {
    #[test]
    fn objects_stay_in_the_picture_and_apart(script in scripts()) {
        let (width, height) = script.size();
        let short = f64::from(width.min(height));
        let sides = [f64::from(width) * 1000.0 / short, f64::from(height) * 1000.0 / short];
        for scene in script.scenes() {
            let times = scene.times();
            for part in 0..=20 {
                let time = times.start + (times.end - times.start) * f64::from(part) / 20.0;
                let boxes: Vec<[f64; 3]> = scene.objects.iter().map(|object| {
                    let (x, y) = object.position(time);
                    [x, y, f64::from(object.size.extent()) / 2.0]
                }).collect();
                for (place, [x, y, half]) in boxes.iter().enumerate() {
                    prop_assert!(x - half >= 0.0 && x + half <= sides[0] + 1.0);
                    prop_assert!(y - half >= 0.0 && y + half <= sides[1] + 1.0);
                    for [other_x, other_y, other_half] in &boxes[..place] {
                        let apart = (x - other_x).abs().max((y - other_y).abs());
                        prop_assert!(apart >= half + other_half, "{:?}", scene.objects);
                    }
                }
            }
        }
    }

    #[test]
    fn scenes_fill_the_video_one_after_the_other(script in scripts()) {
        let scenes = script.scenes();
        prop_assert_eq!(scenes[0].start_ms, 0);
        prop_assert!(scenes.windows(2).all(|pair| pair[0].end_ms == pair[1].start_ms));
        prop_assert!((scenes[scenes.len() - 1].times().end - script.duration()).abs() < 1e-9);
        prop_assert!(scenes.iter().all(|scene| scene.end_ms - scene.start_ms >= 1000 && scene.objects.len() <= 4));
        let longest = scenes.iter().map(|scene| scene.end_ms - scene.start_ms).max().unwrap();
        match script.kind() {
            ScriptKind::Single => prop_assert_eq!(scenes.len(), 1),
            ScriptKind::Cuts => prop_assert!((2..=4).contains(&scenes.len())),
            ScriptKind::Still => {
                prop_assert!(f64::from(longest) / 1000.0 >= script.duration() / 2.0);
                let still = scenes.iter().find(|scene| scene.end_ms - scene.start_ms == longest).unwrap();
                prop_assert!(still.objects.iter().all(|object| object.motion == Motion::Stand));
            }
            ScriptKind::Needle => prop_assert!(script.needle().is_some() && longest <= 60_000),
            kind => prop_assert!(false, "nothing is known of {kind:?}"),
        }
        prop_assert_eq!(script.needle().is_some(), script.kind() == ScriptKind::Needle);
    }

    #[test]
    fn a_script_survives_json(script in scripts()) {
        let text = serde_json::to_string(&script).unwrap();
        prop_assert_eq!(serde_json::from_str::<Script>(&text).unwrap(), script);
    }

    #[test]
    fn a_needle_is_on_screen_for_its_time_only(seed: u64) {
        let script = Script::draw(seed, &needle_options()).unwrap();
        let (_, needle) = script.needle().unwrap();
        let (start, end) = (f64::from(needle.start_ms) / 1000.0, f64::from(needle.end_ms) / 1000.0);
        prop_assert!((1.0..1.5 + 1e-9).contains(&(end - start)));
        // No other object is the same thing, and no other has a digit or a letter.
        prop_assert_eq!(script.objects().filter(|(_, other)| other.thing == needle.thing).count(), 1);
        prop_assert!(script.objects().all(|(_, other)| other.needle || !other.thing.is_glyph()));
        // In pixels: with and without the needle, the video is the same but for its time.
        let without = without_needle(&script);
        let mut differing = Vec::new();
        for (one, other) in script.frames(8.0).unwrap().zip(without.frames(8.0).unwrap()) {
            if one.rgb != other.rgb {
                differing.push(one.timestamp);
            }
        }
        prop_assert!(differing.len() >= 8 && differing.len() <= 13);
        prop_assert!(differing.iter().all(|time| (start..end).contains(time)));
        // A frame a second sees it.
        prop_assert!(differing.iter().any(|time| time.fract() == 0.0));
    }
}

#[test]
fn both_ways_to_hide_a_needle_occur() {
    let own = (0..200).filter(|seed| {
        let script = Script::draw(*seed, &needle_options()).unwrap();
        script.scenes()[script.needle().unwrap().0].objects.len() == 1
    });
    assert!((70..=130).contains(&own.count()));
}

#[test]
fn digits_and_letters_are_as_frequent_as_asked() {
    let share = |kind: ScriptKind, glyphs: f64| {
        let options = ScriptOptions::default().with_kind(kind).with_duration(20.0).with_glyphs(glyphs);
        let (mut asked, mut glyphs_seen) = (0, 0);
        for script in (0..100).map(|seed| Script::draw(seed, &options).unwrap()) {
            for (_, object) in script.objects().filter(|(_, object)| kind == ScriptKind::Cuts || object.needle) {
                asked += 1;
                glyphs_seen += usize::from(object.thing.is_glyph());
            }
        }
        glyphs_seen as f64 / f64::from(asked)
    };
    assert_eq!([share(ScriptKind::Needle, 0.0), share(ScriptKind::Needle, 1.0)], [0.0, 1.0]);
    assert!((0.3..0.7).contains(&share(ScriptKind::Needle, 0.5)));
    assert_eq!(share(ScriptKind::Cuts, 0.0), 0.0);
    // What is counted has none.
    assert!((0.4..0.8).contains(&share(ScriptKind::Cuts, 1.0)));
}

#[test]
fn motions_are_those_of_the_scene_and_all_occur() {
    let options = ScriptOptions::default().with_kind(ScriptKind::Single);
    let objects: Vec<_> =
        (0..300).flat_map(|seed| Script::draw(seed, &options).unwrap().scenes()[0].objects.clone()).collect();
    let share = |is: fn(&Motion) -> bool| {
        objects.iter().filter(|object| is(&object.motion)).count() as f64 / objects.len() as f64
    };
    assert!((share(|motion| matches!(motion, Motion::Stand)) - 1.0 / 3.0).abs() < 0.06);
    assert!((share(|motion| matches!(motion, Motion::Move(_))) - 1.0 / 3.0).abs() < 0.06);
    let travels = objects.iter().filter(|object| object.direction().is_some()).map(|object| object.travel);
    assert!(travels.clone().all(|travel| (350..=650).contains(&travel)));
}

#[test]
fn splits_have_no_seed_in_common() {
    let mut all = BTreeSet::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        for index in (0..20_000).chain((1 << 62) - 1000..1 << 62) {
            assert!(all.insert(split.seed(index)), "{split:?} {index}");
        }
    }
}

#[test]
fn seeds_give_different_videos() {
    let scripts: BTreeSet<String> = (0..500)
        .map(|index| {
            let script = Script::draw(Split::Test.seed(index), &ScriptOptions::default()).unwrap();
            serde_json::to_string(script.scenes()).unwrap()
        })
        .collect();
    assert_eq!(scripts.len(), 500);
}

#[test]
fn the_size_changes_nothing_but_the_pixels() {
    let draw = |size| Script::draw(11, &ScriptOptions::default().with_size(size)).unwrap();
    assert_eq!(draw(64).scenes(), draw(378).scenes());
}

#[test]
fn scripts_that_cannot_be_drawn_are_refused() {
    let script = serde_json::to_value(Script::draw(2, &ScriptOptions::default()).unwrap()).unwrap();
    let broken = |path: &str, to: serde_json::Value| {
        let mut script = script.clone();
        *script.pointer_mut(path).unwrap() = to;
        serde_json::from_value::<Script>(script)
    };
    for (path, to) in [
        ("/width", 0.into()),
        ("/height", 1_000_000.into()),
        ("/fps", 0.into()),
        ("/duration_ms", 9_000.into()),
        ("/scenes", serde_json::json!([])),
        ("/scenes/0/start_ms", 5.into()),
        ("/scenes/0/end_ms", 0.into()),
        ("/scenes/0/objects/0/end_ms", 1_000_000.into()),
        ("/scenes/0/objects/0/start_ms", 1_000_000.into()),
        ("/scenes/0/objects/0/x", (-2_000_000_000).into()),
        ("/scenes/0/objects/0/thing", serde_json::json!({"digit": 10})),
        ("/scenes/0/objects/0/thing", serde_json::json!({"letter": "a"})),
    ] {
        let error = broken(path, to).expect_err(path).to_string();
        assert!(error.contains("this script cannot be drawn"), "{path}: {error}");
    }
    broken("/scenes/0/objects/0/x", 900.into()).unwrap();
    assert!(matches!(Script::draw(0, &ScriptOptions::default().with_fps(0)), Err(Error::InvalidOption { .. })));
}
