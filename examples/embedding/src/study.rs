//! A stage of one's own, a chat kept beside its model, and errors that are acted on.

use std::{path::Path, sync::Arc};

use longvu::{
    Chat, ErrorKind, LongVu, Video,
    burn::tensor::Tensor,
    compress::{FrameSelector, StageError, WindowSelection},
};

/// Keeps the frames of a window whose mean feature is farthest from the window's.
pub struct Outstanding {
    /// Frames kept of a window.
    pub keep: usize,
}

impl FrameSelector for Outstanding {
    fn window(&self) -> usize {
        16
    }

    fn applies(&self, _frames: usize, _limit: usize) -> bool {
        true
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let frames: Tensor<3> = features.mean_dim(1);
        let distance = (frames.clone() - frames.mean_dim(0)).powi_scalar(2).sum_dim(2);
        let scores: Vec<f32> = distance.into_data().try_to_vec().map_err(|error| format!("{error:?}"))?;
        let mut kept: Vec<usize> = (0..scores.len()).collect();
        kept.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        kept.truncate(self.keep);
        kept.sort_unstable();
        Ok(WindowSelection::new(scores, kept))
    }

    fn max_frames(&self) -> usize {
        400
    }

    fn describe(&self) -> String {
        format!("outstanding {}", self.keep)
    }
}

/// A model and a conversation about one video, in one value.
pub struct Session {
    /// The model, for whatever else is to be done with it.
    pub model: LongVu,
    /// The conversation.
    pub chat: Chat,
}

impl Session {
    /// Loads a model with [`Outstanding`] in the temporal stage's place, and looks at a video.
    ///
    /// # Errors
    /// As longvu's.
    pub fn open(model: &Path, video: &Path, keep: usize) -> longvu::Result<Self> {
        let model = LongVu::builder(model).temporal_stage(Arc::new(Outstanding { keep })).load()?;
        let video = model.encode(Video::open(video)?)?;
        let chat = model.chat(&[&video]).with_system("Answer in one word.");
        Ok(Self { model, chat })
    }
}

/// What a person is told, who need not know longvu.
pub fn explain(error: &longvu::Error) -> &'static str {
    match error.kind() {
        ErrorKind::BadInput => "That file or question cannot be used.",
        ErrorKind::NotFound => "Something is not where it should be.",
        ErrorKind::DoesNotFit => "That is too much for this machine or model.",
        ErrorKind::Cancelled => "Stopped.",
        ErrorKind::Device => "This machine lacks the device.",
        _ => "Something broke; please report it.",
    }
}
