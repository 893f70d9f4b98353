//! Samples of the drawn world, and of files.

use std::sync::Mutex;

use longvu::{Frame, Video, VideoOptions, VisualKind, open_image};
use longvu_world::Script;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::{Sample, SampleSource};
use crate::{
    Error, Result,
    data::{Media, Record, WorldSample, WorldStream},
};

/// Videos and pictures of the world, drawn in memory, a frame a second as videos are sampled.
pub struct WorldSource {
    stream: WorldStream,
}

impl WorldSource {
    /// Samples of `stream`.
    pub fn new(stream: WorldStream) -> Self {
        Self { stream }
    }
}

impl SampleSource for WorldSource {
    fn sample(&self, index: u64) -> Result<Sample> {
        let WorldSample { script, questions, is_picture, visual_tokens, is_dialogue } = self.stream.sample(index)?;
        let mut frames = draw_frames(&script)?;
        if is_picture {
            frames.truncate(1);
        }
        let kind = Some(if is_picture { VisualKind::Image } else { VisualKind::Video });
        let turns = questions.into_iter().map(|question| (question.text, question.answer)).collect();
        Ok(Sample { kind, frames, system: None, turns, visual_tokens, is_dialogue })
    }

    fn description(&self) -> String {
        format!("the drawn world, {}", self.stream.description())
    }
}

/// A frame of the video for every second.
///
/// # Errors
/// A script of no size.
pub fn draw_frames(script: &Script) -> Result<Vec<Frame>> {
    let (width, height) = script.size();
    let frames = script.frames(1.0)?.map(|drawn| Frame::new(drawn.index, drawn.timestamp, width, height, drawn.rgb));
    Ok(frames.collect::<Result<_, _>>()?)
}

/// Videos and images in files, in another order every time through.
pub struct FileSource {
    records: Vec<Record>,
    origin: String,
    options: VideoOptions,
    seed: u64,
    /// The order of the epoch that was asked for last.
    order: Mutex<Option<(u64, Vec<usize>)>>,
}

impl FileSource {
    /// Samples of `records`, which `origin` names; of each video a frame a second, and at most `max_frames`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no records.
    pub fn new(records: Vec<Record>, origin: String, max_frames: Option<usize>, seed: u64) -> Result<Self> {
        if records.is_empty() {
            return Err(Error::Setting { name: "records", value: "empty".into(), expected: "one or more" });
        }
        let mut options = VideoOptions::default();
        options.max_frames = max_frames;
        Ok(Self { records, origin, options, seed, order: Mutex::new(None) })
    }

    fn record(&self, index: u64) -> &Record {
        let len = self.records.len() as u64;
        let (epoch, place) = (index / len, (index % len) as usize);
        let mut order = self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let mut shuffled: Vec<usize> = (0..self.records.len()).collect();
            shuffled.shuffle(&mut StdRng::seed_from_u64(self.seed.wrapping_add(epoch)));
            *order = Some((epoch, shuffled));
        }
        let place = order.as_ref().map_or(place, |(_, order)| order[place]);
        &self.records[place]
    }
}

impl SampleSource for FileSource {
    fn sample(&self, index: u64) -> Result<Sample> {
        let record = self.record(index);
        let (kind, frames) = match &record.media {
            None => (None, Vec::new()),
            Some(Media::Image(path)) => {
                let image = open_image(path).map_err(longvu::Error::from)?;
                (Some(VisualKind::Image), vec![Frame::from(image.frame)])
            }
            Some(Media::Video(path)) => {
                let video = Video::open_with(path, self.options.clone()).map_err(longvu::Error::from)?;
                let frames = video.frames().map_err(longvu::Error::from)?;
                let frames: Result<_, _> = frames.map(|frame| frame.map(Frame::from)).collect();
                (Some(VisualKind::Video), frames.map_err(longvu::Error::from)?)
            }
        };
        let turns = record.turns.clone();
        Ok(Sample { kind, frames, system: None, turns, visual_tokens: None, is_dialogue: true })
    }

    fn count(&self) -> Option<u64> {
        Some(self.records.len() as u64)
    }

    fn description(&self) -> String {
        format!("{} records of {}", self.records.len(), self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_records_are_refused() {
        assert!(FileSource::new(Vec::new(), "data.json".into(), None, 0).is_err());
    }
}
