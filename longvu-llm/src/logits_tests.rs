#![allow(clippy::unwrap_used, clippy::print_stderr)]

use proptest::prelude::*;

use super::*;

fn sampler(config: GenerationConfig) -> LogitsSampler {
    LogitsSampler::new(&config).unwrap()
}

fn sampling() -> GenerationConfig {
    GenerationConfig { temperature: Some(1.0), seed: Some(1), ..Default::default() }
}

/// The ids that Hugging Face's top-k and then top-p leave, by sorting everything.
fn kept_by_sorting(logits: &[f32], temperature: f32, k: usize, p: f64) -> Vec<u32> {
    let mut sorted: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|&logit| f64::from(logit / temperature))).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let kth = sorted[k.min(sorted.len()) - 1].1;
    sorted.retain(|&(_, score)| score >= kth);
    let total: f64 = sorted.iter().map(|(_, score)| score.exp()).sum();
    let mut before = 0.0;
    sorted.retain(|&(_, score)| {
        let keep = before < p;
        before += score.exp() / total;
        keep
    });
    let mut ids: Vec<u32> = sorted.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn greedy_takes_the_first_of_equals() {
    let mut greedy = sampler(GenerationConfig::default());
    assert_eq!(greedy.sample(&[0.0, 3.0, -1.0, 3.0], &[]).unwrap(), 1);
    assert_eq!(greedy.sample(&[f32::MIN, f32::MIN], &[]).unwrap(), 0);
    let mut zero = sampler(GenerationConfig { temperature: Some(0.0), ..sampling() });
    assert_eq!(zero.sample(&[0.0, 1.0, 0.5], &[]).unwrap(), 1);
}

#[test]
fn the_penalty_lowers_repeated_tokens_once() {
    let mut greedy = sampler(GenerationConfig { repetition_penalty: 2.0, ..GenerationConfig::default() });
    assert_eq!(greedy.sample(&[4.0, 2.1, 1.0], &[0, 0, 0, 99]).unwrap(), 1);
    assert_eq!(greedy.sample(&[4.0, 1.9, 1.0], &[0, 0, 0]).unwrap(), 0);
    assert_eq!(greedy.sample(&[-1.0, -1.5], &[0]).unwrap(), 1, "negative scores move down too");
    assert_eq!(greedy.sample(&[-f32::MAX, -f32::MAX], &[0]).unwrap(), 0);
}

#[test]
fn logits_that_are_not_numbers_are_refused() {
    let mut greedy = sampler(GenerationConfig::default());
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = greedy.sample(&[0.0, value, 1.0], &[]).unwrap_err();
        assert!(matches!(error, Error::NonFiniteLogit { index: 1, .. }));
        assert!(error.to_string().contains("token 1"), "{error}");
    }
    assert!(matches!(greedy.sample(&[], &[]), Err(Error::EmptyLogits)));
}

#[test]
fn invalid_settings_are_refused() {
    assert!(LogitsSampler::new(&GenerationConfig { top_p: Some(2.0), ..sampling() }).is_err());
}

#[test]
fn a_seed_repeats_the_draws_and_another_does_not() {
    let logits: Vec<f32> = (0..1000).map(|i| (i % 17) as f32 * 0.1).collect();
    let draws = |seed| -> Vec<u32> {
        let mut sampler = sampler(GenerationConfig { seed, ..sampling() });
        (0..50).map(|_| sampler.sample(&logits, &[]).unwrap()).collect()
    };
    assert_eq!(draws(Some(3)), draws(Some(3)));
    assert_ne!(draws(Some(3)), draws(Some(4)));
    assert_ne!(draws(None), draws(None));
}

#[test]
fn draws_follow_the_probabilities() {
    let probabilities = [0.5_f64, 0.3, 0.15, 0.05];
    let logits = probabilities.map(|p| p.ln() as f32 * 0.5);
    let mut sampler = sampler(GenerationConfig { temperature: Some(0.5), ..sampling() });
    let mut counts = [0_u32; 4];
    for _ in 0..20_000 {
        counts[sampler.sample(&logits, &[]).unwrap() as usize] += 1;
    }
    for (count, p) in counts.into_iter().zip(probabilities) {
        assert!((f64::from(count) / 20_000.0 - p).abs() < 0.015, "{counts:?}");
    }
}

#[test]
fn a_tiny_temperature_is_greedy_and_extremes_do_not_overflow() {
    let mut cold = sampler(GenerationConfig { temperature: Some(1e-38), ..sampling() });
    assert_eq!(cold.sample(&[f32::MIN, f32::MAX, 0.0], &[]).unwrap(), 1);
    let mut narrow = sampler(GenerationConfig { top_p: Some(1e-6), ..sampling() });
    assert_eq!(narrow.sample(&[1.0, 1.5, 1.2], &[]).unwrap(), 1);
    let mut one = sampler(GenerationConfig { top_k: Some(1), ..sampling() });
    assert_eq!(one.sample(&[1.0, 1.5, 1.2], &[]).unwrap(), 1);
}

#[test]
fn top_k_keeps_all_that_tie_with_the_last() {
    let sampler = sampler(GenerationConfig { top_k: Some(2), ..sampling() });
    let kept = sampler.candidates(&[1.0, 3.0, 1.0, 2.0, 2.0], 1.0);
    assert_eq!(kept.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 3, 4]);
}

proptest! {
    #[test]
    fn top_k_and_top_p_keep_what_sorting_keeps(
        logits in prop::collection::vec(-8.0_f32..8.0, 1..300),
        temperature in 0.2_f32..2.0,
        k in 1_usize..320,
        p in 0.01_f32..0.99,
    ) {
        let sampler = sampler(GenerationConfig { top_k: Some(k), top_p: Some(p), ..sampling() });
        let mut kept: Vec<u32> =
            sampler.candidates(&logits, temperature).iter().map(|c| c.id).collect();
        kept.sort_unstable();
        prop_assert_eq!(kept, kept_by_sorting(&logits, temperature, k, f64::from(p)));
    }

    #[test]
    fn a_draw_is_always_a_candidate(
        logits in prop::collection::vec(-1e30_f32..1e30, 1..50),
        seed: u64,
        p in 0.01_f32..=1.0,
    ) {
        let mut sampler =
            sampler(GenerationConfig { seed: Some(seed), top_p: Some(p), ..sampling() });
        let kept = sampler.candidates(&logits, 1.0);
        let id = sampler.sample(&logits, &[]).unwrap();
        prop_assert!(kept.iter().any(|candidate| candidate.id == id));
    }
}

#[test]
#[ignore = "measures time; run with --release and --nocapture"]
fn a_vocabulary_is_sampled_within_milliseconds() {
    let mut rng = StdRng::seed_from_u64(1);
    // Like real logits: bell-shaped (sums of uniform numbers, standard deviation 2.8), and a few
    // tokens far above the rest.
    let mut logit = || (0..6).map(|_| rng.random::<f32>() * 4.0 - 2.0).sum();
    let mut logits: Vec<f32> = (0..152_064).map(|_| logit()).collect();
    logits[1000..1020].fill(20.0);
    let top_p = GenerationConfig { top_p: Some(0.9), ..sampling() };
    let top_k = GenerationConfig { top_k: Some(50), ..top_p.clone() };
    for config in [GenerationConfig::default(), sampling(), top_p, top_k] {
        let mut sampler = sampler(config);
        let start = std::time::Instant::now();
        for _ in 0..100 {
            sampler.sample(&logits, &[1, 2, 3]).unwrap();
        }
        let each = start.elapsed() / 100;
        eprintln!("{each:?}");
        assert!(each.as_millis() < 10, "{each:?}");
    }
}

#[test]
fn a_device_finds_the_first_of_the_likeliest_and_refuses_what_is_not_finite() {
    let pick =
        |scores: [f32; 8]| likeliest_on_device(Tensor::<1>::from_data(scores, &Default::default()).reshape([2, 4]));
    assert_eq!(pick([1.0, 3.0, 3.0, 2.0, -5.0, -1.0, -2.0, -1.0]), Some(vec![1, 1]));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(pick([1.0, 3.0, 3.0, 2.0, -5.0, bad, -2.0, -1.0]), None);
    }
}

proptest! {
    #[test]
    fn a_device_finds_what_the_host_does(scores in prop::collection::vec(-4i8..4, 1..300)) {
        let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
        let row = Tensor::<1>::from_data(scores.as_slice(), &Default::default()).unsqueeze();
        prop_assert_eq!(likeliest_on_device(row), Some(vec![likeliest(&scores)]));
    }
}
