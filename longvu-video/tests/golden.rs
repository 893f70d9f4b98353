//! Against the published package's own sampling of real files, whatever cases the golden folder holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{golden_dir, golden_video, mean_rgb, read_all};
use longvu_video::{Sampling, Video, VideoOptions};
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
    tensors.tensor(name).unwrap().data().chunks_exact(8).map(|bytes| bytes.try_into().unwrap()).collect()
}

fn load(path: &Path) -> Case {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let case = header.metadata().as_ref().and_then(|metadata| metadata.get("case")).expect("a case description");
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let whole = |name| eights(&tensors, name).into_iter().map(|b| i64::from_le_bytes(b) as usize).collect();
    Case {
        video: case["video"].as_str().unwrap().to_owned(),
        average_fps: case["avg_fps"].as_f64().unwrap(),
        frame_count: case["frame_count"].as_u64().unwrap() as usize,
        indices: whole("frame_indices"),
        picked: whole("picked"),
        frames: tensors.tensor("frames").unwrap().data().to_vec(),
        mean_rgb: eights(&tensors, "mean_rgb").into_iter().map(f64::from_le_bytes).collect(),
    }
}

/// Mean absolute difference in levels.
fn apart(ours: &[u8], theirs: &[u8]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let total: u64 = ours.iter().zip(theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    total as f64 / theirs.len() as f64
}

/// The indices of the frames that the package really returned for `case.indices`.
///
/// These are the same, but for MPEG transport streams: decord (the package's reader) seeks to a keyframe and counts on from
/// there, and as such a stream has no index, FFmpeg's seek stops past that keyframe, so that decord counts from the one
/// after it. It then returns frames that are later than asked for by a group of pictures. This crate does not seek. There,
/// the frame meant is the one whose mean colour is exactly the reference's, among those of the next second.
fn returned_indices(case: &Case, video: &Video) -> Vec<usize> {
    if video.info().container != "mpegts" {
        return case.indices.clone();
    }
    let every = VideoOptions::default().with_sampling(Sampling::Every(1));
    let all = Video::open_with(&video.info().path, every).unwrap();
    let means: Vec<[f64; 3]> = all.frames().unwrap().map(|frame| mean_rgb(&frame.unwrap())).collect();
    let second = case.average_fps.ceil() as usize;
    let find = |(place, index): (usize, &usize)| {
        let theirs = &case.mean_rgb[place * 3..][..3];
        let equals = |ours: &[f64; 3]| ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-3);
        let later = means[*index..].iter().take(second).position(equals);
        index + later.unwrap_or_else(|| panic!("{}: no frame like that of index {index}", case.video))
    };
    case.indices.iter().enumerate().map(find).collect()
}

fn check(case: &Case) {
    let name = &case.video;
    let video = Video::open(golden_video(name)).unwrap();
    assert_eq!(video.info().frame_count, case.frame_count, "{name}");
    assert!((video.info().average_fps - case.average_fps).abs() < 1e-6, "{name}: {:?}", video.info());
    assert_eq!(video.sampled_indices(), case.indices, "{name}");
    assert_eq!(video.warnings(), [], "{name}");
    let (frames, iterator) = read_all(&video);
    assert_eq!(frames.iter().map(|frame| frame.index).collect::<Vec<_>>(), case.indices, "{name}");
    assert_eq!(iterator.warnings(), [], "{name}");
    assert_eq!(iterator.stats().converted, case.indices.len(), "{name}");

    let returned = returned_indices(case, &video);
    let times = |index: &usize| *index as f64 / case.average_fps;
    let options = if returned == case.indices {
        VideoOptions::default()
    } else {
        VideoOptions::default().with_sampling(Sampling::Timestamps(returned.iter().map(times).collect()))
    };
    let (frames, _) = read_all(&Video::open_with(golden_video(name), options).unwrap());
    assert_eq!(frames.iter().map(|frame| frame.index).collect::<Vec<_>>(), returned, "{name}");
    for (place, frame) in frames.iter().enumerate() {
        for (ours, theirs) in mean_rgb(frame).iter().zip(&case.mean_rgb[place * 3..]) {
            assert!((ours - theirs).abs() < 2.0, "{name}, frame {}: mean {ours}, not {theirs}", frame.index);
        }
    }
    let size = frames[0].rgb.len();
    assert_eq!(case.frames.len(), size * case.picked.len(), "{name}");
    for (place, theirs) in case.picked.iter().zip(case.frames.chunks(size)) {
        let apart = apart(&frames[*place].rgb, theirs);
        assert!(apart < 2.0, "{name}, frame {}: {apart} levels apart", frames[*place].index);
    }
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
    assert!(cases > 0, "no sampling_*.safetensors in {}", golden_dir().display());
}
