//! A short text that tells checkpoints apart by what an encoded video depends on.

use longvu_checkpoint::{Checkpoint, TensorRole, TensorSpec, config::LongVuConfig, declare};
use sha2::{Digest, Sha256};

use crate::{
    Result,
    llm::Decoder,
    model::files::ModelFiles,
    vision::{Dinov2, Siglip},
};

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 32;

/// The fingerprint of both towers and the connector: their sizes, their preprocessing, and a sample of every tensor.
///
/// Whole weights are not read. Where the files are, what they are called and how old they are does not matter.
pub(crate) fn vision_fingerprint(files: &ModelFiles) -> Result<String> {
    let mut hash = Sha256::new();
    let connector = declare(|w| files.build_connector(w));
    let configs = (&files.siglip_config, &files.siglip_pixels, &files.dinov2_config, &files.dinov2_pixels);
    hash.update(format!("{configs:?} {:?}", files.aggregator_config()));
    add(&mut hash, &Checkpoint::open(&files.siglip.repo)?, &declare(|w| Siglip::new(&files.siglip_config, w)))?;
    add(&mut hash, &Checkpoint::open(&files.dinov2.repo)?, &declare(|w| Dinov2::new(&files.dinov2_config, w)))?;
    add(&mut hash, &Checkpoint::open(&files.repo)?, &connector)?;
    Ok(text(hash))
}

/// The fingerprint of the whole model: the language model's sizes and a sample of its tensors, beside what `vision`, the
/// [`vision_fingerprint`] of the rest, is of.
pub(crate) fn fingerprint(checkpoint: &Checkpoint, config: &LongVuConfig, vision: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{vision} {:?}", config.decoder));
    add(&mut hash, checkpoint, &declare(|w| Decoder::new(&config.decoder, config.language_model(), w)))?;
    Ok(text(hash))
}

/// The first [`DIGITS`] of a hash.
pub(crate) fn text(hash: Sha256) -> String {
    let mut text = format!("{:x}", hash.finalize());
    text.truncate(DIGITS);
    text
}

fn add(hash: &mut Sha256, checkpoint: &Checkpoint, specs: &[TensorSpec]) -> Result<()> {
    let names = specs.iter().filter(|spec| spec.role == TensorRole::Parameter).map(|spec| spec.name.as_str());
    Ok(checkpoint.sample(names, |bytes| hash.update(bytes))?)
}
