//! The golden checkpoints, rewritten in other formats.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{Device, TensorData};
use half::{bf16, f16};
use longvu_checkpoint::{
    Checkpoint, Error, LoadOptions, LoadReport, Repo, Result, TensorSource, TensorSpec, Weights, load,
};
use longvu_core::Dtype;
use safetensors::SafeTensors;

/// A tensor in float32.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

pub type Tensors = BTreeMap<String, Values>;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

/// Reads a float32 safetensors file with the reference reader.
pub fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let value = |view: safetensors::tensor::TensorView<'_>| {
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        let values = view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        Values { shape: view.shape().to_vec(), values }
    };
    parsed.tensors().into_iter().map(|(name, view)| (name, value(view))).collect()
}

/// The little-endian bytes of `values` in `dtype`.
pub fn encode(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
    }
}

/// What is left of `value` after a stay in `dtype`.
pub fn rounded(value: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => value,
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::Bf16 => bf16::from_f32(value).to_f32(),
    }
}

pub fn write_safetensors(path: &Path, tensors: &Tensors, dtype: Dtype) {
    let kind = match dtype {
        Dtype::F32 => safetensors::Dtype::F32,
        Dtype::F16 => safetensors::Dtype::F16,
        Dtype::Bf16 => safetensors::Dtype::BF16,
    };
    let bytes: Vec<_> = tensors.iter().map(|(name, t)| (name, &t.shape, encode(&t.values, dtype))).collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        (name.as_str(), safetensors::tensor::TensorView::new(kind, shape.to_vec(), data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Splits `tensors` in `count` parts and writes an index called `index`; `write` writes a part under a shard's name.
pub fn write_shards(index: &Path, tensors: &Tensors, count: usize, write: impl Fn(&Path, &Tensors)) {
    let file = index.file_name().unwrap().to_str().unwrap().strip_suffix(".index.json").unwrap();
    let (stem, extension) = file.rsplit_once('.').unwrap();
    let mut map = serde_json::Map::new();
    for part in 0..count {
        let name = format!("{stem}-{:05}-of-{count:05}.{extension}", part + 1);
        let chosen: Tensors = tensors
            .iter()
            .enumerate()
            .filter(|(i, _)| i % count == part)
            .map(|(_, (n, t))| (n.clone(), t.clone()))
            .collect();
        map.extend(chosen.keys().map(|tensor| (tensor.clone(), name.clone().into())));
        write(&index.with_file_name(&name), &chosen);
    }
    let json = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    std::fs::write(index, json.to_string()).unwrap();
}

/// A part of a model that has the given tensors and nothing else; its parameters are read back as data.
pub fn build(weights: &Weights, layout: &[(String, Vec<usize>)]) -> Vec<(String, TensorData)> {
    fn take<const D: usize>(weights: &Weights, name: &str, shape: &[usize]) -> TensorData {
        weights.tensor::<D>(name, shape.try_into().unwrap()).val().into_data()
    }
    let data = |name: &str, shape: &[usize]| match shape.len() {
        1 => take::<1>(weights, name, shape),
        2 => weights.matrix(name, [shape[0], shape[1]]).val().into_data(),
        3 => take::<3>(weights, name, shape),
        _ => take::<4>(weights, name, shape),
    };
    layout.iter().map(|(name, shape)| (name.clone(), data(name, shape))).collect()
}

/// The type that a tensor of `shape` is held in by a model in `dtype`: the CPU keeps matrices in it.
pub fn held(shape: &[usize], dtype: Dtype) -> Dtype {
    if shape.len() == 2 { dtype } else { dtype.activations(&Device::flex()) }
}

pub fn layout(tensors: &Tensors) -> Vec<(String, Vec<usize>)> {
    tensors.iter().map(|(name, t)| (name.clone(), t.shape.clone())).collect()
}

/// Loads `layout` from the folder at `path`.
pub fn load_folder(
    path: &Path,
    layout: &[(String, Vec<usize>)],
    dtype: Dtype,
) -> Result<(Vec<(String, TensorData)>, LoadReport)> {
    let source = Arc::new(Checkpoint::open(&Repo::folder(path))?);
    load_source(source, layout, dtype)
}

pub fn load_source(
    source: Arc<dyn TensorSource>,
    layout: &[(String, Vec<usize>)],
    dtype: Dtype,
) -> Result<(Vec<(String, TensorData)>, LoadReport)> {
    let options = LoadOptions::new("test model", &Device::flex(), dtype);
    load(source, &options, |weights| build(weights, layout))
}

/// The message of a load from the folder at `path` that must fail.
pub fn failure(path: &Path, layout: &[(String, Vec<usize>)]) -> String {
    said(&load_folder(path, layout, Dtype::F32).expect_err("the load must fail"))
}

/// What `error` and the causes below it say, as they say it.
pub fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        said += &format!(": {cause}");
        below = cause.source();
    }
    said
}

/// Checks that the folder at `path`, stored as `stored`, gives `tensors` in every dtype.
pub fn check_folder(path: &Path, tensors: &Tensors, stored: Dtype) {
    for wanted in Dtype::ALL {
        let (loaded, report) = load_folder(path, &layout(tensors), wanted).unwrap();
        assert_eq!(report.parameters, tensors.values().map(|t| t.values.len()).sum::<usize>());
        assert_eq!(report.unexpected, Vec::<String>::new());
        for (name, data) in loaded {
            let original = &tensors[&name];
            let held = held(&original.shape, wanted);
            assert_eq!(data.dtype(), burn::tensor::DType::from(held), "{name}");
            assert_eq!(data.shape().to_vec(), original.shape, "{name}");
            let expected = original.values.iter().map(|&v| rounded(rounded(v, stored), held).to_bits());
            assert!(data.iter::<f32>().map(f32::to_bits).eq(expected), "{name}: {stored} as {wanted}");
        }
    }
}

/// A small checkpoint for tests of failures.
pub fn small() -> Tensors {
    let tensor = |shape: &[usize]| Values {
        shape: shape.to_vec(),
        values: (0..shape.iter().product::<usize>()).map(|i| i as f32 / 8.0 - 1.0).collect(),
    };
    [("a.weight", &[4, 3][..]), ("a.bias", &[4]), ("b.weight", &[2, 4]), ("none", &[0, 3])]
        .map(|(name, shape)| (name.to_owned(), tensor(shape)))
        .into()
}

pub fn specs(tensors: &Tensors) -> Vec<TensorSpec> {
    let role = longvu_checkpoint::TensorRole::Parameter;
    tensors.iter().map(|(name, t)| TensorSpec::new(name, t.shape.clone(), role)).collect()
}
