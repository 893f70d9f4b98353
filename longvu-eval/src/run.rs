//! A run's folder: what was asked for, and the answers so far.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    AnswerLine, DataSet, Error, EvalResult, Result,
    journal::{self, Journal},
    spec::{Line, RunSpec, Spec, difference},
};
use longvu::checkpoint::atomic::FolderLock;

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
        match answers.windows(2).find(|pair| pair[0].place == pair[1].place) {
            Some(pair) => Err(self.bad(format!("has two answers to question {}; remove one of the lines", pair[0].id))),
            None => Ok(answers),
        }
    }

    pub(crate) fn lines<L: Line>(&self) -> Result<Vec<L>> {
        journal::read(&self.path.join(ANSWERS))
    }

    /// Whether it says what it is of.
    pub(crate) fn has_spec(&self) -> bool {
        self.path.join(SPEC).exists()
    }

    pub(crate) fn spec<S: Spec>(&self) -> Result<S> {
        let path = self.path.join(SPEC);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => self.bad("holds no run: there is no run.json in it"),
            _ => Error::read(&path)(source),
        })?;
        serde_json::from_slice(&bytes).map_err(|error| self.bad(format!("holds a run.json of another kind: {error}")))
    }

    /// Refuses to go on about a video of which answers are here and whose size has changed since.
    pub(crate) fn check_unchanged(&self, video: &str, before: u64, now: u64) -> Result<()> {
        if before == now {
            return Ok(());
        }
        let advice = "name another folder, or put the video back";
        Err(self.bad(format!("has answers about {video} with {before} bytes, and now it has {now}; {advice}")))
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
        if self.has_spec() {
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
        // A merge that was killed before its result is begun anew.
        let half = self.has_spec() && !self.path.join(RESULT).exists();
        let same = half && self.spec::<RunSpec>().is_ok_and(|there| there == *spec);
        if !same && (self.has_spec() || self.path.join(ANSWERS).exists()) {
            return Err(self.bad("holds a run already; name another folder"));
        }
        journal::write_json(&self.path.join(SPEC), spec)?;
        journal::rewrite(&self.path.join(ANSWERS), answers)
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
