//! Asks a question about a video.
//!
//! `cargo run --example ask -- MODEL VIDEO [QUESTION]`
#![allow(clippy::print_stdout)]

use longvu::{LongVu, Video, parse_device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, video, rest @ ..] = args.as_slice() else { return Err("usage: ask MODEL VIDEO [QUESTION]".into()) };
    let question = rest.first().map_or("What happens in this video?", String::as_str);

    let model = LongVu::from_pretrained(model, &parse_device("cpu")?)?;
    let video = model.encode(Video::open(video)?)?;
    println!("{}", model.ask(&video, question)?);
    Ok(())
}
