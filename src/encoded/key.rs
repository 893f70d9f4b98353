//! What tells apart the encodings of different models and settings, for whoever keeps them.

use sha2::{Digest, Sha256};

use crate::{
    LongVu,
    encoded::{file::VERSION, fingerprint::text},
};

impl LongVu {
    /// Tells apart what this handle encodes from what others encode: 32 hexadecimal digits of the towers' and the connector's
    /// weights, of their dtype, of the temporal stage, of the budget that it serves, of the levels by which [repeats](crate::Repeats)
    /// may differ, and of whether the spatial stage needs [attention](crate::EncodedVideo::attention).
    ///
    /// Where two are alike, one video makes one encoding, and either model can be asked about it. They stay the same from one
    /// run to the next, and may change with the version of this library.
    pub fn encoding_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let (settings, attention) = (self.encoding_settings(), self.stages.pruner.needs_attention());
        let entries = settings.entries().map(|(what, value, ..)| (what, value));
        hash.update(format!("{VERSION} {} {entries:?} {attention}", env!("CARGO_PKG_VERSION")));
        text(hash)
    }
}
