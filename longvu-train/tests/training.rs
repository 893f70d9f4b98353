//! Whole runs of training: a batch learnt by heart, and a run that was stopped and went on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use longvu::{Dtype, Frame, LongVu, Step, VisualKind, Watch, default_device, synthesize};
use longvu_train::{
    AdamWSettings, Error, LanguageRecipe, LogLine, MuonSettings, Recipe, Result, Sample, SampleSource, StageSettings,
    Start, TowerRecipe, TrainingRun, read_log,
};
use serde_json::json;
use tempfile::TempDir;

/// A complete model folder of the smallest sizes.
fn model(folder: &Path) -> PathBuf {
    let config = json!({
        "model_type": "cambrian_qwen", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true, "mm_vision_tower_aux_list": ["siglip", "dinov2-res16"],
        "mm_vision_tower_aux_token_len_list": [4, 4], "vision_hidden_size": 16, "query_num_list": [4],
        "connector_depth": 1, "image_token_len": 4, "lowres_token": 1, "highres": true,
        "tokenizer_model_max_length": 128, "inference_max_length": 16
    });
    let siglip = json!({
        "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 16, "patch_size": 8
    });
    let pixels =
        json!({ "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": { "height": 16, "width": 16 } });
    let dinov2 = json!({
        "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2,
        "use_swiglu_ffn": true, "image_size": 16, "patch_size": 8
    });
    let configs = folder.join("configs");
    for (path, value) in [
        ("config.json", &config),
        ("siglip/config.json", &siglip),
        ("siglip/preprocessor_config.json", &pixels),
        ("dinov2/config.json", &dinov2),
        ("dinov2/preprocessor_config.json", &pixels),
    ] {
        let path = configs.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }
    let model = folder.join("start");
    synthesize(&configs, &model, Dtype::F32, &longvu::Watch::default()).unwrap();
    model
}

/// A few videos of plain colours, and what they are called.
struct Colours;

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [220, 20, 20]), ("green", [20, 200, 40]), ("blue", [10, 30, 230]), ("grey", [128; 3])];

fn frames(colour: [u8; 3], count: usize) -> Vec<Frame> {
    let frame = |i| Frame::new(i, i as f64, 16, 16, colour.repeat(256)).unwrap();
    (0..count).map(frame).collect()
}

impl SampleSource for Colours {
    fn sample(&self, index: u64) -> Result<Sample> {
        let (name, colour) = COLOURS[index as usize % COLOURS.len()];
        // One that fits the window and one that makes every stage run, by turns.
        let frames = frames(colour, if index.is_multiple_of(2) { 3 } else { 90 });
        let turns = vec![("Which colour?".into(), name.into()), ("Is it loud?".into(), "no".into())];
        Ok(Sample::new(turns)
            .with_frames(VisualKind::Video, frames)
            .with_visual_tokens(index.is_multiple_of(5).then_some(6))
            .with_dialogue(index.is_multiple_of(3)))
    }

    fn description(&self) -> String {
        "plain colours".into()
    }
}

fn settings(steps: usize) -> StageSettings {
    StageSettings::new(steps, 4e-3)
        .with_micro_batch(2)
        .with_accumulation(2)
        .with_warmup(5)
        .with_adamw(AdamWSettings::default().with_weight_decay(0.0))
        .with_validate_every(steps)
}

/// Fine-tuning that is told to stop after so many steps.
fn train(model: &Path, folder: &Path, settings: StageSettings, stop_after: usize) -> Result<PathBuf> {
    train_by(Recipe::fine_tuning(settings), model, folder, stop_after)
}

/// A run that is told to stop after so many steps.
fn train_by(recipe: Recipe, model: &Path, folder: &Path, stop_after: usize) -> Result<PathBuf> {
    let steps = AtomicUsize::new(0);
    let watch = Watch::new(move |progress| {
        let trained = progress.step == Step::Train;
        let stop = trained && steps.fetch_add(1, Ordering::Relaxed) + 1 == stop_after;
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let source: Arc<dyn SampleSource> = Arc::new(Colours);
    TrainingRun::new(model, recipe, folder)
        .with_start(Start::Scratch)
        .with_data([source.clone(), source])
        .with_workers(2)
        .with_checkpoint_every(Duration::from_secs(3600))
        .with_watch(watch)
        .run()
}

#[test]
fn a_batch_is_learnt_by_heart_and_its_model_answers() {
    let folder = TempDir::new().unwrap();
    let start = model(folder.path());
    for (name, muon) in [("adamw", None), ("muon", Some(MuonSettings::default()))] {
        let run = folder.path().join(name);
        let out = train(&start, &run, settings(150).with_muon(muon), 0).unwrap();
        let last = read_log(&run.join("log.jsonl")).unwrap().pop().unwrap();
        assert!(last.loss < 0.02, "{name}: {last:?}");
        assert!(last.validation["loss"] < 0.02 && last.validation["answer tokens right"] == 1.0, "{name}: {last:?}");

        let trained = LongVu::from_pretrained(out.to_str().unwrap(), &default_device()).unwrap();
        for (index, (name, colour)) in COLOURS.into_iter().enumerate() {
            let encoded = trained.encode(frames(colour, if index % 2 == 0 { 3 } else { 90 })).unwrap();
            assert_eq!(trained.ask(&encoded, "Which colour?").unwrap(), name);
        }
    }
}

#[test]
fn a_stopped_run_goes_on_as_if_it_had_not_been() {
    let folder = TempDir::new().unwrap();
    let start = model(folder.path());
    // With both optimizers: what they remember is in a checkpoint too.
    let settings = |steps| settings(steps).with_muon(MuonSettings::default());
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let expected = train(&start, &whole, settings(12), 0).unwrap();
    assert!(matches!(train(&start, &stopped, settings(12), 5), Err(Error::Cancelled(_))));
    assert!(!stopped.join("model").exists());
    // What a run that was killed between two checkpoints leaves behind.
    let half = stopped.join("checkpoints/language/.longvu-4000000000-0.tmpdir");
    fs::create_dir_all(&half).unwrap();
    for (name, text) in [(".longvu-lock", ""), ("model.safetensors", "half")] {
        fs::write(half.join(name), text).unwrap();
    }
    let found = train(&start, &stopped, settings(12), 0).unwrap();
    let weights = |model: &Path| fs::read(model.join("model.safetensors")).unwrap();
    assert!(weights(&expected) == weights(&found), "a resumed run ends with other weights");
    assert!(!half.exists());
    let log = |run: &Path| -> Vec<LogLine> {
        let mut lines = read_log(&run.join("log.jsonl")).unwrap();
        lines.iter_mut().for_each(|line| line.seconds = 0.0);
        lines
    };
    assert_eq!(log(&whole).last(), log(&stopped).last());

    let Err(Error::ForeignCheckpoint { reason, .. }) = train(&start, &stopped, settings(13), 0) else {
        panic!("other settings went on from this checkpoint");
    };
    assert!(reason.contains("\"steps\":12"), "{reason}");
}

#[test]
fn a_tower_goes_on_in_another_phase() {
    let folder = TempDir::new().unwrap();
    let start = model(folder.path());
    let phase = |needles| TowerRecipe::new(settings(2), vec![32]).with_needles(needles).with_wide(0.0);
    let recipe = |then: Option<TowerRecipe>| {
        let siglip = then.into_iter().fold(phase(0.0), TowerRecipe::with_then);
        Recipe::fine_tuning(settings(1)).with_siglip(siglip).with_dinov2(phase(0.0))
    };
    let run = folder.path().join("run");
    let siglip = |model: PathBuf| fs::read(model.join("siglip/model.safetensors")).unwrap();
    let first = siglip(train_by(recipe(None), &start, &run, 0).unwrap());
    // What is done already is not done again, and the further phase alone is added.
    let both = || recipe(Some(phase(1.0)));
    let second = siglip(train_by(both(), &start, &run, 0).unwrap());
    assert!(first != second, "the second phase changed nothing");
    let whole = folder.path().join("whole");
    assert!(matches!(train_by(both(), &start, &whole, 3), Err(Error::Cancelled(_))));
    assert!(second == siglip(train_by(both(), &start, &whole, 0).unwrap()), "phases depend on how they are run");
    let stages: Vec<String> = read_log(&whole.join("log.jsonl")).unwrap().into_iter().map(|line| line.stage).collect();
    assert_eq!(stages, ["siglip", "siglip-2", "dinov2", "language"]);
}

#[test]
fn layers_are_added_between_phases() {
    let folder = TempDir::new().unwrap();
    let start = model(folder.path());
    let recipe = |last| {
        Recipe::default().with_language(vec![
            LanguageRecipe::new("one", settings(30)).with_num_hidden_layers(1),
            // Too small a step to change anything.
            LanguageRecipe::new("two", settings(1).with_lr(1e-9)).with_num_hidden_layers(last),
        ])
    };
    let run = folder.path().join("run");
    let out = train_by(recipe(None), &start, &run, 0).unwrap();
    let lines = read_log(&run.join("log.jsonl")).unwrap();
    let at_end = |stage: &str| lines.iter().rfind(|line| line.stage == stage).unwrap().validation["loss"];
    assert!((at_end("two") - at_end("one")).abs() < 1e-4, "{} {}", at_end("one"), at_end("two"));
    LongVu::from_pretrained(out.to_str().unwrap(), &default_device()).unwrap();

    let Err(Error::Setting { name, value, .. }) = train_by(recipe(Some(1)), &start, &run, 0) else {
        panic!("a run ended with fewer layers than the model has");
    };
    assert_eq!((name, value.as_str()), ("language.num_hidden_layers", "1, 1"));
}
