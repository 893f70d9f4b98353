//! Several answers at once: their tokens go through the language model together.

use std::sync::Arc;

use web_time::Instant;

use crate::{AnswerStream, Error, Result, llm::Generation};

/// An answer of an [`AnswerBatch`]. No other of the same batch has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u64);

/// What a step of an [`AnswerBatch`] brought for one of its answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchEvent {
    /// More of its text.
    Piece(String),
    /// It has ended, and left the batch: the whole answer.
    Ended(Box<AnswerStream>),
    /// It broke off, and left the batch. Others are not concerned.
    Failed(Error),
}

/// Answers of one model that are generated together, whenever each began and will end.
///
/// A token of an answer takes as long as reading the language model's weights does. A batch reads them once for several
/// answers ([`Decoder::rows_at_once`](crate::llm::Decoder::rows_at_once)), so that more tokens come in the same time. Each answer
/// has its own settings, sampler, stop strings and watcher, and is the one that it would be alone: on the CPU's kernels to the
/// bit, on other devices as far as products of several rows are rounded like those of one.
///
/// ```no_run
/// use longvu::{AnswerBatch, BatchEvent, GenerationConfig, LongVu};
///
/// # fn main() -> longvu::Result<()> {
/// # let model = LongVu::from_pretrained("model", &longvu::default_device())?;
/// # let video = model.load_encoded("clip.longvu")?;
/// let mut batch = AnswerBatch::new();
/// for question in ["What happens in this video?", "How does it end?"] {
///     batch.insert(model.stream(&[&video], question, &GenerationConfig::default())?)?;
/// }
/// while !batch.is_empty() {
///     for (id, event) in batch.next_pieces() {
///         match event {
///             BatchEvent::Piece(text) => println!("{id:?} goes on: {text}"),
///             BatchEvent::Ended(stream) => println!("{id:?} is whole: {}", stream.answer().text),
///             BatchEvent::Failed(error) => println!("{id:?} failed: {error}"),
///             _ => {}
///         }
///     }
///     // Here others may join, or leave.
/// }
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct AnswerBatch {
    answers: Vec<(BatchId, AnswerStream)>,
    next_id: u64,
}

impl AnswerBatch {
    /// Without an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer, which may have begun already, or have ended.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an answer of another language model than that of the answers here, which is dropped;
    /// [`AnswerBatch::takes`] tells before.
    pub fn insert(&mut self, answer: AnswerStream) -> Result<BatchId> {
        if !self.takes(&answer) {
            return Err(Error::OtherModel);
        }
        let id = BatchId(self.next_id);
        self.next_id += 1;
        self.answers.push((id, answer));
        Ok(id)
    }

    /// Whether an answer is of the same loaded language model as those here. An empty batch takes any.
    pub fn takes(&self, answer: &AnswerStream) -> bool {
        self.answers.first().is_none_or(|(_, first)| Arc::ptr_eq(first.decoder(), answer.decoder()))
    }

    /// Takes an answer out, as far as it has come: it can go on alone, or in another batch. `None` once it has left.
    pub fn remove(&mut self, id: BatchId) -> Option<AnswerStream> {
        let place = self.answers.iter().position(|(other, _)| *other == id)?;
        Some(self.answers.remove(place).1)
    }

    /// Answers in it.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no answer is in it.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// One token for every answer, and what that brought, in the order in which they came.
    ///
    /// A token may bring no text yet, and the last one both a piece and the end. Watchers are told of
    /// [`Step::Answer`](crate::Step::Answer) as for an answer alone; one that says to stop fails its answer only. A watcher
    /// that panics takes all answers with it: the batch is empty then.
    pub fn next_pieces(&mut self) -> Vec<(BatchId, BatchEvent)> {
        let mut answers = std::mem::take(&mut self.answers);
        let start = Instant::now();
        let mut generations: Vec<&mut Generation> =
            answers.iter_mut().filter_map(|(_, answer)| answer.generation()).collect();
        Generation::advance_together(&mut generations);
        let pieces: Vec<Result<Option<String>>> = answers.iter_mut().map(|(_, answer)| answer.step()).collect();
        let seconds = start.elapsed().as_secs_f64();
        let mut events = Vec::with_capacity(answers.len());
        for ((id, mut answer), piece) in answers.into_iter().zip(pieces) {
            answer.note(seconds, &piece);
            match piece {
                Ok(piece) => events.extend(piece.map(|text| (id, BatchEvent::Piece(text)))),
                Err(error) => {
                    events.push((id, BatchEvent::Failed(error)));
                    continue;
                }
            }
            match answer.end() {
                None => self.answers.push((id, answer)),
                Some(Ok(())) => events.push((id, BatchEvent::Ended(Box::new(answer)))),
                Some(Err(kind)) => events.push((id, BatchEvent::Failed(Error::AnswerBroken { kind }))),
            }
        }
        events
    }
}
