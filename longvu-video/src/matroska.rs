//! What FFmpeg does not say of a Matroska or WebM file, read from its elements (RFC 8794, RFC 9559).

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::boxes::{bytes, number};
use crate::crop::Crop;
use crate::headers::Track;
use crate::limits::{MAX_BOXES, MAX_TRACKS};

const HEADER: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const CLUSTER: u64 = 0x1f43_b675;
const TRACK: u64 = 0xae;
const TRACK_NUMBER: u64 = 0xd7;
const TRACK_TYPE: u64 = 0x83;
const VIDEO: u64 = 0xe0;
const CROP_BOTTOM: u64 = 0x54aa;
const CROP_TOP: u64 = 0x54bb;
const CROP_LEFT: u64 = 0x54cc;
const CROP_RIGHT: u64 = 0x54dd;
const ENCODINGS: u64 = 0x6d80;
const ENCODING: u64 = 0x6240;
const ENCODING_TYPE: u64 = 0x5033;

/// One element: its identifier and where its contents lie in the file.
struct Element {
    id: u64,
    body: Range<u64>,
}

/// The tracks of a file; `None` if it is no Matroska file.
pub(crate) fn tracks<R: Read + Seek>(reader: &mut R) -> Option<Vec<Track>> {
    let end = reader.seek(SeekFrom::End(0)).ok()?;
    let header = read_element(reader, 0..end).filter(|element| element.id == HEADER)?;
    let segment = children(reader, header.body.end..end, SEGMENT).into_iter().find(|element| element.id == SEGMENT)?;
    let parts = children(reader, segment.body, CLUSTER);
    let lists = parts.into_iter().filter(|element| element.id == TRACKS);
    let entries: Vec<Element> = lists.flat_map(|list| children(reader, list.body, 0)).collect();
    Some(entries.into_iter().filter(|e| e.id == TRACK).take(MAX_TRACKS).map(|e| track(reader, e.body)).collect())
}

fn track<R: Read + Seek>(reader: &mut R, entry: Range<u64>) -> Track {
    let mut track = Track::default();
    for Element { id, body } in children(reader, entry, 0) {
        match id {
            TRACK_NUMBER => track.id = value(reader, body),
            TRACK_TYPE => track.is_video = value(reader, body) == 1,
            VIDEO => track.crop = crop(reader, body),
            ENCODINGS => {
                let encodings = children(reader, body, 0).into_iter().filter(|element| element.id == ENCODING);
                for encoding in encodings.collect::<Vec<_>>() {
                    let mut kinds = children(reader, encoding.body, 0).into_iter();
                    // Type 1 is encryption, 0 compression.
                    let kind = kinds.find(|element| element.id == ENCODING_TYPE);
                    track.is_encrypted |= kind.is_some_and(|kind| value(reader, kind.body) == 1);
                }
            }
            _ => {}
        }
    }
    track
}

fn crop<R: Read + Seek>(reader: &mut R, video: Range<u64>) -> Option<Crop> {
    let mut insets = [0; 4];
    for Element { id, body } in children(reader, video, 0) {
        let place = [CROP_LEFT, CROP_TOP, CROP_RIGHT, CROP_BOTTOM].iter().position(|crop| *crop == id);
        if let Some(inset) = place.and_then(|place| insets.get_mut(place)) {
            *inset = value(reader, body);
        }
    }
    (insets != [0; 4]).then_some(Crop::Insets(insets))
}

/// The elements directly in a part of the file, up to the first with the identifier `last`.
fn children<R: Read + Seek>(reader: &mut R, part: Range<u64>, last: u64) -> Vec<Element> {
    let (mut rest, mut found) = (part, Vec::new());
    while found.len() < MAX_BOXES
        && let Some(element) = read_element(reader, rest.clone())
    {
        rest.start = element.body.end;
        let is_last = element.id == last;
        found.push(element);
        if is_last {
            break;
        }
    }
    found
}

/// The element at the start of a part of the file.
fn read_element<R: Read + Seek>(reader: &mut R, part: Range<u64>) -> Option<Element> {
    let head = bytes(reader, part.start..part.end.min(part.start.saturating_add(12)));
    let length = |at: usize| head.get(at).map(|byte| byte.leading_zeros() as usize + 1);
    let id_length = length(0).filter(|length| *length <= 4)?;
    let id = number(&head, 0, id_length)?;
    let size_length = length(id_length).filter(|length| *length <= 8)?;
    let unknown = (1 << (7 * size_length)) - 1;
    let size = number(&head, id_length, size_length)? & unknown;
    let start = part.start.checked_add((id_length + size_length) as u64)?;
    // All ones say that the size is unknown: to the end.
    let end = if size == unknown { part.end } else { start.checked_add(size)? };
    Some(Element { id, body: start..end })
}

/// The unsigned number that an element holds.
fn value<R: Read + Seek>(reader: &mut R, body: Range<u64>) -> u64 {
    let digits = bytes(reader, body.start..body.end.min(body.start.saturating_add(8)));
    number(&digits, 0, digits.len()).unwrap_or(0)
}
