//! How questions are asked.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DataSet, Error, FrameRule, PromptStyle, Result};

/// How an option is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Choose {
    /// A letter is read from a generated answer, as the published scripts do.
    #[default]
    Letter,
    /// The letter with the highest score as the prompt's next token; nothing is generated.
    Likelihood,
}

impl fmt::Display for Choose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Letter => "letter",
            Self::Likelihood => "likelihood",
        })
    }
}

impl FromStr for Choose {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Letter, Self::Likelihood].into_iter().find(|way| way.to_string() == text);
        found.ok_or_else(|| Error::Setting {
            setting: "the way to choose",
            value: format!("`{text}`"),
            expected: "use letter or likelihood".into(),
        })
    }
}

/// How questions are asked, beside what the model itself is set to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EvalSettings {
    /// Which frames are looked at.
    pub frames: FrameRule,
    /// Whose prompt.
    pub prompt: PromptStyle,
    /// How an option is chosen.
    pub choose: Choose,
    /// Whether subtitles go into the prompt, where the data set has them.
    pub subtitles: bool,
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
    /// The system prompt; the model's usual one where there is none.
    pub system: Option<String>,
}

impl EvalSettings {
    /// What the published package's script for the data set does.
    pub fn of(data_set: &dyn DataSet) -> Self {
        let prompt = PromptStyle::Package;
        Self {
            frames: data_set.frames(),
            prompt,
            choose: Choose::Letter,
            subtitles: false,
            max_new_tokens: prompt.max_new_tokens(),
            system: None,
        }
    }
}
