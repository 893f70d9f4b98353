//! What weights are held in.

use std::path::{Path, PathBuf};

use longvu::{Dtype, LongVu, LongVuBuilder, Quantize, Residency, WeightFormat};

use crate::Result;

pub struct Format {
    pub name: String,
    weights: WeightFormat,
    /// A checkpoint in the place of the one that is measured.
    folder: Option<PathBuf>,
}

impl Format {
    /// A format's name; after an `@` the checkpoint that it is for, if not the one that is measured.
    pub fn parse(name: &str) -> Result<Self> {
        let (format, folder) = name.split_once('@').map_or((name, None), |(format, folder)| (format, Some(folder)));
        let weights = match format.parse::<Quantize>() {
            Ok(quantize) => WeightFormat::from(Dtype::F32).with_quantize(Some(quantize)),
            Err(_) => format.parse::<Dtype>()?.into(),
        };
        Ok(Self { name: name.to_owned(), weights, folder: folder.map(PathBuf::from) })
    }

    /// The checkpoint in `folder`, or that of the format.
    pub fn open(&self, folder: &Path) -> Result<LongVu> {
        self.load(LongVu::builder(self.folder.as_deref().unwrap_or(folder)))
    }

    /// The model of `builder` in this format, whose parts are read when they are needed.
    pub fn load(&self, builder: LongVuBuilder) -> Result<LongVu> {
        Ok(builder.weights(self.weights).residency(Residency::OnDemand).load()?)
    }
}
