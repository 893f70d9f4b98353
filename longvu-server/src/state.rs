//! What all requests share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use longvu::{
    LongVu,
    plan::{Compute, bytes},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, ServerConfig,
    admission::{Admission, COPIES},
    answering::Answering,
    api_error::ApiError,
    decode::{DecodeLimits, Decoder},
    encodings::Encodings,
    media::{MediaConfig, MediaSources},
    metrics::Metrics,
    protocol::{extension::Extension, response::unix_now},
};

/// Requests whose bodies are read at once, if all are as large as they may be.
const BODIES: u64 = 4;

/// Requests that are worked at side by side, at most: each may hold a thread for blocking work, of which there are 512.
const MOST_PARALLEL: usize = 256;

/// What all requests share.
pub(crate) struct Shared {
    pub model: LongVu,
    pub config: ServerConfig,
    pub created: u64,
    pub admission: Arc<Admission>,
    pub answering: Answering,
    pub decoder: Decoder,
    pub encodings: Arc<Encodings>,
    pub media: Arc<MediaSources>,
    pub metrics: Metrics,
    /// Requests whose answers have not begun.
    pub requests: AtomicUsize,
    /// Cancelled when the server takes no more requests.
    pub closing: CancellationToken,
    /// Cancelled when the server ends what still runs.
    pub stopping: CancellationToken,
}

impl Shared {
    /// Makes the folders, and cleans up after a server that was killed.
    ///
    /// # Errors
    /// Folders that cannot be made, hosts and folders that make no sense, and a program that cannot be its own decoder.
    pub fn new(model: LongVu, config: ServerConfig) -> Result<Arc<Self>, Error> {
        let limits = DecodeLimits {
            frames: config.max_frames,
            seconds: config.max_seconds,
            memory: config.decode_memory,
            time: config.decode_time,
            pixels: config.max_pixels,
        };
        let decoder = Decoder::new(config.isolation.clone(), limits)?;
        let media = MediaSources::new(MediaConfig {
            max_upload: config.max_upload,
            max_stored: config.max_stored.unwrap_or(config.max_upload.saturating_mul(8)),
            hosts: config.allow_urls.clone(),
            folders: config.allow_folders.clone(),
            ..MediaConfig::new(config.temp_dir.clone().unwrap_or_else(std::env::temp_dir))
        })?;
        let all = config.memory.or_else(|| left(&model)).unwrap_or_else(|| {
            let advice = "name how much requests may take (`memory`)";
            tracing::warn!(
                "what memory the device has is not known, and requests are taken whatever they need: {advice}"
            );
            u64::MAX
        });
        // What is kept must not leave requests without room.
        let cache = config.cache.min(all / 2);
        if cache < config.cache {
            let (kept, asked) = (bytes(cache), bytes(config.cache));
            tracing::warn!("{kept} of encoded videos are kept in memory in place of {asked}: there is no more room");
        }
        let memory = all.saturating_sub(cache);
        let encodings = Encodings::open(cache, config.cache_dir.as_deref(), config.cache)?;
        let bodies = config.max_body.saturating_mul(COPIES * BODIES);
        Ok(Arc::new(Self {
            admission: Admission::new(config.parallel.min(MOST_PARALLEL), config.queue, memory, bodies),
            answering: Answering::start().map_err(Error::Thread)?,
            decoder,
            encodings,
            media,
            metrics: Metrics::new(),
            created: unix_now(),
            requests: AtomicUsize::new(0),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            model,
            config,
        }))
    }

    /// Whether somebody still waits for something.
    pub fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.admission.load() != (0, 0)
    }

    /// Refuses requests for other models.
    ///
    /// # Errors
    /// 404 that says which there is.
    pub fn check_model(&self, name: Option<&str>) -> Result<(), ApiError> {
        match name {
            None => Ok(()),
            Some(name) if name == self.config.model_name => Ok(()),
            Some(_) => {
                let message = format!("there is no such model here; use `{}`", self.config.model_name);
                Err(ApiError::not_found(message).param("model").code("model_not_found"))
            }
        }
    }

    /// The model with the stages that a request names.
    ///
    /// # Errors
    /// 422 for stages that make no sense.
    pub fn model_for(&self, extension: &Extension) -> Result<LongVu, ApiError> {
        match extension.stages(self.config.preset)? {
            None => Ok(self.model.clone()),
            Some(settings) => {
                let model = self.model.with_stages(&settings);
                model.map_err(|error| ApiError::of(&error).param("longvu"))
            }
        }
    }

    /// What requests are told that the server cut off.
    pub fn stopped(&self) -> ApiError {
        ApiError::busy("the server is stopping; try again when it is back", Duration::from_secs(10))
    }

    /// Sets the numbers that are what they are at the moment.
    pub fn note_load(&self) {
        let metrics = &self.metrics;
        let ((running, waiting), (reserved, total)) = (self.admission.load(), self.admission.memory());
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.running.set(running as i64);
        metrics.waiting.set(waiting as i64);
        metrics.memory_reserved.set(number(reserved));
        metrics.memory_total.set(number(total));
        metrics.memory_peak.set(longvu::peak_memory().map_or(0, number));
        metrics.cache_bytes.set(number(self.encodings.memory_used()));
        metrics.stored_bytes.set(number(self.media.stored()));
        metrics.decoding.set(self.answering.count() as i64);
    }
}

/// Memory that is left beside the model, where that can be told.
fn left(model: &LongVu) -> Option<u64> {
    longvu::available_memory().filter(|_| Compute::of(model.device()) == Compute::Cpu)
}
