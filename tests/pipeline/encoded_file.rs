//! Encoded videos as files: the same answers, and a reason for every file that is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use longvu::{Clip, Dtype, EncodedVideo, Error, LongVu, Preset, Quantize, VisualKind};

use crate::support::{bits, builder, checkpoints, features, frames, model};

fn saved(video: &EncodedVideo) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    video.save(&path).unwrap();
    (folder, path)
}

fn answer(model: &LongVu, video: &EncodedVideo) -> (Vec<u32>, usize, Vec<Vec<usize>>) {
    let config = longvu::GenerationConfig::default().with_max_new_tokens(8);
    let answer = model.stream(&[video], "What happens here?", &config).unwrap().finish().unwrap();
    (answer.generated_ids, answer.prompt_tokens, answer.selected)
}

fn refusal(model: &LongVu, path: &Path) -> String {
    let error = model.load_encoded(path).unwrap_err();
    let message = longvu::text::chain(&error);
    assert!(message.contains(path.file_name().unwrap().to_str().unwrap()), "{message}");
    message
}

#[test]
fn a_saved_video_answers_as_before() {
    let model = model();
    let video = model.encode(frames(4, 64, 36)).unwrap().with_note("source", "camera 1");
    let (folder, path) = saved(&video);
    assert!(EncodedVideo::is_saved_at(&path));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let before = model.work_counters();
    let loaded = model.load_encoded(&path).unwrap();
    assert_eq!(model.work_counters(), before);
    assert_eq!(bits(&loaded), bits(&video));
    assert_eq!((loaded.kind(), loaded.dimensions()), (VisualKind::Video, (64, 36)));
    assert_eq!((loaded.frames(), loaded.samples()), (video.frames(), video.samples()));
    assert_eq!(loaded.temporal_report(), video.temporal_report());
    assert_eq!(loaded.notes()["source"], "camera 1");
    assert_eq!(loaded.timings(), longvu::EncodeTimings::default());
    assert_eq!(answer(&model, &loaded), answer(&model, &video));
    // Saving what was loaded gives the same file.
    let again = folder.path().join("again.longvu");
    loaded.save(&again).unwrap();
    assert_eq!(fs::read(again).unwrap(), fs::read(path).unwrap());
}

#[test]
fn reduced_videos_images_and_half_precision() {
    let model = builder("qwen").dino_threshold(0.2).weights(Dtype::Bf16).load().unwrap();
    let video = features(&model, 40);
    let (_folder, path) = saved(&video);
    let loaded = model.load_encoded(&path).unwrap();
    assert_eq!((bits(&loaded), answer(&model, &loaded)), (bits(&video), answer(&model, &video)));
    let image = model.encode(Clip::from_image(frames(1, 30, 60).remove(0))).unwrap();
    let (_folder, path) = saved(&image);
    let loaded = model.load_encoded(&path).unwrap();
    assert_eq!((loaded.kind(), answer(&model, &loaded)), (VisualKind::Image, answer(&model, &image)));
}

#[test]
fn another_models_settings_are_refused_by_name() {
    let (_folder, path) = saved(&features(&model(), 3));
    for (builder, what, found, expected) in [
        (builder("qwen").weights(Dtype::Bf16), "dtype", "f32", "bf16"),
        (builder("qwen").weights(Quantize::Int8), "quantised", "none", "int8"),
        (builder("qwen").dino_threshold(0.5), "temporal stage", "0.83", "0.5"),
        (builder("qwen").preset(Preset::Paper), "temporal stage", "window: 16", "window: 8"),
        (builder("qwen").max_len(512), "max_len", "1024", "512"),
        (builder("qwen").config_value("inference_max_length", 32), "inference_max_length", "16", "32"),
        (builder("llama"), "checkpoint", "", ""),
    ] {
        let message = refusal(&builder.load().unwrap(), &path);
        assert!([what, found, expected, "encode it again"].iter().all(|part| message.contains(part)), "{message}");
    }
    // What plays no part in encoding may differ.
    builder("qwen").drop_threshold(0.1).tower_batch(3).load().unwrap().load_encoded(&path).unwrap();
}

/// Copies a model and its towers to a folder of another name.
fn copy(to: &Path) -> String {
    for part in ["longvu_qwen", "siglip", "dinov2"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for file in fs::read_dir(checkpoints().join(part)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(part).join(file.file_name())).unwrap();
        }
    }
    to.join("longvu_qwen").to_str().unwrap().to_owned()
}

/// Changes the last bit of every number of a tensor, by its place in the file.
fn nudge(path: &Path, tensor: &str) {
    let mut bytes = fs::read(path).unwrap();
    let (start, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (from, to) = metadata.info(tensor).unwrap().data_offsets;
    bytes[8 + start + from..8 + start + to].iter_mut().step_by(4).for_each(|byte| *byte ^= 1);
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_weights_count_and_not_where_they_are() {
    let (_folder, path) = saved(&features(&model(), 2));
    let folder = tempfile::tempdir().unwrap();
    let name = copy(folder.path());
    LongVu::builder(&name).load().unwrap().load_encoded(&path).unwrap();
    // The language model does not matter for encoding.
    nudge(&folder.path().join("longvu_qwen/model.safetensors"), "lm_head.weight");
    LongVu::builder(&name).load().unwrap().load_encoded(&path).unwrap();
    for (part, tensor) in [
        ("longvu_qwen", "model.vision_sampler_0.layers.1.proj_out.linear_1.weight"),
        ("siglip", "vision_model.encoder.layers.2.mlp.fc1.weight"),
        ("dinov2", "encoder.layer.0.attention.attention.key.weight"),
    ] {
        let file = folder.path().join(part).join("model.safetensors");
        let whole = fs::read(&file).unwrap();
        nudge(&file, tensor);
        let message = refusal(&LongVu::builder(&name).load().unwrap(), &path);
        assert!(message.contains("checkpoint") && message.contains("other weights"), "{message}");
        fs::write(&file, whole).unwrap();
    }
    let config = folder.path().join("dinov2/preprocessor_config.json");
    let text = fs::read_to_string(&config).unwrap().replace("0.485", "0.5");
    fs::write(&config, text).unwrap();
    refusal(&LongVu::builder(&name).load().unwrap(), &path);
}

/// The file with its metadata changed, its checksum not.
fn with_metadata(path: &Path, change: impl Fn(&mut serde_json::Value)) {
    let bytes = fs::read(path).unwrap();
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut table: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let entry = &mut table["__metadata__"]["longvu_encoded_video"];
    let mut header = serde_json::from_str(entry.as_str().unwrap()).unwrap();
    change(&mut header);
    *entry = header.to_string().into();
    let table = table.to_string();
    let file = [&(table.len() as u64).to_le_bytes(), table.as_bytes(), &bytes[8 + len..]].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn other_versions_are_refused() {
    let model = model();
    let (_folder, path) = saved(&features(&model, 2));
    with_metadata(&path, |header| header["version"] = 2.into());
    let message = refusal(&model, &path);
    assert!(message.contains("format version 2, and here it is 1"), "{message}");
    with_metadata(&path, |header| header["version"] = 1.into());
    model.load_encoded(&path).unwrap();
    with_metadata(&path, |header| _ = header.as_object_mut().unwrap().remove("settings"));
    assert!(refusal(&model, &path).contains("header is damaged"));
}

#[test]
fn truncated_and_damaged_files_are_refused() {
    let model = model();
    let (_folder, path) = saved(&features(&model, 2));
    let whole = fs::read(&path).unwrap();
    for len in [0, 5, 8, 40, 300, 900, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let message = refusal(&model, &path);
        let known = ["cut short", "no encoded video"].iter().any(|part| message.contains(part));
        let advised = ["encode the video again", "EncodedVideo::save"].iter().any(|part| message.contains(part));
        assert!(known && advised, "{len}: {message}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(refusal(&model, &path).contains("damaged"));
    let header = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for place in [8 + header, 8 + header + 21, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        assert!(refusal(&model, &path).contains("checksum"));
    }
    // No flipped bit of the header is overlooked without a checksum of it: it is an error, or changes nothing.
    let reference = model
        .load_encoded({
            fs::write(&path, &whole).unwrap();
            &path
        })
        .unwrap();
    for place in (0..8 + header).step_by(7) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x04;
        fs::write(&path, &bytes).unwrap();
        if let Ok(loaded) = model.load_encoded(&path) {
            assert_eq!((bits(&loaded), loaded.frames()), (bits(&reference), reference.frames()), "{place}");
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let model = model();
    let (_folder, path) = saved(&features(&model, 2));
    with_metadata(&path, |header| header["dimensions"] = serde_json::json!([0, 64]));
    assert!(refusal(&model, &path).contains("do not fit each other"));
}

#[test]
fn foreign_files_are_refused() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("something.longvu");
    fs::copy(checkpoints().join("siglip/model.safetensors"), &path).unwrap();
    assert!(!EncodedVideo::is_saved_at(&path));
    assert!(refusal(&model, &path).contains("weights, perhaps"));
    for contents in [&b"a text, no video"[..], b"", &[0xff; 64]] {
        fs::write(&path, contents).unwrap();
        assert!(!EncodedVideo::is_saved_at(&path));
        assert!(refusal(&model, &path).contains("no encoded video"));
    }
    refusal(&model, &folder.path().join("absent.longvu"));
    assert!(!EncodedVideo::is_saved_at(folder.path()));
    assert!(matches!(model.load_encoded(folder.path()), Err(Error::Checkpoint(_) | Error::BadEncoding { .. })));
}

/// A file that states gigabytes and has them, in holes.
#[test]
fn vast_files_are_refused_unread() {
    let model = model();
    let (_folder, path) = saved(&features(&model, 2));
    let bytes = fs::read(&path).unwrap();
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut table: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let features = &mut table["features"];
    let start = features["data_offsets"][0].as_u64().unwrap();
    let frame = features["shape"][1].as_u64().unwrap() * features["shape"][2].as_u64().unwrap() * 4;
    features["shape"][0] = 500_000.into();
    features["data_offsets"][1] = (start + 500_000 * frame).into();
    let table = table.to_string();
    fs::write(&path, [&(table.len() as u64).to_le_bytes(), table.as_bytes()].concat()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8 + table.len() as u64 + start + 500_000 * frame).unwrap();
    assert!(EncodedVideo::is_saved_at(&path));
    let started = std::time::Instant::now();
    let message = refusal(&model, &path);
    assert!(message.contains("4.0 GiB are allowed") && started.elapsed().as_secs() < 2, "{message}");
    // The limit is the caller's to move.
    let (_folder, path) = saved(&self::features(&model, 2));
    let small = builder("qwen").encoded_bytes(1 << 12).load().unwrap();
    assert!(refusal(&small, &path).contains("are allowed"));
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let model = model();
    let (folder, path) = saved(&features(&model, 2));
    let three = features(&model, 3);
    three.save(&path).unwrap();
    assert_eq!(model.load_encoded(&path).unwrap().frames().len(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    for place in [folder.path().to_owned(), folder.path().join("none/clip.longvu")] {
        assert!(three.save(&place).unwrap_err().to_string().contains("could not be written"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        fs::write(folder.path().join("other"), "").unwrap();
        assert_eq!(mode(&path), mode(&folder.path().join("other")), "the permissions of any new file");
        assert!(three.save("/dev/null").is_err() && !fs::metadata("/dev/null").unwrap().is_file());
    }
}
