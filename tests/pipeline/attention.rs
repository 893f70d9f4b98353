//! What SigLIP attended to, from its layers to the stages that go by it.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
};

use burn::tensor::{DType, Tensor, TensorData};
use longvu::{
    EncodedVideo, Error, ErrorKind, GenerationConfig, LongVu,
    checkpoint::{Checkpoint, LoadOptions, Repo, config::SiglipConfig},
    compress::{FusionReport, Layout, PrunedTokens, StageError, StageName, TokenChunk, TokenPruner},
    default_device,
    vision::{Siglip, SizePair},
};
use safetensors::SafeTensors;

use crate::support::{bits, builder, checkpoints, features, frames, model};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The golden tower, and pixels for it.
fn siglip() -> (Siglip, Tensor<4>) {
    let folder = checkpoints().join("siglip");
    let config = SiglipConfig::read(&folder.join("config.json")).unwrap();
    let source = Arc::new(Checkpoint::open(&Repo::folder(&folder)).unwrap());
    let options = LoadOptions::new("siglip", &default_device(), longvu::Dtype::F32);
    let tower = longvu::checkpoint::load(source, &options, |w| Siglip::new(&config, w)).unwrap().0;
    let bytes = fs::read(checkpoints().join("../siglip.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let pixels = file.tensor("pixel_values").unwrap();
    let data = TensorData::from_bytes_vec(pixels.data().to_vec(), pixels.shape().to_vec(), DType::F32);
    (tower, Tensor::from_data(data, &default_device()))
}

/// `tests/reference/siglip_attention.py` computes it from the weights.
#[test]
fn the_tower_says_what_its_weights_attend_to() {
    let (tower, pixels) = siglip();
    let expected: Vec<f32> = serde_json::from_str(include_str!("../reference/siglip_attention.json")).unwrap();
    // A second frame, darker than the first, has attention of its own.
    let both = Tensor::cat(vec![pixels.clone(), pixels.clone() * 0.5], 0);
    let (last, received) = tower.forward_with_attention(both.clone());
    let received = values(received);
    let differs = |found: &[f32]| found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b).fold(0.0, f32::max);
    assert_eq!(received.len(), 2 * expected.len());
    assert!(differs(&received[..expected.len()]) < 1e-4, "{}", differs(&received[..expected.len()]));
    assert!(differs(&received[expected.len()..]) > 1e-2);
    assert!(received.chunks(expected.len()).all(|frame| (frame.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    assert_eq!(last.into_data(), tower.forward(both.clone()).into_data());
    let (features, resampled) = tower.features_with_attention(both.clone(), 24);
    assert_eq!(features.into_data(), tower.features(both, 24).into_data());
    assert_eq!(resampled.dims(), [2, 576]);
}

fn named(spatial: &str) -> LongVu {
    builder("qwen").named_stage(StageName::Spatial, spatial.parse().unwrap()).load().unwrap()
}

fn asked(model: &LongVu, video: &EncodedVideo) -> longvu::Result<(Vec<u32>, FusionReport)> {
    let config = GenerationConfig::default().with_max_new_tokens(4);
    let mut answer = model.stream(&[video], "What is it?", &config)?.finish()?;
    Ok((answer.generated_ids, answer.reports.remove(0)))
}

/// Of frames whose padding is cut, tokens stay by the attention of the cells that they come from.
#[test]
fn the_most_attended_cells_stay() {
    let zip = named("visionzip:retained=0.25,contextual=0");
    let video = zip.encode(frames(4, 64, 36)).unwrap();
    let attention = video.attention().unwrap();
    assert_eq!(attention.dims(), [4, 144]);
    let cells = SizePair::of_video(64, 36).kept_cells(12);
    assert!(cells.rows.len() * cells.columns.len() < 144, "padding is cut");
    let (_, report) = asked(&zip, &video).unwrap();
    let row = cells.columns.len() + 1;
    let spatial = report.spatial.unwrap();
    for (received, kept) in values(attention).chunks(144).zip(spatial.kept) {
        let shown = cells.rows.clone().flat_map(|y| cells.columns.clone().map(move |x| y * 12 + x));
        let mut shown: Vec<f32> = shown.map(|cell| received[cell]).collect();
        let at = |place: usize| received[(cells.rows.start + place / row) * 12 + cells.columns.start + place % row];
        let found: Vec<f32> = kept.iter().filter(|&place| place % row != row - 1).map(|&place| at(place)).collect();
        shown.sort_by(|a, b| b.total_cmp(a));
        let expected: BTreeSet<u32> = shown[..shown.len() / 4].iter().map(|value| value.to_bits()).collect();
        assert_eq!(found.iter().map(|value| value.to_bits()).collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn it_is_there_for_who_needs_it_and_changes_nothing_else() {
    let (plain, zip) = (model(), named("visionzip"));
    let (without, with) = (plain.encode(frames(5, 64, 48)).unwrap(), zip.encode(frames(5, 64, 48)).unwrap());
    assert!(without.attention().is_none() && with.memory() > without.memory());
    assert_eq!(bits(&with), bits(&without));
    assert_eq!(asked(&plain, &with).unwrap(), asked(&plain, &without).unwrap());
    for stage in ["visionzip", "fastvid", "holitom"] {
        let (ids, report) = asked(&named(stage), &with).unwrap();
        assert!(report.tokens_after < report.tokens_before / 3, "{stage}: {report:?}");
        assert!(!ids.is_empty());
        let error = asked(&named(stage), &without).unwrap_err();
        assert!(matches!(error, Error::NoAttention) && error.kind() == ErrorKind::BadInput, "{error}");
        assert!(error.to_string().contains("encode it again with this stage named"), "{error}");
    }
    asked(&named("fastvid:d=1"), &without).expect("density peaks alone need none");
    let wide = Tensor::ones([5, 143], plain.device());
    assert!(without.clone().with_attention(wide).unwrap_err().to_string().contains("[5, 143]"));
    let even = without.with_attention(Tensor::ones([5, 144], plain.device())).unwrap();
    assert_ne!(asked(&zip, &even).unwrap().1, asked(&zip, &with).unwrap().1);
}

#[test]
fn a_file_keeps_it() {
    let zip = named("visionzip");
    let video = zip.encode(frames(3, 64, 48)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    video.save(&path).unwrap();
    let loaded = zip.load_encoded(&path).unwrap();
    assert_eq!(loaded.attention().map(values), video.attention().map(values));
    assert_eq!((bits(&loaded), asked(&zip, &loaded).unwrap()), (bits(&video), asked(&zip, &video).unwrap()));
    // Stages that don't go by it read such a file, too, and those that do refuse one without.
    assert!(model().load_encoded(&path).unwrap().attention().is_some());
    model().encode(frames(3, 64, 48)).unwrap().save(&path).unwrap();
    assert!(matches!(asked(&zip, &zip.load_encoded(&path).unwrap()), Err(Error::NoAttention)));
}

/// Keeps all, and what it was told the tower attended to.
#[derive(Default)]
struct Noting(Mutex<Vec<(Vec<f32>, Option<usize>)>>);

impl TokenPruner for Noting {
    fn chunk(&self) -> usize {
        8
    }

    fn needs_attention(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let [frames, count, _] = chunk.tokens.dims();
        let received = chunk.attention.clone().ok_or("no attention")?;
        self.0.lock().unwrap().push((values(received.narrow(0, 0, 1)), chunk.row_len));
        Ok(PrunedTokens::new(vec![(0..count).collect(); frames]))
    }
}

/// Frames at low resolution have the attention of their cells resampled as their tokens are.
#[test]
fn it_follows_the_tokens_to_low_resolution() {
    let noting = Arc::new(Noting::default());
    let model = builder("qwen").spatial_stage(noting.clone()).load().unwrap();
    let column = |i: usize| (i % 12) as f32;
    for (count, layout, row) in [(14, Layout::QueryGuided, 9), (30, Layout::Full, 13)] {
        let cells: Vec<f32> = (0..count * 144).map(column).collect();
        let attention = Tensor::from_data(TensorData::new(cells, [count, 144]), model.device());
        let video = features(&model, count).with_attention(attention).unwrap();
        let (_, report) = asked(&model, &video).unwrap();
        let (received, row_len) = noting.0.lock().unwrap().remove(0);
        assert_eq!((report.layout, row_len), (layout, Some(row)), "{count}");
        // Bilinear resampling keeps a slope: the centre of column i of w is at (i + 0.5) * 12 / w - 0.5.
        let width = (row - 1) as f32;
        for (place, value) in received.iter().enumerate() {
            let expected = match place % row {
                newline if newline == row - 1 => 0.0,
                column => (column as f32 + 0.5) * 12.0 / width - 0.5,
            };
            assert!((value - expected).abs() < 1e-4, "{place} of {count}: {value} and {expected}");
        }
        noting.0.lock().unwrap().clear();
    }
}
