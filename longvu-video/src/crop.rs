//! Which part of the stored pictures a container wants shown.

/// A rectangle of whole pixels in a stored picture or on a canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// A crop as a container states it, before the size of the pictures is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crop {
    /// The `clap` box of MP4, QuickTime and AVIF: width, height and the offsets of the middle from that of the picture,
    /// across and down, each a fraction.
    Aperture([(i64, i64); 4]),
    /// Matroska's pixels to leave out at the left, top, right and bottom.
    Insets([u64; 4]),
}

impl Crop {
    /// Reads the contents of a `clap` box.
    pub fn from_clap(body: &[u8]) -> Option<Self> {
        let (words, _) = body.as_chunks::<4>();
        let &[wn, wd, hn, hd, xn, xd, yn, yd, ..] = words else { return None };
        let unsigned = |bytes| i64::from(u32::from_be_bytes(bytes));
        let signed = |bytes| i64::from(i32::from_be_bytes(bytes));
        let parts =
            [(unsigned(wn), wd), (unsigned(hn), hd), (signed(xn), xd), (signed(yn), yd)].map(|(n, d)| (n, unsigned(d)));
        parts.iter().all(|(_, d)| *d > 0).then_some(Self::Aperture(parts))
    }

    /// The rectangle in pictures of `size` (width, height); `None` if it has no whole pixels or reaches out of the picture.
    pub fn area(&self, (width, height): (u32, u32)) -> Option<Area> {
        let ((left, shown_width), (top, shown_height)) = match *self {
            Self::Aperture([w, h, x, y]) => (span(width, w, x)?, span(height, h, y)?),
            Self::Insets([left, top, right, bottom]) => (inner(width, left, right)?, inner(height, top, bottom)?),
        };
        Some(Area { left, top, width: shown_width, height: shown_height })
    }
}

/// Start and length of what an aperture shows of a side: its middle lies `offset` from that of the side.
fn span(side: u32, length: (i64, i64), offset: (i64, i64)) -> Option<(u32, u32)> {
    let whole = |(n, d): (i128, i128)| (n % d == 0).then_some(n / d);
    let (length_n, length_d) = (i128::from(length.0), i128::from(length.1));
    let (offset_n, offset_d) = (i128::from(offset.0), i128::from(offset.1));
    let shown = whole((length_n, length_d))?;
    // start = offset + (side - shown) / 2
    let start = whole((2 * offset_n + (i128::from(side) - shown) * offset_d, 2 * offset_d))?;
    let fits = shown > 0 && start >= 0 && start + shown <= i128::from(side);
    fits.then(|| Some((u32::try_from(start).ok()?, u32::try_from(shown).ok()?)))?
}

fn inner(side: u32, before: u64, after: u64) -> Option<(u32, u32)> {
    let shown = u64::from(side).checked_sub(before.checked_add(after)?)?;
    (shown > 0).then(|| Some((u32::try_from(before).ok()?, u32::try_from(shown).ok()?)))?
}

impl Area {
    /// Cuts this part out of RGB bytes `[height, width, 3]` of rows `width` pixels long; `None` if it is not in them.
    pub fn cut(&self, width: u32, rgb: &[u8]) -> Option<Vec<u8>> {
        let row = usize::try_from(width).ok()?.checked_mul(3)?;
        let [left, top, shown, rows] =
            [self.left, self.top, self.width, self.height].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
        let columns = left.checked_mul(3)?..left.checked_add(shown)?.checked_mul(3)?;
        let mut part = Vec::with_capacity(columns.len().checked_mul(rows)?);
        for line in rgb.chunks_exact(row).skip(top).take(rows) {
            part.extend_from_slice(line.get(columns.clone())?);
        }
        (part.len() == columns.len() * rows).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clap(words: [i32; 8]) -> Crop {
        Crop::from_clap(&words.map(i32::to_be_bytes).concat()).unwrap()
    }

    #[test]
    fn apertures_are_placed_by_their_middle() {
        let area = |words| clap(words).area((100, 60));
        assert_eq!(area([80, 1, 40, 1, 0, 1, 0, 1]), Some(Area { left: 10, top: 10, width: 80, height: 40 }));
        assert_eq!(area([99, 1, 60, 1, 1, 2, 0, 1]), Some(Area { left: 1, top: 0, width: 99, height: 60 }));
        assert_eq!(area([80, 1, 40, 1, -10, 1, 10, 1]), Some(Area { left: 0, top: 20, width: 80, height: 40 }));
        for outside in [[80, 1, 40, 1, 11, 1, 0, 1], [99, 1, 60, 1, 0, 1, 0, 1], [81, 2, 60, 1, 0, 1, 0, 1], [0; 8]] {
            let crop = Crop::from_clap(&outside.map(i32::to_be_bytes).concat());
            assert_eq!(crop.and_then(|crop| crop.area((100, 60))), None, "{outside:?}");
        }
        assert_eq!(Crop::from_clap(&[0; 31]), None);
        clap([-1, 1, -1, 1, i32::MIN, 1, i32::MAX, 1]).area((u32::MAX, 1));
    }

    #[test]
    fn insets_leave_something() {
        assert_eq!(Crop::Insets([1, 2, 3, 4]).area((10, 10)), Some(Area { left: 1, top: 2, width: 6, height: 4 }));
        assert_eq!(Crop::Insets([5, 0, 5, 0]).area((10, 10)), None);
        assert_eq!(Crop::Insets([u64::MAX, 0, 5, 0]).area((10, 10)), None);
    }

    #[test]
    fn cuts_rows_and_columns() {
        let rgb: Vec<u8> = (0..4 * 3 * 3).collect();
        let area = Area { left: 1, top: 1, width: 2, height: 2 };
        assert_eq!(area.cut(4, &rgb).unwrap(), [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
        assert_eq!(Area { width: 4, ..area }.cut(4, &rgb), None);
        assert_eq!(Area { height: 3, ..area }.cut(4, &rgb), None);
    }
}
