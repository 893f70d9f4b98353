//! The orientation in EXIF data.

use image::metadata::Orientation;

const ORIENTATION: u32 = 0x112;
const BYTE: u32 = 1;
const SHORT: u32 = 3;
const LONG: u32 = 4;

/// How the picture must be turned, as EXIF data say, which are those of TIFF; some programs write the prefix of JPEG's
/// segment also where other formats have none. Broken data say nothing: they should not hide a good picture.
pub(super) fn orientation(data: &[u8]) -> Orientation {
    let data = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
    tag(data).and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The data in a text as ImageMagick writes them: a name, how many bytes there are, and those in hexadecimal digits, each on
/// lines of their own.
pub(super) fn of_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    let (_name, rest) = text.split_once('\n')?;
    let (_count, digits) = rest.trim_start().split_once('\n')?;
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_chunks::<2>().0.iter().map(byte).collect()
}

fn tag(data: &[u8]) -> Option<u8> {
    let little = match data.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let number = |place: usize, size: usize| -> Option<u32> {
        let bytes = data.get(place..place.checked_add(size)?)?;
        let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    };
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    for entry in 0..entries {
        let place = directory.checked_add(2 + entry * 12)?;
        if number(place, 2)? == ORIENTATION {
            let value = match number(place + 2, 2)? {
                BYTE => number(place + 8, 1)?,
                SHORT => number(place + 8, 2)?,
                LONG => number(place + 8, 4)?,
                _ => return None,
            };
            return u8::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_all_types_and_the_prefix() {
        let big: &[u8] = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        let little: &[u8] = b"II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x04\0\0\0abc\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0";
        let long: &[u8] = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x03";
        assert_eq!(orientation(big), Orientation::Rotate90);
        assert_eq!(orientation(little), Orientation::Rotate270);
        assert_eq!(orientation(long), Orientation::Rotate180);
        assert_eq!(orientation(&[b"Exif\0\0", big].concat()), Orientation::Rotate90);
    }

    #[test]
    fn broken_data_turn_nothing() {
        for data in [
            &b""[..],
            b"Exif\0\0",
            b"MM\0*\xff\xff\xff\xff",
            b"MM\0*\0\0\0\x08\xff\xff\x01\x12",
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",
            b"XX\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0",
        ] {
            assert_eq!(orientation(data), Orientation::NoTransforms, "{data:?}");
        }
    }
}
