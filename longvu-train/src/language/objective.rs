//! The language stage: next-token prediction of the answers, through connector, compression and decoder.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::Tensor;
use longvu::{ModelFiles, ProjectedFrames, VisualKind};
use longvu_checkpoint::{TensorLookup, TensorSpec, Weights, build, config::LongVuConfig, declare};
use longvu_compress::{CompressionSettings, LaterStages, Preset, QueryStage, TopK};
use longvu_core::{Device, ops};
use longvu_llm::{ChatTemplate, Decoder, PromptIds, Tokenizer};
use longvu_vision::{AggregatorConfig, MmProjector, SpatialVisionAggregator};

use super::{Dialogue, FrozenTowers, Sample, SampleSource, sequence::Sequence, tokenize_dialogue};
use crate::{Error, Loss, Objective, Parameters, Result, Workers, scored::Scored};

/// What is trained: everything above the towers.
struct Model {
    aggregator: SpatialVisionAggregator,
    projector: MmProjector,
    decoder: Decoder,
}

impl Model {
    fn new(config: &LongVuConfig, aggregator: &AggregatorConfig, weights: &Weights) -> Self {
        let model = weights.at("model");
        Self {
            aggregator: SpatialVisionAggregator::new(aggregator, &model),
            projector: MmProjector::new(aggregator.channels, config.decoder.hidden_size, &model),
            decoder: Decoder::new(&config.decoder, config.language_model(), weights),
        }
    }
}

/// Training of connector and language model.
pub struct LanguageObjective {
    /// Of the phase.
    pub(crate) name: String,
    pub(crate) config: LongVuConfig,
    pub(crate) aggregator: AggregatorConfig,
    pub(crate) towers: FrozenTowers,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) template: ChatTemplate,
    /// To train on, and held out.
    pub(crate) sources: [Arc<dyn SampleSource>; 2],
    pub(crate) group: usize,
    /// The device of the towers, without gradients.
    pub(crate) device: Device,
}

/// Samples that a validation takes, at most.
const VALIDATION_SAMPLES: u64 = 96;

impl LanguageObjective {
    fn build(&self, weights: &Weights) -> Model {
        Model::new(&self.config, &self.aggregator, weights)
    }

    /// The layout of the tensors that the stage trains.
    pub(crate) fn specs_of(files: &ModelFiles) -> Vec<TensorSpec> {
        declare(|weights| Model::new(&files.config, &files.aggregator_config(), weights))
    }

    /// The sample's dialogue, or one for each question.
    fn dialogues(&self, sample: &Sample) -> Result<Vec<Dialogue>> {
        let visuals = usize::from(sample.kind.is_some());
        let turns = sample.turns.chunks(if sample.is_dialogue { sample.turns.len().max(1) } else { 1 });
        turns
            .map(|turns| tokenize_dialogue(turns, sample.system.as_deref(), visuals, &self.template, &self.tokenizer))
            .collect()
    }

    /// The visual tokens of a sample, compressed as for its first question: `[tokens, hidden_size]`.
    fn visual_tokens(
        &self,
        model: &Model,
        (sample, kind): (&Sample, VisualKind),
        prompt: &PromptIds,
        index: u64,
    ) -> Result<Tensor<2>> {
        let mut budget = longvu::budget(&self.config);
        let (text_len, text_ids) = longvu::text_lengths(&self.config, prompt);
        if budget.room(text_ids) == 0 {
            return Err(Error::SampleTooLong { index, tokens: text_ids, window: budget.max_len });
        }
        if let Some(visual_tokens) = sample.visual_tokens {
            budget = budget.at_most(visual_tokens, text_len);
        }
        let CompressionSettings { temporal, spatial, .. } =
            Preset::Package.settings(self.config.dino_threshold, self.config.drop_threshold);
        let stage = (kind == VisualKind::Video).then_some(&temporal);
        let features = self.towers.features(&sample.frames, stage, (&budget, text_len), &self.device)?;
        let size = kind.size_pair((sample.frames[0].width, sample.frames[0].height));
        let device = model.decoder.device();
        let on_graph = |x: Tensor<3>| if device.is_autodiff() { x.autodiff() } else { x };
        let aggregated = model.aggregator.forward(on_graph(features.siglip), on_graph(features.dinov2), size);
        let frames = ProjectedFrames::new(&model.projector, &self.config, aggregated, size, features.samples);
        let top = TopK::default();
        let stages = LaterStages::new(&QueryStage, &top, &spatial);
        let text = || Ok::<_, crate::Error>(model.decoder.embed(&prompt.ids_after_first_placeholder()));
        Ok(frames.fit(kind, text, (text_len, text_ids), &budget, stages)?.tokens)
    }

    /// Refuses a sample whose text alone is longer than the window.
    fn check_length(&self, dialogues: &[Dialogue], index: u64) -> Result<()> {
        let window = self.config.tokenizer_model_max_length;
        let tokens = dialogues.iter().map(|dialogue| dialogue.ids.as_slice().len()).max().unwrap_or(0);
        if tokens > window {
            return Err(Error::AnswerTooLong { index, tokens, window });
        }
        Ok(())
    }

    /// The summed loss over a sample's answer tokens, how many those are, and how many were the likeliest.
    fn sample_loss(&self, model: &Model, sample: &Sample, index: u64) -> Result<Scored> {
        let dialogues = self.dialogues(sample)?;
        self.check_length(&dialogues, index)?;
        let visual = match (sample.kind, dialogues.first()) {
            (Some(kind), Some(first)) => Some(self.visual_tokens(model, (sample, kind), &first.first_prompt, index)?),
            _ => None,
        };
        let sequence = Sequence::new(&dialogues, visual.as_ref().map_or(0, |tokens| tokens.dims()[0]));
        let [before, after] = sequence.text.map(|ids| (!ids.is_empty()).then(|| model.decoder.embed(&ids)));
        let parts: Vec<Tensor<2>> = [before, visual, after].into_iter().flatten().collect();
        let inputs_embeds = Tensor::cat(parts, 0).unsqueeze::<3>();
        let states = model.decoder.forward_branches(inputs_embeds, sequence.prefix, &sequence.branches);
        let [_, positions, hidden] = states.dims();
        let states = ops::select_rows(states.reshape([positions, hidden]), &sequence.rows);
        let shape = [sequence.targets.len(), self.config.decoder.vocab_size];
        let logits = model.decoder.logits(states.unsqueeze::<3>()).reshape(shape);
        Ok(Scored { logits, targets: sequence.targets })
    }
}

impl Objective for LanguageObjective {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        format!("{:?} {}", self.config, self.sources[0].description())
    }

    fn specs(&self) -> Vec<TensorSpec> {
        declare(|weights| self.build(weights))
    }

    fn loss(&self, parameters: Arc<TensorLookup>, index: u64) -> Result<Loss> {
        let model = build(parameters, |weights| self.build(weights))?;
        let (mut sum, mut weight) = (None, 0.0);
        for place in 0..self.group as u64 {
            let index = index * self.group as u64 + place;
            let scored = self.sample_loss(&model, &self.sources[0].sample(index)?, index)?;
            weight += scored.len() as f64;
            let loss = scored.loss();
            sum = Some(match sum {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        let sum = sum.ok_or(Error::Setting { name: "micro_batch", value: "0".into(), expected: "1 or more" })?;
        Ok(Loss { sum, weight })
    }

    fn validate(&self, parameters: &Parameters, workers: &Workers) -> Result<BTreeMap<String, f64>> {
        let model = build(parameters.constants().lookup(), |weights| self.build(weights))?;
        let samples = self.sources[1].count().map_or(VALIDATION_SAMPLES, |count| count.min(VALIDATION_SAMPLES));
        let scores = workers.map((0..samples).collect(), |index| {
            let scored = self.sample_loss(&model, &self.sources[1].sample(index)?, index)?;
            let (right, tokens) = (scored.right() as f64, scored.len() as f64);
            Ok([f64::from(scored.loss().into_scalar::<f32>()), right, tokens])
        })?;
        let total = |k: usize| scores.iter().map(|score| score[k]).sum::<f64>();
        let tokens = total(2).max(1.0);
        Ok(BTreeMap::from([
            ("loss".to_owned(), total(0) / tokens),
            ("answer tokens right".to_owned(), total(1) / tokens),
        ]))
    }
}
