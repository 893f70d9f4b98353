//! The canvas that the pictures of an animation are put on.

use crate::crop::Area;

/// How a picture's pixels meet what is below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blend {
    /// They take its place.
    Replace,
    /// They lie over it, as the PNG standard computes it, rounded.
    Png,
    /// They lie over it, in the integer arithmetic of libwebp.
    WebP,
}

/// RGBA pixels, `[height, width, 4]`, transparent black at first.
pub(super) struct Canvas {
    pub pixels: Vec<u8>,
    size: (u32, u32),
}

impl Canvas {
    /// `None` if its bytes cannot be counted.
    pub fn new(size: (u32, u32)) -> Option<Self> {
        let bytes = (size.0 as usize).checked_mul(size.1 as usize)?.checked_mul(4)?;
        Some(Self { pixels: vec![0; bytes], size })
    }

    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Puts a picture of one to four `channels` with rows of `row_bytes` on an area; what lies outside is cut.
    pub fn put(&mut self, area: Area, picture: &[u8], channels: usize, row_bytes: usize, blend: Blend) {
        for (row, from) in self.rows(area).zip(picture.chunks(row_bytes.max(1))) {
            for (below, pixel) in row.chunks_exact_mut(4).zip(from.chunks_exact(channels.max(1))) {
                put_pixel(below, rgba(pixel), blend);
            }
        }
    }

    /// Makes an area transparent black.
    pub fn clear(&mut self, area: Area) {
        self.rows(area).for_each(|row| row.fill(0));
    }

    /// The bytes of an area, row by row.
    fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [u8]> {
        let stride = self.size.0 as usize * 4;
        let left = (area.left as usize).saturating_mul(4).min(stride);
        let right = (area.width as usize).saturating_mul(4).saturating_add(left).min(stride);
        let rows = self.pixels.chunks_exact_mut(stride.max(1)).skip(area.top as usize).take(area.height as usize);
        rows.map(move |row| row.get_mut(left..right).unwrap_or_default())
    }
}

/// A pixel of one to four levels as RGBA.
fn rgba(pixel: &[u8]) -> [u8; 4] {
    match *pixel {
        [gray] => [gray, gray, gray, 255],
        [gray, alpha] => [gray, gray, gray, alpha],
        [red, green, blue] => [red, green, blue, 255],
        [red, green, blue, alpha] => [red, green, blue, alpha],
        _ => [0; 4],
    }
}

/// Puts a pixel in another's place or over it.
fn put_pixel(below: &mut [u8], above: [u8; 4], blend: Blend) {
    let [colours @ .., alpha] = above;
    let [red, green, blue, under] = below else { return };
    if blend == Blend::Replace || alpha == 255 || (alpha > 0 && *under == 0) {
        below.copy_from_slice(&above);
        return;
    }
    if alpha == 0 {
        return;
    }
    let levels = [red, green, blue].into_iter().zip(colours);
    if blend == Blend::WebP {
        let over = u32::from(alpha);
        let rest = (u32::from(*under) * (256 - over)) >> 8;
        let (whole, scale) = (over + rest, (1_u64 << 24) / u64::from(over + rest));
        for (level, new) in levels {
            let sum = u32::from(new) * over + u32::from(*level) * rest;
            *level = ((u64::from(sum) * scale) >> 24) as u8;
        }
        *under = whole as u8;
    } else {
        // Both weights, of which 255 squared are the whole.
        let (over, rest) = (u32::from(alpha) * 255, u32::from(*under) * (255 - u32::from(alpha)));
        let whole = over + rest;
        for (level, new) in levels {
            *level = ((u32::from(new) * over + u32::from(*level) * rest + whole / 2) / whole) as u8;
        }
        *under = ((whole + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blended(below: [u8; 4], above: [u8; 4], blend: Blend) -> [u8; 4] {
        let mut pixel = below;
        put_pixel(&mut pixel, above, blend);
        pixel
    }

    #[test]
    fn blending() {
        for blend in [Blend::Png, Blend::WebP] {
            assert_eq!(blended([10, 20, 30, 255], [200, 100, 0, 0], blend), [10, 20, 30, 255]);
            assert_eq!(blended([10, 20, 30, 0], [200, 100, 0, 7], blend), [200, 100, 0, 7]);
            assert_eq!(blended([10, 20, 30, 90], [255, 254, 0, 255], blend), [255, 254, 0, 255]);
        }
        assert_eq!(blended([10, 20, 30, 255], [200, 100, 0, 128], Blend::Png), [105, 60, 15, 255]);
        assert_eq!(blended([0, 0, 0, 128], [255, 255, 255, 128], Blend::Png), [170, 170, 170, 192]);
        assert_eq!(blended([10, 20, 30, 255], [200, 100, 0, 128], Blend::WebP), [105, 60, 14, 255]);
        assert_eq!(blended([1, 2, 3, 4], [9, 8, 7, 0], Blend::Replace), [9, 8, 7, 0]);
    }

    #[test]
    fn what_lies_outside_is_cut() {
        let mut canvas = Canvas::new((2, 2)).unwrap();
        canvas.put(Area { left: 1, top: 1, width: 3, height: 3 }, &[5; 27], 3, 9, Blend::Replace);
        assert_eq!(canvas.pixels, [[0; 12].as_slice(), &[5, 5, 5, 255]].concat());
        canvas.put(Area { left: 9, top: 9, width: 1, height: 1 }, &[1], 1, 1, Blend::Replace);
        canvas.clear(Area { left: 0, top: 1, width: u32::MAX, height: u32::MAX });
        assert_eq!(canvas.pixels, [0; 16]);
    }
}
