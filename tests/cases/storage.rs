//! What is lost when weights are held in fewer bits: relative errors of golden outputs, and how often the likeliest
//! token stays the same along a long greedy answer.

use longvu::{
    Dtype, Quantize,
    checkpoint::config::{Dinov2Config, LongVuConfig, SiglipConfig},
    llm::Decoder,
    vision::{Dinov2, Siglip},
};

use super::{Case, assert_close, cases, checkpoint_file, device, load, load_as};

/// A way to hold weights, and to multiply them where the machine can.
struct Storage {
    dtype: Dtype,
    quantize: Option<Quantize>,
    /// The greatest relative error of golden outputs, of the language models and of each tower: what PyTorch's operations
    /// lose with the same rounding (`tools/few_bits_reference.py`), and up to a twentieth more; for f16, in which it has none
    /// on the CPU, a bound.
    language_model: f64,
    dinov2: f64,
    siglip: f64,
    /// The least number of likeliest tokens that stay. Random weights have flat logits: the likeliest token changes sooner
    /// than a trained model's.
    same: usize,
}

const STORAGE: [Storage; 4] = [
    Storage { dtype: Dtype::F16, quantize: None, language_model: 2e-3, dinov2: 2e-3, siglip: 2e-3, same: 250 },
    Storage { dtype: Dtype::Bf16, quantize: None, language_model: 2.2e-2, dinov2: 1.02e-2, siglip: 7.4e-3, same: 240 },
    Storage {
        dtype: Dtype::F32,
        quantize: Some(Quantize::Int8),
        language_model: 5.3e-2,
        dinov2: 1.8e-2,
        siglip: 1.5e-2,
        same: 200,
    },
    Storage {
        dtype: Dtype::F32,
        quantize: Some(Quantize::Int4),
        language_model: 0.39,
        dinov2: 0.22,
        siglip: 0.14,
        same: 90,
    },
];

/// Tokens of the greedy answer.
const ANSWER: usize = 256;

impl Storage {
    fn name(&self) -> String {
        self.quantize.map_or(self.dtype.to_string(), |quantize| quantize.to_string())
    }
}

fn on_cpu() -> bool {
    device() == longvu::default_device()
}

#[test]
fn language_models() {
    if !on_cpu() {
        return;
    }
    for case in cases("lm_") {
        let checkpoint = if case.name.contains("llama") { "longvu_llama" } else { "longvu_qwen" };
        let config = LongVuConfig::read(&checkpoint_file(checkpoint, "config.json")).unwrap();
        let build = |w: &longvu::checkpoint::Weights| Decoder::new(&config.decoder, config.language_model(), w);
        let exact: Decoder = load(checkpoint, build);
        let answer = greedy(&exact, &case);
        for storage in STORAGE {
            let decoder = load_as(checkpoint, storage.dtype, storage.quantize, build);
            let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
            let last = decoder.hidden_states(embeds).pop().unwrap();
            let what = format!("{} {}", case.name, storage.name());
            assert_close(&what, decoder.logits(last), &case.floats("logits"), storage.language_model);
            let same = agreement(&decoder, &case, &answer);
            println!("{what}: {same} of {ANSWER} likeliest tokens are the same");
            assert!(same >= storage.same, "{what}: {same} of {ANSWER}");
        }
    }
}

/// The greedy answer to a case's prompt.
fn greedy(decoder: &Decoder, case: &Case) -> Vec<u32> {
    let mut answer = Vec::new();
    follow(decoder, case, |likeliest| {
        answer.push(likeliest);
        (answer.len() < ANSWER).then_some(likeliest)
    });
    answer
}

/// How many tokens of `answer` are the likeliest after those before them.
fn agreement(decoder: &Decoder, case: &Case, answer: &[u32]) -> usize {
    let (mut same, mut given) = (0, answer.iter().copied());
    follow(decoder, case, |likeliest| {
        let next = given.next()?;
        same += usize::from(next == likeliest);
        Some(next)
    });
    same
}

/// Gives `choose` the likeliest token again and again, and goes on with what it returns.
fn follow(decoder: &Decoder, case: &Case, mut choose: impl FnMut(u32) -> Option<u32>) {
    let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
    let mut cache = decoder.new_cache(embeds.dims()[1] + ANSWER);
    let mut last = decoder.prefill(embeds, &mut cache, 64);
    loop {
        let logits: Vec<f32> = decoder.logits(last).into_data().iter::<f32>().collect();
        let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        let Some(next) = choose(likeliest as u32) else { break };
        last = decoder.forward(decoder.embed(&[next]).unsqueeze(), &mut cache);
    }
}

#[test]
fn towers() {
    if !on_cpu() {
        return;
    }
    let dinov2 = Dinov2Config::read(&checkpoint_file("dinov2", "config.json")).unwrap();
    let siglip = SiglipConfig::read(&checkpoint_file("siglip", "config.json")).unwrap();
    for storage in STORAGE {
        let (name, dtype, quantize) = (storage.name(), storage.dtype, storage.quantize);
        let tower = load_as("dinov2", dtype, quantize, |w| Dinov2::new(&dinov2, w));
        for case in cases("dinov2") {
            let last = tower.forward(case.tensor::<4>("pixel_values", &device()));
            assert_close(&format!("dinov2 {name}"), last, &case.floats("last_hidden_state"), storage.dinov2);
        }
        let tower = load_as("siglip", dtype, quantize, |w| Siglip::new(&siglip, w));
        for case in cases("siglip") {
            let last = tower.forward(case.tensor::<4>("pixel_values", &device()));
            assert_close(&format!("siglip {name}"), last, &case.floats("hidden_state_last"), storage.siglip);
        }
    }
}
