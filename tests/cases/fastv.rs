//! FastV on the golden language models, against `reference/fastv.py`, which works it out with NumPy.
#![allow(clippy::single_range_in_vec_init, reason = "one range of visual tokens is meant")]

use std::ops::Range;

use burn::tensor::Tensor;
use longvu::{
    Step, Watch,
    checkpoint::config::LongVuConfig,
    compress::FastV,
    llm::{Decoder, PromptPruning},
};
use serde::Deserialize;

use super::{Case, assert_close, cases, checkpoint_file, device, load};

#[derive(Deserialize)]
struct Worked {
    model: String,
    k: usize,
    r: f64,
    visual: Vec<Pair>,
    kept: Vec<usize>,
    last: Vec<f32>,
    next: Vec<f32>,
}

/// A range as a list of two.
type Pair = [usize; 2];

fn decoder(case: &Case, model: &str) -> Decoder {
    assert!(case.name.ends_with(model));
    let checkpoint = format!("longvu_{model}");
    let config = LongVuConfig::read(&checkpoint_file(&checkpoint, "config.json")).unwrap();
    load(&checkpoint, |w| Decoder::new(&config.decoder, config.language_model(), w))
}

/// The positions that are left, and outputs, of a prompt in chunks and of a position after it.
fn pruned(
    decoder: &Decoder,
    embeds: &Tensor<3>,
    fastv: FastV,
    visual: &[Range<usize>],
    chunk: usize,
) -> (Vec<usize>, Tensor<3>, Tensor<3>) {
    let positions: Vec<usize> = visual.iter().cloned().flatten().collect();
    let choose = |attention: &[f32]| fastv.kept(attention);
    let pruning = PromptPruning { layers: fastv.k, visual, keeps: fastv.keeps(positions.len()), choose: &choose };
    let count = embeds.dims()[1];
    let mut cache = decoder.new_cache(1);
    let watch = Watch::default();
    let watched = watch.step(Step::Prompt, "", Some(count as u64));
    let (last, report) =
        decoder.prefill_pruned(embeds.clone(), &mut cache, chunk, &pruning, &watched, count + 4).unwrap();
    assert_eq!(cache.len(), count);
    let dropped = positions.len() - report.kept.len();
    assert_eq!(cache.dropped().map_or(0, |(dropped, _)| dropped.len()), dropped);
    let (held, whole) = cache.bytes();
    let (layers, each) = (decoder.config().num_hidden_layers, whole / count as u64);
    assert_eq!(whole - held, each / layers as u64 * (dropped * (layers - fastv.k)) as u64);
    let next = decoder.forward(embeds.clone().narrow(1, 2, 1), &mut cache);
    (report.kept.iter().map(|&place| positions[place]).collect(), last, next)
}

#[test]
fn outputs_are_those_of_the_paper_worked_out_apart() {
    let worked: Vec<Worked> = serde_json::from_str(include_str!("reference/fastv.json")).unwrap();
    assert!(worked.len() > 10);
    for case in cases("lm_") {
        let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
        for worked in worked.iter().filter(|worked| case.name.ends_with(&worked.model)) {
            let decoder = decoder(&case, &worked.model);
            let fastv = FastV::default().with_k(worked.k).with_r(worked.r);
            let visual: Vec<Range<usize>> = worked.visual.iter().map(|[start, end]| *start..*end).collect();
            for chunk in [1, 7, 64] {
                let name = format!("{} k={} r={} in chunks of {chunk}", worked.model, worked.k, worked.r);
                let (kept, last, next) = pruned(&decoder, &embeds, fastv, &visual, chunk);
                assert_eq!(kept, worked.kept, "{name}");
                assert_close(&name, last, &worked.last, 1e-4);
                assert_close(&format!("{name}, one on"), next, &worked.next, 1e-4);
            }
        }
    }
}

/// A prompt may follow what the cache has, and the cache may be cut back to any position.
#[test]
fn a_cache_goes_on_and_is_cut_back() {
    let case = &cases("lm_qwen")[0];
    let decoder = decoder(case, "qwen");
    let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
    let fastv = FastV::default().with_k(1);
    let count = embeds.dims()[1];
    let floats = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<f32>>();
    let choose = |attention: &[f32]| fastv.kept(attention);
    let pruning = |layers, visual| PromptPruning { layers, visual, keeps: 6, choose: &choose };
    let watch = Watch::default();
    let watched = watch.step(Step::Prompt, "", None);

    let mut whole = decoder.new_cache(1);
    let (expected, report) =
        decoder.prefill_pruned(embeds.clone(), &mut whole, 64, &pruning(1, &[8..20]), &watched, 64).unwrap();
    let mut parts = decoder.new_cache(64);
    decoder.prefill(embeds.clone().narrow(1, 0, 5), &mut parts, 64);
    let rest = embeds.clone().narrow(1, 5, count - 5);
    let (found, again) =
        decoder.prefill_pruned(rest.clone(), &mut parts, 64, &pruning(1, &[3..15]), &watched, 64).unwrap();
    assert_eq!(report, again);
    assert_close("after a prefix", found, &floats(expected.clone()), 1e-5);
    // Back to the prefix, and once more.
    parts.truncate(5);
    assert!(parts.dropped().is_none());
    let (found, _) = decoder.prefill_pruned(rest, &mut parts, 64, &pruning(1, &[3..15]), &watched, 64).unwrap();
    assert_close("cut back", found, &floats(expected), 1e-5);
    // Later layers lack positions from layer 1 on, and not from layer 2.
    let error = decoder.prefill_pruned(embeds, &mut parts, 64, &pruning(2, &[3..15]), &watched, 128).unwrap_err();
    assert!(error.to_string().contains("lacks positions from layer 1"), "{error}");
}

#[test]
fn pruning_that_makes_no_sense_is_refused() {
    let case = &cases("lm_qwen")[0];
    let decoder = decoder(case, "qwen");
    let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
    let count = embeds.dims()[1];
    let refused = |layers, visual: &[Range<usize>], keeps, choose: &(dyn Fn(&[f32]) -> Vec<usize> + Sync)| {
        let pruning = PromptPruning { layers, visual, keeps, choose };
        let watch = Watch::default();
        let watched = watch.step(Step::Prompt, "", None);
        let mut cache = decoder.new_cache(8);
        let error = decoder.prefill_pruned(embeds.clone(), &mut cache, 64, &pruning, &watched, 64).unwrap_err();
        assert!(cache.is_empty());
        error.to_string()
    };
    let first = |_: &[f32]| vec![0, 1];
    assert!(refused(0, &[1..5], 2, &first).contains("layers is 0 of 3"));
    assert!(refused(3, &[1..5], 2, &first).contains("layers is 3 of 3"));
    let tail = count - 2..count;
    assert!(refused(1, std::slice::from_ref(&tail), 2, &first).contains("before the prompt's last"));
    assert!(refused(1, &[9..12, 4..6], 2, &first).contains("ascending"));
    assert!(refused(1, &[4..6], 3, &first).contains("3 of 2 visual tokens"));
    assert!(refused(1, &[4..8], 3, &first).contains("choose is 2 places of 4"));
    assert!(refused(1, &[4..8], 2, &|_| vec![1, 4]).contains("choose"));
    assert!(refused(1, &[4..8], 2, &|_| vec![1, 1]).contains("choose"));
}
