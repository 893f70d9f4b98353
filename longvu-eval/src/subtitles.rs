//! Subtitles of the frames that are looked at.

use std::path::Path;

use srtlib::{Subtitle, Timestamp};

use crate::{Error, Result};

/// A file of subtitles.
#[derive(Debug, Clone, PartialEq)]
pub struct Subtitles {
    /// Start and end in seconds, and text, in the order of their starts.
    cues: Vec<(f64, f64, String)>,
    unreadable: usize,
}

/// More tokens than this are thinned.
const MOST_TOKENS: usize = 6000;

/// To lines of about this number.
const THINNED: usize = 200;

/// What is said of sounds and not spoken.
const SOUNDS: [&str; 2] = ["[Music]", "[Applause]"];

impl Subtitles {
    /// Reads an `.srt` file. Cues that cannot be read are passed over, as the package's reader does, and counted.
    ///
    /// # Errors
    /// A file that cannot be read, is no UTF-8, or in which no cue can be read.
    pub fn open(path: &Path) -> Result<Self> {
        let bad = |reason: &str| Error::BadData { path: path.to_owned(), reason: reason.to_owned() };
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        let text = String::from_utf8(bytes).map_err(|_| bad("it is no UTF-8 text; convert it to UTF-8"))?;
        let read = Self::parse(&text);
        match read.cues.is_empty() && read.unreadable > 0 {
            true => Err(bad("it is no SubRip file: not one of its cues can be read")),
            false => Ok(read),
        }
    }

    fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
        let (mut cues, mut unreadable) = (Vec::new(), 0);
        for block in blocks {
            match Subtitle::parse(block.join("\n")) {
                Ok(cue) => cues.push((seconds(cue.start_time), seconds(cue.end_time), plain(&cue.text))),
                Err(_) => unreadable += 1,
            }
        }
        cues.sort_by(|a: &(f64, f64, String), b| a.0.total_cmp(&b.0));
        Self { cues, unreadable }
    }

    /// Cues that could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The lines of frames at these indices, as the package's script for VideoMME takes them.
    ///
    /// For each frame the first cue that begins before its time, which is its index over the rounded `rate`, and ends after it;
    /// without cues of sounds, and without those that have been taken already or that the one before contains. A cue's lines are
    /// joined by spaces, and its tags left out. Lines of more than 6,000 tokens together are thinned to every `n / 200`-th.
    pub fn lines(&self, indices: &[usize], rate: f64, tokens: impl Fn(&str) -> usize) -> Vec<String> {
        let rate = rate.round_ties_even().max(1.0);
        let mut lines: Vec<&str> = Vec::new();
        for &index in indices {
            let time = index as f64 / rate;
            let Some((.., text)) = self.cues.iter().find(|(start, end, _)| *start < time && time < *end) else {
                continue;
            };
            let is_sound = SOUNDS.iter().any(|sound| text.contains(sound));
            let is_said =
                lines.contains(&text.as_str()) || lines.last().is_some_and(|last| last.contains(text.as_str()));
            if !text.is_empty() && !is_sound && !is_said {
                lines.push(text);
            }
        }
        if tokens(&lines.join("\n")) > MOST_TOKENS {
            let step = (lines.len() / THINNED).max(1);
            lines = lines.into_iter().step_by(step).collect();
        }
        lines.into_iter().map(str::to_owned).collect()
    }
}

/// A cue's lines as one, without tags such as `<font color="white">`.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        let inner = tag[1..].trim_start().trim_start_matches('/').trim_start();
        let end = tag.find('>').filter(|_| inner.starts_with(|c: char| c.is_ascii_alphabetic()));
        plain += before;
        rest = match end {
            Some(end) => &tag[end + 1..],
            None => {
                plain.push('<');
                &tag[1..]
            }
        };
    }
    plain += rest;
    plain.trim().replace('\n', " ")
}

fn seconds(time: Timestamp) -> f64 {
    let (hours, minutes, seconds, milliseconds) = time.get();
    f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + f64::from(seconds) + f64::from(milliseconds) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\u{feff}1\r\n00:00:00,000 --> 00:00:02,000\r\nhello there\r\n\r\n2\r\n00:00:02,500 --> 00:00:04,500\r\n\
                        hello\r\n\r\n3\r\n00:00:05,000 --> 00:00:06,999\r\n[Music]\r\n\r\n4\r\n00:00:07,000 --> 00:00:09,000\r\n\
                        two\r\nlines\r\n\r\n";

    #[test]
    fn each_frame_has_the_cue_that_covers_it() {
        let subtitles = Subtitles::parse(FILE);
        let at = |indices: &[usize], rate| subtitles.lines(indices, rate, |text| text.split_whitespace().count());
        // At 1, 3, 4, 6, 8 s: the second is contained in the first, the third is music.
        assert_eq!(at(&[25, 75, 100, 150, 200], 25.0), ["hello there", "two lines"]);
        // A cue's first and last moment are not its own.
        assert_eq!(at(&[0, 50, 175], 25.0), [""; 0]);
        let again = "1\n00:00:00,500 --> 00:00:01,500\n<font color=\"white\">a, b</font>\n\n2\n00:00:01,600 --> 00:00:02,500\nb\n\n\
                     3\n00:00:02,600 --> 00:00:03,500\n<i>a, b</i>\n";
        assert_eq!(Subtitles::parse(again).lines(&[1, 2, 3], 1.0, |_| 0), ["a, b"], "`b` is in it, and it was said");
        // 24.6 counts as 25.
        assert_eq!(at(&[75], 24.6), ["hello"]);
        assert_eq!(at(&[57], 25.0), [""; 0], "2.28 s, between two cues");
    }

    #[test]
    fn many_tokens_are_thinned() {
        let cues: String = (0..1000)
            .map(|i| {
                format!(
                    "{}\n00:{:02}:{:02},000 --> 00:{:02}:{:02},900\nline {i}.\n\n",
                    i + 1,
                    i / 60,
                    i % 60,
                    i / 60,
                    i % 60
                )
            })
            .collect();
        let subtitles = Subtitles::parse(&cues);
        let frames: Vec<usize> = (0..1000).map(|i| 2 * i + 1).collect();
        assert_eq!(subtitles.lines(&frames, 2.0, |_| 6000).len(), 1000);
        let thinned = subtitles.lines(&frames, 2.0, |_| 6001);
        assert_eq!((thinned.len(), thinned[1].as_str()), (200, "line 5."));
    }

    #[test]
    fn cues_that_cannot_be_read_are_counted_and_what_is_no_subtitle_file_is_refused() {
        let odd =
            "1 \n00:00:00,000 --> 00:00:01,000 X1:0\nspaces \n\ntwo\nno number\n\n3\n00:00:02.000 --> 00:00:03.000\n";
        let subtitles = Subtitles::parse(odd);
        assert_eq!((subtitles.lines(&[1, 5], 2.0, |_| 0), subtitles.unreadable()), (vec!["spaces".to_owned()], 1));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.srt");
        for (bytes, part) in [(&b"1\nnot a time\ntext\n\n"[..], "SubRip"), (b"\xff\xfe1\0\n\0", "UTF-8")] {
            std::fs::write(&path, bytes).unwrap();
            let error = Subtitles::open(&path).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("a.srt"), "{error}");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(Subtitles::open(&path).unwrap().lines(&[0], 1.0, |_| 0), [""; 0]);
    }
}
