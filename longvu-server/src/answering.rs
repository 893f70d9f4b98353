//! Writing answers, those of all requests together: the language model's weights are read once for several tokens.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use longvu::{Answer, AnswerBatch, AnswerStream, BatchEvent, BatchId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is written of an answer; the last is `Ended` or `Failed`.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Ended(Box<Answer>),
    Failed(longvu::Error),
}

/// An answer, whoever waits for it, and what is held until it is written.
struct Client {
    pieces: UnboundedSender<Piece>,
    _held: Held,
}

/// What an answer takes of the server, for as long as it is worked at: it goes when this is dropped.
pub(crate) type Held = Box<dyn Any + Send>;

/// An answer that is about to be written.
type Begun = (AnswerStream, Client);

/// A thread that writes answers.
pub(crate) struct Answering {
    begun: Sender<Begun>,
    /// Answers that are being written.
    count: Arc<AtomicUsize>,
}

impl Answering {
    /// Starts the thread, which ends with this value.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start() -> io::Result<Self> {
        let (begun, answers) = channel();
        let count = Arc::new(AtomicUsize::new(0));
        let mut writer =
            Writer { answers, waiting: VecDeque::new(), writing: Writing::default(), count: count.clone() };
        thread::Builder::new().name("answers".into()).spawn(move || writer.run())?;
        Ok(Self { begun, count })
    }

    /// Answers that are being written.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Begins to write; dropping the receiver ends it. What waits there is bounded by the answer's length.
    ///
    /// `held` goes when the answer has been written, whether or not its reader keeps up.
    pub fn begin(&self, stream: AnswerStream, held: Held) -> UnboundedReceiver<Piece> {
        let (pieces, receiver) = unbounded_channel();
        // Without the thread the receiver ends at once, which is told as a fault of the server.
        let _ = self.begun.send((stream, Client { pieces, _held: held }));
        receiver
    }
}

/// The thread's own.
struct Writer {
    answers: Receiver<Begun>,
    /// Answers of a language model that was loaded again since.
    waiting: VecDeque<Begun>,
    writing: Writing,
    count: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Writing {
    batch: AnswerBatch,
    clients: HashMap<BatchId, Client>,
}

impl Writer {
    fn run(&mut self) {
        while self.take() {
            let writing = &mut self.writing;
            if catch_unwind(AssertUnwindSafe(|| writing.step())).is_err() {
                // Its clients hear that something broke; those to come are not concerned.
                tracing::error!("the answers that were being written broke down");
                self.writing = Writing::default();
            }
            self.count.store(self.writing.clients.len(), Ordering::Relaxed);
        }
    }

    /// Takes in what has begun, and waits for something if there is nothing; whether the server is still there.
    fn take(&mut self) -> bool {
        self.waiting.retain(|(_, client)| !client.pieces.is_closed());
        if self.writing.clients.is_empty() {
            let earlier = std::mem::take(&mut self.waiting);
            earlier.into_iter().for_each(|begun| self.join(begun));
        }
        if self.writing.clients.is_empty() {
            match self.answers.recv() {
                Ok(begun) => self.join(begun),
                Err(_) => return false,
            }
        }
        while let Ok(begun) = self.answers.try_recv() {
            self.join(begun);
        }
        self.count.store(self.writing.clients.len(), Ordering::Relaxed);
        true
    }

    fn join(&mut self, (stream, client): Begun) {
        // Whoever waits for the others' end must not wait for those who come later, too.
        if !self.waiting.is_empty() || !self.writing.batch.takes(&stream) {
            self.waiting.push_back((stream, client));
            return;
        }
        match self.writing.batch.insert(stream) {
            Ok(id) => drop(self.writing.clients.insert(id, client)),
            Err(error) => drop(client.pieces.send(Piece::Failed(error))),
        }
    }
}

impl Writing {
    /// One token for every answer.
    fn step(&mut self) {
        let gone: Vec<BatchId> =
            self.clients.iter().filter(|(_, client)| client.pieces.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            self.batch.remove(id);
            self.clients.remove(&id);
        }
        for (id, event) in self.batch.next_pieces() {
            let told = match event {
                BatchEvent::Piece(text) => {
                    if let Some(client) = self.clients.get(&id) {
                        let _ = client.pieces.send(Piece::Text(text));
                    }
                    continue;
                }
                BatchEvent::Ended(stream) => Piece::Ended(Box::new(stream.answer().clone())),
                BatchEvent::Failed(error) => Piece::Failed(error),
                _ => continue,
            };
            if let Some(client) = self.clients.remove(&id) {
                let _ = client.pieces.send(told);
            }
        }
    }
}
