//! Reading golden cases and comparing tensors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use longvu::{
    Dtype, Quantize, WeightFormat,
    checkpoint::{Checkpoint, LoadOptions, Repo, Weights},
    parse_device,
};
use safetensors::{Dtype as FileDtype, SafeTensors};
use serde::de::DeserializeOwned;

/// The folder of golden data.
pub fn golden_dir() -> PathBuf {
    match std::env::var_os("LONGVU_GOLDEN_DIR") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    }
}

/// The device under test.
pub fn device() -> Device {
    let name = std::env::var("LONGVU_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    parse_device(&name).unwrap()
}

/// One golden file.
pub struct Case {
    pub name: String,
    bytes: Vec<u8>,
}

impl Case {
    pub fn open(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, bytes: fs::read(path).unwrap() }
    }

    /// The case's settings, from the metadata key `case`.
    pub fn settings<T: DeserializeOwned>(&self) -> T {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).unwrap();
        let text = metadata.metadata().as_ref().and_then(|m| m.get("case")).expect("metadata has no `case`");
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {e}: {text}", self.name))
    }

    pub fn has(&self, tensor: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(tensor).is_ok()
    }

    pub fn shape(&self, tensor: &str) -> Vec<usize> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(tensor).unwrap_or_else(|e| panic!("{}: {tensor}: {e}", self.name)).shape().to_vec()
    }

    pub fn floats(&self, tensor: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(tensor).unwrap_or_else(|e| panic!("{}: {tensor}: {e}", self.name));
        let data = view.data();
        match view.dtype() {
            FileDtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            FileDtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            FileDtype::F16 => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            other => panic!("{}: {tensor} is {other:?}", self.name),
        }
    }

    pub fn ints(&self, tensor: &str) -> Vec<i64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(tensor).unwrap_or_else(|e| panic!("{}: {tensor}: {e}", self.name));
        assert_eq!(view.dtype(), FileDtype::I64);
        view.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
    }

    pub fn indices(&self, tensor: &str) -> Vec<usize> {
        self.ints(tensor).into_iter().map(|i| i as usize).collect()
    }

    pub fn bytes(&self, tensor: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(tensor).unwrap_or_else(|e| panic!("{}: {tensor}: {e}", self.name)).data().to_vec()
    }

    pub fn tensor<const D: usize>(&self, tensor: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.floats(tensor), self.shape(tensor)), device)
    }
}

/// The cases whose file name begins with `prefix`, of which there must be one.
pub fn cases(prefix: &str) -> Vec<Case> {
    let dir = golden_dir();
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| {
        p.extension().is_some_and(|e| e == "safetensors")
            && p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix))
    });
    paths.sort();
    assert!(!paths.is_empty(), "no case {prefix}* in {}", dir.display());
    paths.iter().map(|p| Case::open(p)).collect()
}

/// Norm of the difference over norm of the expected values.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "lengths differ");
    let square = |x: f32| f64::from(x).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = expected.iter().map(|&b| square(b)).sum();
    assert!(difference.is_finite(), "not finite");
    (difference / norm).sqrt()
}

/// Asserts that a tensor equals expected values within a relative error.
#[track_caller]
pub fn assert_close<const D: usize>(what: &str, found: Tensor<D>, expected: &[f32], tolerance: f64) {
    let found: Vec<f32> = found.into_data().iter::<f32>().collect();
    let error = relative_error(&found, expected);
    println!("{what}: relative error {error:.2e}");
    assert!(error < tolerance, "{what}: relative error {error:.3e}, at most {tolerance:e} is accepted");
}

/// Loads a module from one of the golden checkpoints.
pub fn load<M>(checkpoint: &str, build: impl Fn(&Weights) -> M) -> M {
    load_as(checkpoint, Dtype::F32, None, build)
}

/// The same, with weights held in `dtype`, or in integers.
pub fn load_as<M>(checkpoint: &str, dtype: Dtype, quantize: Option<Quantize>, build: impl Fn(&Weights) -> M) -> M {
    let repo = Repo::folder(golden_dir().join("checkpoint").join(checkpoint));
    let source = std::sync::Arc::new(Checkpoint::open(&repo).unwrap());
    let options = LoadOptions::new(checkpoint, &device(), WeightFormat::from(dtype).with_quantize(quantize));
    longvu::checkpoint::load(source, &options, build).unwrap().0
}

pub fn checkpoint_file(checkpoint: &str, file: &str) -> PathBuf {
    golden_dir().join("checkpoint").join(checkpoint).join(file)
}
