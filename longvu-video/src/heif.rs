//! The picture of a HEIF or AVIF file (ISO/IEC 23008-12): what it is made of, and how it is to be shown.

use std::io::{Read, Seek};
use std::ops::Range;

use image::metadata::Orientation;

use crate::boxes::{Boxed, bytes, child, children, number};
use crate::crop::Crop;
use crate::limits::MAX_ASSOCIATIONS;
use crate::orientation;

/// The picture that the file names as its main one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Still {
    /// The type of its item: `av01`, `hvc1`, `grid`, …
    pub kind: [u8; 4],
    /// Whether the item is encrypted.
    pub is_encrypted: bool,
    /// The part to show, before it is turned.
    pub crop: Option<Crop>,
    pub orientation: Orientation,
    /// Width and height of a pixel, if they differ.
    pub pixel_aspect: Option<(u32, u32)>,
}

/// Reads the file's `meta` box; `None` if it names no main picture.
pub(crate) fn read<R: Read + Seek>(reader: &mut R, meta: Range<u64>) -> Option<Still> {
    let meta = meta.start.saturating_add(4)..meta.end;
    let primary = child(reader, meta.clone(), b"pitm")?;
    let primary = bytes(reader, primary);
    let primary = number(&primary, 4, if primary.first() == Some(&0) { 2 } else { 4 })?;
    let items = child(reader, meta.clone(), b"iinf")?;
    let (kind, is_encrypted) = item_type(reader, items, primary)?;
    let mut still =
        Still { kind, is_encrypted, crop: None, orientation: Orientation::NoTransforms, pixel_aspect: None };
    let Some(properties) = child(reader, meta, b"iprp") else { return Some(still) };
    let list = child(reader, properties.clone(), b"ipco").map_or_else(Vec::new, |list| children(reader, list));
    for index in associations(reader, properties, primary) {
        if let Some(property) = index.checked_sub(1).and_then(|index| list.get(index)) {
            let body = bytes(reader, property.body.clone());
            still.apply(&property.kind, &body);
        }
    }
    Some(still)
}

impl Still {
    /// Takes in one property; those that transform apply in their order.
    fn apply(&mut self, kind: &[u8; 4], body: &[u8]) {
        let first = body.first().copied().unwrap_or(0);
        match kind {
            // Quarter turns against the clock.
            b"irot" => {
                let turn = (360 - 90 * u32::from(first & 3)) % 360;
                self.orientation = orientation::then(self.orientation, turn, false);
            }
            // Axis 0 exchanges top and bottom, axis 1 left and right.
            b"imir" => {
                let turn = if first & 1 == 0 { 180 } else { 0 };
                self.orientation = orientation::then(self.orientation, turn, true);
            }
            b"clap" => self.crop = Crop::from_clap(body),
            b"pasp" => {
                let side = |at| number(body, at, 4).and_then(|side| u32::try_from(side).ok());
                self.pixel_aspect = side(0).zip(side(4)).filter(|(across, down)| across != down);
            }
            _ => {}
        }
    }
}

/// The type of an item, and whether it is encrypted.
fn item_type<R: Read + Seek>(reader: &mut R, list: Range<u64>, item: u64) -> Option<([u8; 4], bool)> {
    let version = *bytes(reader, list.start..list.start.saturating_add(1)).first()?;
    let entries = list.start.saturating_add(if version == 0 { 6 } else { 8 });
    for Boxed { body, .. } in children(reader, entries..list.end) {
        let entry = bytes(reader, body);
        let size = match entry.first()? {
            2 => 2,
            3 => 4,
            _ => continue,
        };
        if number(&entry, 4, size)? == item {
            let protection = number(&entry, 4 + size, 2)?;
            return Some((entry.get(6 + size..10 + size)?.try_into().ok()?, protection != 0));
        }
    }
    None
}

/// The properties of an item, as places in the list of all counted from 1, out of every list of associations: there is one
/// for each width of its numbers.
fn associations<R: Read + Seek>(reader: &mut R, properties: Range<u64>, item: u64) -> Vec<usize> {
    let lists = children(reader, properties).into_iter().filter(|found| &found.kind == b"ipma").take(MAX_ASSOCIATIONS);
    lists.flat_map(|list| of_item(&bytes(reader, list.body), item)).collect()
}

/// The properties of an item in one list of associations.
fn of_item(list: &[u8], item: u64) -> Vec<usize> {
    let id_size = if list.first() == Some(&0) { 2 } else { 4 };
    let (index_size, mask) = if list.get(3).is_some_and(|flags| flags & 1 == 1) { (2, 0x7fff) } else { (1, 0x7f) };
    let mut at = 8;
    while let (Some(id), Some(count)) = (number(list, at, id_size), number(list, at + id_size, 1)) {
        let count = usize::try_from(count).unwrap_or(0);
        at += id_size + 1;
        if id == item {
            let index = |k| number(list, at + k * index_size, index_size);
            return (0..count).filter_map(index).filter_map(|index| usize::try_from(index & mask).ok()).collect();
        }
        at += count * index_size;
    }
    Vec::new()
}
