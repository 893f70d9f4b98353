//! Forecasts of memory at the published sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use longvu::{
    Dtype, MemoryPlan, Quantize, Residency, WeightFormat, Workload,
    checkpoint::RepoOptions,
    plan::{Compute, ItemKind, ModelSizes, PlanSettings, Stage},
};

const GIB: f64 = (1u64 << 30) as f64;
const MIB: u64 = 1 << 20;

fn sizes(name: &str) -> ModelSizes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    ModelSizes::read(folder.to_str().unwrap(), None, &RepoOptions::default(), &serde_json::Map::new()).unwrap()
}

fn settings(compute: Compute, dtype: Dtype, quantize: Option<Quantize>) -> PlanSettings {
    PlanSettings::new(compute, 8192).with_weights(WeightFormat::from(dtype).with_quantize(quantize))
}

/// Frames of full-HD video.
fn frames(frames: usize) -> Workload {
    Workload::default().with_frames(frames)
}

fn hour(model: &ModelSizes, settings: PlanSettings, available: f64) -> MemoryPlan {
    MemoryPlan::new(model, settings, frames(3600), Some((available * GIB) as u64))
}

fn advice(plan: &MemoryPlan) -> Vec<String> {
    plan.advice.iter().map(ToString::to_string).collect()
}

#[test]
fn weights_are_those_of_the_readme() {
    use Quantize::{Int4, Int8};
    for (name, dtype, quantize, gib) in [
        ("longvu_qwen2_7b", Dtype::Bf16, None, 17.2),
        ("longvu_qwen2_7b", Dtype::F32, None, 34.3),
        // 7.07 and 1.55 billion weights of linear layers at 1 1/32 bytes, the vocabulary's 545 million at 2 bytes.
        ("longvu_qwen2_7b", Dtype::Bf16, Some(Int8), 9.5),
        ("longvu_qwen2_7b", Dtype::Bf16, Some(Int4), 5.7),
        ("longvu_llama3_2_3b", Dtype::Bf16, None, 9.0),
        ("longvu_llama3_2_1b", Dtype::Bf16, None, 5.3),
    ] {
        let weights = sizes(name).weights(&settings(Compute::Cpu, dtype, quantize)).total();
        let found = weights as f64 / GIB;
        assert!((found - gib).abs() <= 0.06, "{name} in {dtype} and {quantize:?}: {found} GiB, not {gib}");
    }
}

#[test]
fn the_key_value_cache_is_the_documented_one() {
    let model = sizes("longvu_qwen2_7b");
    for (compute, dtype, position) in
        [(Compute::Cpu, Dtype::Bf16, 114_688), (Compute::Cpu, Dtype::F32, 114_688), (Compute::Gpu, Dtype::Bf16, 57_344)]
    {
        let plan = MemoryPlan::new(&model, settings(compute, dtype, None), frames(3600), None);
        let answer = plan.stages.last().unwrap();
        // A full window less the room that budgets keep for the answer, and the answer.
        assert_eq!(answer.bytes(ItemKind::KvCache), (8192 - 16 + 128) * position);
        assert_eq!(answer.stage, Stage::Generate);
    }
}

/// Whether 24 GB suffice for an hour of video, and for half a minute of it.
#[test]
fn the_published_model_fits_in_24_gigabytes() {
    let model = sizes("longvu_qwen2_7b");
    let bf16 = settings(Compute::Gpu, Dtype::Bf16, None);
    let plan = hour(&model, bf16, 24.0);
    assert_eq!(plan.fits, Some(true), "{}", plan.shortage());
    let short = MemoryPlan::new(&model, bf16, frames(30), None);
    let difference = (plan.peak - short.peak) as f64 / GIB;
    assert!(difference < 2.5, "an hour takes {difference} GiB more than half a minute");
    let f32 = hour(&model, settings(Compute::Gpu, Dtype::F32, None), 24.0);
    assert_eq!(f32.fits, Some(false));
    assert_eq!(advice(&f32)[0], "dtype bf16");
    let cpu = hour(&model, settings(Compute::Cpu, Dtype::F32, None), 24.0);
    assert_eq!(advice(&cpu)[..2], ["dtype bf16", "quantize int8"]);
}

#[test]
fn the_less_there_is_the_more_is_given_up() {
    let model = sizes("longvu_qwen2_7b");
    let on = |gib| hour(&model, settings(Compute::Cpu, Dtype::Bf16, None), gib);
    assert!(advice(&on(40.0)).is_empty() && on(40.0).fits == Some(true));
    assert_eq!(advice(&on(18.5))[0], "residency on_demand");
    assert!(advice(&on(13.0))[0].contains("quantize int8"), "{:?}", advice(&on(13.0)));
    assert!(advice(&on(8.0))[0].contains("quantize int4"), "{:?}", advice(&on(8.0)));
    let none = on(1.0);
    assert!(none.advice.is_empty() && none.shortage().contains("no setting fits"), "{}", none.shortage());
    for gib in [8.0, 13.0, 18.5] {
        let plan = on(gib);
        assert!(plan.shortage().contains(&advice(&plan)[0]), "{}", plan.shortage());
        for advice in &plan.advice {
            assert!(advice.peak as f64 <= gib * GIB, "{advice} takes {}", advice.peak);
            let minimal = |other: &longvu::plan::Advice| other.changes.iter().all(|c| advice.changes.contains(c));
            assert_eq!(plan.advice.iter().filter(|other| minimal(other)).count(), 1, "{advice} says too much");
        }
    }
}

#[test]
fn parts_that_come_and_go_never_take_more() {
    for name in ["longvu_qwen2_7b", "longvu_llama3_2_3b", "longvu_llama3_2_1b"] {
        let model = sizes(name);
        for (dtype, quantize) in [(Dtype::F32, None), (Dtype::Bf16, None), (Dtype::Bf16, Some(Quantize::Int4))] {
            let whole = settings(Compute::Cpu, dtype, quantize);
            let on_demand = whole.with_residency(Residency::OnDemand);
            let weights = model.weights(&whole);
            let [whole, on_demand] = [whole, on_demand].map(|s| MemoryPlan::new(&model, s, frames(600), None));
            assert!(on_demand.peak < whole.peak, "{name} {dtype} {quantize:?}");
            let of = |stage| on_demand.stages.iter().find(|s| s.stage == stage).unwrap().bytes(ItemKind::Weights);
            assert_eq!(of(Stage::Look), weights.dinov2 + weights.connector);
            assert_eq!(of(Stage::Aggregate), weights.siglip + weights.connector);
            assert_eq!(of(Stage::Generate), weights.language_model + weights.connector);
        }
    }
}

/// What a video takes is bounded: by the window, by what may be held, and by what the prompt has room for.
#[test]
fn longer_videos_take_no_more_from_some_length_on() {
    let model = sizes("longvu_llama3_2_1b");
    let peaks = [1, 30, 127, 600, 3600, 100_000].map(|count| {
        let plan = MemoryPlan::new(&model, settings(Compute::Cpu, Dtype::F32, None), frames(count), None);
        let encoding = plan.stages.iter().filter(|s| matches!(s.stage, Stage::Look | Stage::Aggregate));
        (encoding.map(|s| s.total(Compute::Cpu)).max().unwrap(), plan.peak)
    });
    assert!(peaks.is_sorted(), "{peaks:?}");
    assert_eq!(peaks[3..].iter().map(|p| p.1).max(), peaks[3..].iter().map(|p| p.1).min());
    let beyond = peaks[5].0 - model.weights(&settings(Compute::Cpu, Dtype::F32, None)).total();
    assert!(beyond < 1200 * MIB, "encoding takes {beyond} bytes beside the weights");
}

/// Text alone needs no frames, features, or tokens of frames.
#[test]
fn a_question_without_a_video_has_fewer_steps() {
    let model = sizes("longvu_llama3_2_1b");
    let plan = MemoryPlan::new(&model, settings(Compute::Cpu, Dtype::F32, None), frames(0), None);
    let stages: Vec<Stage> = plan.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::Load, Stage::Prefill, Stage::Generate]);
    assert!(
        plan.stages
            .iter()
            .all(|s| s.bytes(ItemKind::Features) + s.bytes(ItemKind::Encoded) + s.bytes(ItemKind::Frames) == 0)
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["settings"]["dtype"], "f32");
    assert_eq!(json["stages"][0]["stage"], "load");
}
