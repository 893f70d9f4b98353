//! `lm_*`: embeddings to hidden states and logits.

use burn::tensor::Tensor;
use longvu::{checkpoint::config::LongVuConfig, llm::Decoder};

use super::{Case, assert_close, cases, checkpoint_file, device, load};

fn decoder(case: &Case) -> Decoder {
    let checkpoint = if case.name.contains("llama") { "longvu_llama" } else { "longvu_qwen" };
    let config = LongVuConfig::read(&checkpoint_file(checkpoint, "config.json")).unwrap();
    load(checkpoint, |w| Decoder::new(&config.decoder, config.language_model(), w))
}

#[test]
fn hidden_states_and_logits() {
    for case in cases("lm_") {
        let decoder = decoder(&case);
        let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
        let states = decoder.hidden_states(embeds);
        assert_close("layer0_out", states[1].clone(), &case.floats("layer0_out"), 1e-4);
        let last = states.last().unwrap().clone();
        assert_close("final_norm_out", last.clone(), &case.floats("final_norm_out"), 1e-4);
        assert_close("logits", decoder.logits(last), &case.floats("logits"), 1e-4);
    }
}

/// Pushing a prompt in pieces, and position by position, gives what pushing it whole gives.
#[test]
fn chunks_and_single_steps_equal_the_whole() {
    for case in cases("lm_") {
        let decoder = decoder(&case);
        let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
        let [_, positions, hidden] = embeds.dims();
        let expected = &case.floats("final_norm_out")[(positions - 1) * hidden..];
        for chunk in [1, 5, positions] {
            let mut cache = decoder.new_cache(4);
            let last = decoder.prefill(embeds.clone(), &mut cache, chunk);
            assert_eq!(cache.len(), positions);
            assert_close(&format!("{} in chunks of {chunk}", case.name), last, expected, 1e-4);
        }
    }
}

/// A branch gives what it gives as the only one to follow the prefix.
#[test]
fn branches_see_the_prefix_and_themselves() {
    for case in cases("lm_") {
        let decoder = decoder(&case);
        let embeds = case.tensor::<2>("inputs_embeds", &device()).unsqueeze::<3>();
        let positions = embeds.dims()[1];
        let (prefix, len) = (positions / 2, positions - positions / 2);
        let part = |x: &Tensor<3>, start, len| x.clone().narrow(1, start, len);
        let first = part(&embeds, 0, prefix);
        let branches = [part(&embeds, prefix, len), part(&embeds, prefix, len - 1).flip([1])];
        let whole = Tensor::cat([vec![first.clone()], branches.to_vec()].concat(), 1);
        let states = decoder.forward_branches(whole, prefix, &[len, len - 1]);
        let mut start = prefix;
        for branch in branches {
            let alone = decoder.forward_sequences(Tensor::cat(vec![first.clone(), branch], 1));
            let len = alone.dims()[1] - prefix;
            let floats = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<f32>>();
            assert_close("prefix", part(&states, 0, prefix), &floats(part(&alone, 0, prefix)), 1e-5);
            assert_close("branch", part(&states, start, len), &floats(part(&alone, prefix, len)), 1e-5);
            start += len;
        }
    }
}
