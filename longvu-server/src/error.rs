//! Why a server does not start.

use std::{io, net::IpAddr};

use crate::{decode::DecodeError, encodings::FolderError, media::SetupError};

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody can listen there.
    #[error("the address cannot be listened at")]
    Listen(#[source] io::Error),

    /// An address that others can reach, and no key.
    #[error(
        "{address} can be reached from other machines, and there is no key: name one (`api_keys`), or listen on the loopback"
    )]
    NoKey {
        /// The address.
        address: IpAddr,
    },

    /// No thread could be started.
    #[error("no thread could be started")]
    Thread(#[source] io::Error),

    /// Videos cannot be decoded as they are to be.
    #[error("videos cannot be decoded")]
    Decode(#[from] DecodeError),

    /// Folders, hosts and limits of what requests may name.
    #[error("what requests may name cannot be set up")]
    Media(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// The folder in which encoded videos are kept.
    #[error(transparent)]
    Cache(#[from] FolderError),
}

impl From<SetupError> for Error {
    fn from(error: SetupError) -> Self {
        Self::Media(Box::new(error))
    }
}
