//! Colours that are coded in ways that conversion to RGB does not follow.

use std::ffi::c_int;

use ffmpeg::codec::packet::side_data::Type;
use ffmpeg_next as ffmpeg;

use crate::Warning;
use crate::ffi::Colours;

/// What to say of the colours of a stream, from its headers.
pub(crate) fn of_stream(stream: &ffmpeg::Stream<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // The third byte of the configuration is the profile; only in profile 5 does the plain stream not make a picture.
    let profile =
        stream.side_data().find(|data| data.kind() == Type::DOVI_CONF).and_then(|data| data.data().get(2).copied());
    if profile == Some(5) {
        warnings.push(said("those of Dolby Vision profile 5".to_owned(), "wrong"));
    }
    warnings.extend(of(Colours::of_stream(&stream.parameters())));
    warnings
}

/// What to say of colours that are coded so.
pub(crate) fn of(colours: Colours) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if colours.is_yuv
        && let Some(matrix) = unknown_matrix(colours.matrix)
    {
        warnings.push(said(format!("coded by the matrix {matrix}"), "wrong"));
    }
    if let Some((transfer, effect)) = unknown_transfer(colours.transfer) {
        warnings.push(said(transfer.to_owned(), effect));
    } else if colours.primaries == 9 {
        warnings.push(said("those of a wide gamut (BT.2020)".to_owned(), "paler than they are"));
    }
    warnings
}

fn said(kind: String, effect: &'static str) -> Warning {
    Warning::Colours { kind, effect }
}

/// The name of a matrix that is not applied; the numbers are those of ISO/IEC 23091-2.
fn unknown_matrix(matrix: c_int) -> Option<&'static str> {
    match matrix {
        0 => Some("identity (RGB), in a format for YUV"),
        8 => Some("YCgCo"),
        10 => Some("BT.2020 with constant luminance"),
        11 => Some("SMPTE 2085 (Y'D'zD'x)"),
        12 => Some("derived from the primaries"),
        13 => Some("derived from the primaries, with constant luminance"),
        14 => Some("ICtCp"),
        15 => Some("IPT-C2"),
        16 | 17 => Some("YCgCo-R"),
        // Unspecified, reserved, and those that swscale has.
        ..=7 | 9 => None,
        _ => Some("of an unknown number"),
    }
}

/// What a transfer function that is not undone is called, and how pictures look without.
fn unknown_transfer(transfer: c_int) -> Option<(&'static str, &'static str)> {
    match transfer {
        8 => Some(("linear", "too dark")),
        9 | 10 => Some(("logarithmic", "washed out")),
        16 => Some(("HDR (PQ, SMPTE 2084)", "washed out")),
        17 => Some(("those of digital cinema (SMPTE 428)", "wrong")),
        18 => Some(("HDR (HLG, ARIB STD-B67)", "washed out")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_colours_are_not_remarked_on() {
        let colours = |matrix, transfer, primaries| Colours { matrix, transfer, primaries, is_yuv: true };
        for (matrix, transfer, primaries) in
            [(1, 1, 1), (2, 2, 2), (5, 6, 5), (6, 13, 6), (7, 7, 7), (4, 4, 4), (1, 13, 12)]
        {
            assert_eq!(of(colours(matrix, transfer, primaries)), [], "{matrix} {transfer} {primaries}");
        }
        let count = |matrix, transfer, primaries| of(colours(matrix, transfer, primaries)).len();
        assert_eq!([count(8, 2, 2), count(14, 16, 9), count(9, 14, 9), count(9, 18, 9)], [1, 2, 1, 1]);
        assert_eq!(of(Colours { is_yuv: false, ..colours(0, 13, 1) }), []);
    }
}
