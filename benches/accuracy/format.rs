//! What weights are held in.

use longvu::{Dtype, LongVu, LongVuBuilder, Quantize, Residency, WeightFormat};

use crate::Result;

pub struct Format {
    pub name: String,
    weights: WeightFormat,
}

impl Format {
    pub fn parse(name: &str) -> Result<Self> {
        let weights = match name.parse::<Quantize>() {
            Ok(quantize) => WeightFormat::from(Dtype::F32).with_quantize(Some(quantize)),
            Err(_) => name.parse::<Dtype>()?.into(),
        };
        Ok(Self { name: name.to_owned(), weights })
    }

    /// The model of `builder` in this format, whose parts are read when they are needed.
    pub fn load(&self, builder: LongVuBuilder) -> Result<LongVu> {
        Ok(builder.weights(self.weights).residency(Residency::OnDemand).load()?)
    }
}
