//! What is done with bytes that somebody else wrote: one function a kind. Whatever the bytes are, each returns; none panics,
//! hangs, or takes memory by a number in them. The fuzzer calls them, and so does a test of the workspace, on the corpus.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use longvu::{
    EncodedVideo, FeatureFile, FeatureKind, GenerationConfig, LongVu, MemoryPlan, Sampling, Video, VideoOptions,
    Workload,
    checkpoint::{Checkpoint, Repo, RepoOptions},
    llm::{ChatTemplate, LogitsSampler, Message, Role, Tokenizer, load_eos_token_ids},
    open_image,
    plan::{Compute, ModelSizes, PlanSettings},
    video::Decoding,
};
use longvu_train::read_records;

/// The golden data, where both users of this file find them.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// A folder of this process for the files that the library is given.
static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("longvu-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for files");
    folder
});

/// A file with these bytes, in a folder of its own.
fn file(folder: &str, name: &str, data: &[u8]) -> PathBuf {
    let folder = SCRATCH.join(folder);
    let path = folder.join(name);
    if fs::write(&path, data).is_err() {
        fs::create_dir_all(&folder).expect("a folder for files");
        fs::write(&path, data).expect("a file to read");
    }
    path
}

/// Probing a video, and decoding the first samples of it; the first byte chooses how it is sampled.
pub fn video(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let path = file("video", "clip", data);
    let sampling = match first % 4 {
        0 => Sampling::Fps(1.0),
        1 => Sampling::Every(3),
        2 => Sampling::Uniform(3),
        _ => Sampling::Timestamps(vec![0.0, 0.4, 7.5]),
    };
    let decoding = if first & 4 == 0 { Decoding::Sparse } else { Decoding::Full };
    let options = VideoOptions::default().with_sampling(sampling).with_decoding(decoding).with_max_frames(3);
    let Ok(video) = Video::open_with(&path, options) else { return };
    let Ok(frames) = video.frames() else { return };
    for frame in frames.take(3).flatten() {
        assert_eq!(frame.rgb.len(), frame.width as usize * frame.height as usize * 3);
    }
}

/// A picture file.
pub fn image(data: &[u8]) {
    let path = file("image", "picture", data);
    longvu::video::is_image(&path);
    let _ = open_image(&path);
}

/// A model's `config.json`, up to the declaration of all its tensors and a forecast of memory.
pub fn config(data: &[u8]) {
    static TOWERS: LazyLock<PathBuf> = LazyLock::new(|| golden().join("checkpoint"));
    let path = file("config", "config.json", data);
    let Some(folder) = path.parent().and_then(Path::to_str) else { return };
    let Ok(sizes) = ModelSizes::read(folder, Some(&TOWERS), &RepoOptions::default(), &serde_json::Map::new()) else {
        return;
    };
    let settings = PlanSettings::new(Compute::Cpu, sizes.max_len());
    MemoryPlan::new(&sizes, settings, Workload::default(), Some(1 << 34));
}

/// A chat template, and a conversation put into it.
pub fn chat_template(data: &[u8]) {
    let path = file("template", "chat_template.jinja", data);
    let Some(Ok(template)) = path.parent().map(ChatTemplate::for_llama) else { return };
    let messages = [
        Message::new(Role::System, "You are a helpful assistant."),
        Message::new(Role::User, "<image>\nWhat?"),
        Message::new(Role::Assistant, "A ball."),
        Message::new(Role::User, "Where?"),
    ];
    let _ = template.render(&messages);
}

/// A `tokenizer.json`, a text there and back.
pub fn tokenizer(data: &[u8]) {
    let path = file("tokenizer", "tokenizer.json", data);
    let Ok(tokenizer) = Tokenizer::from_file(&path) else { return };
    let Ok(ids) = tokenizer.encode("<|im_start|>user\nWas läuft hier? 12 Bälle<|im_end|>") else { return };
    let _ = tokenizer.decode(&ids, true);
    tokenizer.end_of_turn_ids();
}

/// A checkpoint of one file, its header and a sample of every tensor.
fn weights(folder: &str, name: &str, data: &[u8]) {
    let path = file(folder, name, data);
    let Some(folder) = path.parent() else { return };
    let Ok(checkpoint) = Checkpoint::open(&Repo::folder(folder)) else { return };
    checkpoint.stored_dtypes();
    let names = ["a", "weight", "model.norm.weight", "lm_head.weight"];
    let _ = checkpoint.sample(names, |_| {});
}

/// A safetensors file.
pub fn safetensors(data: &[u8]) {
    weights("safetensors", "model.safetensors", data);
}

/// A PyTorch pickle.
pub fn pickle(data: &[u8]) {
    weights("pickle", "pytorch_model.bin", data);
}

/// A saved encoded video.
pub fn encoded(data: &[u8]) {
    static MODEL: LazyLock<LongVu> = LazyLock::new(|| {
        let folder = golden().join("checkpoint/longvu_qwen");
        LongVu::builder(&folder).load().expect("the golden model")
    });
    let path = file("encoded", "clip.longvu", data);
    EncodedVideo::is_saved_at(&path);
    let _ = MODEL.load_encoded(&path);
}

/// Features of frames, all of them read.
pub fn features(data: &[u8]) {
    let Ok(opened) = FeatureFile::open(file("features", "clip.safetensors", data)) else { return };
    let (rows, device) = ((0..opened.frames().len()).collect::<Vec<_>>(), longvu::default_device());
    for kind in FeatureKind::ALL {
        let _ = opened.features(kind, &rows, &device);
    }
    for low in [false, true] {
        if let (Ok(cells), Ok(places)) = (opened.cells(&rows, low, &device), opened.places(low)) {
            assert_eq!(cells.dims()[1], places.len());
        }
    }
}

/// Training data, a list or a line each.
pub fn training_data(data: &[u8]) {
    for name in ["data.json", "data.jsonl"] {
        let path = file("training", name, data);
        let _ = read_records(&path, &golden().join("videos"));
    }
}

/// Settings of sampling frames and of drawing tokens, as JSON, put to use.
pub fn sampling(data: &[u8]) {
    if let Ok(options) = serde_json::from_slice::<VideoOptions>(data)
        && let Ok(video) = Video::open_with(golden().join("videos/video3.mp4"), options)
    {
        let indices = video.sampled_indices();
        assert!(indices.is_sorted_by(|a, b| a < b) && indices.len() == video.sampled_timestamps().len());
    }
    if let Ok(config) = serde_json::from_slice::<GenerationConfig>(data)
        && let Ok(mut sampler) = LogitsSampler::new(&config)
    {
        let logits: Vec<f32> = (0..64).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        let token = sampler.sample(&logits, &[1, 2, 2, 63]);
        assert!(token.is_ok_and(|token| token < 64));
    }
    let path = file("generation", "generation_config.json", data);
    let _ = path.parent().map(|folder| load_eos_token_ids(folder, &[]));
}
