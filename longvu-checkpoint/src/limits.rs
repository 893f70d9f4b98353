//! What is too large to be meant: sizes up to which files are believed.
//!
//! Files of models come from elsewhere, and a number in one of them is enough to ask for all memory there is. Everything
//! below lies well above any published model; whoever needs more raises it:
//!
//! ```
//! use longvu_checkpoint::{Limits, RepoOptions};
//!
//! let mut limits = Limits::default();
//! limits.layers = 10_000;
//! let options = RepoOptions::default().with_limits(limits);
//! # assert_eq!(options.limits.layers, 10_000);
//! ```

/// The largest sizes that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a configuration. One has some kilobytes, and a megabyte with the names of 20,000 classes; parsed, it takes
    /// twenty times its size.
    pub config_bytes: u64,
    /// Bytes of any other JSON file. The index of a model with 100,000 tensors has 10 MB.
    pub json_bytes: u64,
    /// Bytes of the header of a safetensors file, about 100 a tensor. The format itself allows 100 MB.
    pub header_bytes: u64,
    /// Bytes of the pickle in a PyTorch file, tensors not counted: about 300 a tensor.
    pub pickle_bytes: u64,
    /// Objects that such a pickle makes: about 40 a tensor, each of some 100 bytes.
    pub pickle_objects: u64,
    /// Bytes of a download whose size the Hub does not state. It states the size of every file of weights; Python's
    /// library refuses files without.
    pub unstated_download_bytes: u64,
    /// Layers of one part of a model; the deepest published ones have some 130.
    pub layers: usize,
    /// Width of any layer. The widest published ones have 54,000, and 220,000 inside the feed-forward part.
    pub width: usize,
    /// Rows of the embedding table; the largest published vocabulary has a million.
    pub vocabulary: usize,
    /// Positions of the language model's window; the longest published one has 10 million.
    pub positions: usize,
    /// Tokens or patches of one frame: a grid of 128 x 128, which is a picture of 1,792 pixels in patches of 14. Published are
    /// 27 x 27 and 24 x 24, and a tower's time grows with the square of their number.
    pub frame_tokens: usize,
    /// Side of a tower's input in pixels.
    pub image_side: usize,
    /// Parameters of one part of a model: a trillion. Memory for what is below is checked when it is asked for.
    pub parameters: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            config_bytes: 4 << 20,
            json_bytes: 32 << 20,
            header_bytes: 32 << 20,
            pickle_bytes: 64 << 20,
            pickle_objects: 2_000_000,
            unstated_download_bytes: 256 << 20,
            layers: 1 << 12,
            width: 1 << 22,
            vocabulary: 1 << 21,
            positions: 1 << 24,
            frame_tokens: 1 << 14,
            image_side: 1 << 13,
            parameters: 1 << 40,
        }
    }
}

impl Limits {
    /// Checks that `parameters`, the parts of a sum, are in all as many as are allowed.
    pub(crate) fn check_parameters(&self, parts: &[u128]) -> Result<(), String> {
        let total = parts.iter().fold(0u128, |sum, &part| sum.saturating_add(part));
        if total <= u128::from(self.parameters) {
            return Ok(());
        }
        let bytes = total.saturating_mul(2) / 1_000_000_000;
        Err(format!("its sizes make {total} parameters, {bytes} GB in 16 bits; {} are allowed", self.parameters))
    }
}

/// The product of `factors`; the largest number where there is none so large.
pub(crate) fn product(factors: &[usize]) -> u128 {
    factors.iter().fold(1u128, |product, &factor| product.saturating_mul(factor as u128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_sums_do_not_wrap() {
        assert_eq!(product(&[3, 4, 5]), 60);
        assert_eq!(product(&[usize::MAX; 9]), u128::MAX);
        let limits = Limits::default();
        assert_eq!(limits.check_parameters(&[1 << 39, 1 << 39]), Ok(()));
        assert!(limits.check_parameters(&[1 << 40, 1]).is_err());
        assert!(limits.check_parameters(&[u128::MAX, u128::MAX]).is_err());
    }
}
