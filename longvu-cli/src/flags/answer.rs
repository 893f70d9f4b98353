//! How answers are generated.

use std::num::NonZeroUsize;

use clap::{Args, builder::NonEmptyStringValueParser};
use longvu::GenerationConfig;

use super::usage::usage;

/// How answers are generated.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Answer")]
pub struct AnswerArgs {
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value = "128")]
    pub max_new_tokens: NonZeroUsize,

    /// Draw tokens at random, more freely the higher; 0 takes the likeliest
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub temperature: f32,

    /// Draw among the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,

    /// Draw among the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,

    /// Above 1, make repeated tokens less likely
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub repetition_penalty: f32,

    /// Seed of the random draws, for answers that can be had again
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// End the answer before this text (repeatable)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,

    /// System prompt, instead of the usual one; "" for none
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
}

impl AnswerArgs {
    /// The settings, checked; end tokens come from the model later.
    ///
    /// # Errors
    /// A usage error for values out of range.
    pub fn config(&self) -> Result<GenerationConfig, clap::Error> {
        let config = GenerationConfig::default()
            .with_max_new_tokens(self.max_new_tokens.get())
            .with_temperature(self.temperature)
            .with_top_p(self.top_p)
            .with_top_k(self.top_k)
            .with_repetition_penalty(self.repetition_penalty)
            .with_seed(self.seed)
            .with_stop_strings(self.stop.clone());
        config.validate().map_err(|e| usage(&e.to_string()))?;
        Ok(config)
    }
}
