//! What FFmpeg does not say of an MP4, QuickTime, HEIF or AVIF file, read from its boxes.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::boxes::{Boxed, Boxes, bytes, child, children, descend, number};
use crate::crop::Crop;
use crate::headers::Track;
use crate::heif::{self, Still};
use crate::limits::MAX_TRACKS;

/// The facts of one file.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The major brand, then the compatible ones.
    pub brands: Vec<[u8; 4]>,
    /// Whether there is an index (`moov`).
    pub has_index: bool,
    /// Whether the index only names other movies (a QuickTime reference movie).
    pub is_reference: bool,
    pub tracks: Vec<Track>,
    /// The picture of a file that has one outside its tracks.
    pub still: Option<Still>,
}

impl Facts {
    /// Reads a file; `None` if it is no file of boxes.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Option<Self> {
        let end = reader.seek(SeekFrom::End(0)).ok()?;
        let (mut facts, mut is_known) = (Self::default(), false);
        let mut found = Vec::new();
        for Boxed { kind, body } in Boxes::new(reader, 0..end) {
            match &kind {
                b"ftyp" | b"moov" | b"meta" => found.push((kind, body)),
                b"mdat" | b"wide" | b"styp" => is_known = true,
                // The fragments that follow an index tell nothing more.
                b"moof" if found.iter().any(|(kind, _)| kind == b"moov") => break,
                b"free" | b"skip" | b"uuid" | b"pnot" | b"moof" | b"sidx" | b"emsg" | b"prft" => {}
                _ if found.is_empty() && !is_known => return None,
                _ => {}
            }
        }
        for (kind, body) in found {
            is_known = true;
            match &kind {
                b"ftyp" => facts.brands = brands(&bytes(reader, body)),
                b"moov" => facts.read_index(reader, body),
                _ => facts.still = heif::read(reader, body).or(facts.still),
            }
        }
        is_known.then_some(facts)
    }

    fn read_index<R: Read + Seek>(&mut self, reader: &mut R, index: Range<u64>) {
        self.has_index = true;
        let parts = children(reader, index);
        self.is_reference = parts.iter().any(|part| part.kind == *b"rmra");
        for part in parts.into_iter().filter(|part| part.kind == *b"trak").take(MAX_TRACKS) {
            let track = Track::read(reader, part.body);
            self.tracks.push(track);
        }
    }
}

/// Tracks whose samples are pictures: video, alpha or depth, and those of picture sequences.
const HANDLERS: [&[u8]; 3] = [b"vide", b"auxv", b"pict"];

impl Track {
    fn read<R: Read + Seek>(reader: &mut R, track: Range<u64>) -> Self {
        let mut facts = Self::default();
        if let Some(header) = child(reader, track.clone(), b"tkhd") {
            let header = bytes(reader, header);
            let at = if header.first() == Some(&1) { 20 } else { 12 };
            facts.id = number(&header, at, 4).unwrap_or(0);
        }
        if let Some(handler) = descend(reader, track.clone(), &[b"mdia", b"hdlr"]) {
            let handler = bytes(reader, handler);
            let kind = handler.get(8..12).unwrap_or_default();
            (facts.is_video, facts.is_auxiliary) = (HANDLERS.contains(&kind), kind == b"auxv");
        }
        if let Some(references) = child(reader, track.clone(), b"tref") {
            let belongs = |part: &Boxed| [*b"auxl", *b"thmb"].contains(&part.kind);
            facts.is_auxiliary |= children(reader, references).iter().any(belongs);
        }
        let external = descend(reader, track.clone(), &[b"mdia", b"minf", b"dinf", b"dref"])
            .map_or_else(Vec::new, |list| external_references(reader, list));
        if let Some(entries) = descend(reader, track, &[b"mdia", b"minf", b"stbl", b"stsd"]) {
            facts.read_entries(reader, entries, &external);
        }
        facts
    }

    /// Reads the descriptions of samples.
    fn read_entries<R: Read + Seek>(&mut self, reader: &mut R, entries: Range<u64>, external: &[bool]) {
        for entry in children(reader, entries.start.saturating_add(8)..entries.end) {
            let head = bytes(reader, entry.body.start..entry.body.end.min(entry.body.start.saturating_add(8)));
            let reference = number(&head, 6, 2).and_then(|index| usize::try_from(index).ok()?.checked_sub(1));
            self.is_external |= reference.is_some_and(|index| external.get(index) == Some(&true));
            self.is_encrypted |= [*b"encv", *b"drmi"].contains(&entry.kind);
            if !self.is_video {
                continue;
            }
            // The fixed part of a visual sample entry has 78 bytes.
            for part in children(reader, entry.body.start.saturating_add(78)..entry.body.end) {
                match &part.kind {
                    b"sinf" => self.is_encrypted = true,
                    b"auxi" => self.is_auxiliary = true,
                    b"clap" => self.crop = Crop::from_clap(&bytes(reader, part.body)),
                    _ => {}
                }
            }
        }
    }
}

/// The brands in the contents of an `ftyp` box: the major one, and after its version the others.
fn brands(body: &[u8]) -> Vec<[u8; 4]> {
    let words = body.as_chunks::<4>().0.iter().copied().enumerate();
    words.filter(|(place, _)| *place != 1).map(|(_, brand)| brand).collect()
}

/// For each entry of a list of data references, whether it names another file.
fn external_references<R: Read + Seek>(reader: &mut R, list: Range<u64>) -> Vec<bool> {
    let is_external = |reader: &mut R, entry: Boxed| {
        let body = bytes(reader, entry.body);
        // The lowest flag says "in this file"; what has no name after the flags can mean no other file.
        let has_name = body.get(4..).is_some_and(|name| name.iter().any(|byte| *byte != 0));
        has_name && body.get(3).is_some_and(|flags| flags & 1 == 0)
    };
    let entries = children(reader, list.start.saturating_add(8)..list.end);
    entries.into_iter().map(|entry| is_external(reader, entry)).collect()
}
