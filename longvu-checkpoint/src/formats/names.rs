//! Names of tensors as the model has them, without what other programs put around them.
//!
//! A training program saves its model inside a dictionary, beside its own state, and wrappers for several devices, for
//! compilation or for adapters lengthen every name. A wrapper is taken off where all tensors are inside it.

use std::collections::{BTreeSet, HashMap};

/// Entries of a dictionary that hold a model, and attributes under which wrappers hold theirs.
const WRAPPERS: [&str; 8] =
    ["state_dict", "model_state_dict", "model_state", "module", "base_model", "pytorch_model", "net", "network"];
/// Parts of names that wrappers insert anywhere.
const INSERTED: [&str; 4] = ["_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Entries of a dictionary that hold a training program's own state.
const TRAINING: [&str; 13] = [
    "optimizer",
    "optimizer_state",
    "optimizer_states",
    "optimizer_state_dict",
    "optim",
    "scheduler",
    "lr_scheduler",
    "lr_schedulers",
    "scaler",
    "rng_state",
    "rng_states",
    "callbacks",
    "loops",
];
/// Wrappers around each other that are taken off at most.
const DEPTH: usize = 8;
/// What the language models have under `model`, which is therefore no wrapper around it.
const INSIDE_MODEL: [&str; 7] =
    ["layers", "embed_tokens", "norm", "mm_projector", "vision_sampler", "vision_query", "image_newline"];

/// Names of a model's tensors by their stored names, and the common wrapper that was taken off, if any.
///
/// # Errors
/// Two tensors that would have one name.
pub fn unwrap(stored: Vec<String>) -> Result<(HashMap<String, String>, String), String> {
    let clean = |name: &str| {
        let kept: Vec<_> = name.split('.').filter(|part| !INSERTED.contains(part)).collect();
        kept.join(".")
    };
    let cleaned: Vec<String> = stored.iter().map(|name| clean(name)).collect();
    let prefix = wrapper(&cleaned);
    let mut names = HashMap::with_capacity(stored.len());
    let mut taken: HashMap<String, String> = HashMap::with_capacity(stored.len());
    for (stored, cleaned) in stored.into_iter().zip(cleaned) {
        let Some(name) = cleaned.strip_prefix(&prefix) else { continue };
        if let Some(first) = taken.insert(name.to_owned(), stored.clone()) {
            return Err(format!("{first} and {stored} are one tensor, {name}; keep one"));
        }
        names.insert(stored, name.to_owned());
    }
    Ok((names, prefix))
}

/// The longest wrapper around all of `names` but those of a training program's state, with a dot at its end.
fn wrapper(names: &[String]) -> String {
    let mut prefix = String::new();
    for _ in 0..DEPTH {
        let inside = names.iter().filter_map(|name| name.strip_prefix(&prefix));
        let heads: BTreeSet<&str> = inside.map(head).filter(|head| !TRAINING.contains(head)).collect();
        let Some(&only) = heads.first().filter(|_| heads.len() == 1) else { break };
        let next = format!("{prefix}{only}.");
        let below: BTreeSet<&str> = names.iter().filter_map(|name| name.strip_prefix(&next)).map(head).collect();
        let wraps = match only {
            "model" => !below.iter().any(|part| INSIDE_MODEL.iter().any(|own| part.starts_with(own))),
            _ => WRAPPERS.contains(&only),
        };
        if !wraps || below.is_empty() {
            break;
        }
        prefix = next;
    }
    prefix
}

fn head(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(names: &[&str]) -> (Vec<String>, String) {
        let (names, prefix) = unwrap(names.iter().map(|&name| name.to_owned()).collect()).unwrap();
        let mut names: Vec<_> = names.into_values().collect();
        names.sort();
        (names, prefix)
    }

    /// A language model without a head of its own, with one, and towers.
    const MODELS: [&[&str]; 6] = [
        &["model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"],
        &["lm_head.weight", "model.layers.0.mlp.up_proj.weight", "model.vision_query"],
        &["model.mm_projector.0.weight", "model.vision_query", "model.vision_sampler_0.layers.0.norm.weight"],
        &["vision_model.embeddings.position_embedding.weight", "vision_model.encoder.layers.0.mlp.fc1.weight"],
        &["logit_scale", "text_model.final_layer_norm.weight", "vision_model.head.probe"],
        &["embeddings.cls_token", "encoder.layer.0.norm1.weight", "layernorm.weight"],
    ];

    #[test]
    fn names_without_a_wrapper_stay() {
        for names in MODELS {
            assert_eq!(unwrapped(names), (names.iter().map(|&n| n.to_owned()).collect(), String::new()));
        }
    }

    #[test]
    fn wrappers_are_taken_off_every_model() {
        let wrappers = [
            "module.",
            "state_dict.",
            "state_dict.module.",
            "model.",
            "state_dict.model.",
            "base_model.model.",
            "model_state_dict.module.",
        ];
        for names in MODELS {
            for wrapper in wrappers {
                let wrapped: Vec<String> = names.iter().map(|name| format!("{wrapper}{name}")).collect();
                let mut with_state: Vec<&str> = wrapped.iter().map(String::as_str).collect();
                with_state.extend(["optimizer.state.0.exp_avg", "lr_schedulers.0"]);
                let found = unwrapped(&with_state);
                assert_eq!(found, (names.iter().map(|&n| n.to_owned()).collect(), wrapper.to_owned()));
            }
            let compiled: Vec<String> = names
                .iter()
                .map(|name| format!("_orig_mod.{}", name.replace(".0.", ".0._fsdp_wrapped_module.")))
                .collect();
            let compiled: Vec<&str> = compiled.iter().map(String::as_str).collect();
            assert_eq!(unwrapped(&compiled).0, names);
        }
    }

    #[test]
    fn a_choice_between_models_is_not_made() {
        let names = ["ema.layers.0.weight", "model.layers.0.weight"];
        assert_eq!(unwrapped(&names), (names.map(str::to_owned).to_vec(), String::new()));
        let twice = ["_orig_mod.a", "a"].map(str::to_owned).to_vec();
        assert!(unwrap(twice).unwrap_err().contains("_orig_mod.a"));
    }
}
