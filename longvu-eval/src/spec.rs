//! What a run is of, and how two differ.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{AnswerLine, DataSet, EvalSettings, PromptStyle, Question, Shard};

/// What a run is of: `run.json`. Two runs with equal ones have equal results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSpec {
    /// The program's version.
    pub longvu: String,
    pub data_set: String,
    pub prompt_version: u32,
    pub settings: EvalSettings,
    /// The model and its settings, as the caller describes them.
    pub model: Value,
    /// Questions of all parts.
    pub questions: usize,
    /// SHA-256 of their names, texts, options, groups and answers, and of which have subtitles.
    pub questions_sha256: String,
    /// Videos that are left out because they are missing.
    pub missing: Vec<String>,
    pub shard: Shard,
}

impl RunSpec {
    pub fn new(data_set: &dyn DataSet, settings: &EvalSettings, model: Value, shard: Shard) -> Self {
        Self {
            longvu: env!("CARGO_PKG_VERSION").into(),
            data_set: data_set.name().into(),
            prompt_version: PromptStyle::VERSION,
            settings: settings.clone(),
            model,
            questions: 0,
            questions_sha256: String::new(),
            missing: Vec::new(),
            shard,
        }
    }

    pub fn with_questions<'a>(mut self, questions: impl Iterator<Item = &'a Question>) -> Self {
        let mut hash = Sha256::new();
        for question in questions {
            self.questions += 1;
            let groups = question.groups.iter().map(|(_, value)| value);
            let key = question.video.key();
            let texts = [&question.id, &key, &question.text].into_iter();
            for text in texts.chain(&question.options).chain(groups) {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
            hash.update(format!("{:?} {}", question.answer, question.subtitles.is_some()));
        }
        self.questions_sha256 = format!("{:x}", hash.finalize());
        self
    }

    /// The same but for the part.
    pub fn whole(&self) -> Self {
        Self { shard: Shard::WHOLE, ..self.clone() }
    }
}

/// What a run is of: two with equal ones have equal results.
pub(crate) trait Spec: Serialize + DeserializeOwned {}

impl Spec for RunSpec {}

/// What is written down of a question.
pub(crate) trait Line: Serialize + DeserializeOwned {
    /// Whether it was answered, however badly.
    fn is_answered(&self) -> bool;
}

impl Line for AnswerLine {
    fn is_answered(&self) -> bool {
        self.error.is_none()
    }
}

/// The first setting in which another run differs, with both values.
pub(crate) fn difference<S: Spec>(ours: &S, theirs: &S) -> Option<String> {
    let (name, ours, theirs) = differences(ours, theirs).into_iter().next()?;
    Some(format!("`{name}` is {theirs}, and here it is {ours}"))
}

/// The settings in which two runs differ: names, and both values.
pub(crate) fn differences<S: Spec>(ours: &S, theirs: &S) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    if let (Ok(ours), Ok(theirs)) = (serde_json::to_value(ours), serde_json::to_value(theirs)) {
        collect("", &ours, &theirs, &mut found);
    }
    found
}

fn collect(name: &str, ours: &Value, theirs: &Value, found: &mut Vec<(String, Value, Value)>) {
    if ours == theirs {
        return;
    }
    let (Value::Object(a), Value::Object(b)) = (ours, theirs) else {
        found.push((name.to_owned(), ours.clone(), theirs.clone()));
        return;
    };
    for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        collect(&name, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), found);
    }
}
