//! A run's folder: what was asked for, and the answers so far.

use std::{
    fs,
    path::{Path, PathBuf},
};

use longvu::checkpoint::atomic::FolderLock;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    AnswerLine, Choose, DataSet, Error, EvalResult, FrameRule, PromptStyle, Question, Result, Shard,
    journal::{self, Journal},
};

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
    /// SHA-256 of their names, texts and options.
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
            for text in [&question.id, &question.video.key(), &question.text].into_iter().chain(&question.options) {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
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
    let (name, ours, theirs) = first_differing(ours, theirs)?;
    Some(format!("`{name}` is {theirs}, and here it is {ours}"))
}

/// Its name, and both values.
pub(crate) fn first_differing<S: Spec>(ours: &S, theirs: &S) -> Option<(String, Value, Value)> {
    let (ours, theirs) = (serde_json::to_value(ours).ok()?, serde_json::to_value(theirs).ok()?);
    first_difference("", &ours, &theirs)
}

fn first_difference(name: &str, ours: &Value, theirs: &Value) -> Option<(String, Value, Value)> {
    if ours == theirs {
        return None;
    }
    if let (Value::Object(a), Value::Object(b)) = (ours, theirs) {
        let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
        for key in keys {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            if let Some(found) = first_difference(&name, a, b) {
                return Some(found);
            }
        }
    }
    Some((name.to_owned(), ours.clone(), theirs.clone()))
}

/// The folder of a run.
pub struct RunFolder {
    path: PathBuf,
}

const SPEC: &str = "run.json";
const ANSWERS: &str = "answers.jsonl";
const RESULT: &str = "result.json";

impl RunFolder {
    /// The folder, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every answer so far, in the data set's order.
    ///
    /// # Errors
    /// A folder that is no run's.
    pub fn answers(&self) -> Result<Vec<AnswerLine>> {
        self.spec::<RunSpec>()?;
        let mut answers: Vec<AnswerLine> = self.lines()?;
        answers.sort_by_key(|answer| answer.place);
        Ok(answers)
    }

    pub(crate) fn lines<L: Line>(&self) -> Result<Vec<L>> {
        journal::read(&self.path.join(ANSWERS))
    }

    pub(crate) fn spec<S: Spec>(&self) -> Result<S> {
        let path = self.path.join(SPEC);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => self.bad("holds no run: there is no run.json in it"),
            _ => Error::read(&path)(source),
        })?;
        serde_json::from_slice(&bytes).map_err(|error| self.bad(format!("holds a run.json of another kind: {error}")))
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> Error {
        Error::BadRun { path: self.path.clone(), reason: reason.into() }
    }

    /// Begins the run, or goes on with it: the file of answers, and those that stand. What failed is tried again.
    ///
    /// # Errors
    /// A folder in which another process works, or that holds another run.
    pub(crate) fn start<S: Spec, L: Line>(&self, spec: &S) -> Result<(FolderLock, Journal, Vec<L>)> {
        fs::create_dir_all(&self.path).map_err(Error::write(&self.path))?;
        let lock = FolderLock::try_new(&self.path).map_err(Error::write(&self.path))?;
        let lock = lock.ok_or_else(|| self.bad("is being written by another process; wait for it, or name another"))?;
        let answers = self.path.join(ANSWERS);
        if self.path.join(SPEC).exists() {
            if let Some(difference) = difference(spec, &self.spec::<S>()?) {
                let advice = "name another folder, or ask as the run there does";
                return Err(self.bad(format!("holds a run with other settings: {difference}; {advice}")));
            }
        } else if answers.exists() {
            return Err(self.bad("has answers.jsonl and no run.json; name another folder"));
        } else {
            journal::write_json(&self.path.join(SPEC), spec)?;
        }
        let (journal, lines) = Journal::open::<L>(&answers)?;
        let count = lines.len();
        let whole: Vec<L> = lines.into_iter().filter(L::is_answered).collect();
        if whole.len() == count {
            return Ok((lock, journal, whole));
        }
        drop(journal);
        journal::rewrite(&answers, &whole)?;
        let (journal, _) = Journal::open::<L>(&answers)?;
        Ok((lock, journal, whole))
    }

    /// Writes a run that was put together from others.
    pub(crate) fn put_together(&self, spec: &RunSpec, answers: &[AnswerLine]) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(Error::write(&self.path))?;
        if self.path.join(SPEC).exists() || self.path.join(ANSWERS).exists() {
            return Err(self.bad("holds a run already; name another folder"));
        }
        journal::rewrite(&self.path.join(ANSWERS), answers)?;
        journal::write_json(&self.path.join(SPEC), spec)
    }

    /// Writes `result.json` and what a leaderboard takes.
    pub(crate) fn finish(&self, data_set: &dyn DataSet, spec: &RunSpec) -> Result<EvalResult> {
        let answers = self.answers()?;
        for (name, bytes) in data_set.submission(&answers)? {
            journal::write(&self.path.join(name), &bytes)?;
        }
        let result = EvalResult::new(data_set, spec, &answers);
        journal::write_json(&self.path.join(RESULT), &result)?;
        Ok(result)
    }
}
