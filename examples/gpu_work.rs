//! Work of known sizes for whoever counts what a GPU is asked to do: `tools/launches.sh` does.
//!
//! `cargo run --example gpu_work --features miniature,vulkan -- DEVICE DTYPE FRAMES POSITIONS STEPS`
#![allow(clippy::print_stdout)]

use longvu::{
    Clip, Dtype, Frame, GenerationConfig, LongVu, Watch,
    burn::tensor::{DType, Tensor},
    llm::Generation,
    miniature_folder, parse_device,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [device, dtype, numbers @ ..] = args.as_slice() else { return Err("usage: gpu_work DEVICE DTYPE …".into()) };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let &[frames, positions, steps] = numbers.as_slice() else { return Err("… FRAMES POSITIONS STEPS".into()) };
    let (device, dtype) = (parse_device(device)?, dtype.parse::<Dtype>()?);
    let model = LongVu::builder(miniature_folder()?).device(&device).weights(dtype).load()?;

    if frames > 0 {
        // Each a colour of its own: none repeats another.
        let frame = |i: usize| {
            Frame::new(i, i as f64, 96, 96, [(i * 23 % 256) as u8, 90, ((200 + i * 7) % 256) as u8].repeat(96 * 96))
        };
        model.encode(Clip::from_frames((0..frames).map(frame), Some(frames)))?;
    }
    if positions > 0 {
        let decoder = model.decoder()?;
        let embeds = Tensor::ones([positions, decoder.config().hidden_size], (&device, DType::from(dtype)));
        let mut config = GenerationConfig::default();
        (config.max_new_tokens, config.eos_token_ids) = (steps, Some(vec![]));
        let tokens: Vec<u32> =
            Generation::new(decoder, embeds, None, &config, Watch::default())?.collect::<Result<_, _>>()?;
        println!("{tokens:?}");
    }
    device.sync()?;
    Ok(())
}
