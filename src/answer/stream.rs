//! Asking: questions about encoded videos and images, or about nothing at all.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use longvu_core::{Step, Watch};
use serde::Serialize;
use web_time::Instant;

use crate::{
    EncodedVideo, Error, ErrorKind, LongVu, PromptCache, Result,
    answer::{
        prompt_cache::{Continued, Marks},
        pruned::{DecoderReport, PrunedLayers},
    },
    compress::FusionReport,
    encoded::video::add,
    llm::{Conversation, Decoder, FinishReason, Generation, GenerationConfig, PromptIds, TextStream},
};

/// Seconds that each step of answering took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnswerTimings {
    /// Stages 2 and 3 and the input embeddings.
    pub prepare: f64,
    /// The prompt's way through the language model.
    pub prefill: f64,
    /// All tokens of the answer. In an [`AnswerBatch`](crate::AnswerBatch) it is the time that the answer took to come, which it
    /// shares with the others of its steps.
    pub generate: f64,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Why it ended; `None` until it has.
    pub finish_reason: Option<FinishReason>,
    /// Positions of the prompt, visual tokens included.
    pub prompt_tokens: usize,
    /// Positions of the prompt that an earlier one had pushed through the language model already.
    pub cached_tokens: usize,
    /// Visual tokens of the prompt.
    pub visual_tokens: usize,
    /// Ids of the answer's tokens.
    pub generated_ids: Vec<u32>,
    /// What stages 2 and 3 did, for each video or image.
    pub reports: Vec<FusionReport>,
    /// What went on in the language model, where a stage stands there and there was something to see.
    pub decoder: Option<DecoderReport>,
    /// For each video or image, the sampled frames that the prompt used.
    pub selected: Vec<Vec<usize>>,
    /// Seconds that each step took.
    pub timings: AnswerTimings,
}

impl LongVu {
    /// Asks a question about a video or image; the greedy answer of at most 128 tokens.
    ///
    /// # Errors
    /// An empty question, or one that leaves no room for the video.
    pub fn ask(&self, visual: &EncodedVideo, question: &str) -> Result<String> {
        Ok(self.stream(&[visual], question, &GenerationConfig::default())?.finish()?.text)
    }

    /// Asks a question without a video.
    ///
    /// # Errors
    /// As [`LongVu::ask`].
    pub fn ask_text(&self, question: &str) -> Result<String> {
        Ok(self.stream(&[], question, &GenerationConfig::default())?.finish()?.text)
    }

    /// Asks a question about any number of videos and images; the answer comes in pieces.
    ///
    /// The prompt goes through the language model before this returns, which takes most of the time to the first piece; each
    /// piece takes a token's or a few tokens' time. The stream is owned: it may outlive `visuals` and this handle, go to
    /// another thread, and be dropped at any time, which ends the answer.
    ///
    /// # Errors
    /// As [`LongVu::ask`], settings out of range, and a watcher that says to stop.
    pub fn stream(&self, visuals: &[&EncodedVideo], question: &str, config: &GenerationConfig) -> Result<AnswerStream> {
        let mut conversation = Conversation::new(visuals.len());
        conversation.push_user(question);
        self.reply(visuals, &conversation, config)
    }

    /// A conversation as this model's prompt: its chat template, tokenised, with a placeholder for each visual.
    ///
    /// # Errors
    /// Turns that do not alternate, and texts that may not stand in a prompt.
    pub fn prompt_ids(&self, conversation: &Conversation) -> Result<PromptIds> {
        Ok(conversation.prompt_ids(&self.parts.template, &self.parts.tokenizer)?)
    }

    /// Answers the last question of a conversation about `visuals`.
    ///
    /// # Errors
    /// As [`LongVu::stream`], and turns that do not alternate.
    pub fn reply(
        &self,
        visuals: &[&EncodedVideo],
        conversation: &Conversation,
        config: &GenerationConfig,
    ) -> Result<AnswerStream> {
        self.answer(visuals, conversation, config, None)
    }

    /// The same, going on from an earlier prompt and its answer as far as this prompt begins alike.
    ///
    /// The answer is what it would be without. `cache` is left empty, unless the question is refused;
    /// [`AnswerStream::finish_with_cache`] and [`AnswerStream::into_cache`] give the next one.
    ///
    /// # Errors
    /// As [`LongVu::reply`].
    pub fn reply_from(
        &self,
        cache: &mut PromptCache,
        visuals: &[&EncodedVideo],
        conversation: &Conversation,
        config: &GenerationConfig,
    ) -> Result<AnswerStream> {
        self.answer(visuals, conversation, config, Some(cache))
    }

    /// This handle's watcher, after a count of the prompt's positions as they are pushed.
    fn counting_watch(&self) -> Watch {
        let (work, watch, counted) = (Arc::clone(&self.parts.work), self.watch.clone(), AtomicU64::new(0));
        Watch::new(move |progress| {
            if progress.step == Step::Prompt {
                let before = counted.swap(progress.done, Ordering::Relaxed);
                work.prompt_positions.add(progress.done.saturating_sub(before) as usize);
            }
            watch.tell(progress)
        })
    }

    fn answer(
        &self,
        visuals: &[&EncodedVideo],
        conversation: &Conversation,
        config: &GenerationConfig,
        cache: Option<&mut PromptCache>,
    ) -> Result<AnswerStream> {
        if conversation.turns().last().is_none_or(|turn| turn.content.trim().is_empty()) {
            return Err(Error::EmptyQuestion);
        }
        config.validate()?;
        let (config, parts) = (self.with_end_tokens(config), &self.parts);
        let mut timings = AnswerTimings::default();
        let start = Instant::now();
        let prompt = self.prompt_ids(conversation)?;
        let prepared = self.prepare(&prompt, visuals)?;
        let prompt_tokens = prepared.inputs_embeds.dims()[0];
        let visual_tokens = prepared.visual_tokens();
        let fastv = self.stages.fastv.filter(|_| visual_tokens > 0);
        let pruned = fastv.map(|fastv| PrunedLayers::new(fastv, &prepared.visual, prompt_tokens));
        let (inputs_embeds, kv_cache, cached_tokens, marks) = match cache {
            None => (prepared.inputs_embeds, None, 0, None),
            Some(cache) => {
                // What later layers hold of a visual token, and of all behind it, depends on the whole prompt.
                let most = pruned.as_ref().map_or(usize::MAX, PrunedLayers::first);
                let Continued { inputs_embeds, cache, reused, marks } =
                    cache.continue_with(self, prepared.inputs_embeds, most);
                (inputs_embeds, cache, reused, Some(marks))
            }
        };
        add(&mut timings.prepare, start);
        let start = Instant::now();
        let (decoder, watch) = (self.decoder()?, self.counting_watch());
        let generation = match &pruned {
            Some(pruned) => pruned.generate(decoder, inputs_embeds, (kv_cache, cached_tokens), &config, watch)?,
            None => Generation::new(decoder, inputs_embeds, kv_cache, &config, watch)?,
        };
        add(&mut timings.prefill, start);
        let decoder = pruned.as_ref().and_then(|pruned| pruned.report(&generation));
        Ok(AnswerStream {
            model: self.clone(),
            generation,
            marks,
            text: TextStream::new(&parts.tokenizer, &config.stop_strings),
            done: false,
            broken: None,
            answer: Answer {
                text: String::new(),
                finish_reason: None,
                prompt_tokens,
                cached_tokens,
                visual_tokens,
                generated_ids: Vec::new(),
                reports: prepared.reports,
                decoder,
                selected: prepared.selected,
                timings,
            },
        })
    }
}

/// An answer as it is generated: an iterator of text pieces, none of which ends inside a character.
///
/// It is owned and `Send`. Dropping it ends the answer; nothing is left behind.
pub struct AnswerStream {
    model: LongVu,
    generation: Generation,
    /// Present when the prompt may be continued later.
    marks: Option<Marks>,
    text: TextStream,
    done: bool,
    /// The kind of the error that the answer broke off with.
    broken: Option<ErrorKind>,
    answer: Answer,
}

impl AnswerStream {
    /// The answer so far, with what is known of the prompt.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Generates the rest and returns the whole answer.
    ///
    /// # Errors
    /// As the iterator's items, and [`Error::AnswerBroken`] where one of them was an error.
    pub fn finish(mut self) -> Result<Answer> {
        self.run_to_end()?;
        Ok(self.answer)
    }

    /// The same, with what the next prompt can go on from ([`LongVu::reply_from`]).
    ///
    /// # Errors
    /// As [`AnswerStream::finish`].
    pub fn finish_with_cache(mut self) -> Result<(Answer, PromptCache)> {
        self.run_to_end()?;
        Ok((self.answer.clone(), self.into_cache()))
    }

    fn run_to_end(&mut self) -> Result<()> {
        for piece in self.by_ref() {
            piece?;
        }
        self.broken.map_or(Ok(()), |kind| Err(Error::AnswerBroken { kind }))
    }

    /// Ends the answer here; returns what the next prompt can go on from, empty unless [`LongVu::reply_from`] made this.
    pub fn into_cache(self) -> PromptCache {
        let Self { model, generation, marks, answer, .. } = self;
        match marks {
            Some(marks) => marks.into_cache(&model, generation.into_cache(), &answer.generated_ids),
            None => PromptCache::default(),
        }
    }

    /// Scores of the vocabulary for the next token: `vocab_size` numbers.
    pub fn next_logits(&mut self) -> Vec<f32> {
        self.generation.next_logits()
    }

    /// The next piece of text; `None` once the answer has ended.
    fn advance(&mut self) -> Result<Option<String>> {
        while !self.done {
            if let Some(piece) = self.step()? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The next token; returns the text that is now certain, if there is any.
    pub(crate) fn step(&mut self) -> Result<Option<String>> {
        if self.done {
            return Ok(None);
        }
        let Some(id) = self.generation.next().transpose()? else {
            self.done = true;
            self.answer.finish_reason = self.generation.finish_reason();
            return Ok(self.text.finish());
        };
        self.answer.generated_ids.push(id);
        let piece = self.text.push(id);
        if self.text.is_stopped() {
            self.done = true;
            self.answer.finish_reason = Some(FinishReason::StopString);
        }
        Ok(piece)
    }

    /// Writes down what a piece, or a token that gave none, took and brought.
    pub(crate) fn note(&mut self, seconds: f64, piece: &Result<Option<String>>) {
        self.answer.timings.generate += seconds;
        match piece {
            Ok(Some(text)) => self.answer.text.push_str(text),
            Ok(None) => {}
            Err(error) => {
                self.done = true;
                self.broken = Some(error.kind());
            }
        }
    }

    /// What generates it, while there is more to generate.
    pub(crate) fn generation(&mut self) -> Option<&mut Generation> {
        (!self.done).then_some(&mut self.generation)
    }

    /// The language model that it goes through.
    pub(crate) fn decoder(&self) -> &Arc<Decoder> {
        self.generation.decoder()
    }

    /// Whether nothing more will come: the whole answer is there, or it broke off with an error of a kind.
    pub(crate) fn end(&self) -> Option<Result<(), ErrorKind>> {
        self.done.then(|| self.broken.map_or(Ok(()), Err))
    }
}

impl Iterator for AnswerStream {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let piece = self.advance();
        self.note(start.elapsed().as_secs_f64(), &piece);
        piece.transpose()
    }
}
