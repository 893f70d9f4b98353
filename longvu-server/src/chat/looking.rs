//! From what a message names to an encoded video.

use std::{sync::Arc, time::Duration};

use longvu::{Clip, EncodedVideo, ErrorKind, LongVu, VideoOptions, VisualKind, Workload, text};
use tokio::{runtime::Handle, sync::mpsc::Sender, time::interval};

use super::event::{Event, Told};
use crate::{
    admission::{Forecast, Reserved},
    api_error::ApiError,
    decode::{DecodeError, Decoding, Killer},
    encodings::{Advance, Entry, Found, Job, Key, Origin, Shots},
    media::Media,
    protocol::content::{MediaKind, Reference},
    state::Shared,
};

/// How often a request that waits for memory asks whether somebody waits for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// An encoded video with what is to be told of it.
pub(crate) struct Looked {
    found: Found,
    key: Key,
    media: Media,
    /// What was read otherwise than it was named.
    remark: Option<&'static str>,
}

impl Looked {
    pub fn video(&self) -> &EncodedVideo {
        &self.found.entry.video
    }

    pub fn media(&self) -> &Media {
        &self.media
    }

    pub fn key(&self) -> String {
        self.key.as_str().to_owned()
    }

    pub fn origin(&self) -> Origin {
        self.found.origin
    }

    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.found.entry.warnings.iter().cloned();
        warnings.chain(self.remark.map(str::to_owned)).chain(self.video().repeats_remark()).collect()
    }
}

/// Encodes what a message names, or takes what is kept of it.
///
/// # Errors
/// 400 for what cannot be read, 404 for what is not there, 413 for what is too large, each with the field that names it.
pub(crate) async fn look(
    server: &Arc<Shared>,
    model: &LongVu,
    reference: &Reference,
    options: &VideoOptions,
    events: &Sender<Event>,
) -> Result<Looked, ApiError> {
    let at = |error: ApiError| if error.param.is_some() { error } else { error.param(&reference.param) };
    let _ = events.try_send(Event::Progress(Told::begun("fetch")));
    let media = server.media.resolve(&reference.url).await.map_err(at)?;
    let _ = events.try_send(Event::Progress(Told::begun("open")));
    let sampling = match reference.kind {
        MediaKind::Image => "image".to_owned(),
        MediaKind::Video | MediaKind::File => format!("{options:?}"),
    };
    let key = Key::new(media.sha256(), &model.encoding_fingerprint(), &sampling);
    let (state, handle, options, kind) = (Arc::clone(server), model.clone(), options.clone(), reference.kind);
    let file = media.clone();
    let runtime = Handle::current();
    let work = move |job: &Job| Work { server: &state, model: &handle, job, runtime }.encode(&file, &options, kind);
    let client = events.clone();
    let progress = move |advance: Advance| {
        let Advance { step, done, total, seconds } = advance;
        let _ = client.try_send(Event::Progress(Told::at(step.name(), done, total, seconds)));
    };
    let found = server.encodings.get_or_encode(&key, model, progress, work).await.map_err(at)?;
    let still = reference.kind == MediaKind::Video && found.entry.video.kind() == VisualKind::Image;
    let remark = still.then_some("this is a picture, and was looked at as one; `image_url` names pictures");
    Ok(Looked { found, key, media, remark })
}

/// An encoding, on a thread for blocking work.
struct Work<'a> {
    server: &'a Shared,
    model: &'a LongVu,
    job: &'a Job,
    runtime: Handle,
}

impl Work<'_> {
    fn encode(&self, media: &Media, options: &VideoOptions, kind: MediaKind) -> Result<Entry, ApiError> {
        let stop = |killer: Killer| self.job.on_stop(move || killer.kill());
        let decoding = self.server.decoder.open_with(media.path(), options, stop).map_err(|error| refusal(&error))?;
        if kind == MediaKind::Image && decoding.kind == VisualKind::Video {
            return Err(ApiError::bad_request("this is a video and no picture; send it as `video_url`"));
        }
        let _memory = self.room(&decoding)?;
        let (visual, expected, warnings) = (decoding.kind, decoding.frames, decoding.warnings());
        let (mut frames, shots) = Shots::of(decoding);
        let clip = match visual {
            VisualKind::Video => Clip::from_frames(frames, Some(expected)),
            VisualKind::Image => {
                let frame = frames.next().unwrap_or(Err(longvu::Error::NoFrames));
                Clip::from_image(frame.map_err(|error| failure(&error))?)
            }
        };
        let video = self.model.watched(self.job.watch()).encode(clip).map_err(|error| failure(&error))?;
        if media.changed() {
            return Err(ApiError::bad_request("the file changed while it was looked at; ask again"));
        }
        Ok(Entry { video, pictures: shots.pictures(), warnings: warnings.texts() })
    }

    /// Memory for the encoding, once there is, for as long as somebody waits for it.
    fn room(&self, decoding: &Decoding) -> Result<Reserved, ApiError> {
        let workload = Workload::encoding(decoding.frames, decoding.size);
        let plan = self.model.plan(workload, None);
        let forecast = Forecast::of_encoding(&plan);
        let given_up = async {
            let mut asking = interval(PATIENCE);
            while !self.job.is_stopped() {
                asking.tick().await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                reserved = self.server.admission.reserve(&forecast) => reserved,
                () = given_up => Err(ApiError::given_up()),
            }
        })
    }
}

/// Why a video could not be encoded.
fn failure(error: &longvu::Error) -> ApiError {
    if let longvu::Error::Source(source) = error
        && let Some(error) = source.downcast_ref::<DecodeError>()
    {
        return refusal(error);
    }
    ApiError::of(error)
}

/// Why a file could not be decoded.
fn refusal(error: &DecodeError) -> ApiError {
    match error.kind() {
        ErrorKind::BadInput | ErrorKind::NotFound => ApiError::bad_request(text::chain(error)).code("invalid_media"),
        ErrorKind::DoesNotFit => ApiError::too_large(text::chain(error)),
        ErrorKind::Cancelled => ApiError::given_up(),
        _ => ApiError::internal(error),
    }
}
