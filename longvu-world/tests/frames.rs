//! Frames: the same bytes everywhere, and in them what the script says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use longvu_world::{Aspect, Error, Object, Renderer, Script, ScriptKind, ScriptOptions};
use proptest::prelude::*;

/// The 64-bit FNV-1a checksum.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Changes only where the world does, which makes models that were trained on it worth less.
#[test]
fn frames_are_the_same_to_the_byte() {
    let mut sums = Vec::new();
    for (seed, kind, aspect, size) in [
        (0, ScriptKind::Single, Aspect::Square, 378),
        (1, ScriptKind::Cuts, Aspect::Wide, 360),
        (2, ScriptKind::Still, Aspect::Square, 97),
        (3, ScriptKind::Needle, Aspect::Square, 378),
        (u64::MAX, ScriptKind::Cuts, Aspect::Wide, 96),
    ] {
        let options = ScriptOptions::default().with_kind(kind).with_aspect(aspect).with_size(size).with_duration(13.0);
        let script = Script::draw(seed, &options).unwrap();
        let frames: Vec<u8> = script.frames(1.0).unwrap().flat_map(|frame| frame.rgb).collect();
        sums.push(checksum(&frames));
    }
    let expected = [
        0xe552_af98_5ab4_ee6d,
        0x8974_82b2_dec0_5ca4,
        0x2f67_e475_ed69_3a54,
        0xf9cc_70ed_f011_acc2,
        0x982d_d054_5d36_39fb,
    ];
    assert_eq!(sums, expected, "{sums:#x?}");
}

#[test]
fn frames_come_at_an_even_rate_and_equal_single_ones() {
    let script = Script::draw(5, &ScriptOptions::default().with_size(64).with_duration(7.5)).unwrap();
    let frames: Vec<_> = script.frames(3.0).unwrap().collect();
    assert_eq!(frames.len(), 23);
    let mut renderer = Renderer::new(&script);
    for frame in frames.iter().rev() {
        assert_eq!(frame.timestamp, frame.index as f64 / 3.0);
        assert_eq!((frame.width, frame.height, frame.rgb.len()), (64, 64, 64 * 64 * 3));
        assert_eq!(frame.rgb, renderer.frame(frame.timestamp));
        assert_eq!(frame.rgb, script.frame(frame.timestamp));
    }
    assert_eq!(script.frames(0.01).unwrap().count(), 1);
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(script.frames(fps), Err(Error::InvalidOption { .. })), "{fps}");
    }
}

#[test]
fn any_time_gives_a_picture() {
    let script = Script::draw(6, &ScriptOptions::default().with_size(33)).unwrap();
    for time in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(script.frame(time), script.frame(0.0));
    }
    for time in [8.0, 1e9, f64::INFINITY, f64::MAX] {
        assert_eq!(script.frame(time).len(), 33 * 33 * 3);
    }
}

/// Middle and number of the pixels of just an object's colour, in thousandths of the side.
fn blob(rgb: &[u8], side: usize, object: &Object) -> Option<(f64, f64, f64)> {
    let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
    for (place, pixel) in rgb.chunks_exact(3).enumerate() {
        if pixel == object.colour.rgb() {
            x += (place % side) as f64 + 0.5;
            y += (place / side) as f64 + 0.5;
            count += 1.0;
        }
    }
    let unit = 1000.0 / side as f64;
    (count > 0.0).then(|| (x / count * unit, y / count * unit, count * unit * unit))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn objects_are_where_the_script_says(seed: u64) {
        const SIDE: usize = 160;
        let options = ScriptOptions::default().with_kind(ScriptKind::Single).with_size(SIDE as u32);
        let script = Script::draw(seed, &options).unwrap();
        let objects = &script.scenes()[0].objects;
        for object in objects {
            if objects.iter().filter(|other| other.colour == object.colour).count() > 1 {
                continue;
            }
            for time in [0.0, 1.5, 3.2, 7.9] {
                let seen = blob(&script.frame(time), SIDE, object);
                prop_assert_eq!(seen.is_some(), object.is_visible(time));
                let Some((x, y, area)) = seen else { continue };
                let (wanted_x, wanted_y) = object.position(time);
                let extent = f64::from(object.size.extent());
                // Some outlines have their weight off their middle, and edges mix with the background.
                prop_assert!((x - wanted_x).abs() < 0.17 * extent, "{object:?} at {x}");
                prop_assert!((y - wanted_y).abs() < 0.2 * extent, "{object:?} at {y}");
                let share = area / (extent * extent);
                prop_assert!((0.08..0.85).contains(&share), "{object:?} covers {share}");
            }
        }
    }
}
