//! Running an evaluation: each video is encoded once, and each answer written down at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    time::Instant,
};

use longvu::LongVu;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    AnswerLine, DataSet, Encodings, Error, EvalResult, EvalSettings, FrameCount, Question, Result, RunFolder, Seconds,
    Shard, Subtitles, asking, datasets,
    looked::{Looked, Source, check_system, is_of_the_video},
    prompt::prompt,
    spec::RunSpec,
    visual::{self, Stamp},
};

/// Which questions are asked, and what happens where that cannot be.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    /// The first so many questions.
    pub limit: Option<usize>,
    /// Only questions in one of these groups; all where there is none.
    pub subset: Vec<String>,
    /// The part that is asked here.
    pub shard: Shard,
    /// Leave out missing videos instead of refusing to begin.
    pub skip_missing: bool,
    /// Stop at a video that cannot be read instead of noting it.
    pub strict: bool,
}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct EvalProgress<'a> {
    /// The video that is looked at, or asked about.
    pub video: &'a str,
    /// Questions that have their line.
    pub done: usize,
    /// Questions of this part.
    pub questions: usize,
    /// Questions that were answered rightly so far, of those that count.
    pub right: usize,
    /// Questions that count so far.
    pub scored: usize,
}

/// An evaluation that has been checked and may begin.
pub struct Evaluation {
    data_set: Box<dyn DataSet>,
    settings: EvalSettings,
    selection: Selection,
    /// Of all parts, with their places in the data set.
    questions: Vec<(usize, Question)>,
    missing: Vec<String>,
    encodings: Option<Encodings>,
}

impl Evaluation {
    /// Reads the data set in `root` and checks that its videos are there.
    ///
    /// # Errors
    /// Files that are not as published, a subset that there is not, and missing videos, with their list.
    pub fn prepare(
        data_set: Box<dyn DataSet>,
        root: &Path,
        settings: EvalSettings,
        selection: Selection,
    ) -> Result<Self> {
        let all = data_set.questions(root)?;
        check_subset(&all, &selection.subset)?;
        let wanted = |question: &Question| {
            selection.subset.is_empty()
                || question.groups.iter().any(|(_, value)| selection.subset.iter().any(|name| name == value))
        };
        let chosen = all.into_iter().enumerate().filter(|(_, question)| wanted(question));
        let mut questions: Vec<(usize, Question)> = chosen.take(selection.limit.unwrap_or(usize::MAX)).collect();
        let missing = missing(&questions)?;
        if !missing.is_empty() && !selection.skip_missing {
            let names: HashSet<&str> = questions.iter().map(|(_, question)| question.video.name.as_str()).collect();
            let of = names.len();
            return Err(Error::MissingVideos { paths: missing.into_values().collect(), of });
        }
        questions.retain(|(_, question)| !missing.contains_key(&question.video.name));
        if questions.is_empty() {
            let reason =
                format!("none of its questions can be asked: the videos of all are missing ({})", missing.len());
            return Err(Error::BadData { path: root.to_owned(), reason });
        }
        if settings.subtitles {
            check_subtitles(root, &questions)?;
        }
        Ok(Self { data_set, settings, selection, questions, missing: missing.into_keys().collect(), encodings: None })
    }

    /// Keeps encodings of the videos, and takes those that are there.
    #[must_use]
    pub fn with_encodings(mut self, encodings: Option<Encodings>) -> Self {
        self.encodings = encodings;
        self
    }

    /// The data set.
    pub fn data_set(&self) -> &dyn DataSet {
        self.data_set.as_ref()
    }

    /// How questions are asked.
    pub fn settings(&self) -> &EvalSettings {
        &self.settings
    }

    /// Videos that are left out because they are missing.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The questions of this part.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.mine().map(|(_, question)| question)
    }

    fn mine(&self) -> impl Iterator<Item = &(usize, Question)> {
        self.questions.iter().filter(|(_, question)| self.selection.shard.has(&question.video.name))
    }

    /// Asks what has no answer in `out` yet, and scores all. `model_settings` describes the model: a run is only gone on
    /// with where it is the same, and it is part of the result. `told` hears of each question.
    ///
    /// # Errors
    /// A folder that holds another run or cannot be written to, a model that fails, a watcher that says to stop, and
    /// unreadable videos where the run is strict. What was answered stays, and the same call goes on from there.
    pub fn run(
        &self,
        model: &LongVu,
        model_settings: Value,
        out: &RunFolder,
        mut told: impl FnMut(EvalProgress<'_>),
    ) -> Result<EvalResult> {
        check_system(model, self.settings.system.as_deref())?;
        let spec = RunSpec {
            missing: self.missing.clone(),
            ..RunSpec::new(self.data_set(), &self.settings, model_settings, self.selection.shard)
        }
        .with_questions(self.questions.iter().map(|(_, question)| question));
        let (_lock, mut journal, answered) = out.start::<_, AnswerLine>(&spec)?;
        let mut tally = Tally { done: 0, questions: self.mine().count(), right: 0, scored: 0 };
        answered.iter().for_each(|line| tally.add(line));
        self.check_unchanged(out, &answered)?;
        let answered: HashSet<&str> = answered.iter().map(|line| line.id.as_str()).collect();
        for (key, questions) in self.by_video(&answered) {
            told(tally.progress(&key));
            self.ask_about(model, &questions, |line| {
                journal.push(&line)?;
                tally.add(&line);
                told(tally.progress(&key));
                Ok(())
            })?;
        }
        out.finish(self.data_set(), &spec)
    }

    /// Refuses to go on with videos that are others than those of the answers so far.
    fn check_unchanged(&self, out: &RunFolder, answered: &[AnswerLine]) -> Result<()> {
        let before: HashMap<&str, u64> = answered.iter().map(|line| (line.video.as_str(), line.video_bytes)).collect();
        let mut checked = HashSet::new();
        for question in self.questions() {
            let key = question.video.key();
            if let Some(&bytes) = before.get(key.as_str())
                && checked.insert(key)
            {
                out.check_unchanged(&question.video.name, bytes, visual::stamp(&question.video).bytes)?;
            }
        }
        Ok(())
    }

    /// Open questions of this part, those of one video together, in the order of their first.
    fn by_video(&self, answered: &HashSet<&str>) -> Vec<(String, Vec<&(usize, Question)>)> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut videos: Vec<(String, Vec<&(usize, Question)>)> = Vec::new();
        for entry in self.mine().filter(|(_, question)| !answered.contains(question.id.as_str())) {
            let key = entry.1.video.key();
            let place = *places.entry(key.clone()).or_insert_with(|| {
                videos.push((key, Vec::new()));
                videos.len() - 1
            });
            videos[place].1.push(entry);
        }
        videos
    }

    fn ask_about(
        &self,
        model: &LongVu,
        questions: &[&(usize, Question)],
        mut write: impl FnMut(AnswerLine) -> Result<()>,
    ) -> Result<()> {
        let Some((_, first)) = questions.first() else { return Ok(()) };
        let (start, stamp) = (Instant::now(), visual::stamp(&first.video));
        let source = Source::Ruled { video: &first.video, rule: &self.settings.frames };
        let looked = Looked::at(model, &source, self.encodings.as_ref());
        let mut encode = start.elapsed().as_secs_f64();
        for (place, question) in questions {
            let mut line = line(*place, question, stamp);
            match &looked {
                Ok(looked) => self.ask(model, question, looked, &mut line)?,
                Err(error) if is_of_the_video(error) && !self.selection.strict => {
                    line.error = Some(longvu::text::chain(error))
                }
                Err(_) => break,
            }
            line.seconds.encode = std::mem::take(&mut encode);
            write(line)?;
        }
        match looked {
            Err(error) if !is_of_the_video(&error) => Err(error.into()),
            Err(error) if self.selection.strict => {
                Err(Error::Strict { video: first.video.found(), source: Box::new(error) })
            }
            _ => Ok(()),
        }
    }

    fn ask(&self, model: &LongVu, question: &Question, looked: &Looked, line: &mut AnswerLine) -> Result<()> {
        line.warnings.clone_from(&looked.warnings);
        let subtitles = match question.subtitles.as_ref().filter(|_| self.settings.subtitles) {
            None => None,
            Some(path) => {
                let tokens = |text: &str| model.tokenizer().encode(text).map_or(usize::MAX, |ids| ids.len());
                let subtitles = Subtitles::open(path)?;
                if subtitles.unreadable() > 0 {
                    line.warnings.push(format!("{} cues of its subtitles cannot be read", subtitles.unreadable()));
                }
                Some(subtitles.lines(&looked.indices(), looked.rate, tokens))
            }
        };
        let text = prompt(self.data_set(), self.settings.prompt, question, subtitles.as_deref());
        line.prompt_sha256 = format!("{:x}", Sha256::digest(&text));
        line.subtitle_lines = subtitles.map_or(0, |lines| lines.len());
        line.frames.sampled = looked.encoded.sampled_frames();
        line.frames.repeated = looked.encoded.tower_frames().dinov2_repeats;
        match asking::ask(
            model,
            &looked.encoded,
            &text,
            (question.options.len(), self.data_set.letter_rule()),
            &self.settings,
        ) {
            Ok(chosen) => {
                line.right = question.answer.map(|answer| chosen.choice == Some(answer));
                line.letter = chosen.choice.map(datasets::letter);
                (line.text, line.choice, line.likelihoods) = (chosen.text, chosen.choice, chosen.likelihoods);
                (line.frames, line.prompt_tokens) = (chosen.frames, chosen.prompt_tokens);
                (line.visual_tokens, line.seconds.answer) = (chosen.visual_tokens, chosen.seconds);
                Ok(())
            }
            // A prompt that does not fit, say: of this question, and no reason to give up the others.
            Err(Error::Model(error)) if is_of_the_video(&error) && !self.selection.strict => {
                line.error = Some(longvu::text::chain(&error));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn line(place: usize, question: &Question, stamp: Stamp) -> AnswerLine {
    let owned = |pairs: &[(&'static str, String)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    AnswerLine {
        id: question.id.clone(),
        place,
        video: question.video.key(),
        groups: owned(&question.groups),
        question: question.text.clone(),
        options: question.options.clone(),
        answer: question.answer,
        prompt_sha256: String::new(),
        text: String::new(),
        choice: None,
        letter: None,
        right: None,
        likelihoods: Vec::new(),
        frames: FrameCount::default(),
        prompt_tokens: 0,
        visual_tokens: 0,
        subtitle_lines: 0,
        video_bytes: stamp.bytes,
        video_changed: stamp.changed,
        warnings: Vec::new(),
        error: None,
        seconds: Seconds::default(),
        extra: owned(&question.extra),
    }
}

struct Tally {
    done: usize,
    questions: usize,
    right: usize,
    scored: usize,
}

impl Tally {
    fn add(&mut self, line: &AnswerLine) {
        self.done += 1;
        self.scored += usize::from(line.right.is_some());
        self.right += usize::from(line.right == Some(true));
    }

    fn progress<'a>(&self, video: &'a str) -> EvalProgress<'a> {
        EvalProgress { video, done: self.done, questions: self.questions, right: self.right, scored: self.scored }
    }
}

/// Refuses names of groups that no question is in.
fn check_subset(questions: &[Question], subset: &[String]) -> Result<()> {
    let mut groups: Vec<&str> =
        questions.iter().flat_map(|q| q.groups.iter().map(|(_, value)| value.as_str())).collect();
    groups.sort_unstable();
    groups.dedup();
    match subset.iter().find(|name| !groups.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Error::Setting {
            setting: "the subset",
            value: format!("`{unknown}`"),
            expected: format!("the groups are {}", groups.join(", ")),
        }),
    }
}

/// Refuses subtitles that cannot be read, before anything is asked.
fn check_subtitles(root: &Path, questions: &[(usize, Question)]) -> Result<()> {
    let files: BTreeSet<&Path> = questions.iter().filter_map(|(_, question)| question.subtitles.as_deref()).collect();
    if files.is_empty() {
        let reason = "none of its videos has subtitles; leave them out, or put the .srt files where they belong";
        return Err(Error::BadData { path: root.to_owned(), reason: reason.into() });
    }
    files.into_iter().try_for_each(|path| Subtitles::open(path).map(drop))
}

/// Names and paths of videos that are not there.
fn missing(questions: &[(usize, Question)]) -> Result<BTreeMap<String, std::path::PathBuf>> {
    let mut checked = HashSet::new();
    let mut missing = BTreeMap::new();
    for (_, question) in questions {
        let video = &question.video;
        if checked.insert(video.name.as_str()) && !visual::is_there(video)? {
            missing.insert(video.name.clone(), video.found());
        }
    }
    Ok(missing)
}
