//! Our side of `make bench-peers`: the work that the peers' programs do, through the crates of this workspace.
//!
//! `peers CASE [--runs N] [--dtype f32|f16|bf16] [--quantize int8|int4]`; RAYON_NUM_THREADS sets the threads.
//! `peers instruction-peaks` measures the processor instead.
//!
//! Prints one JSON line: the case, the seconds of each run after a warm-up, the process's peak memory, the arithmetic
//! or memory traffic that the work cannot do without, and for long prompts the memory taken beyond weights and cache.
#![allow(missing_docs, clippy::expect_used, clippy::print_stdout)]

mod machine;
mod models;
mod peaks;
mod stages;

use std::{error::Error, hint::black_box, time::Instant};

use longvu::{Dtype, Quantize, WeightFormat, checkpoint::LoadOptions};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the least possible work of a case amounts to.
#[derive(Clone, Copy)]
enum Work {
    /// Floating-point operations of matrix products and attention.
    Flop(usize),
    /// Bytes read and written, each operand once.
    Bytes(usize),
}

/// A case, ready to run.
struct Case {
    work: Work,
    run: Box<dyn FnMut()>,
    /// Bytes of the key/value cache that a run makes, where its memory is of interest.
    cache: Option<usize>,
}

impl Case {
    fn new<T>(work: Work, mut run: impl FnMut() -> T + 'static) -> Self {
        Self { work, run: Box::new(move || drop(black_box(run()))), cache: None }
    }
}

struct Arguments {
    case: String,
    runs: usize,
    dtype: Dtype,
    quantize: Option<Quantize>,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let mut parsed = Self { case: String::new(), runs: 3, dtype: Dtype::F32, quantize: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--runs" => parsed.runs = value()?.parse()?,
                "--dtype" => parsed.dtype = value()?.parse()?,
                "--quantize" => parsed.quantize = Some(value()?.parse()?),
                _ => parsed.case = word,
            }
        }
        Ok(parsed)
    }

    fn load_options(&self) -> LoadOptions {
        let weights = WeightFormat::from(self.dtype).with_quantize(self.quantize);
        LoadOptions::new("synthetic", &longvu::default_device(), weights)
    }

    fn prepare(&self) -> Result<Case> {
        let options = self.load_options();
        Ok(match self.case.as_str() {
            "dinov2" => models::dinov2(&options)?,
            "siglip" => models::siglip(&options)?,
            "qwen2-prefill-1024" => models::prefill(&models::qwen2(2)?, &options, 1024)?,
            "qwen2-prefill-8192" => models::prefill(&models::qwen2(2)?, &options, 8192)?,
            "qwen2-decode" => models::decode(&models::qwen2(2)?, &options, 1024)?,
            "qwen2-lm-head" => models::lm_head(3584, 152_064, &options)?,
            "llama-prefill-1024" => models::prefill(&models::llama(4)?, &options, 1024)?,
            "llama-decode" => models::decode(&models::llama(4)?, &options, 1024)?,
            "llama-lm-head" => models::lm_head(2048, 128_256, &options)?,
            "temporal" => stages::temporal(&options.device),
            "spatial" => stages::spatial(&options.device),
            "memory-peak" => machine::memory_peak(),
            other => return Err(format!("no case is called `{other}`").into()),
        })
    }
}

fn main() -> Result<()> {
    longvu::tune_allocator();
    let arguments = Arguments::parse()?;
    if arguments.case == "instruction-peaks" {
        println!("{}", peaks::measure(rayon::current_num_threads()));
        return Ok(());
    }
    let mut case = arguments.prepare()?;
    machine::reset_peak()?;
    let before = machine::memory("VmRSS")?;
    (case.run)();
    let seconds: Vec<f64> = (0..arguments.runs)
        .map(|_| {
            let start = Instant::now();
            (case.run)();
            start.elapsed().as_secs_f64()
        })
        .collect();
    let peak = machine::memory("VmHWM")?;
    let mut line = Map::new();
    line.insert("case".into(), arguments.case.into());
    line.insert("seconds".into(), seconds.into());
    line.insert("peak_bytes".into(), peak.into());
    match case.work {
        Work::Flop(count) => line.insert("flop".into(), json!(count)),
        Work::Bytes(count) => line.insert("bytes".into(), json!(count)),
    };
    if let Some(cache) = case.cache {
        line.insert("workspace_bytes".into(), json!(peak.saturating_sub(before + cache)));
    }
    println!("{}", Value::Object(line));
    Ok(())
}
