//! A hook between two layers: visual tokens of a prompt that the later ones are not to see.

use std::ops::Range;

use burn::tensor::Tensor;
use longvu_core::{WatchedStep, ops};

use crate::{Decoder, Error, KvCache, Result, decoder_layer::Context};

/// Which visual tokens of a prompt leave it after some layers.
///
/// Whoever chooses sees the attention that they receive from the prompt's last position in the last of these layers, as the mean over
/// heads. Later layers see the others at the positions where they stood, here and in the key/value cache.
pub struct PromptPruning<'a> {
    /// Layers that see every token: 1 or more, and fewer than there are.
    pub layers: usize,
    /// The visual tokens among the positions that are pushed: ascending ranges, which end before the last position.
    pub visual: &'a [Range<usize>],
    /// How many of them stay.
    pub keeps: usize,
    /// The places of as many of them, ascending, of the attention that each receives.
    pub choose: &'a (dyn Fn(&[f32]) -> Vec<usize> + Sync),
}

/// What became of a prompt's visual tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrunedPrompt {
    /// Layers that saw every token.
    pub layers: usize,
    /// Visual tokens.
    pub visual: usize,
    /// The places among them of those that later layers saw, ascending.
    pub kept: Vec<usize>,
}

impl PromptPruning<'_> {
    /// The positions of the visual tokens.
    ///
    /// # Errors
    /// Ranges that are not ascending, or reach the last of `positions`; layers that there are not, or none after them; more tokens to
    /// keep than there are.
    fn positions(&self, positions: usize, layers: usize) -> Result<Vec<usize>> {
        let bad = |name, value: String, expected| Err(Error::InvalidSetting { name, value, expected });
        if self.layers == 0 || self.layers >= layers {
            return bad("layers", format!("{} of {layers}", self.layers), "1 or more, and fewer than the model has");
        }
        let visual: Vec<usize> = self.visual.iter().cloned().flatten().collect();
        let ascending = visual.is_sorted_by(|a, b| a < b);
        if !ascending || visual.last().is_some_and(|&last| last + 1 >= positions) {
            let expected = "ascending positions before the prompt's last";
            return bad("visual", format!("{:?} of {positions} positions", self.visual), expected);
        }
        if self.keeps > visual.len() {
            return bad("keeps", format!("{} of {} visual tokens", self.keeps, visual.len()), "no more than there are");
        }
        Ok(visual)
    }

    /// The places that `choose` says, checked.
    fn chosen(&self, attention: &[f32]) -> Result<Vec<usize>> {
        let kept = (self.choose)(attention);
        let fits = kept.len() == self.keeps && kept.is_sorted_by(|a, b| a < b);
        if fits && kept.last().is_none_or(|&last| last < attention.len()) {
            return Ok(kept);
        }
        let value = format!("{} places of {} visual tokens", kept.len(), attention.len());
        Err(Error::InvalidSetting { name: "choose", value, expected: "as many ascending places as are to stay" })
    }
}

impl Decoder {
    /// Pushes a prompt in chunks of `chunk` positions through the first layers, and what `pruning` leaves of it through the others;
    /// returns the final-norm output of the last position. The cache, which gets room for `capacity` positions, counts all
    /// positions; later layers hold those that were left.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, positions, hidden_size]`, at least one position
    /// - output: `[1, 1, hidden_size]`
    ///
    /// # Errors
    /// What `pruning` says that makes no sense, a cache that lacks positions from another layer on, and [`Error::Cancelled`] when the
    /// watcher wants no more; the cache then holds nothing of this prompt.
    #[doc(hidden)]
    pub fn prefill_pruned(
        &self,
        inputs_embeds: Tensor<3>,
        cache: &mut KvCache,
        chunk: usize,
        pruning: &PromptPruning<'_>,
        watched: &WatchedStep<'_>,
        capacity: usize,
    ) -> Result<(Tensor<3>, PrunedPrompt)> {
        let ([_, positions, _], start) = (inputs_embeds.dims(), cache.len());
        let visual = pruning.positions(positions, self.layers.len())?;
        if let Some((_, from)) = cache.dropped().filter(|(_, from)| *from != pruning.layers) {
            let value = format!("{} where the cache lacks positions from layer {from} on", pruning.layers);
            return Err(Error::InvalidSetting { name: "layers", value, expected: "the same for the whole cache" });
        }
        let before = cache.dropped().map_or(0, |(dropped, _)| dropped.len());
        cache.reserve_pruned(capacity, pruning.layers, before + visual.len() - pruning.keeps);

        let all: Vec<usize> = (start..start + positions).collect();
        let early = positions * pruning.layers / self.layers.len();
        let mut first = Span { layers: 0..pruning.layers, told: 0..early, last_input: None };
        let seen = self.run(&mut first, inputs_embeds, &all, cache, chunk, watched)?;
        let attention = self.attention_to(&visual, pruning.layers - 1, first.last_input, cache, start + positions);
        let kept = pruning.chosen(&attention)?;

        let dropped = complement(&visual, &kept);
        let left: Vec<usize> = (0..positions).filter(|position| dropped.binary_search(position).is_err()).collect();
        let [_, _, hidden] = seen.dims();
        let seen = ops::select_rows(seen.reshape([positions, hidden]), &left).reshape([1, left.len(), hidden]);
        let left: Vec<usize> = left.into_iter().map(|position| start + position).collect();
        let mut later = Span { layers: pruning.layers..self.layers.len(), told: early..positions, last_input: None };
        let out = self.run(&mut later, seen, &left, cache, chunk, watched)?;
        cache.advance(positions);
        cache.note_dropped(pruning.layers, dropped.into_iter().map(|position| start + position));
        let last = out.narrow(1, left.len() - 1, 1);
        let report = PrunedPrompt { layers: pruning.layers, visual: visual.len(), kept };
        Ok((self.norm.forward(last), report))
    }

    /// Pushes inputs of the given positions through some layers, chunk by chunk; returns the outputs.
    fn run(
        &self,
        span: &mut Span,
        inputs: Tensor<3>,
        positions: &[usize],
        cache: &mut KvCache,
        chunk: usize,
        watched: &WatchedStep<'_>,
    ) -> Result<Tensor<3>> {
        let (count, layers) = (positions.len(), span.layers.len());
        let mut outputs = Vec::with_capacity(count.div_ceil(chunk.max(1)));
        for start in (0..count).step_by(chunk.max(1)) {
            let len = chunk.max(1).min(count - start);
            let input = inputs.clone().narrow(1, start, len);
            // What the last layer of these is about to see.
            let (mut layer, mut input_of_last) = (0, (layers == 1).then(|| input.clone()));
            let told = span.told.clone();
            let mut observe = |output: &Tensor<3>| {
                layer += 1;
                if layer + 1 == layers {
                    input_of_last = Some(output.clone());
                }
                let done = start + len * layer / layers;
                watched.done((told.start + told.len() * done / count) as u64)
            };
            let (places, context) =
                (positions[start..start + len].iter().copied(), Context::Cached((&mut *cache, start)));
            outputs.push(self.try_layers(span.layers.clone(), input, places, context, &mut observe)?);
            span.last_input = input_of_last.map(|input| input.narrow(1, len - 1, 1));
        }
        Ok(if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 1) })
    }

    /// The attention that positions of the newest part of a sequence receive from its last position, in a layer.
    fn attention_to(
        &self,
        visual: &[usize],
        layer: usize,
        last_input: Option<Tensor<3>>,
        cache: &mut KvCache,
        len: usize,
    ) -> Vec<f32> {
        let start = cache.len();
        let Some((input, keys)) = last_input.zip(cache.layer(layer).keys(len)) else { return Vec::new() };
        let tables = self.rotary.tables([len - 1], &input.device());
        let paid = self.layers[layer].attention_paid(input, (&tables.0, &tables.1), keys);
        visual.iter().map(|position| paid[start + position]).collect()
    }
}

/// Some of the layers, and the part of the prompt's progress that is told while they run.
struct Span {
    layers: Range<usize>,
    told: Range<usize>,
    /// The input of the last of them at the last position, once it is known.
    last_input: Option<Tensor<3>>,
}

/// Those of `positions` that do not stand at the places `kept`.
fn complement(positions: &[usize], kept: &[usize]) -> Vec<usize> {
    let gone = |(place, _): &(usize, &usize)| kept.binary_search(place).is_err();
    positions.iter().enumerate().filter(gone).map(|(_, &position)| position).collect()
}
