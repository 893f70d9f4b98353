//! Which of a container's streams is the video.

use ffmpeg::codec::Id;
use ffmpeg::format::context::Input;
use ffmpeg::{Stream, media};
use ffmpeg_next as ffmpeg;

use crate::ffi;
use crate::headers::{Headers, Track};

/// A stream that could be the video.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its index among the container's streams.
    pub stream: usize,
    pub track: Option<Track>,
    /// Packets in it, if the container says so.
    pub packets: Option<usize>,
    is_default: bool,
    is_picture_codec: bool,
    pixels: u64,
}

/// Codecs of which one packet is a whole picture file: covers and thumbnails are in these.
const PICTURE_CODECS: [Id; 7] = [Id::MJPEG, Id::PNG, Id::BMP, Id::GIF, Id::WEBP, Id::TIFF, Id::JPEG2000];

/// Streams with pictures that are neither covers nor thumbnails nor parts of other streams. Alpha planes and the like if there
/// is nothing else.
pub(crate) fn candidates(input: &Input, headers: &Headers) -> Vec<Candidate> {
    let is_video =
        |stream: &Stream<'_>| stream.parameters().medium() == media::Type::Video && !ffi::is_attached(stream);
    let streams = input.streams().filter(is_video).enumerate();
    let all: Vec<Candidate> =
        streams.map(|(place, stream)| Candidate::new(&stream, headers.track(stream.id(), place))).collect();
    let is_whole = |candidate: &Candidate| !candidate.track.as_ref().is_some_and(|track| track.is_auxiliary);
    let whole: Vec<Candidate> = all.iter().filter(|candidate| is_whole(candidate)).cloned().collect();
    if whole.is_empty() { all } else { whole }
}

impl Candidate {
    fn new(stream: &Stream<'_>, track: Option<&Track>) -> Self {
        let parameters = stream.parameters();
        let (width, height) = ffi::picture_size(&parameters);
        Self {
            stream: stream.index(),
            track: track.cloned(),
            packets: usize::try_from(stream.frames()).ok().filter(|count| *count > 0),
            is_default: ffi::is_default(stream),
            is_picture_codec: PICTURE_CODECS.contains(&parameters.id()),
            pixels: u64::from(width) * u64::from(height),
        }
    }
}

/// Those of the candidates that move: with more than one picture, and not a few pictures in a codec of pictures beside a video.
/// All of them if none does.
fn moving(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let most = candidates.iter().filter_map(|candidate| candidate.packets).max().unwrap_or(0);
    let moves = |candidate: &Candidate| {
        let packets = candidate.packets.unwrap_or(most);
        packets > 1 && !(candidate.is_picture_codec && packets.saturating_mul(8) <= most)
    };
    let found: Vec<Candidate> = candidates.iter().filter(|candidate| moves(candidate)).cloned().collect();
    if found.is_empty() { candidates } else { found }
}

/// The video among the candidates, whose packets have been counted, and how many there were to choose from. `best` is FFmpeg's
/// choice, which is that of the LongVU package: it stands unless it is no video.
pub(crate) fn choose(candidates: Vec<Candidate>, best: Option<usize>) -> Option<(Candidate, usize)> {
    let found = moving(candidates);
    let by_rank = |candidate: &&Candidate| {
        let is_best = Some(candidate.stream) == best;
        (is_best, candidate.is_default, candidate.pixels, std::cmp::Reverse(candidate.stream))
    };
    let chosen = found.iter().max_by_key(by_rank)?;
    Some((chosen.clone(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(stream: usize, packets: usize, is_picture_codec: bool, is_default: bool) -> Candidate {
        Candidate { stream, track: None, packets: Some(packets), is_default, is_picture_codec, pixels: 100 }
    }

    fn pick(candidates: &[Candidate], best: usize) -> (usize, usize) {
        let (chosen, of) = choose(candidates.to_vec(), Some(best)).unwrap();
        (chosen.stream, of)
    }

    #[test]
    fn a_still_gives_way_to_a_video() {
        let video = candidate(1, 60, false, false);
        assert_eq!(pick(&[candidate(0, 1, true, true), video.clone()], 0), (1, 1));
        assert_eq!(pick(&[candidate(0, 1, false, true), video.clone()], 0), (1, 1));
        assert_eq!(pick(&[candidate(0, 5, true, true), video.clone()], 0), (1, 1));
        assert_eq!(pick(&[candidate(0, 60, true, true), video.clone()], 0), (0, 2), "a video in JPEG");
        assert_eq!(pick(&[candidate(0, 5, false, true), video], 0), (0, 2), "a slow video");
        assert_eq!(pick(&[candidate(0, 1, true, true), candidate(1, 1, true, false)], 1), (1, 2));
    }

    #[test]
    fn without_the_best_the_default_and_then_the_largest() {
        let mut streams =
            vec![candidate(2, 9, false, false), candidate(3, 9, false, true), candidate(4, 9, false, true)];
        assert_eq!(pick(&streams, 0), (3, 3));
        streams[2].pixels += 1;
        assert_eq!(pick(&streams, 0), (4, 3));
        assert!(choose(Vec::new(), None).is_none());
    }
}
