//! Frames as they come out of a decoding process or thread.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use longvu::{Frame, VideoOptions, VisualKind};

use super::{
    child::{Event, Killer},
    error::DecodeError,
    limits::DecodeLimits,
    source,
    wire::{Failure, Header, Message},
};

/// How often a receiver looks whether it has been stopped.
const LOOK: Duration = Duration::from_millis(50);

/// A video or picture that is being decoded: an iterator over its sampled frames, in order.
///
/// One frame is decoded ahead. After an error the iterator ends. Dropping it ends the process.
#[derive(Debug)]
pub struct Decoding {
    /// A video's frames, or a picture.
    pub kind: VisualKind,
    /// Width and height of every frame, in pixels.
    pub size: (u32, u32),
    /// Frames that will come; fewer where the file is damaged.
    pub frames: usize,
    /// Seconds of the whole video; 0 of a picture.
    pub duration: f64,
    warnings: Warnings,
    stream: Stream,
}

/// What there is to say about a file, also while somebody else has its [`Decoding`].
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// The texts so far; all of them once the frames are at their end.
    pub fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, texts: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = texts;
    }
}

impl Decoding {
    /// Waits for what the file is, and refuses what is over the limits.
    pub(super) fn begin(mut stream: Stream, options: &VideoOptions) -> Result<Self, DecodeError> {
        let header = match stream.receive()? {
            Message::Header(header) => header,
            Message::Failed(failure) => return Err(stream.refusal(failure)),
            _ => return Err(DecodeError::Protocol { what: "it sent no header" }),
        };
        stream.limits.check(&header, options)?;
        let Header { kind, size, frames, duration, warnings: texts } = header;
        let warnings = Warnings::default();
        warnings.set(texts);
        Ok(Self { kind, size, frames, duration, warnings, stream })
    }

    /// What there is to say about the file.
    pub fn warnings(&self) -> Warnings {
        self.warnings.clone()
    }

    /// What stops this decoding from another thread.
    pub fn killer(&self) -> Killer {
        self.stream.killer.clone()
    }
}

impl Iterator for Decoding {
    type Item = longvu::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let error = match self.stream.next()? {
            Ok(Message::Frame(frame)) => return Some(Ok(frame)),
            Ok(Message::End(warnings)) => {
                self.warnings.set(warnings);
                return None;
            }
            Ok(Message::Failed(failure)) => self.stream.refusal(failure),
            Ok(_) => DecodeError::Protocol { what: "it sent something out of turn" },
            Err(error) => error,
        };
        Some(Err(longvu::Error::Source(Box::new(error))))
    }
}

impl std::iter::FusedIterator for Decoding {}

/// Messages, and the time that waiting for them took.
#[derive(Debug)]
pub(super) struct Stream {
    events: Receiver<Event>,
    killer: Killer,
    limits: DecodeLimits,
    waited: Duration,
    is_over: bool,
}

impl Stream {
    pub fn new(events: Receiver<Event>, killer: Killer, limits: DecodeLimits) -> Self {
        Self { events, killer, limits, waited: Duration::ZERO, is_over: false }
    }

    /// The next message; `None` after the last, which is an end, a failure or an error.
    fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        let event = self.receive();
        self.is_over = !matches!(event, Ok(Message::Frame(_) | Message::Header(_)));
        Some(event)
    }

    fn receive(&mut self) -> Event {
        let start = Instant::now();
        loop {
            if self.killer.is_killed() {
                return Err(DecodeError::Killed);
            }
            let left = self.limits.time.saturating_sub(self.waited + start.elapsed());
            match self.events.recv_timeout(left.min(LOOK)) {
                // What a stopped process still said, or died of, is not news.
                Ok(_) if self.killer.is_killed() => return Err(DecodeError::Killed),
                Ok(event) => {
                    self.waited += start.elapsed();
                    return event;
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    self.killer.kill();
                    return Err(DecodeError::Time { limit: self.limits.time });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DecodeError::Ended { how: "it broke down".to_owned() });
                }
            }
        }
    }

    fn refusal(&self, Failure { kind, message, is_memory }: Failure) -> DecodeError {
        if is_memory {
            return DecodeError::Memory { limit: self.limits.memory };
        }
        DecodeError::Refused { kind, message }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

/// Starts a thread of this process that decodes.
pub(super) fn start_thread(
    path: &Path,
    options: VideoOptions,
    events: SyncSender<Event>,
) -> Result<Killer, DecodeError> {
    let killer = Killer::default();
    let (path, stopped) = (path.to_owned(), killer.clone());
    thread::Builder::new().name("longvu-decoding".to_owned()).spawn(move || {
        source::decode(&path, &options, |message| !stopped.is_killed() && events.send(Ok(message)).is_ok());
    })?;
    Ok(killer)
}
