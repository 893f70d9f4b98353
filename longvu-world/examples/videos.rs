//! Draws short videos, and a list of them with two questions each, as `longvu batch` takes it.
//!
//! `cargo run --example videos -- FOLDER COUNT [SECONDS] [PIXELS]`
#![allow(clippy::print_stdout)]

use std::{fs, path::Path};

use longvu_world::{Script, ScriptOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count, rest @ ..] = args.as_slice() else {
        return Err("usage: videos FOLDER COUNT [SECONDS] [PIXELS]".into());
    };
    let (folder, count): (&Path, u64) = (folder.as_ref(), count.parse()?);
    let seconds: f64 = rest.first().map_or(Ok(4.0), |seconds| seconds.parse())?;
    let pixels: u32 = rest.get(1).map_or(Ok(64), |pixels| pixels.parse())?;
    let options = ScriptOptions::default().with_duration(seconds).with_size(pixels);

    fs::create_dir_all(folder)?;
    let mut list = String::new();
    for seed in 0..count {
        let script = Script::draw(seed, &options)?;
        let (id, video) = (format!("video-{seed:04}"), format!("{seed:04}.mp4"));
        script.write_mp4(folder.join(&video))?;
        let questions: Vec<String> = script.questions().into_iter().take(2).map(|question| question.text).collect();
        let line = serde_json::json!({ "id": id, "video": video, "questions": questions });
        list.push_str(&format!("{line}\n"));
    }
    // Last, so that a folder with a list has every video of it.
    fs::write(folder.join("list.jsonl"), list)?;
    println!("{count} videos in {}", folder.display());
    Ok(())
}
