//! What was kept: printed, and as a file.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use longvu::{
    FrameInfo,
    burn::tensor::{DType, Tensor},
    compress::{QueryReport, TemporalReport},
};
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

/// Seconds of each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Reading features, and resampling them to low resolution.
    pub read: f64,
    pub temporal: f64,
    pub query: f64,
    pub spatial: f64,
}

/// Tokens that a later stage kept.
pub struct Tokens {
    /// `[tokens, channels]`, frame by frame.
    pub tokens: Tensor<2>,
    /// Side of the grid that each frame's positions are in; 0 for one that went.
    pub sides: Vec<usize>,
    /// That of a frame at full resolution.
    pub full_side: usize,
    /// Places in that grid of each frame's tokens, ascending.
    pub positions: Vec<Vec<usize>>,
    /// Tokens of all frames at full resolution.
    pub before: usize,
}

impl Tokens {
    fn after(&self) -> usize {
        self.positions.iter().map(Vec::len).sum()
    }

    fn resolution(&self, place: usize) -> Option<&'static str> {
        let full = self.sides[place] == self.full_side;
        (!self.positions[place].is_empty()).then_some(if full { "full" } else { "low" })
    }
}

/// What the stages left.
pub struct Kept {
    pub samples: Vec<FrameInfo>,
    /// Frames that the temporal stage kept, or all.
    pub frames: Vec<usize>,
    pub temporal: Option<TemporalReport>,
    pub query: Option<QueryReport>,
    pub tokens: Option<Tokens>,
    pub seconds: Seconds,
}

/// What `--json` prints.
#[derive(Serialize)]
pub struct Printed<'a> {
    file: String,
    stages: BTreeMap<&'static str, &'a Option<String>>,
    sampled: usize,
    kept: usize,
    tokens_before: Option<usize>,
    tokens_after: Option<usize>,
    frames: Vec<Frame<'a>>,
    seconds: Seconds,
}

/// What became of a sampled frame.
#[derive(Serialize)]
struct Frame<'a> {
    sample: usize,
    index: usize,
    timestamp: f64,
    temporal_score: Option<f32>,
    /// Whether any of it is left.
    kept: bool,
    query_score: Option<f32>,
    /// `full` or `low`; absent for one that went, and where no later stage ran.
    resolution: Option<&'static str>,
    /// Side of its grid.
    side: Option<usize>,
    tokens: Option<usize>,
    /// Places of its tokens in that grid.
    positions: Option<&'a [usize]>,
}

impl Kept {
    /// The places among `frames` of those of which anything is left.
    fn left(&self) -> Vec<usize> {
        let some = |&place: &usize| self.tokens.as_ref().is_none_or(|tokens| !tokens.positions[place].is_empty());
        (0..self.frames.len()).filter(some).collect()
    }

    fn frame(&self, info: &FrameInfo) -> Frame<'_> {
        let place = self.frames.binary_search(&info.sample).ok();
        let tokens = self.tokens.as_ref().zip(place);
        let positions = tokens.map(|(tokens, place)| tokens.positions[place].as_slice());
        let score = |report: &QueryReport| place.and_then(|place| report.scores.get(place).copied());
        Frame {
            sample: info.sample,
            index: info.index,
            timestamp: info.timestamp,
            temporal_score: self.temporal.as_ref().and_then(|report| report.scores.get(info.sample).copied()),
            kept: place.is_some() && positions.is_none_or(|positions| !positions.is_empty()),
            query_score: self.query.as_ref().and_then(score),
            resolution: tokens.and_then(|(tokens, place)| tokens.resolution(place)),
            side: tokens.map(|(tokens, place)| tokens.sides[place]).filter(|&side| side > 0),
            tokens: self.tokens.as_ref().map(|_| positions.map_or(0, <[usize]>::len)),
            positions,
        }
    }

    /// What `--json` prints, for a file and the stages' names.
    pub fn printed<'a>(&'a self, file: String, names: &'a [(&'static str, Option<String>)]) -> Printed<'a> {
        Printed {
            file,
            stages: names.iter().map(|(stage, name)| (*stage, name)).collect(),
            sampled: self.samples.len(),
            kept: self.left().len(),
            tokens_before: self.tokens.as_ref().map(|tokens| tokens.before),
            tokens_after: self.tokens.as_ref().map(Tokens::after),
            frames: self.samples.iter().map(|info| self.frame(info)).collect(),
            seconds: self.seconds,
        }
    }

    /// All of it in a line.
    pub fn summary(&self) -> String {
        let mut line = format!("{} of {} frames kept", self.left().len(), self.samples.len());
        if let Some(tokens) = &self.tokens {
            line += &format!("; {} of {} tokens", tokens.after(), tokens.before);
        }
        let Seconds { read, temporal, query, spatial } = self.seconds;
        line + &format!("; read {read:.3} s, temporal {temporal:.3} s, query {query:.3} s, spatial {spatial:.3} s")
    }

    /// A line for each frame of which anything is left.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.left().into_iter().map(move |place| {
            let info = self.samples[self.frames[place]];
            let mut line = format!("{:5} {:9.2} s", info.sample, info.timestamp);
            if let Some(tokens) = &self.tokens {
                let resolution = tokens.resolution(place).unwrap_or_default();
                line += &format!("  {resolution:4} {:5} tokens", tokens.positions[place].len());
            }
            line
        })
    }

    /// The safetensors file of what was kept.
    ///
    /// # Errors
    /// None that a kept frame can cause.
    pub fn file(&self) -> Result<Vec<u8>> {
        let left = self.left();
        let frames: Vec<i64> = left.iter().map(|&place| self.frames[place] as i64).collect();
        let times = left.iter().flat_map(|&place| self.samples[self.frames[place]].timestamp.to_le_bytes()).collect();
        let mut tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = vec![
            ("frames", Dtype::I64, vec![left.len()], bytes(&frames)),
            ("timestamps", Dtype::F64, vec![left.len()], times),
        ];
        if let Some(tokens) = &self.tokens {
            let counts: Vec<i64> = left.iter().map(|&place| tokens.positions[place].len() as i64).collect();
            let sides: Vec<i64> = left.iter().map(|&place| tokens.sides[place] as i64).collect();
            let positions: Vec<i64> = tokens.positions.iter().flatten().map(|&position| position as i64).collect();
            let values = tokens.tokens.clone().cast(DType::F32);
            tensors.extend([
                ("tokens_per_frame", Dtype::I64, vec![left.len()], bytes(&counts)),
                ("sides", Dtype::I64, vec![left.len()], bytes(&sides)),
                ("positions", Dtype::I64, vec![positions.len()], bytes(&positions)),
                ("tokens", Dtype::F32, values.dims().to_vec(), values.into_data().as_bytes().to_vec()),
            ]);
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let notes = HashMap::from([("longvu_kept".to_owned(), serde_json::to_string(&self.seconds)?)]);
        Ok(safetensors::serialize(views, Some(notes))?)
    }
}

fn bytes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
