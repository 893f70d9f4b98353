//! Aggregated frames as they come, and put together.

use burn::tensor::{DType, Device, Tensor, TensorData};

use longvu_core::is_cpu;

/// Frames in the order they came.
pub(crate) struct Gathered {
    device: Device,
    /// On the CPU, in the memory that they stay in, which grows in place: putting tensors together takes all of them twice.
    values: Vec<f32>,
    /// `[frames, cells, channels]` of the values.
    shape: [usize; 3],
    /// Elsewhere.
    parts: Vec<Tensor<3>>,
}

impl Gathered {
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), values: Vec::new(), shape: [0; 3], parts: Vec::new() }
    }

    /// Adds frames, `[frames, cells, channels]`.
    pub fn push(&mut self, frames: Tensor<3>) {
        if !is_cpu(&self.device) || frames.dtype() != DType::F32 {
            self.parts.push(frames);
            return;
        }
        let [count, cells, channels] = frames.dims();
        self.shape = [self.shape[0] + count, cells, channels];
        self.values.extend(frames.into_data().iter::<f32>());
    }

    /// All of them, `[frames, cells, channels]`; none if there never were any.
    pub fn finish(self) -> Option<Tensor<3>> {
        match (self.values.is_empty(), self.parts.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Tensor::cat(self.parts, 0)),
            (false, _) => Some(Tensor::from_data(TensorData::new(self.values, self.shape), (&self.device, DType::F32))),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn frames_come_out_as_they_came() {
        let device = crate::default_device();
        for dtype in [DType::F32, DType::F16] {
            let part = |n| Tensor::<3>::random([n, 3, 5], Distribution::Default, &device).cast(dtype);
            let parts = [1, 4, 2].map(part);
            let mut gathered = Gathered::new(&device);
            parts.iter().for_each(|part| gathered.push(part.clone()));
            let found = gathered.finish().map(Tensor::into_data);
            assert_eq!(found, Some(Tensor::cat(parts.to_vec(), 0).into_data()));
        }
        assert!(Gathered::new(&device).finish().is_none());
    }
}
