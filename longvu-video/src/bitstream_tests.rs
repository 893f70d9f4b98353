//! What a packet is, told from its bytes.

use super::*;

fn look(codec: Id, headers: &[u8], packet: &[u8]) -> Facts {
    Inspector::new(codec, headers, false).unwrap().look(packet)
}

#[test]
fn h264_by_lengths_and_by_start_codes() {
    let avcc = [1, 100, 0, 31, 0xff];
    let idr = look(Id::H264, &avcc, &[0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 3, 0x65, 1, 2]);
    assert_eq!(idr, Facts { start: Start::Clean, ..Facts::default() });
    let disposable = look(Id::H264, &avcc, &[0, 0, 0, 3, 0x01, 1, 2]);
    assert_eq!(disposable, Facts { disposable: true, ..Facts::default() });
    let sets = [0, 0, 0, 1, 0x67, 7, 7, 0, 0, 1, 0x68, 8, 0, 0, 1, 0x65, 1, 2];
    let with_sets = look(Id::H264, &[], &sets);
    assert!(with_sets.start == Start::Clean && with_sets.parameters.is_some());
    let mut others = sets;
    others[6] += 1;
    assert_ne!(look(Id::H264, &[], &others).parameters, with_sets.parameters);
    let reference = look(Id::H264, &[], &[0, 0, 0, 1, 0x41, 1, 2, 0, 0, 1, 0x65]);
    assert_eq!(reference, Facts::default());
    assert!(Inspector::new(Id::H264, &[], true).is_none());
}

#[test]
fn hevc_pictures() {
    let unit = |kind: u8, layer: u8| look(Id::HEVC, &[], &[0, 0, 1, kind << 1, layer + 1, 9, 9]);
    assert_eq!((unit(19, 0).start, unit(21, 0).start, unit(1, 0).start), (Start::Clean, Start::AfterFlush, Start::No));
    assert_eq!((unit(0, 2).disposable, unit(0, 2).layer, unit(1, 0).disposable), (true, 2, false));
    assert!(unit(32, 0).parameters.is_some());
}

#[test]
fn mpeg2_needs_a_sequence_header() {
    let (sequence, gop) = ([0, 0, 1, 0xb3, 5, 5], [0, 0, 1, 0xb8, 1, 2]);
    let picture = |kind: u8| [0, 0, 1, 0, 0, kind << 3, 0, 0, 0, 1, 1, 7];
    let look = |packet: &[u8]| look(Id::MPEG2VIDEO, &[], packet);
    let whole = look(&[&sequence[..], &gop, &picture(1)].concat());
    assert!(whole.start == Start::Clean && whole.parameters.is_some());
    assert_eq!(look(&[&gop[..], &picture(1)].concat()), Facts::default());
    assert_eq!(look(&picture(2)), Facts::default());
    assert_eq!(look(&picture(3)), Facts { disposable: true, ..Facts::default() });
}

#[test]
fn vp9_and_av1_keys() {
    let is_start = |codec, packet: &[u8]| look(codec, &[], packet).start == Start::Clean;
    assert!(is_start(Id::VP9, &[0b1000_0010, 1]) && is_start(Id::VP9, &[0b1011_0001, 1]));
    assert!(!is_start(Id::VP9, &[0b1000_0110]) && !is_start(Id::VP9, &[0b1000_1010]) && !is_start(Id::VP9, &[]));
    let av1 = |frame: u8| [0x12, 0, 0x0a, 2, 7, 7, 0x32, 1, frame];
    assert!(is_start(Id::AV1, &av1(0b0001_0000)));
    for not_key in [0b0011_0000, 0b1000_0000, 0b0000_0000] {
        assert!(!is_start(Id::AV1, &av1(not_key)));
    }
    assert_ne!(look(Id::AV1, &[], &av1(0)).parameters, None);
}

#[test]
fn jpeg_tables() {
    let segment = |kind: u8, body: &[u8]| [&[0xff, kind, 0, body.len() as u8 + 2], body].concat();
    let quantiser = segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let code = |head: u8| segment(0xc4, &[&[head][..], &[0; 15], &[1, 9]].concat());
    let frame = segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    let scan = segment(0xda, &[1, 1, 0x00, 0, 63, 0]);
    let is_start = |parts: &[Vec<u8>]| {
        let packet = [&[vec![0xff, 0xd8]], parts].concat().concat();
        look(Id::MJPEG, &[], &packet).start == Start::Clean
    };
    assert!(is_start(&[quantiser.clone(), code(0), code(0x10), frame.clone(), scan.clone()]));
    assert!(!is_start(&[code(0), code(0x10), frame.clone(), scan.clone()]));
    assert!(!is_start(&[quantiser.clone(), code(0), frame.clone(), scan.clone()]));
    assert!(!is_start(&[quantiser, code(0), code(0x10), scan]));
}

#[test]
fn noise_is_read_without_a_panic() {
    let mut seed = 1_u32;
    let codecs = [Id::H264, Id::HEVC, Id::MPEG2VIDEO, Id::VP9, Id::AV1, Id::MJPEG];
    for length in (0..200).cycle().take(20_000) {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Many zeros, ones and 0xff, of which start codes and markers are made.
                [0, 0, 0, 1, 0xff, 0xd8, (seed >> 24) as u8, (seed >> 16) as u8][(seed >> 13) as usize % 8]
            })
            .collect();
        for codec in codecs {
            look(codec, &[], &noise);
            look(codec, &[1; 40], &noise);
        }
    }
}
