//! Questions about many videos, in parts that any engine can schedule: each part is a Parquet file.

mod folder;
mod list;
mod parquet;
mod row;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Instant,
};

use longvu::{GenerationConfig, LongVu, VideoOptions, llm::Conversation};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::folder::{BatchSpec, JOURNALS};
pub use self::{list::BatchItem, parquet::SCHEMA_VERSION, row::BatchRow};
use crate::{
    Encodings, Error, Result, RunFolder, Shard,
    looked::{Looked, Source, check_system, is_of_the_video},
    spec::Line,
};

/// How videos are looked at and questions answered, beside what the model itself is set to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BatchSettings {
    /// Which frames are looked at.
    pub video: VideoOptions,
    /// How answers are generated.
    pub generation: GenerationConfig,
    /// The system prompt; the model's usual one where there is none.
    pub system: Option<String>,
    /// The part that is done here.
    pub shard: Shard,
    /// Where encodings are kept.
    pub encodings: Option<Encodings>,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// Rows that are there.
    pub done: usize,
    /// Rows of this part.
    pub rows: usize,
    /// Rows with an error.
    pub failed: usize,
}

/// What a part came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BatchSummary {
    /// The Parquet file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: usize,
    /// Rows with an error.
    pub failed: usize,
    /// The first of the errors.
    pub first_error: Option<String>,
}

impl Line for BatchRow {
    fn is_answered(&self) -> bool {
        self.error.is_none()
    }
}

/// A list of videos with questions, read and checked.
pub struct Batch {
    items: Vec<BatchItem>,
    settings: BatchSettings,
}

impl Batch {
    /// Reads a list: a line of JSON for each video, `{"id": …, "video": …, "questions": […]}`. Paths are from the list's
    /// folder.
    ///
    /// # Errors
    /// A file that cannot be read, and lines that are not of this kind, with their number.
    pub fn open(list: &Path, settings: BatchSettings) -> Result<Self> {
        Ok(Self { items: list::read(list)?, settings })
    }

    /// The same list with other settings.
    #[must_use]
    pub fn with_settings(mut self, settings: BatchSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The videos of this part.
    pub fn items(&self) -> impl Iterator<Item = &BatchItem> {
        self.items.iter().filter(|item| self.settings.shard.has(&item.id))
    }

    /// The part's file in the folder `out`: `part-00000-of-00004.parquet`.
    pub fn part(&self, out: &Path) -> PathBuf {
        out.join(format!("{}.parquet", self.part_name()))
    }

    fn part_name(&self) -> String {
        let shard = self.settings.shard;
        format!("part-{:05}-of-{:05}", shard.index(), shard.of())
    }

    /// Answers what has no answer yet, and writes the part's file, whole or not at all.
    ///
    /// Until then, and for another run that goes on, rows are in `out/_longvu`, which readers of Parquet folders pass over. A
    /// video that cannot be read gives rows with an error, which the next run tries again.
    ///
    /// # Errors
    /// A folder that holds parts of another list or division or cannot be written to, a model that fails, a watcher that says to stop.
    pub fn run(
        &self,
        model: &LongVu,
        model_settings: Value,
        out: &Path,
        mut told: impl FnMut(BatchProgress),
    ) -> Result<BatchSummary> {
        let spec = self.spec(model_settings)?;
        folder::is_of(out, &self.part_name(), &spec)?;
        check_system(model, self.settings.system.as_deref())?;
        let folder = RunFolder::new(out.join(JOURNALS).join(self.part_name()));
        let (_lock, mut journal, before) = folder.start::<_, BatchRow>(&spec)?;
        let rows = self.items().map(|item| item.questions.len()).sum();
        let mut progress = BatchProgress { done: before.len(), rows, failed: 0 };
        told(progress);
        self.check_unchanged(&folder, &before)?;
        let before: HashSet<(&str, usize)> = before.iter().map(|row| (row.id.as_str(), row.question_index)).collect();
        for item in self.items() {
            self.answer(model, item, &before, |row| {
                progress.done += 1;
                progress.failed += usize::from(!row.is_answered());
                journal.push(&row)?;
                told(progress);
                Ok(())
            })?;
        }
        let mut all: Vec<BatchRow> = folder.lines()?;
        let places: HashMap<&str, usize> =
            self.items.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect();
        all.sort_by_key(|row| (places.get(row.id.as_str()).copied(), row.question_index));
        let same = |pair: &&[BatchRow]| (&pair[0].id, pair[0].question_index) == (&pair[1].id, pair[1].question_index);
        if let Some(pair) = all.windows(2).find(same) {
            let (id, question) = (&pair[0].id, pair[0].question_index);
            return Err(folder.bad(format!("has two rows of question {question} about {id}; remove one of the lines")));
        }
        let path = self.part(out);
        parquet::write(&path, &all)?;
        let first_error = all.iter().find_map(|row| row.error.clone());
        Ok(BatchSummary { path, rows: all.len(), failed: progress.failed, first_error })
    }

    /// Refuses to go on with videos that are others than those of the rows so far.
    fn check_unchanged(&self, folder: &RunFolder, before: &[BatchRow]) -> Result<()> {
        let before: HashMap<&str, u64> = before.iter().map(|row| (row.id.as_str(), row.video_bytes)).collect();
        for item in self.items() {
            if let Some(&bytes) = before.get(item.id.as_str()) {
                folder.check_unchanged(&item.video, bytes, item.bytes())?;
            }
        }
        Ok(())
    }

    fn spec(&self, model: Value) -> Result<BatchSpec> {
        let settings = &self.settings;
        let json = |value: serde_json::Result<Value>| {
            value.map_err(|error| Error::Setting {
                setting: "the settings",
                value: "no JSON".into(),
                expected: error.to_string(),
            })
        };
        let mut hash = Sha256::new();
        // Not where the list lies: other machines may have it elsewhere.
        for item in &self.items {
            for text in [&item.id, &item.video].into_iter().chain(&item.questions) {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
            hash.update(u64::MAX.to_be_bytes());
        }
        Ok(BatchSpec {
            longvu: env!("CARGO_PKG_VERSION").into(),
            schema: SCHEMA_VERSION,
            model,
            video: json(serde_json::to_value(&settings.video))?,
            generation: json(serde_json::to_value(&settings.generation))?,
            system: settings.system.clone(),
            list_sha256: format!("{:x}", hash.finalize()),
            shard: settings.shard,
        })
    }

    fn answer(
        &self,
        model: &LongVu,
        item: &BatchItem,
        before: &HashSet<(&str, usize)>,
        mut write: impl FnMut(BatchRow) -> Result<()>,
    ) -> Result<()> {
        let open: Vec<usize> =
            (0..item.questions.len()).filter(|&i| !before.contains(&(item.id.as_str(), i))).collect();
        if open.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let source = Source::File { path: &item.path, options: &self.settings.video };
        let looked = match Looked::at(model, &source, self.settings.encodings.as_ref()) {
            Err(error) if !is_of_the_video(&error) => return Err(error.into()),
            looked => looked,
        };
        let mut encode = start.elapsed().as_secs_f64();
        for question in open {
            let mut row = BatchRow::new(item, question);
            row.encode_seconds = std::mem::take(&mut encode);
            match &looked {
                Ok(looked) => self.ask(model, looked, &mut row)?,
                Err(error) => row.error = Some(longvu::text::chain(error)),
            }
            write(row)?;
        }
        Ok(())
    }

    fn ask(&self, model: &LongVu, looked: &Looked, row: &mut BatchRow) -> Result<()> {
        let start = Instant::now();
        let mut conversation = Conversation::new(1);
        if let Some(system) = &self.settings.system {
            conversation = conversation.with_system(system);
        }
        conversation.push_user(&row.question);
        let answered = model
            .reply(&[&looked.encoded], &conversation, &self.settings.generation)
            .and_then(longvu::AnswerStream::finish);
        row.warnings.clone_from(&looked.warnings);
        match answered {
            Ok(answer) => row.answered(&looked.encoded, &answer),
            Err(error) if is_of_the_video(&error) => row.error = Some(longvu::text::chain(&error)),
            Err(error) => return Err(error.into()),
        }
        row.answer_seconds = start.elapsed().as_secs_f64();
        Ok(())
    }
}
