//! What FFmpeg does not pass on of a container's headers: which tracks are whole pictures, and how they are to be shown.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::boxes::bytes;
use crate::crop::Crop;
use crate::heif::Still;
use crate::limits::SNIFF_BYTES;
use crate::{Error, Result, matroska, mp4, sniff};

/// The facts of one track.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// The container's number of the track.
    pub id: u64,
    pub is_video: bool,
    /// Whether it belongs to another track: an alpha plane, a depth map, thumbnails.
    pub is_auxiliary: bool,
    /// Whether its pictures lie in another file.
    pub is_external: bool,
    pub is_encrypted: bool,
    pub crop: Option<Crop>,
}

/// The facts of one file; empty for containers of which FFmpeg says all there is.
#[derive(Debug, Default)]
pub(crate) enum Headers {
    #[default]
    Other,
    Mp4(mp4::Facts),
    Matroska(Vec<Track>),
    /// One of the others, which says that it is encrypted.
    Encrypted,
}

impl Headers {
    /// Reads a file's headers.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Self {
        let found = mp4::Facts::read(reader).map(Self::Mp4);
        let found = found.or_else(|| matroska::tracks(reader).map(Self::Matroska));
        let found = found.unwrap_or_else(|| {
            if sniff::is_encrypted(&bytes(reader, 0..SNIFF_BYTES)) { Self::Encrypted } else { Self::Other }
        });
        // The start is where FFmpeg goes on; where that fails, so does it.
        let _ = reader.seek(SeekFrom::Start(0));
        found
    }

    /// The picture of a HEIF or AVIF file without tracks.
    pub fn still(&self) -> Option<&Still> {
        match self {
            Self::Mp4(facts) if !facts.has_index => facts.still.as_ref(),
            _ => None,
        }
    }

    /// The facts of an FFmpeg stream, the `place`-th with moving pictures.
    pub fn track(&self, id: i32, place: usize) -> Option<&Track> {
        match self {
            Self::Other | Self::Encrypted => None,
            Self::Mp4(facts) => facts.tracks.iter().find(|track| i64::try_from(track.id) == Ok(i64::from(id))),
            Self::Matroska(tracks) => tracks.iter().filter(|track| track.is_video).nth(place),
        }
    }

    /// Refuses what FFmpeg would take for something else, or for damage.
    pub fn check(&self, path: &Path) -> Result<()> {
        let facts = match self {
            Self::Mp4(facts) => facts,
            Self::Encrypted => return Err(Error::Encrypted { path: path.to_owned() }),
            Self::Other | Self::Matroska(_) => return Ok(()),
        };
        if facts.is_reference && facts.tracks.is_empty() {
            return Err(Error::Playlist { path: path.to_owned(), kind: "a QuickTime reference movie" });
        }
        if facts.has_index {
            return Ok(());
        }
        match &facts.still {
            Some(still) if still.is_encrypted => Err(Error::Encrypted { path: path.to_owned() }),
            Some(still) if still.kind == *b"av01" => Ok(()),
            Some(still) => Err(Error::Heif { path: path.to_owned(), kind: describe(still.kind, &facts.brands) }),
            None if facts.brands.iter().any(is_of_pictures) => {
                Err(Error::Heif { path: path.to_owned(), kind: describe([0; 4], &facts.brands) })
            }
            None => Ok(()),
        }
    }

    /// Whether this is an MP4 or QuickTime file without its index.
    ///
    /// Recorders write it last, so a recording or download that was cut short has none.
    pub fn lacks_index(&self) -> bool {
        matches!(self, Self::Mp4(facts) if !facts.has_index && facts.still.is_none())
    }
}

/// Whether a brand is one of files of pictures.
fn is_of_pictures(brand: &[u8; 4]) -> bool {
    const BRANDS: [&[u8; 4]; 16] = [
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1", b"avci",
        b"avcs", b"jpeg", b"vvic", b"crx ",
    ];
    BRANDS.contains(&brand)
}

/// What a still picture that is not read is.
fn describe(item: [u8; 4], brands: &[[u8; 4]]) -> &'static str {
    let has = |brand: &[u8; 4]| brands.contains(brand);
    match &item {
        _ if has(b"crx ") => "a Canon CR3 raw picture",
        b"grid" | b"iovl" if has(b"avif") => "an AVIF picture put together from tiles",
        _ if has(b"avif") || has(b"avis") => "an AVIF picture of an unusual kind",
        b"avc1" => "a HEIF picture in H.264",
        b"jpeg" => "a HEIF picture in JPEG",
        b"vvc1" => "a HEIF picture in VVC",
        b"hvc1" => "a HEIC picture",
        _ if has(b"heic") || has(b"heix") || has(b"hevc") || has(b"hevx") => "a HEIC picture",
        _ => "a HEIF picture",
    }
}
