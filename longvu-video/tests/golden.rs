//! Against the published package's own sampling of real files, whatever cases the golden folder holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{golden_dir, golden_video, mean_rgb};
use longvu_video::Video;
use safetensors::SafeTensors;

struct Case {
    video: String,
    average_fps: f64,
    frame_count: usize,
    indices: Vec<usize>,
    /// Places in `indices` of the frames stored whole.
    picked: Vec<usize>,
    frames: Vec<u8>,
    mean_rgb: Vec<f64>,
}

fn eights(tensors: &SafeTensors<'_>, name: &str) -> Vec<[u8; 8]> {
    tensors
        .tensor(name)
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|bytes| bytes.try_into().unwrap())
        .collect()
}

fn load(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let case = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("case"))
        .expect("a case description");
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let whole = |name| {
        eights(&tensors, name)
            .into_iter()
            .map(|b| i64::from_le_bytes(b) as usize)
            .collect()
    };
    Case {
        video: case["video"].as_str().unwrap().to_owned(),
        average_fps: case["avg_fps"].as_f64().unwrap(),
        frame_count: case["frame_count"].as_u64().unwrap() as usize,
        indices: whole("frame_indices"),
        picked: whole("picked"),
        frames: tensors.tensor("frames").unwrap().data().to_vec(),
        mean_rgb: eights(&tensors, "mean_rgb")
            .into_iter()
            .map(f64::from_le_bytes)
            .collect(),
    }
}

fn check(case: &Case) {
    let name = &case.video;
    let video = Video::open(golden_video(name)).unwrap();
    assert_eq!(video.info().frame_count, case.frame_count, "{name}");
    assert!(
        (video.info().average_fps - case.average_fps).abs() < 1e-6,
        "{name}: {:?}",
        video.info()
    );
    assert_eq!(video.sampled_indices(), case.indices, "{name}");
    assert_eq!(video.warnings(), [], "{name}");

    let mut frames = video.frames().unwrap();
    let mut count = 0;
    for (place, frame) in frames.by_ref().enumerate() {
        let frame = frame.unwrap();
        assert_eq!(frame.index, case.indices[place], "{name}");
        assert!(
            (frame.timestamp - video.sampled_timestamps()[place]).abs() < 1e-9,
            "{name}"
        );
        assert_eq!(
            (frame.width, frame.height),
            (video.info().width, video.info().height),
            "{name}"
        );
        for (ours, theirs) in mean_rgb(&frame).iter().zip(&case.mean_rgb[place * 3..]) {
            assert!(
                (ours - theirs).abs() < 2.0,
                "{name}, frame {}: mean {ours}, expected {theirs}",
                frame.index
            );
        }
        if let Some(stored) = case.picked.iter().position(|picked| *picked == place) {
            let theirs = &case.frames[stored * frame.rgb.len()..][..frame.rgb.len()];
            let differences = frame
                .rgb
                .iter()
                .zip(theirs)
                .map(|(a, b)| u64::from(a.abs_diff(*b)));
            let (total, most) = differences.fold((0, 0), |(sum, most), d| (sum + d, most.max(d)));
            let mean = total as f64 / theirs.len() as f64;
            eprintln!(
                "{name}, frame {}: mean difference {mean:.6} levels, largest {most}",
                frame.index
            );
            assert!(
                mean < 2.0,
                "{name}, frame {}: {mean} levels apart",
                frame.index
            );
        }
        count += 1;
    }
    assert_eq!(count, case.indices.len(), "{name}");
    assert_eq!(frames.warnings(), [], "{name}");
    assert_eq!(frames.stats().converted, count, "{name}");
}

#[test]
fn sampling_equals_the_package() {
    let mut cases = 0;
    for entry in std::fs::read_dir(golden_dir()).expect("the golden folder") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("sampling_") && name.ends_with(".safetensors") {
            check(&load(&path));
            cases += 1;
        }
    }
    assert!(
        cases > 0,
        "no sampling_*.safetensors in {}",
        golden_dir().display()
    );
}
