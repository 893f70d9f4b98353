//! Numbers for whoever watches over the server, as Prometheus reads them.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub requests: Family<RequestLabels, Counter>,
    pub encodings: Family<OriginLabels, Counter>,
    pub prompt_tokens: Counter,
    pub completion_tokens: Counter,
    pub seconds: Family<StepLabels, Histogram>,
    pub running: Gauge,
    pub waiting: Gauge,
    pub memory_reserved: Gauge,
    pub memory_total: Gauge,
    pub memory_peak: Gauge,
    pub cache_bytes: Gauge,
    pub stored_bytes: Gauge,
    pub decoding: Gauge,
}

/// A kind of request and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub route: &'static str,
    pub status: u16,
}

/// Where an encoded video came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OriginLabels {
    pub origin: &'static str,
}

/// A step of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StepLabels {
    pub step: &'static str,
}

impl Metrics {
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("longvu"),
            requests: Family::default(),
            encodings: Family::default(),
            prompt_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            // A hundredth of a second to some three hours.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 20))),
            running: Gauge::default(),
            waiting: Gauge::default(),
            memory_reserved: Gauge::default(),
            memory_total: Gauge::default(),
            memory_peak: Gauge::default(),
            cache_bytes: Gauge::default(),
            stored_bytes: Gauge::default(),
            decoding: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by route and status", self.requests.clone());
        registry.register("encodings", "Encoded videos by where they came from", self.encodings.clone());
        registry.register("prompt_tokens", "Positions of prompts", self.prompt_tokens.clone());
        registry.register("completion_tokens", "Tokens of answers", self.completion_tokens.clone());
        registry.register_with_unit("step", "Seconds of a step", Unit::Seconds, self.seconds.clone());
        registry.register("running", "Requests that are worked at", self.running.clone());
        registry.register("waiting", "Requests that wait", self.waiting.clone());
        registry.register("decoding", "Answers that are decoded together", self.decoding.clone());
        let (reserved, total) = (self.memory_reserved.clone(), self.memory_total.clone());
        registry.register_with_unit("memory_reserved", "Memory spoken for by requests", Unit::Bytes, reserved);
        registry.register_with_unit("memory_total", "Memory for requests", Unit::Bytes, total);
        registry.register_with_unit("memory_peak", "Most memory so far", Unit::Bytes, self.memory_peak.clone());
        registry.register_with_unit("cache", "Encoded videos in memory", Unit::Bytes, self.cache_bytes.clone());
        registry.register_with_unit("stored", "Uploads and downloads on disk", Unit::Bytes, self.stored_bytes.clone());
        self
    }

    /// All numbers as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a `String` does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::new();
        metrics.requests.get_or_create(&RequestLabels { route: "/health", status: 200 }).inc();
        metrics.seconds.get_or_create(&StepLabels { step: "encode" }).observe(1.5);
        metrics.waiting.set(3);
        let text = metrics.text();
        for line in [
            "longvu_requests_total{route=\"/health\",status=\"200\"} 1",
            "longvu_step_seconds_count{step=\"encode\"} 1",
            "longvu_waiting 3",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
