//! Whose prompts and whose reading of answers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whose prompts, and whose way of reading a letter from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PromptStyle {
    /// The published package's scripts.
    #[default]
    Package,
    /// lmms-eval's.
    LmmsEval,
}

impl PromptStyle {
    /// Longest answer in tokens.
    pub fn max_new_tokens(self) -> usize {
        match self {
            Self::Package => 5,
            Self::LmmsEval => 16,
        }
    }

    /// Raised whenever the text of a prompt changes.
    pub(crate) const VERSION: u32 = 1;
}

impl fmt::Display for PromptStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::LmmsEval => "lmms-eval",
        })
    }
}

impl FromStr for PromptStyle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Package, Self::LmmsEval].into_iter().find(|style| style.to_string() == text);
        found.ok_or_else(|| Error::Setting {
            setting: "the prompt",
            value: format!("`{text}`"),
            expected: "use package or lmms-eval".into(),
        })
    }
}
