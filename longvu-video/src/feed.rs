//! Which packets to decode so that the sampled frames come out as if all were decoded.
//!
//! The stream is cut before every picture at which decoding can start. Of each part, packets up to its last sampled picture
//! are needed, in decoding order; of a part without samples, none. Among them, pictures that no other uses and that are not
//! sampled are left out, as are those that a part's first picture precedes in the stream and follows on screen (*leading*
//! pictures: they may use pictures of the part before, and no later one uses them).

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::bitstream::{Facts, Start};

/// What the scan keeps of a packet until the choice is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub pts: Option<i64>,
    /// Whether it puts a frame on screen.
    pub shown: bool,
    pub facts: Facts,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Skip,
    Decode,
    /// Take out of the decoder what it still holds and reset it first.
    DecodeAfterFlush,
}

/// The packets to decode.
#[derive(Debug, Clone)]
pub(crate) enum Feed {
    /// All of the first so many.
    First(usize),
    /// By packet; none after the last.
    Chosen(Arc<[Action]>),
}

impl Feed {
    /// What to do with the packet at `index`; `None` if neither it nor any later packet is needed.
    pub fn action(&self, index: usize) -> Option<Action> {
        match self {
            Self::First(count) => (index < *count).then_some(Action::Decode),
            Self::Chosen(actions) => actions.get(index).copied(),
        }
    }

    /// Chooses among `packets`; `is_sampled` tells by the timestamp. All of them where nothing can be left out.
    pub fn choose(packets: &[Packet], is_sampled: impl Fn(i64) -> bool) -> Self {
        let chooser = Chooser::new(packets, is_sampled);
        let actions = chooser.run();
        if actions.contains(&Action::Skip) || actions.len() < packets.len() {
            Self::Chosen(actions.into())
        } else {
            Self::First(packets.len())
        }
    }
}

struct Chooser<'a> {
    packets: &'a [Packet],
    sampled: Vec<bool>,
    /// The highest temporal layer: only pictures in it are used by no layer above.
    top_layer: u8,
    actions: Vec<Action>,
}

impl<'a> Chooser<'a> {
    fn new(packets: &'a [Packet], is_sampled: impl Fn(i64) -> bool) -> Self {
        let sampled = packets.iter().map(|packet| packet.shown && packet.pts.is_some_and(&is_sampled)).collect();
        let top_layer = packets.iter().map(|packet| packet.facts.layer).max().unwrap_or(0);
        Self { packets, sampled, top_layer, actions: vec![Action::Skip; packets.len()] }
    }

    fn run(mut self) -> Vec<Action> {
        let starts = self.starts();
        // The first packet is decoded in any case: encoders put notes there that decoders act on.
        let mut decoded = self.packets.len().min(1);
        self.actions[..decoded].fill(Action::Decode);
        let cuts = starts.iter().copied().filter(|index| *index > 0).chain([self.packets.len()]);
        let mut start = 0;
        for end in cuts {
            if let Some(last) = (start..end).rev().find(|index| self.sampled[*index]) {
                self.enter(start, decoded);
                let head = self.packets[start].pts.filter(|_| starts.binary_search(&start).is_ok());
                self.decode_part(start..=last, head);
                decoded = decoded.max(last + 1);
            }
            start = end;
        }
        self.actions.truncate(decoded);
        self.actions
    }

    /// Goes on at `start`, packets before `decoded` being decoded: past the packets between them if that is right.
    fn enter(&mut self, start: usize, decoded: usize) {
        if decoded >= start {
            return;
        }
        let Facts { parameters, start: kind, .. } = self.packets[start].facts;
        // Parameter sets that are left out must be the ones that hold anyway.
        let mut left_out = self.packets[decoded..start].iter();
        if left_out.all(|packet| packet.facts.parameters.is_none_or(|sets| Some(sets) == parameters)) {
            if kind == Start::AfterFlush {
                self.actions[start] = Action::DecodeAfterFlush;
            }
        } else {
            self.actions[decoded..start].fill(Action::Decode);
        }
    }

    /// Marks what is needed of a part; `head` is the time of its first picture if decoding can start there.
    fn decode_part(&mut self, part: RangeInclusive<usize>, head: Option<i64>) {
        for index in part.clone() {
            let Packet { pts, facts, .. } = self.packets[index];
            let leads = head.is_some() && pts < head;
            let unused = leads || (facts.disposable && facts.layer == self.top_layer);
            let is_needed = index == *part.start() || self.sampled[index] || facts.parameters.is_some() || !unused;
            if is_needed && self.actions[index] == Action::Skip {
                self.actions[index] = Action::Decode;
            }
        }
    }

    /// Packets to cut before: decoding can start there, and samples are on the same side in the stream as on screen.
    fn starts(&self) -> Vec<usize> {
        let times = |index: usize| self.packets[index].pts.filter(|_| self.sampled[index]);
        let mut earliest_after = vec![i64::MAX; self.packets.len() + 1];
        for index in (0..self.packets.len()).rev() {
            earliest_after[index] = times(index).unwrap_or(i64::MAX).min(earliest_after[index + 1]);
        }
        let mut latest_before = i64::MIN;
        let mut starts = Vec::new();
        for (index, packet) in self.packets.iter().enumerate() {
            if let Some(pts) = packet.pts
                && packet.facts.start != Start::No
                && latest_before < pts
                && earliest_after[index] >= pts
            {
                starts.push(index);
            }
            latest_before = latest_before.max(times(index).unwrap_or(i64::MIN));
        }
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures in decoding order: a letter (`K`ey, `C`RA, `r`eference, `b` for disposable) and a time on screen.
    fn packets(pictures: &str) -> Vec<Packet> {
        let read = |picture: &str| {
            let (kind, pts) = picture.split_at(1);
            let start = match kind {
                "K" => Start::Clean,
                "C" => Start::AfterFlush,
                _ => Start::No,
            };
            let facts = Facts { start, disposable: kind == "b", ..Facts::default() };
            Packet { pts: pts.parse().ok(), shown: true, facts }
        };
        pictures.split_whitespace().map(read).collect()
    }

    /// One letter for each packet up to the last needed.
    fn choose(packets: &[Packet], sampled: &[i64]) -> String {
        let feed = Feed::choose(packets, |pts| sampled.contains(&pts));
        let letter = |index| match feed.action(index)? {
            Action::Skip => Some('.'),
            Action::Decode => Some('d'),
            Action::DecodeAfterFlush => Some('F'),
        };
        (0..).map_while(letter).collect()
    }

    #[test]
    fn a_part_is_decoded_to_its_last_sample_and_entered_at_its_start() {
        let stream = packets("K0 r1 r2 r3 K4 r5 r6 K7 r8 r9");
        assert_eq!(choose(&stream, &[1, 8]), "dd.....dd");
        assert_eq!(choose(&stream, &[5]), "d...dd");
        assert_eq!(choose(&stream, &[0, 9]), "d......ddd");
        assert_eq!(choose(&stream, &[3, 6, 9]), "dddddddddd");
    }

    #[test]
    fn disposable_pictures_are_left_out_unless_sampled() {
        let stream = packets("K0 r3 b1 b2 r6 b4 b5 r9");
        assert_eq!(choose(&stream, &[2, 9]), "dd.dd..d");
        let mut layers = stream.clone();
        layers[2].facts.layer = 1;
        assert_eq!(choose(&layers, &[9]), "dd.dddd".to_owned() + "d", "a lower layer may be used by a higher one");
        let mut with_sets = stream;
        with_sets[5].facts.parameters = Some(1);
        assert_eq!(choose(&with_sets, &[9]), "dd..dd.d");
    }

    #[test]
    fn leading_pictures_hold_a_start_back_only_if_sampled() {
        // r4 and r5 come after C6 in the stream and before it on screen.
        let stream = packets("K0 r3 r1 r2 C6 r4 r5 r8 r7");
        assert_eq!(choose(&stream, &[0, 8]), "d...F..d");
        assert_eq!(choose(&stream, &[0, 5, 8]), "dddddddd");
        assert_eq!(choose(&stream, &[0, 2, 8]), "ddddd..d", "nothing is skipped before C6, so no flush");
        // Those of the first picture of all.
        let cut = packets("C6 r4 r5 r8");
        assert_eq!(choose(&cut, &[8]), "d..d");
        assert_eq!(choose(&cut, &[5, 8]), "dddd");
    }

    #[test]
    fn parameter_sets_are_not_skipped_unless_they_come_again() {
        let mut stream = packets("K0 r1 K2 r3 K4 r5 K6 r7");
        for (index, sets) in [(0, 1), (2, 1), (4, 2), (6, 2)] {
            stream[index].facts.parameters = Some(sets);
        }
        assert_eq!(choose(&stream, &[0, 3]), "d.dd");
        assert_eq!(choose(&stream, &[0, 5]), "ddddd".to_owned() + "d");
        assert_eq!(choose(&stream, &[3, 7]), "d.dd..dd");
        stream[6].facts.parameters = None;
        assert_eq!(choose(&stream, &[3, 7]), "d.dddddd");
    }

    #[test]
    fn a_stream_of_which_nothing_is_known_is_decoded_to_its_last_sample() {
        assert_eq!(choose(&packets("r0 r2 r1 r3"), &[1]), "ddd");
        assert!(matches!(Feed::choose(&packets("r0 r1"), |_| true), Feed::First(2)));
        assert!(matches!(Feed::choose(&[], |_| true), Feed::First(0)));
    }
}
