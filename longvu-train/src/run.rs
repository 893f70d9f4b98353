//! A whole run: tokenizer, towers, language model, and the folder that comes of it.

use std::{fs, path::PathBuf, sync::Arc};

use longvu::ModelFiles;
use longvu_checkpoint::{Checkpoint, RepoOptions, TensorSpec, atomic::FolderLock, build};
use longvu_llm::{ChatTemplate, Tokenizer};
use longvu_vision::{Dinov2, Preprocessor, Siglip};
use longvu_world::Split;

use crate::{
    Error, Objective, Parameters, Result, StageSettings, Start, TowerRecipe, Trainer, TrainingRun, Workers,
    data::WorldStream,
    export::{Trained, export},
    language::{FrozenTowers, LanguageObjective, SampleSource, WorldSource},
    log::read_log,
    plot::{loss_curves, validation_curves},
    recipe::LanguageRecipe,
    tokenizer::{train_tokenizer, world_corpus},
    towers::{Dinov2Objective, Pictures, SiglipObjective},
};

impl TrainingRun {
    /// Trains every stage of the recipe from where the folder says that an earlier run was stopped.
    ///
    /// Returns the finished model's folder.
    ///
    /// # Errors
    /// Models, data and checkpoints that cannot be used, a folder that another run works in, losses that are no numbers,
    /// and [`Error::Cancelled`] when the watcher stops it before the end: the next run goes on from there.
    pub fn run(&self) -> Result<PathBuf> {
        self.recipe.validate()?;
        let options = RepoOptions::default().with_revision(self.revision.clone()).with_watch(self.watch.clone());
        let files = ModelFiles::find(&self.model, self.towers.as_deref(), &options)?;
        fs::create_dir_all(&self.folder).map_err(Error::write(&self.folder))?;
        let lock = FolderLock::try_new(&self.folder).map_err(Error::write(&self.folder))?;
        let Some(_lock) = lock else { return Err(Error::InUse { folder: self.folder.clone() }) };
        let text = self.tokenizer(&files)?;
        let workers = Workers::new(self.workers)?;
        let job = Job { run: self, files, text, workers };
        let trained = job.train();
        self.draw_curves()?;
        let trained = trained?;
        let out = self.folder.join("model");
        export(&trained, &job.files, &job.text.folder, self.dtype, &out)?;
        Ok(out)
    }

    /// Draws what the log has, of this run and those that it goes on from.
    fn draw_curves(&self) -> Result<()> {
        let log = self.folder.join("log.jsonl");
        if !log.is_file() {
            return Ok(());
        }
        let lines = read_log(&log)?;
        loss_curves(&lines, &self.folder.join("loss.svg"))?;
        validation_curves(&lines, &self.folder.join("held-out.svg"))
    }

    /// Makes the tokenizer, or takes the model's.
    fn tokenizer(&self, files: &ModelFiles) -> Result<Text> {
        let folder = match &self.recipe.tokenizer {
            None => files.text_folder()?,
            Some(recipe) => {
                let folder = self.folder.join("tokenizer");
                if !folder.join("tokenizer.json").is_file() {
                    let corpus = world_corpus(self.recipe.seed, recipe.videos);
                    train_tokenizer(corpus, files.config.decoder.vocab_size)?.write(&folder)?;
                }
                folder
            }
        };
        let (tokenizer, template) = files.load_text(&folder)?;
        Ok(Text { tokenizer: Arc::new(tokenizer), template, folder })
    }
}

/// How texts become ids.
struct Text {
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    folder: PathBuf,
}

/// A run under way.
struct Job<'a> {
    run: &'a TrainingRun,
    files: ModelFiles,
    text: Text,
    workers: Workers,
}

/// Seeds of what the stages draw are far apart.
const LANGUAGE_SEED: u64 = 1 << 20;

impl Job<'_> {
    /// Every part, trained or given.
    fn train(&self) -> Result<Trained> {
        let (siglip, dinov2) = (self.siglip()?, self.dinov2()?);
        let language = self.language(&siglip, &dinov2)?;
        Ok(Trained { siglip, dinov2, language })
    }

    fn siglip(&self) -> Result<Parameters> {
        let (config, recipe) = (&self.files.siglip_config, self.run.recipe.siglip.as_ref());
        let Some(recipe) = recipe else {
            let specs = longvu_checkpoint::declare(|w| Siglip::new(config, w));
            return self.given(&specs, &*self.files.siglip.open()?);
        };
        let phases = recipe.phases().enumerate().map(|(phase, recipe)| {
            let pictures = self.pictures(&self.files.siglip_pixels, recipe, phase);
            let (tokenizer, group) = (self.text.tokenizer.clone(), recipe.training.micro_batch);
            let name = phase_name("siglip", phase);
            Ok((SiglipObjective::new(name, config.clone(), tokenizer, pictures, group), &recipe.training))
        });
        self.phases(phases, || Ok(self.files.siglip.open()?))
    }

    /// Phases of a part, one or more, each from what the one before ends with; the first from `open`, if the run does.
    fn phases<'r, O: Objective>(
        &self,
        phases: impl Iterator<Item = Result<(O, &'r StageSettings)>>,
        open: impl Fn() -> Result<Arc<Checkpoint>>,
    ) -> Result<Parameters> {
        let mut trained: Option<Parameters> = None;
        for phase in phases {
            let (objective, settings) = phase?;
            let start = match trained.take() {
                Some(parameters) => parameters.without_moments().grown(&objective.specs(), self.run.recipe.seed),
                None => self.initial(&objective.specs(), &open)?,
            };
            trained = Some(self.trainer().run(&objective, settings, start)?);
        }
        let (name, value, expected) = ("phases", "0".into(), "one or more for each part that is trained");
        trained.ok_or(Error::Setting { name, value, expected })
    }

    fn dinov2(&self) -> Result<Parameters> {
        let (config, recipe) = (&self.files.dinov2_config, self.run.recipe.dinov2.as_ref());
        let Some(recipe) = recipe else {
            let specs = longvu_checkpoint::declare(|w| Dinov2::new(config, w));
            return self.given(&specs, &*self.files.dinov2.open()?);
        };
        let side = self.files.config.feature_side();
        let phases = recipe.phases().enumerate().map(|(phase, recipe)| {
            let pictures = self.pictures(&self.files.dinov2_pixels, recipe, phase);
            let name = phase_name("dinov2", phase);
            let group = recipe.training.micro_batch;
            Ok((Dinov2Objective::new(name, config.clone(), side, pictures, group), &recipe.training))
        });
        self.phases(phases, || Ok(self.files.dinov2.open()?))
    }

    fn language(&self, siglip: &Parameters, dinov2: &Parameters) -> Result<Parameters> {
        let recipes = &self.run.recipe.language;
        if recipes.is_empty() {
            return self.given(&LanguageObjective::specs_of(&self.files), &*self.checkpoint()?);
        }
        self.check_layers(recipes)?;
        let phases = recipes
            .iter()
            .enumerate()
            .map(|(phase, recipe)| Ok((self.language_objective(phase, recipe, (siglip, dinov2))?, &recipe.training)));
        self.phases(phases, || self.checkpoint())
    }

    /// Layers are added from phase to phase, up to the model's.
    fn check_layers(&self, recipes: &[LanguageRecipe]) -> Result<()> {
        let all = self.files.config.decoder.num_hidden_layers;
        let layers = |recipe: &LanguageRecipe| recipe.num_hidden_layers.unwrap_or(all);
        let counts: Vec<usize> = recipes.iter().map(layers).collect();
        if counts.first() == Some(&0) || !counts.is_sorted() || counts.last() != Some(&all) {
            let value = counts.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let expected =
                "1 or more, as many in each phase as in the one before or more, and in the last as the model has";
            return Err(Error::Setting { name: "language.num_hidden_layers", value, expected });
        }
        Ok(())
    }

    fn language_objective(
        &self,
        phase: usize,
        recipe: &LanguageRecipe,
        (siglip, dinov2): (&Parameters, &Parameters),
    ) -> Result<LanguageObjective> {
        let files = &self.files;
        let towers = FrozenTowers {
            siglip: build(siglip.constants().lookup(), |w| Siglip::new(&files.siglip_config, w))?,
            siglip_pixels: Preprocessor::new(files.siglip_pixels.clone()),
            dinov2: build(dinov2.constants().lookup(), |w| Dinov2::new(&files.dinov2_config, w))?,
            dinov2_pixels: Preprocessor::new(files.dinov2_pixels.clone()),
            feature_side: files.config.feature_side(),
        };
        let seed = self.run.recipe.seed.wrapping_add(LANGUAGE_SEED).wrapping_add(phase as u64);
        let world = |split, seed| -> Result<Arc<dyn SampleSource>> {
            Ok(Arc::new(WorldSource::new(WorldStream::new(recipe.world.clone(), split, seed)?)))
        };
        // Held-out samples are those of every phase, so that phases compare where their mixes do.
        let held_out = self.run.recipe.seed.wrapping_add(LANGUAGE_SEED);
        let sources = match &self.run.data {
            Some(data) => data.clone(),
            None => [world(Split::Train, seed)?, world(Split::Validation, held_out)?],
        };
        let mut config = files.config.clone();
        if let Some(layers) = recipe.num_hidden_layers {
            config.decoder.num_hidden_layers = layers;
        }
        Ok(LanguageObjective {
            name: recipe.name.clone(),
            config,
            aggregator: files.aggregator_config(),
            towers,
            tokenizer: self.text.tokenizer.clone(),
            template: self.text.template.clone(),
            sources,
            group: recipe.training.micro_batch,
            device: self.run.device.clone(),
        })
    }

    fn pictures(
        &self,
        pixels: &longvu_checkpoint::config::PreprocessorConfig,
        recipe: &TowerRecipe,
        phase: usize,
    ) -> [Pictures; 2] {
        [Split::Train, Split::Validation].map(|split| Pictures {
            preprocessor: Preprocessor::new(pixels.clone()),
            heights: recipe.heights.clone(),
            needles: recipe.needles,
            wide: recipe.wide,
            split,
            seed: self.run.recipe.seed.wrapping_add(phase as u64),
        })
    }

    /// Where a stage that is trained begins.
    fn initial(&self, specs: &[TensorSpec], open: impl FnOnce() -> Result<Arc<Checkpoint>>) -> Result<Parameters> {
        let (seed, device) = (self.run.recipe.seed, &self.run.device);
        match self.run.start {
            Start::Scratch => Ok(Parameters::initial(specs, seed, device)),
            Start::Pretrained => Parameters::from_source(specs, &*open()?, Some(seed), device),
        }
    }

    /// The weights of a stage that is not trained.
    fn given(&self, specs: &[TensorSpec], source: &Checkpoint) -> Result<Parameters> {
        Parameters::from_source(specs, source, None, &self.run.device)
    }

    fn checkpoint(&self) -> Result<Arc<Checkpoint>> {
        Ok(Arc::new(Checkpoint::open(&self.files.repo)?))
    }

    fn trainer(&self) -> Trainer<'_> {
        Trainer {
            folder: self.run.folder.clone(),
            workers: &self.workers,
            checkpoint_every: self.run.checkpoint_every,
            on_progress: Arc::clone(&self.run.on_progress),
            watch: self.run.watch.clone(),
        }
    }
}

/// A tower's name, or with the number of a further phase.
fn phase_name(tower: &str, phase: usize) -> String {
    if phase == 0 { tower.to_owned() } else { format!("{tower}-{}", phase + 1) }
}
