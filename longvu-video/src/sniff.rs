//! A look at the bytes of a file that FFmpeg refused, to say more than "invalid data".

use std::io::{Read, Seek, SeekFrom};

/// Whether this is an MP4 or QuickTime file whose top-level boxes lack the index (`moov`).
///
/// Recorders write that box last, so a recording or download that was cut short has none.
pub(crate) fn is_mp4_without_index<R: Read + Seek>(reader: &mut R) -> bool {
    let mut looks_like_mp4 = false;
    let mut position = 0_u64;
    // A file of boxes has a handful at the top level; more than this is something else.
    for _ in 0..100_000 {
        let Some((size, kind)) = read_box(reader, position) else {
            break;
        };
        match &kind {
            b"moov" => return false,
            b"ftyp" | b"mdat" | b"wide" => looks_like_mp4 = true,
            b"free" | b"skip" | b"uuid" | b"pnot" | b"moof" | b"sidx" | b"styp" => {}
            _ => break,
        }
        match size {
            Some(size) if size >= 8 => position = position.saturating_add(size),
            _ => break,
        }
    }
    looks_like_mp4
}

/// Size (`None`: to the end of the file) and type of the box at `position`.
fn read_box<R: Read + Seek>(reader: &mut R, position: u64) -> Option<(Option<u64>, [u8; 4])> {
    reader.seek(SeekFrom::Start(position)).ok()?;
    let (mut size, mut kind) = ([0; 4], [0; 4]);
    reader.read_exact(&mut size).ok()?;
    reader.read_exact(&mut kind).ok()?;
    let size = match u32::from_be_bytes(size) {
        0 => None,
        1 => {
            let mut long = [0; 8];
            reader.read_exact(&mut long).ok()?;
            Some(u64::from_be_bytes(long))
        }
        size => Some(u64::from(size)),
    };
    Some((size, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn finds_the_missing_box() {
        let (head, index, data) = (boxed(b"ftyp", b"isom"), boxed(b"moov", b"...."), boxed(b"mdat", &[7; 30]));
        let lacks = |parts: &[&[u8]]| is_mp4_without_index(&mut Cursor::new(parts.concat()));
        assert!(!lacks(&[&head, &index, &data]));
        assert!(!lacks(&[&head, &data, &index]));
        assert!(lacks(&[&head, &data]));
        assert!(lacks(&[&head, &data[..20]]));
        assert!(lacks(&[&head, &[0, 0, 0, 0], b"mdat", &[1; 9]]));
        assert!(lacks(&[&head, &[0, 0, 0, 1], b"mdat", &u64::MAX.to_be_bytes()]));
        assert!(!lacks(&[b"just some text, nothing more"]));
        assert!(!lacks(&[b""]));
    }
}
