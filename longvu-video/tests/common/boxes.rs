//! MP4 boxes, written and changed byte by byte.

use std::path::{Path, PathBuf};

use super::ffmpeg;

/// A box of these parts.
pub fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(8 + body.len() as u32).to_be_bytes()[..], kind, &body].concat()
}

/// Where the `nth` box of a type starts with its size, told by its name alone.
pub fn find(bytes: &[u8], kind: &[u8; 4], nth: usize) -> usize {
    let places = bytes.windows(4).enumerate().filter(|(_, name)| name == kind);
    places.map(|(at, _)| at - 4).nth(nth).unwrap_or_else(|| panic!("no box {}", String::from_utf8_lossy(kind)))
}

/// Puts a box into another that ends where it is put, before boxes that hold no offsets into the file: `within` are the places
/// of the boxes around it, which grow.
pub fn insert(bytes: &mut Vec<u8>, at: usize, within: &[usize], new: &[u8]) {
    for start in within {
        let size: &mut [u8; 4] = (&mut bytes[*start..*start + 4]).try_into().unwrap();
        *size = (u32::from_be_bytes(*size) + new.len() as u32).to_be_bytes();
    }
    bytes.splice(at..at, new.iter().copied());
}

/// An MP4 file of `arguments` with its index last, so that the index can grow.
pub fn mp4(arguments: &str, path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(ffmpeg(arguments, path)).unwrap();
    assert!(find(&bytes, b"mdat", 0) < find(&bytes, b"moov", 0), "the index comes last");
    bytes
}

/// An item of a still AVIF file: its type, data, and properties as boxes in the order in which they apply.
#[derive(Clone)]
pub struct Item {
    pub kind: [u8; 4],
    pub data: Vec<u8>,
    pub properties: Vec<Vec<u8>>,
    /// Items that this one is an auxiliary picture of.
    pub auxiliary_of: Option<u16>,
}

impl Item {
    /// The first picture of an AV1 video that `ffmpeg` makes of `source`.
    pub fn av1(source: &str, size: (u32, u32), folder: &Path) -> Self {
        let arguments =
            format!("{source} -frames:v 1 -pix_fmt yuv420p -c:v libaom-av1 -crf 10 -usage realtime -cpu-used 8");
        let ivf = std::fs::read(ffmpeg(&arguments, &folder.join("picture.ivf"))).unwrap();
        let ispe = boxed(b"ispe", &[&[0; 4], &size.0.to_be_bytes(), &size.1.to_be_bytes()]);
        let properties = vec![ispe, boxed(b"av1C", &[&[0x81, 0, 0x0c, 0]])];
        // A header of 32 bytes, and one of 12 before each picture.
        Self { kind: *b"av01", data: ivf[44..].to_vec(), properties, auxiliary_of: None }
    }

    pub fn with(mut self, property: Vec<u8>) -> Self {
        self.properties.push(property);
        self
    }
}

/// Writes a still picture file of these items, of which the first is the main one.
pub fn heif(brand: &[u8; 4], items: &[Item], path: &Path) -> PathBuf {
    heif_with(brand, items, &[], path)
}

/// As [`heif`], with more boxes behind those of the items' properties.
pub fn heif_with(brand: &[u8; 4], items: &[Item], more: &[u8], path: &Path) -> PathBuf {
    let meta = |offset: u32| {
        let mut at = offset;
        let (mut locations, mut entries, mut references) = (vec![0, 0, 0, 0, 0x44, 0], vec![0; 4], vec![0; 4]);
        let (mut list, mut associations) = (Vec::new(), vec![0; 4]);
        let count = items.len() as u16;
        locations.extend(count.to_be_bytes());
        entries.extend(count.to_be_bytes());
        associations.extend(u32::from(count).to_be_bytes());
        let mut properties = 0;
        for (id, item) in (1_u16..).zip(items) {
            locations.extend([&id.to_be_bytes()[..], &[0, 0, 0, 1]].concat());
            locations.extend([at.to_be_bytes(), (item.data.len() as u32).to_be_bytes()].concat());
            at += item.data.len() as u32;
            entries.extend(boxed(b"infe", &[&[2, 0, 0, 0], &id.to_be_bytes(), &[0, 0], &item.kind, &[0]]));
            associations.extend([&id.to_be_bytes()[..], &[item.properties.len() as u8]].concat());
            for property in &item.properties {
                properties += 1;
                associations.push(properties);
                list.extend(property);
            }
            if let Some(of) = item.auxiliary_of {
                references.extend(boxed(b"auxl", &[&id.to_be_bytes(), &[0, 1], &of.to_be_bytes()]));
            }
        }
        let properties = boxed(b"iprp", &[&boxed(b"ipco", &[&list]), &boxed(b"ipma", &[&associations]), more]);
        let handler = boxed(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]);
        let main = boxed(b"pitm", &[&[0; 4], &[0, 1]]);
        let locations = boxed(b"iloc", &[&locations]);
        boxed(
            b"meta",
            &[
                &[0; 4],
                &handler,
                &main,
                &locations,
                &boxed(b"iinf", &[&entries]),
                &boxed(b"iref", &[&references]),
                &properties,
            ],
        )
    };
    let head = boxed(b"ftyp", &[brand, &[0; 4], brand, b"mif1", b"miaf"]);
    let offset = (head.len() + meta(0).len() + 8) as u32;
    let data: Vec<u8> = items.iter().flat_map(|item| item.data.clone()).collect();
    std::fs::write(path, [head, meta(offset), boxed(b"mdat", &[&data])].concat()).unwrap();
    path.to_owned()
}
