//! What all requests share.

use std::{sync::Arc, time::Duration};

use longvu::{LongVu, Preset};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, ServerConfig,
    admission::Admission,
    answering::Answering,
    decode::{DecodeLimits, Decoder},
    encodings::Encodings,
    error::ApiError,
    media::{MediaConfig, MediaSources},
    metrics::Metrics,
    protocol::{extension::Extension, response::unix_now},
};

/// Requests whose bodies are read at once, if all are as large as they may be.
const BODIES: u64 = 4;

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
        let encodings = Encodings::open(config.cache, config.cache_dir.as_deref(), config.cache)?;
        let left = longvu::available_memory().map_or(u64::MAX, |left| left.saturating_sub(config.cache));
        let memory = config.memory.unwrap_or(left);
        let bodies = config.max_body.saturating_mul(3 * BODIES);
        Ok(Arc::new(Self {
            admission: Admission::new(config.parallel, config.queue, memory, bodies),
            answering: Answering::start().map_err(Error::Thread)?,
            decoder,
            encodings,
            media,
            metrics: Metrics::new(),
            created: unix_now(),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            model,
            config,
        }))
    }

    /// The settings that requests have unless they name others.
    pub fn preset(&self) -> Preset {
        self.config.preset
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
        match extension.stages(self.preset())? {
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
