//! The text of a question, byte for byte as other harnesses ask it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DataSet, Error, Question, Result};

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

/// The user's turn, without the placeholder of the video and the line end after it, which the conversation puts before.
///
/// `subtitles` are the lines of the frames that are looked at, `None` where the video has no subtitles or they are not wanted. A video
/// with subtitles of which no frame has any gets the heading and an empty line, as the package has it.
pub fn prompt(data_set: &dyn DataSet, style: PromptStyle, question: &Question, subtitles: Option<&[String]>) -> String {
    let lines = subtitles.map(|lines| lines.join("\n"));
    match style {
        PromptStyle::Package => {
            let heading = "This video's subtitles are listed below:";
            let block = lines.map(|lines| format!("{heading}\n{lines}\n")).unwrap_or_default();
            let (options, instruction) = (data_set.options(question), data_set.instruction(question));
            format!("{block}Question: {}\nOptions:\n{options}\n{instruction}", question.text)
        }
        PromptStyle::LmmsEval => {
            let heading = "This video's subtitles are listed below: ";
            let block = lines.map(|lines| format!("{heading}\n{lines}\n")).unwrap_or_default();
            block + &data_set.lmms_eval_prompt(question)
        }
    }
}
