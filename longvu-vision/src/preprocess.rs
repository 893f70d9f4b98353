//! From a decoded frame to a tower's input.

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_checkpoint::config::PreprocessorConfig;
use longvu_core::Dtype;

use crate::{Error, Result, resize};

/// Pads, resizes and normalises frames for one tower.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    config: PreprocessorConfig,
    fill: [u8; 3],
}

impl Preprocessor {
    /// A preprocessor for `config`; padding takes the colour `trunc(255 * mean)`.
    pub fn new(config: PreprocessorConfig) -> Self {
        let fill = config.image_mean.map(|mean| (f64::from(mean) * 255.0) as u8);
        Self { config, fill }
    }

    /// Side of the square input in pixels.
    pub fn size(&self) -> usize {
        self.config.size
    }

    /// Pads a frame to a square and resizes it with Pillow's 8-bit bicubic filter.
    ///
    /// # Shapes
    /// - `rgb`: `[height, width, 3]` bytes
    /// - output: `[size, size, 3]` bytes
    ///
    /// # Errors
    /// [`Error::FrameSize`] when the buffer is not of that length or the frame is empty.
    pub fn resize(&self, rgb: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
        // Sides near the largest number would wrap; no buffer is that long.
        let expected = (u64::from(width) * u64::from(height)).saturating_mul(3);
        let found = rgb.len() as u64;
        if expected != found || expected == 0 {
            return Err(Error::FrameSize { width, height, expected, found });
        }
        Ok(resize::pad_and_resize(rgb, width as usize, height as usize, self.config.size, self.fill))
    }

    /// Normalises resized frames: `(byte / 255 - mean) / std`.
    ///
    /// # Shapes
    /// - `frames`: each `[size, size, 3]` bytes, from [`Preprocessor::resize`]
    /// - output: `[frames, 3, size, size]`, in the dtype of activations where weights are of `dtype`
    pub fn pixel_values<F: AsRef<[u8]>>(&self, frames: &[F], device: &Device, dtype: Dtype) -> Tensor<4> {
        let size = self.config.size;
        let table = self.table();
        let mut values = Vec::with_capacity(frames.len() * 3 * size * size);
        for frame in frames {
            let pixels = frame.as_ref().as_chunks::<3>().0;
            for (channel, table) in table.iter().enumerate() {
                values.extend(pixels.iter().map(|p| table[usize::from(p[channel])]));
            }
        }
        let data = TensorData::new(values, [frames.len(), 3, size, size]);
        Tensor::from_data(data, (device, DType::from(dtype.activations(device))))
    }

    /// The normalised value of every byte, per channel.
    fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|c| {
            let (mean, std) = (self.config.image_mean[c], self.config.image_std[c]);
            std::array::from_fn(|byte| ((byte as f64 * (1.0 / 255.0)) as f32 - mean) / std)
        })
    }
}

#[cfg(test)]
mod tests {
    use longvu_checkpoint::config::TowerFamily;

    use super::*;

    #[test]
    fn sizes_that_would_wrap_are_refused() {
        let preprocessor = Preprocessor::new(PreprocessorConfig::published(TowerFamily::Siglip, 4));
        for (width, height) in [(u32::MAX, u32::MAX), (u32::MAX, u32::MAX - 1), (3_000_000_000, 2_900_000_000), (0, 9)]
        {
            let refused = preprocessor.resize(&[], width, height);
            assert!(matches!(refused, Err(Error::FrameSize { .. })), "{width}x{height}");
        }
        assert_eq!(preprocessor.resize(&[7; 12], 2, 2).unwrap(), [7; 48]);
    }
}
