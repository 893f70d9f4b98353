//! The golden models, whose weights are random: what the stages keep of a video, and a long answer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Tensor;
use longvu::{EncodedVideo, LongVu, LongVuBuilder, Sampling, Video, VideoOptions, llm::Conversation};
use serde_json::Value;

use crate::{
    Result,
    follow::{agreement, greedy},
    format::Format,
};

/// Tokens of a golden model's long answer.
const LONG: usize = 256;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The golden runs of a whole model: names of files, and the cases in their metadata.
fn cases() -> Result<Vec<(String, Value)>> {
    let folder = root().join("tests/golden");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run_")));
    files.sort();
    let case = |path: &PathBuf| -> Result<(String, Value)> {
        let bytes = fs::read(path)?;
        let (len, rest) = bytes.split_first_chunk().ok_or("no safetensors file")?;
        let header = rest.get(..usize::try_from(u64::from_le_bytes(*len))?).ok_or("no header")?;
        let header: Value = serde_json::from_slice(header)?;
        let case = serde_json::from_str(header["__metadata__"]["case"].as_str().ok_or("no case")?)?;
        Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), case))
    };
    files.iter().map(case).collect()
}

/// What becomes of a video before the language model: frames that the temporal stage keeps, frames of the prompt, tokens.
#[derive(Clone, PartialEq, Eq)]
struct Kept {
    temporal: Vec<usize>,
    prompt: Vec<usize>,
    tokens: usize,
}

/// A row for each format: frames that the temporal stage keeps and are among the first format's, visual tokens of the prompt,
/// and how many of [`LONG`] likeliest tokens stay.
pub fn measure(formats: &[Format]) -> Result<()> {
    let cases = cases()?;
    let names: Vec<String> = cases.iter().map(|(name, _)| format!("`{name}`")).collect();
    println!("| weights | {} |\n|{}", names.join(" | "), "---|".repeat(cases.len() + 1));
    let mut first: Vec<(Kept, Vec<u32>)> = Vec::new();
    for format in formats {
        let mut cells = Vec::new();
        for (place, (_, case)) in cases.iter().enumerate() {
            let model = format.load(golden_model(case)?)?;
            let (kept, prompt) = run(&model, case)?;
            let decoder = model.decoder()?;
            if first.len() == place {
                first.push((kept.clone(), greedy(&decoder, &prompt, LONG)?));
            }
            let (exact, answer) = &first[place];
            let same = kept.temporal.iter().filter(|frame| exact.temporal.contains(frame)).count();
            cells.push(format!(
                "{same} of {} frames, {} tokens{}, {}",
                kept.temporal.len(),
                kept.tokens,
                if kept.prompt == exact.prompt { "" } else { " of other frames" },
                agreement(&decoder, &prompt, answer)?
            ));
        }
        println!("| {} | {} |", format.name, cells.join(" | "));
    }
    Ok(())
}

fn golden_model(case: &Value) -> Result<LongVuBuilder> {
    let kind = case["kind"].as_str().ok_or("no kind")?;
    let mut builder = LongVu::builder(root().join(format!("tests/golden/checkpoint/longvu_{kind}")));
    for (key, value) in case["config"].as_object().ok_or("no config")? {
        builder = builder.config_value(key, value.clone());
    }
    Ok(builder)
}

fn run(model: &LongVu, case: &Value) -> Result<(Kept, Tensor<2>)> {
    let text = |key: &str| case[key].as_str().ok_or_else(|| format!("no {key}"));
    let rate = Sampling::Fps(case["sample_fps"].as_f64().ok_or("no sample_fps")?);
    let video = root().join("tests/golden/videos").join(text("video")?);
    let encoded = model.encode(&Video::open_with(video, VideoOptions::default().with_sampling(rate))?)?;
    let mut conversation = Conversation::new(1);
    conversation.push_user(text("question")?);
    let prepared = model.prepare(&model.prompt_ids(&conversation)?, &[&encoded])?;
    let kept =
        Kept { temporal: kept_frames(&encoded), tokens: prepared.visual_tokens(), prompt: prepared.selected.concat() };
    Ok((kept, prepared.inputs_embeds))
}

pub fn kept_frames(encoded: &EncodedVideo) -> Vec<usize> {
    encoded.frames().iter().map(|frame| frame.index).collect()
}
