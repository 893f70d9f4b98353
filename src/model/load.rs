//! From a builder's settings to a model in memory.

use std::sync::Arc;

use longvu_checkpoint::{Checkpoint, LoadOptions, check, config::LongVuConfig, load};

use crate::{
    Result,
    encoded::fingerprint::vision_fingerprint,
    llm::{ChatTemplate, Decoder, Tokenizer, load_eos_token_ids_with},
    model::{
        builder::LongVuBuilder,
        files::{CONNECTOR, ModelFiles},
        longvu::{LongVu, Parts},
        parts::{Lasting, loader},
        residency::Residency,
        stages::Stages,
        towers::Tower,
    },
    plan::ModelSizes,
    vision::{Dinov2, Siglip},
};

impl LongVuBuilder {
    /// Finds and checks everything, and loads it as far as its [`Residency`] asks for.
    ///
    /// # Errors
    /// Missing files, unknown or inconsistent configurations, weights that do not fit them, a dtype that the device
    /// lacks, and failed downloads; sizes and shapes are checked before any weight is read.
    pub fn load(self) -> Result<LongVu> {
        self.weights.check_supported(&self.device)?;
        let files = self.files()?;
        let (tokenizer, template, eos_token_ids) = self.load_text(&files)?;
        let stages = self.stages(&files.config)?;
        let tower_batch = self.checked_tower_batch()?;
        let checkpoint = Arc::new(Checkpoint::open(&files.repo)?);
        let connector = self.connector_options();
        check(checkpoint.as_ref(), &connector, |w| files.build_connector(w))?;
        let decoder = self.decoder(&files, &checkpoint)?;
        let (siglip, dinov2) = (self.siglip(&files)?, self.dinov2(&files)?);
        let (aggregator, projector) = load(checkpoint.clone(), &connector, |w| files.build_connector(w))?.0;
        let vision_fingerprint = vision_fingerprint(&files)?;
        let sizes = ModelSizes::of(&files);
        let parts = Parts {
            device: self.device,
            weights: self.weights,
            residency: self.residency,
            siglip,
            dinov2,
            aggregator,
            projector,
            decoder,
            tokenizer,
            template,
            eos_token_ids,
            tower_batch,
            sizes,
            spill: self.spill,
            encoded_bytes: self.encoded_bytes,
            vision_fingerprint,
            checkpoint,
            work: Arc::default(),
            config: files.config,
        };
        let model = LongVu::from_parts(parts, stages);
        if self.residency != Residency::OnDemand {
            model.watched(self.watch).load_parts()?;
        }
        Ok(model)
    }

    fn connector_options(&self) -> LoadOptions {
        LoadOptions::new("vision connector", &self.device, self.weights.dtype)
            .with_prefixes(CONNECTOR)
            .with_watch(self.watch.clone())
    }

    fn quantized_options(&self, part: &str) -> LoadOptions {
        LoadOptions::new(part, &self.device, self.weights)
    }

    fn decoder(&self, files: &ModelFiles, checkpoint: &Arc<Checkpoint>) -> Result<Lasting<Decoder>> {
        let options = self.quantized_options("language model").with_foreign(CONNECTOR);
        let (config, family) = (files.config.decoder.clone(), files.config.language_model());
        Ok(Lasting::new(loader(checkpoint.clone(), options, move |w| Decoder::new(&config, family, w))?))
    }

    fn siglip(&self, files: &ModelFiles) -> Result<Tower<Siglip>> {
        // The two-tower file also has the text half, and two scalars.
        let options = self.quantized_options("SigLIP tower").with_foreign(["text_model.", "logit_"]);
        let config = files.siglip_config.clone();
        let load = loader(files.siglip.open()?, options, move |w| Siglip::new(&config, w))?;
        Ok(Tower::new(load, self.residency, &files.siglip_pixels))
    }

    fn dinov2(&self, files: &ModelFiles) -> Result<Tower<Dinov2>> {
        let options = self.quantized_options("DINOv2 tower");
        let config = files.dinov2_config.clone();
        let load = loader(files.dinov2.open()?, options, move |w| Dinov2::new(&config, w))?;
        Ok(Tower::new(load, self.residency, &files.dinov2_pixels))
    }

    fn load_text(&self, files: &ModelFiles) -> Result<(Tokenizer, ChatTemplate, Vec<u32>)> {
        let dir = &files.text_folder()?;
        let (tokenizer, template) = files.load_text_with(dir, &self.text_limits)?;
        let decoder = &files.config.decoder;
        let declared = decoder.eos_token_id.as_ref().map_or(&[][..], |ids| ids.as_slice());
        let mut eos = load_eos_token_ids_with(dir, declared, &self.text_limits)?;
        eos.retain(|&id| {
            let known = (id as usize) < decoder.vocab_size;
            if !known {
                let rows = decoder.vocab_size;
                tracing::warn!(id, rows, "answers are to end at a token that the language model does not have");
            }
            known
        });
        eos.extend(tokenizer.end_of_turn_ids());
        eos.sort_unstable();
        eos.dedup();
        Ok((tokenizer, template, eos))
    }

    /// The stages that this builder asks for; a threshold that was set stands in `config` by now.
    fn stages(&self, config: &LongVuConfig) -> Result<Stages> {
        let mut settings = self.stages.clone();
        if self.overrides.contains_key("dino_threshold") {
            settings = settings.with_dino_threshold(config.dino_threshold);
        }
        if self.overrides.contains_key("drop_threshold") {
            settings = settings.with_drop_threshold(config.drop_threshold);
        }
        Stages::new(settings, config)
    }
}
