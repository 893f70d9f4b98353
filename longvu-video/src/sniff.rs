//! A look at the first bytes of a file that FFmpeg refused, or was not let have, to say more than "invalid data".

/// What a file that is no video seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// It names other files; the text says what it is, with its article.
    Playlist(&'static str),
    /// No video, for this reason.
    NotAVideo(&'static str),
    /// It is encrypted.
    Encrypted,
    Unknown,
}

/// Words at the start of the text, in lower case, and what the file is then.
const LISTS: [(&str, &str); 18] = [
    ("#extm3u", "a playlist (M3U, HLS)"),
    ("#ext-x-", "a playlist (M3U, HLS)"),
    ("ffconcat", "a playlist (an FFmpeg concat script)"),
    ("file '", "a playlist (an FFmpeg concat script)"),
    ("file \"", "a playlist (a cue sheet or concat script)"),
    ("rem genre", "a playlist (a cue sheet)"),
    ("performer \"", "a playlist (a cue sheet)"),
    ("title \"", "a playlist (a cue sheet)"),
    ("[playlist]", "a playlist (PLS)"),
    ("[reference]", "a playlist (a Windows Media redirector)"),
    ("[internetshortcut]", "a link to another place"),
    ("<asx", "a playlist (ASX)"),
    ("<smil", "a playlist (SMIL)"),
    ("v=0", "a description of a live stream (SDP)"),
    ("rtsp://", "a link to a live stream"),
    ("http://", "a link to another place"),
    ("https://", "a link to another place"),
    ("file://", "a link to another place"),
];

/// Names of elements that XML files of these kinds have near their start.
const XML_LISTS: [(&str, &str); 8] = [
    ("<mpd", "a playlist (a DASH manifest)"),
    ("<smoothstreamingmedia", "a playlist (a Smooth Streaming manifest)"),
    ("<compositionplaylist", "a playlist (an IMF composition)"),
    ("<assetmap", "a playlist (an IMF or DCP asset map)"),
    ("<playlist", "a playlist (XSPF)"),
    ("<asx", "a playlist (ASX)"),
    ("<smil", "a playlist (SMIL)"),
    ("<manifest", "a playlist (an HDS manifest)"),
];

const TEXTS: [(&str, &str); 5] = [
    ("webvtt", "it is subtitles (WebVTT)"),
    ("[script info]", "it is subtitles (ASS)"),
    (";ffmetadata", "it is FFmpeg metadata"),
    ("<!doctype html", "it is a web page: the download was answered with a page, not the video"),
    ("<html", "it is a web page: the download was answered with a page, not the video"),
];

/// What a file that begins with `head` seems to be.
pub(crate) fn guess(head: &[u8]) -> Guess {
    if let Some(text) = as_text(head) {
        return guess_text(&text);
    }
    if is_encrypted(head) { Guess::Encrypted } else { Guess::Unknown }
}

/// Whether a file that begins with `head` says that its contents are encrypted, in one of the containers of which FFmpeg does
/// not look at that.
pub(crate) fn is_encrypted(head: &[u8]) -> bool {
    is_scrambled_transport_stream(head) || is_scrambled_disc(head) || has_asf_encryption(head)
}

fn guess_text(text: &str) -> Guess {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_lowercase();
    let find =
        |list: &[(&str, &'static str)]| list.iter().find(|(start, _)| text.starts_with(start)).map(|found| found.1);
    if let Some(kind) = find(&LISTS) {
        return Guess::Playlist(kind);
    }
    if text.starts_with('<')
        && let Some((_, kind)) = XML_LISTS.iter().find(|(name, _)| has_element(&text, name))
    {
        return Guess::Playlist(kind);
    }
    if let Some(reason) = find(&TEXTS) {
        return Guess::NotAVideo(reason);
    }
    if text.lines().take(3).any(|line| line.contains(" --> ")) {
        return Guess::NotAVideo("it is subtitles (SubRip)");
    }
    // A playlist with notes of its own before the first mark of its kind.
    let marked = text.lines().take(100).find_map(|line| {
        LISTS.iter().take(5).find(|(start, _)| line.trim_start().starts_with(start)).map(|found| found.1)
    });
    marked.map_or(Guess::NotAVideo("it is text"), Guess::Playlist)
}

/// Whether an XML text has this element; a longer name that begins like it is another.
fn has_element(text: &str, name: &str) -> bool {
    let ends = |rest: &str| rest.starts_with(|c: char| c.is_whitespace() || "/>:".contains(c));
    let plain = text.match_indices(name).any(|(at, _)| text.get(at + name.len()..).is_some_and(ends));
    // With a prefix for its namespace.
    let suffix = format!(":{}", name.trim_start_matches('<'));
    plain || text.match_indices(&suffix).any(|(at, _)| text.get(at + suffix.len()..).is_some_and(ends))
}

/// The bytes as text, unless they are something else. A character that the end cuts through is left out.
fn as_text(head: &[u8]) -> Option<String> {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = head.as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect();
        Some(String::from_utf16_lossy(&units))
    };
    match head {
        [0xff, 0xfe, ..] => return wide(u16::from_le_bytes).filter(|text| is_readable(text)),
        [0xfe, 0xff, ..] => return wide(u16::from_be_bytes).filter(|text| is_readable(text)),
        _ => {}
    }
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        // One of the older encodings, of which all we look for is ASCII.
        Err(_) => {
            let text: String = head.iter().copied().map(char::from).collect();
            return Some(text).filter(|text| is_readable(text));
        }
    };
    Some(valid.to_owned()).filter(|text| is_readable(text))
}

/// Whether nearly all characters are ones that a text has.
fn is_readable(text: &str) -> bool {
    let odd = text.chars().filter(|c| (c.is_control() && !c.is_whitespace()) || *c == '\u{fffd}').count();
    !text.is_empty() && odd * 50 < text.chars().count()
}

/// Whether most packets of an MPEG transport stream say that their contents are scrambled.
fn is_scrambled_transport_stream(head: &[u8]) -> bool {
    // 192 bytes where a time comes before each packet.
    [188, 192].into_iter().any(|size| {
        let first = size - 188;
        let packets: Vec<&[u8]> = head.chunks_exact(size).filter_map(|packet| packet.get(first..)).collect();
        let synced = packets.iter().filter(|packet| packet.first() == Some(&0x47)).count();
        // Tables are never scrambled, and the null packets between carry nothing.
        let scrambled = packets.iter().filter(|packet| packet.get(3).is_some_and(|byte| byte & 0xc0 >= 0x80)).count();
        synced >= 4 && synced == packets.len() && scrambled * 2 > packets.len()
    })
}

/// Whether some of a DVD's sectors say that their contents are scrambled.
fn is_scrambled_disc(head: &[u8]) -> bool {
    const PACK: [u8; 4] = [0, 0, 1, 0xba];
    let packs: Vec<&[u8]> = head.chunks_exact(2048).filter(|sector| sector.starts_with(&PACK)).collect();
    // After the pack's header of 14 bytes comes a packet of video or sound, whose flags begin with the bits 10.
    let is_scrambled = |sector: &&&[u8]| {
        let (packet, flags) = (sector.get(14..18), sector.get(20).copied().unwrap_or(0));
        matches!(packet, Some([0, 0, 1, 0xbd | 0xc0..=0xef])) && flags >> 6 == 2 && flags & 0x30 != 0
    };
    let scrambled = packs.iter().filter(is_scrambled).count();
    packs.len() >= 4 && scrambled * 8 > packs.len()
}

/// Whether an ASF (WMV) header has one of the objects that describe its encryption.
fn has_asf_encryption(head: &[u8]) -> bool {
    const HEADER: [u8; 4] = [0x30, 0x26, 0xb2, 0x75];
    // The first bytes of the identifiers of Content Encryption and Extended Content Encryption.
    const OBJECTS: [[u8; 8]; 2] =
        [[0xfb, 0xb3, 0x11, 0x22, 0x23, 0xbd, 0xd2, 0x11], [0x14, 0xe6, 0x8a, 0x29, 0x22, 0x26, 0x17, 0x4c]];
    head.starts_with(&HEADER) && head.windows(8).any(|bytes| OBJECTS.iter().any(|object| bytes == object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts_are_told_by_their_first_words() {
        let list = |text: &str| match guess(text.as_bytes()) {
            Guess::Playlist(kind) => kind,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(list("#EXTM3U\n#EXTINF:6,\nseg.ts\n"), "a playlist (M3U, HLS)");
        assert_eq!(list("\u{feff}  \n#EXTM3U\r\n"), "a playlist (M3U, HLS)");
        assert_eq!(list("ffconcat version 1.0\nfile 'a.mp4'\n"), "a playlist (an FFmpeg concat script)");
        assert_eq!(list("# my list\nfile 'a.mp4'\n"), "a playlist (an FFmpeg concat script)");
        assert_eq!(list("<?xml version=\"1.0\"?>\n<!-- x -->\n<MPD xmlns='urn'>"), "a playlist (a DASH manifest)");
        assert_eq!(list("<?xml version=\"1.0\"?>\n<am:AssetMap>"), "a playlist (an IMF or DCP asset map)");
        assert_eq!(list("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"), "a description of a live stream (SDP)");
        let wide: Vec<u8> = "\u{feff}#EXTM3U\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(guess(&wide), Guess::Playlist("a playlist (M3U, HLS)"));

        let text = |text: &str| match guess(text.as_bytes()) {
            Guess::NotAVideo(reason) => reason,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(text("1\n00:00:01,000 --> 00:00:02,000\nHello\n"), "it is subtitles (SubRip)");
        assert_eq!(text("WEBVTT\n\n"), "it is subtitles (WebVTT)");
        assert_eq!(text("<mpdx>"), "it is text");
        assert_eq!(text("Caf\u{e9} noir"), "it is text");
        assert_eq!(guess(b"Caf\xe9 noir"), Guess::NotAVideo("it is text"));
        for other in [&[0_u8; 40][..], b"", &[0x1a, 0x45, 0xdf, 0xa3, 1, 2, 0, 0]] {
            assert_eq!(guess(other), Guess::Unknown);
        }
    }

    #[test]
    fn scrambled_packets() {
        let packets = |control: u8| -> Vec<u8> {
            let packet = |index: usize| {
                let control = if index == 0 { 0x10 } else { control };
                [&[0x47, 1, 0, control][..], &[index as u8 * 7; 184]].concat()
            };
            (0..20).flat_map(packet).collect()
        };
        assert_eq!(guess(&packets(0xd0)), Guess::Encrypted);
        assert_eq!(guess(&packets(0x10)), Guess::Unknown);
    }

    #[test]
    fn scrambled_sectors() {
        let sectors = |flags: u8| -> Vec<u8> {
            let sector = [&[0, 0, 1, 0xba][..], &[0x44; 10], &[0, 0, 1, 0xe0, 7, 0xec, flags], &[0x99; 2027]].concat();
            sector.repeat(8)
        };
        assert_eq!(guess(&sectors(0x90)), Guess::Encrypted);
        assert_eq!(guess(&sectors(0x80)), Guess::Unknown);
    }

    #[test]
    fn asf_objects() {
        let plain = [&[0x30, 0x26, 0xb2, 0x75][..], &[0x8e; 60]].concat();
        assert_eq!(guess(&plain), Guess::Unknown);
        let encrypted = [&plain[..], &[0xfb, 0xb3, 0x11, 0x22, 0x23, 0xbd, 0xd2, 0x11]].concat();
        assert_eq!(guess(&encrypted), Guess::Encrypted);
    }
}
