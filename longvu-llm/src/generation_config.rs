//! How an answer is generated.

use std::path::Path;

use longvu_checkpoint::config::TokenIds;
use serde::{Deserialize, Serialize};

use crate::{Error, Limits, MAX_NEW_TOKENS, Result, files::read_json_if_present};

/// Settings of generation, under Hugging Face's names where it has them: `seed` and `eos_token_ids` are ours, and in place
/// of `do_sample` a `temperature` above 0 samples.
///
/// The default is greedy: the likeliest token each time, so that the same question has the same answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GenerationConfig {
    /// The most tokens an answer may have; at least 1, at most [`MAX_NEW_TOKENS`]. 128 as in LongVU's example.
    pub max_new_tokens: usize,
    /// How much the logits are flattened before a token is drawn. `None` and 0 take the likeliest
    /// token instead, and `top_p`, `top_k` and `seed` do nothing.
    pub temperature: Option<f32>,
    /// Draw only among the likeliest tokens that together reach this probability; above 0, at
    /// most 1. `None` and 1 draw among all.
    pub top_p: Option<f32>,
    /// Draw only among this many of the likeliest tokens. `None` and 0 draw among all. (Hugging
    /// Face's own default when sampling is 50.)
    pub top_k: Option<usize>,
    /// Makes tokens that the answer already has less likely; 1 changes nothing. Above 0.
    pub repetition_penalty: f32,
    /// Where the random numbers start. With `None` each run draws differently.
    pub seed: Option<u64>,
    /// The answer ends before any of these texts. None may be empty.
    pub stop_strings: Vec<String>,
    /// The answer ends at any of these tokens; `None` leaves it at those of the model.
    pub eos_token_ids: Option<Vec<u32>>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            temperature: None,
            top_p: None,
            top_k: None,
            repetition_penalty: 1.0,
            seed: None,
            stop_strings: Vec::new(),
            eos_token_ids: None,
        }
    }
}

impl GenerationConfig {
    /// The most tokens an answer may have.
    #[must_use]
    pub fn with_max_new_tokens(mut self, tokens: usize) -> Self {
        self.max_new_tokens = tokens;
        self
    }

    /// How much the logits are flattened before a token is drawn.
    #[must_use]
    pub fn with_temperature(mut self, temperature: impl Into<Option<f32>>) -> Self {
        self.temperature = temperature.into();
        self
    }

    /// Draw only among the likeliest tokens that together reach this probability.
    #[must_use]
    pub fn with_top_p(mut self, top_p: impl Into<Option<f32>>) -> Self {
        self.top_p = top_p.into();
        self
    }

    /// Draw only among this many of the likeliest tokens.
    #[must_use]
    pub fn with_top_k(mut self, top_k: impl Into<Option<usize>>) -> Self {
        self.top_k = top_k.into();
        self
    }

    /// Makes tokens that the answer already has less likely.
    #[must_use]
    pub fn with_repetition_penalty(mut self, penalty: f32) -> Self {
        self.repetition_penalty = penalty;
        self
    }

    /// Where the random numbers start.
    #[must_use]
    pub fn with_seed(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// The answer ends before any of these texts.
    #[must_use]
    pub fn with_stop_strings(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.stop_strings = texts.into_iter().map(Into::into).collect();
        self
    }

    /// The answer ends at any of these tokens, whichever the model has.
    #[must_use]
    pub fn with_eos_token_ids(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.eos_token_ids = Some(ids.into_iter().collect());
        self
    }

    /// Whether tokens are drawn at random: a temperature is set and not 0.
    pub fn do_sample(&self) -> bool {
        self.temperature.is_some_and(|temperature| temperature != 0.0)
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the first setting that is out of range, and the range.
    pub fn validate(&self) -> Result<()> {
        let in_range = (1..=MAX_NEW_TOKENS).contains(&self.max_new_tokens);
        check(in_range, "max_new_tokens", self.max_new_tokens, "at least 1 and at most 1000000")?;
        if let Some(temperature) = self.temperature {
            let in_range = temperature.is_finite() && temperature >= 0.0;
            let expected = "a finite number, 0 (greedy) or more; common values are 0.2 to 1";
            check(in_range, "temperature", temperature, expected)?;
        }
        if let Some(top_p) = self.top_p {
            let expected = "above 0 and at most 1 (all tokens)";
            check(top_p > 0.0 && top_p <= 1.0, "top_p", top_p, expected)?;
        }
        let penalty = self.repetition_penalty;
        let in_range = penalty.is_finite() && penalty > 0.0;
        let expected = "a finite number above 0; 1 is no penalty, common values go up to 1.3";
        check(in_range, "repetition_penalty", penalty, expected)?;
        let has_empty = self.stop_strings.iter().any(String::is_empty);
        let expected = "texts of at least one character; leave empty ones out";
        check(!has_empty, "stop_strings", format!("{:?}", self.stop_strings), expected)
    }
}

fn check(in_range: bool, name: &'static str, value: impl ToString, expected: &'static str) -> Result<()> {
    if in_range {
        return Ok(());
    }
    Err(Error::InvalidSetting { name, value: value.to_string(), expected })
}

/// The part of `generation_config.json` that is used.
#[derive(Deserialize)]
struct EosTokens {
    eos_token_id: Option<TokenIds>,
}

/// The tokens at which a checkpoint's answers end: those of the folder's `generation_config.json`,
/// if it has one, then those that `config.json` gave (`config_eos`), each once.
///
/// # Errors
/// [`Error::Read`] or [`Error::Json`] when `generation_config.json` is there but unusable.
pub fn load_eos_token_ids(dir: impl AsRef<Path>, config_eos: &[u32]) -> Result<Vec<u32>> {
    load_eos_token_ids_with(dir, config_eos, &Limits::default())
}

/// The same, within other limits.
///
/// # Errors
/// As [`load_eos_token_ids`].
pub fn load_eos_token_ids_with(dir: impl AsRef<Path>, config_eos: &[u32], limits: &Limits) -> Result<Vec<u32>> {
    let path = dir.as_ref().join("generation_config.json");
    let file: Option<EosTokens> = read_json_if_present(&path, limits.json_bytes)?;
    let mut ids = file.and_then(|file| file.eos_token_id).map_or_else(Vec::new, |ids| ids.as_slice().to_vec());
    ids.extend(config_eos);
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|&id| seen.insert(id));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_greedy() {
        let config = GenerationConfig::default();
        config.validate().unwrap();
        assert!(!config.do_sample());
        assert!(!GenerationConfig { temperature: Some(0.0), ..config.clone() }.do_sample());
        assert!(GenerationConfig { temperature: Some(0.2), ..config }.do_sample());
    }

    #[test]
    fn every_setting_out_of_range_is_named() {
        let good = GenerationConfig::default();
        let bad = [
            ("max_new_tokens", GenerationConfig { max_new_tokens: 0, ..good.clone() }),
            ("max_new_tokens", GenerationConfig { max_new_tokens: MAX_NEW_TOKENS + 1, ..good.clone() }),
            ("max_new_tokens", GenerationConfig { max_new_tokens: usize::MAX >> 1, ..good.clone() }),
            ("temperature", GenerationConfig { temperature: Some(-0.1), ..good.clone() }),
            ("temperature", GenerationConfig { temperature: Some(f32::NAN), ..good.clone() }),
            ("temperature", GenerationConfig { temperature: Some(f32::INFINITY), ..good.clone() }),
            ("top_p", GenerationConfig { top_p: Some(0.0), ..good.clone() }),
            ("top_p", GenerationConfig { top_p: Some(1.1), ..good.clone() }),
            ("top_p", GenerationConfig { top_p: Some(f32::NAN), ..good.clone() }),
            ("repetition_penalty", GenerationConfig { repetition_penalty: 0.0, ..good.clone() }),
            ("stop_strings", GenerationConfig { stop_strings: vec![String::new()], ..good }),
        ];
        for (name, config) in bad {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }

    #[test]
    fn settings_read_from_json_take_defaults() {
        let config: GenerationConfig = serde_json::from_str(r#"{"temperature": 0.5}"#).unwrap();
        assert_eq!(config, GenerationConfig { temperature: Some(0.5), ..Default::default() });
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error = serde_json::from_str::<GenerationConfig>(r#"{"max_tokens": 5}"#).unwrap_err().to_string();
        assert!(error.contains("max_tokens") && error.contains("max_new_tokens"), "{error}");
    }

    #[test]
    fn end_tokens_are_joined_from_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text| std::fs::write(dir.path().join("generation_config.json"), text).unwrap();
        assert_eq!(load_eos_token_ids(dir.path(), &[7]).unwrap(), [7]);
        write(r#"{"eos_token_id": 5, "top_k": 20}"#);
        assert_eq!(load_eos_token_ids(dir.path(), &[7]).unwrap(), [5, 7]);
        write(r#"{"eos_token_id": [7, 9, 7]}"#);
        assert_eq!(load_eos_token_ids(dir.path(), &[7, 1]).unwrap(), [7, 9, 1]);
        write(r#"{"eos_token_id": null}"#);
        assert!(load_eos_token_ids(dir.path(), &[]).unwrap().is_empty());
        write(r#"{"eos_token_id": "end"}"#);
        let message = load_eos_token_ids(dir.path(), &[]).unwrap_err().to_string();
        assert!(message.contains("generation_config.json"), "{message}");
    }
}
