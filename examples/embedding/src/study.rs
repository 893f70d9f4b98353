//! A stage of one's own, a session that holds its model and chat, and errors that are acted on.

use std::{path::Path, sync::Arc};

use longvu::{
    Chat, ErrorKind, LongVu, Video,
    burn::tensor::Tensor,
    compress::{FrameSelector, WindowSelection},
};

/// Keeps the frames of a window that differ most in their mean feature from the one before.
pub struct Changes {
    /// Frames kept of a window.
    pub keep: usize,
}

impl FrameSelector for Changes {
    fn window(&self) -> usize {
        16
    }
    // FILLED
}
