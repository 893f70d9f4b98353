//! What a decoding process and its parent say to each other, over two pipes.
//!
//! The parent sends a [`Job`]. The process answers with messages: a tag, the length of what follows in four bytes, little
//! endian, and that many bytes. What is short is JSON; a frame is its numbers and its pixels. Nothing that the process says is
//! believed unseen: it may have been taken over by the file that it reads.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
};

use longvu::{ErrorKind, Frame, VideoOptions, VisualKind, text};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::error::DecodeError;

/// Bytes of a message that is no frame, and of a job.
const MAX_TEXT: u64 = 1 << 20;

/// Warnings of one file that are passed on.
pub(super) const MAX_WARNINGS: usize = 100;

/// Bytes of a frame's numbers: index, time, width, height.
const FRAME_HEAD: u32 = 24;

const STARTED: u8 = b'S';
const HEADER: u8 = b'H';
const FRAME: u8 = b'F';
const END: u8 = b'E';
const FAILED: u8 = b'X';

/// What a process is to decode, and the limits that it puts on itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub path: OsString,
    pub options: VideoOptions,
    /// Bytes of memory beside those that it has when it starts.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu_seconds: u64,
}

/// A job as it is sent.
#[derive(Serialize, Deserialize)]
struct SentJob {
    path: OsString,
    options: Value,
    memory: u64,
    cpu_seconds: u64,
}

impl Job {
    /// Sends the job.
    pub fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut options = serde_json::to_value(&self.options)?;
        floats_to_bits(&mut options);
        let sent = SentJob { path: self.path.clone(), options, memory: self.memory, cpu_seconds: self.cpu_seconds };
        writer.write_all(&serde_json::to_vec(&sent)?)?;
        writer.flush()
    }

    /// Receives a job, which ends where the pipe does.
    pub fn read(reader: impl Read) -> io::Result<Self> {
        let mut sent: SentJob = serde_json::from_reader(io::BufReader::new(reader))?;
        bits_to_floats(&mut sent.options);
        let options = serde_json::from_value(sent.options)?;
        Ok(Self { path: sent.path, options, memory: sent.memory, cpu_seconds: sent.cpu_seconds })
    }
}

/// The key of a number that is sent by its bits.
const BITS: &str = "bits";

/// Replaces numbers with a fraction by their bits: what parses decimal digits may be off by the last bit, and frames are chosen
/// by comparing times.
fn floats_to_bits(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_u64() && !number.is_i64() => {
            let bits = number.as_f64().unwrap_or(0.0).to_bits();
            *value = serde_json::json!({ BITS: bits });
        }
        Value::Array(values) => values.iter_mut().for_each(floats_to_bits),
        Value::Object(entries) => entries.values_mut().for_each(floats_to_bits),
        _ => {}
    }
}

fn bits_to_floats(value: &mut Value) {
    match value {
        Value::Object(entries) => match entries.get(BITS).and_then(Value::as_u64) {
            Some(bits) => *value = Value::from(f64::from_bits(bits)),
            None => entries.values_mut().for_each(bits_to_floats),
        },
        Value::Array(values) => values.iter_mut().for_each(bits_to_floats),
        _ => {}
    }
}

/// What a process says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It knows its job and has locked itself in; what of that the system could not do.
    Started(Vec<String>),
    /// The file could be opened.
    Header(Header),
    Frame(Frame),
    /// All frames have been sent; every warning, those of the header included.
    End(Vec<String>),
    Failed(Failure),
}

/// What a file is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub kind: VisualKind,
    /// Width and height of every frame, in pixels.
    pub size: (u32, u32),
    /// Frames that the settings pick.
    pub frames: usize,
    /// Seconds of the whole video; 0 of a picture.
    pub duration: f64,
    pub warnings: Vec<String>,
}

/// A header as it is sent.
#[derive(Serialize, Deserialize)]
struct SentHeader {
    kind: VisualKind,
    size: (u32, u32),
    frames: usize,
    duration_bits: u64,
    warnings: Vec<String>,
}

/// Why a file could not be decoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    /// Whether memory ran out.
    pub is_memory: bool,
}

/// A failure as it is sent.
#[derive(Serialize, Deserialize)]
struct SentFailure {
    kind: String,
    message: String,
    is_memory: bool,
}

const KINDS: [(&str, ErrorKind); 4] = [
    ("bad_input", ErrorKind::BadInput),
    ("not_found", ErrorKind::NotFound),
    ("does_not_fit", ErrorKind::DoesNotFit),
    ("internal", ErrorKind::Internal),
];

/// Sends a message.
pub(super) fn write(writer: &mut impl Write, message: &Message) -> io::Result<()> {
    match message {
        Message::Started(missing) => write_text(writer, STARTED, missing)?,
        Message::Header(header) => {
            let Header { kind, size, frames, duration, warnings } = header.clone();
            write_text(
                writer,
                HEADER,
                &SentHeader { kind, size, frames, duration_bits: duration.to_bits(), warnings },
            )?;
        }
        Message::Frame(frame) => {
            writer.write_all(&[FRAME])?;
            writer.write_all(&FRAME_HEAD.to_le_bytes())?;
            writer.write_all(&(frame.index as u64).to_le_bytes())?;
            writer.write_all(&frame.timestamp.to_bits().to_le_bytes())?;
            writer.write_all(&frame.width.to_le_bytes())?;
            writer.write_all(&frame.height.to_le_bytes())?;
            writer.write_all(&frame.rgb)?;
        }
        Message::End(warnings) => write_text(writer, END, warnings)?,
        Message::Failed(failure) => {
            let name = KINDS.iter().find(|(_, kind)| *kind == failure.kind).map_or("internal", |(name, _)| name);
            let Failure { message, is_memory, .. } = failure.clone();
            write_text(writer, FAILED, &SentFailure { kind: name.to_owned(), message, is_memory })?;
        }
    }
    writer.flush()
}

fn write_text(writer: &mut impl Write, tag: u8, content: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(content)?;
    let length = u32::try_from(json.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    writer.write_all(&[tag])?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(&json)
}

/// What a process says, as far as it makes sense.
pub(super) struct Messages<R> {
    reader: R,
    max_pixels: u64,
    has_started: bool,
    header: Option<Header>,
    /// Frames so far, and index and time of the latest.
    frames: usize,
    latest: Option<(usize, f64)>,
}

impl<R: Read> Messages<R> {
    /// Messages in which no frame has more than `max_pixels`.
    pub fn new(reader: R, max_pixels: u64) -> Self {
        Self { reader, max_pixels, has_started: false, header: None, frames: 0, latest: None }
    }

    /// Whether the process got as far as the file.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// The next message; `None` where the pipe ends, be it within a message.
    pub fn next(&mut self) -> Result<Option<Message>, DecodeError> {
        match self.receive() {
            Ok(message) => Ok(Some(message)),
            Err(Fault::Gone) => Ok(None),
            Err(Fault::Nonsense(what)) => Err(DecodeError::Protocol { what }),
            Err(Fault::NoMemory) => Err(io::Error::from(io::ErrorKind::OutOfMemory).into()),
        }
    }

    fn receive(&mut self) -> Result<Message, Fault> {
        let [tag] = self.bytes()?;
        let length = u32::from_le_bytes(self.bytes()?);
        let is_due = match tag {
            STARTED => !self.has_started,
            HEADER => self.has_started && self.header.is_none(),
            FRAME | END => self.header.is_some(),
            FAILED => self.has_started,
            _ => return Err(Fault::Nonsense("it sent something unknown")),
        };
        if !is_due {
            return Err(Fault::Nonsense("it sent something out of turn"));
        }
        Ok(match tag {
            STARTED => {
                self.has_started = true;
                Message::Started(texts(self.text(length)?)?)
            }
            HEADER => Message::Header(self.header(length)?),
            FRAME => Message::Frame(self.frame(length)?),
            END => Message::End(texts(self.text(length)?)?),
            _ => {
                let SentFailure { kind, message, is_memory } = self.text(length)?;
                let known = KINDS.iter().find(|(name, _)| *name == kind);
                let kind = known.ok_or(Fault::Nonsense("it sent an unknown kind of error"))?.1;
                Message::Failed(Failure { kind, message: text::told(&message), is_memory })
            }
        })
    }

    fn header(&mut self, length: u32) -> Result<Header, Fault> {
        let SentHeader { kind, size, frames, duration_bits, warnings } = self.text(length)?;
        let duration = f64::from_bits(duration_bits);
        let pixels = u64::from(size.0) * u64::from(size.1);
        if pixels == 0 || pixels > self.max_pixels {
            return Err(Fault::Nonsense("it sent a size that pictures do not have"));
        }
        if !(duration.is_finite() && duration >= 0.0) {
            return Err(Fault::Nonsense("it sent a length that no video has"));
        }
        if frames == 0 || (kind == VisualKind::Image && frames != 1) {
            return Err(Fault::Nonsense("it sent a number of frames that no file has"));
        }
        let header = Header { kind, size, frames, duration, warnings: texts(warnings)? };
        self.header = Some(header.clone());
        Ok(header)
    }

    fn frame(&mut self, length: u32) -> Result<Frame, Fault> {
        if length != FRAME_HEAD {
            return Err(Fault::Nonsense("it sent a frame of an unknown form"));
        }
        let index = u64::from_le_bytes(self.bytes()?);
        let timestamp = f64::from_bits(u64::from_le_bytes(self.bytes()?));
        let size = (u32::from_le_bytes(self.bytes()?), u32::from_le_bytes(self.bytes()?));
        let header = self.header.as_ref().ok_or(Fault::Nonsense("it sent a frame before its size"))?;
        if size != header.size || self.frames >= header.frames {
            return Err(Fault::Nonsense("it sent a frame that it did not announce"));
        }
        let index = usize::try_from(index).map_err(|_| Fault::Nonsense("it sent a frame of no index"))?;
        let follows = self.latest.is_none_or(|(before, time)| index > before && timestamp >= time);
        if !(timestamp.is_finite() && timestamp >= 0.0 && follows) {
            return Err(Fault::Nonsense("it sent a frame out of order"));
        }
        // Within the limit on pixels, so that it is a length of memory.
        let bytes = u64::from(size.0) * u64::from(size.1) * 3;
        let capacity = usize::try_from(bytes).map_err(|_| Fault::NoMemory)?;
        let mut rgb = Vec::new();
        rgb.try_reserve_exact(capacity).map_err(|_| Fault::NoMemory)?;
        self.reader.by_ref().take(bytes).read_to_end(&mut rgb).map_err(|_| Fault::Gone)?;
        if rgb.len() != capacity {
            return Err(Fault::Gone);
        }
        self.frames += 1;
        self.latest = Some((index, timestamp));
        Frame::new(index, timestamp, size.0, size.1, rgb).map_err(|_| Fault::Nonsense("it sent a frame of no size"))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|_| Fault::Gone)?;
        Ok(bytes)
    }

    fn text<T: DeserializeOwned>(&mut self, length: u32) -> Result<T, Fault> {
        if u64::from(length) > MAX_TEXT {
            return Err(Fault::Nonsense("it sent too long a text"));
        }
        let mut json = Vec::new();
        self.reader.by_ref().take(u64::from(length)).read_to_end(&mut json).map_err(|_| Fault::Gone)?;
        if json.len() as u64 != u64::from(length) {
            return Err(Fault::Gone);
        }
        serde_json::from_slice(&json).map_err(|_| Fault::Nonsense("it sent a text that cannot be read"))
    }
}

/// Why there is no message.
enum Fault {
    /// The pipe is at its end.
    Gone,
    Nonsense(&'static str),
    NoMemory,
}

/// Texts that may be shown.
fn texts(texts: Vec<String>) -> Result<Vec<String>, Fault> {
    if texts.len() > MAX_WARNINGS {
        return Err(Fault::Nonsense("it sent too many warnings"));
    }
    Ok(texts.iter().map(|text| text::told(text)).collect())
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
