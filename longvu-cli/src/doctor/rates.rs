//! How fast a device is at what the models need.

use std::time::Instant;

use anyhow::{Result, anyhow};
use longvu::{
    Device, Dtype,
    burn::tensor::Tensor,
    checkpoint::config::LanguageModel,
    llm::Decoder,
    ops,
    vision::{Dinov2, Siglip},
};
use serde::Serialize;

use super::{
    check::Size,
    parts::{decoder_config, dinov2_config, siglip_config},
    place::Place,
};

/// Something that was timed.
#[derive(Debug, Clone, Serialize)]
pub struct Rate {
    pub name: &'static str,
    pub dtype: String,
    pub rate: f64,
    pub unit: &'static str,
    /// What was done, and how the rate follows.
    pub of: String,
}

/// Layers of the published models, which a rate is told of.
const DINOV2_LAYERS: f64 = 40.0;
const SIGLIP_LAYERS: f64 = 27.0;
const QWEN2_LAYERS: f64 = 28.0;

/// Layers that are timed.
const TIMED_LAYERS: f64 = 2.0;

/// Frames at once on other devices than the CPU, as there unless told otherwise.
const FRAMES: usize = 8;

/// Keys and values that a timed token sees.
const POSITIONS: usize = 1024;

/// Times products, copies, frames and tokens in a dtype.
///
/// # Errors
/// Whatever the device says.
pub fn measure(device: &Device, dtype: Dtype) -> Result<Vec<Rate>> {
    let place = Place::new(device, dtype);
    let rate = |name, rate, unit, of: String| Rate { name, dtype: dtype.to_string(), rate, unit, of };
    let (n, seconds) = product(&place)?;
    let mut rates =
        vec![rate("products", 2.0 * (n as f64).powi(3) / seconds / 1e12, "TFLOP/s", format!("two {n}x{n} matrices"))];
    let (bytes, seconds) = copy(&place)?;
    let of = format!("{:.0} MB read, as many written", bytes / 1e6);
    rates.push(rate("copies", 2.0 * bytes / seconds / 1e9, "GB/s", of));
    let batch = if longvu::is_cpu(device) { 1 } else { FRAMES };
    let frames = |seconds: f64, layers: f64| batch as f64 * TIMED_LAYERS / layers / seconds;
    let of = |layers: f64| format!("from {TIMED_LAYERS} of {layers} layers with patches, {batch} at once");
    rates.push(rate("DINOv2-giant", frames(dinov2(&place, batch)?, DINOV2_LAYERS), "frames/s", of(DINOV2_LAYERS)));
    rates.push(rate("SigLIP so400m", frames(siglip(&place, batch)?, SIGLIP_LAYERS), "frames/s", of(SIGLIP_LAYERS)));
    let of = format!("from 1 of {QWEN2_LAYERS} layers, after {POSITIONS} positions, without vocabulary");
    rates.push(rate("Qwen2-7B", 1.0 / QWEN2_LAYERS / token(&place)?, "tokens/s", of));
    Ok(rates)
}

/// Seconds of one `work`, the least of three runs and more until half a second has passed; one before compiles kernels.
fn time(device: &Device, mut work: impl FnMut()) -> Result<f64> {
    let mut run = || {
        let start = Instant::now();
        work();
        device.sync().map_err(|error| anyhow!("{error:?}"))?;
        Ok::<_, anyhow::Error>(start.elapsed().as_secs_f64())
    };
    run()?;
    let (mut best, mut total, mut runs) = (f64::INFINITY, 0.0, 0);
    while runs < 3 || (total < 0.5 && runs < 100) {
        let seconds = run()?;
        (best, total, runs) = (best.min(seconds), total + seconds, runs + 1);
        if total > 5.0 {
            break;
        }
    }
    Ok(best)
}

/// The side of the largest product that takes less than a quarter of a second, and its seconds.
fn product(place: &Place) -> Result<(usize, f64)> {
    let mut measured = (0, 0.0);
    for n in [512, 1024, 2048, 4096, 8192] {
        let (x, weight) = (place.tensor("x", [n, n]), place.matrix("w", [n, n]));
        measured = (n, time(&place.device, || drop(ops::linear(x.clone(), weight.clone(), None)))?);
        if measured.1 * 8.0 > 0.25 {
            break;
        }
    }
    Ok(measured)
}

/// Bytes of a tensor, and the seconds to write them elsewhere.
fn copy(place: &Place) -> Result<(f64, f64)> {
    let rows = 1 << 13;
    let x: Tensor<2> = place.tensor("x", [rows, 1 << 12]);
    let bytes = (x.dims().iter().product::<usize>() * x.dtype().size()) as f64;
    Ok((bytes, time(&place.device, || drop(x.clone() * 2.0))?))
}

fn dinov2(place: &Place, frames: usize) -> Result<f64> {
    let config = dinov2_config(Size::Published)?;
    let tower = place.load(|weights| Dinov2::new(&config, weights))?;
    let pixels = place.tensor("pixels", [frames, 3, 378, 378]);
    time(&place.device, || drop(tower.forward(pixels.clone())))
}

fn siglip(place: &Place, frames: usize) -> Result<f64> {
    let config = siglip_config(Size::Published)?;
    let tower = place.load(|weights| Siglip::new(&config, weights))?;
    let pixels = place.tensor("pixels", [frames, 3, 384, 384]);
    time(&place.device, || drop(tower.forward(pixels.clone())))
}

fn token(place: &Place) -> Result<f64> {
    let config = decoder_config(Size::Published)?;
    let decoder = place.load(|weights| Decoder::new(&config, LanguageModel::Qwen2, weights))?;
    let mut cache = decoder.new_cache(POSITIONS + 1);
    let prompt = place.tensor("prompt", [1, POSITIONS, config.hidden_size]);
    decoder.prefill(prompt, &mut cache, POSITIONS);
    time(&place.device, || {
        drop(decoder.forward(decoder.embed(&[7]).unsqueeze(), &mut cache));
        cache.truncate(POSITIONS);
    })
}
