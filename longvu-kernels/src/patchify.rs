//! Images as the rows of a patch embedding's matrix product.

use crate::threads::for_rows;

/// Cuts an image `[channels, height, width]` into square patches: out is
/// `[height / patch * (width / patch), channels * patch * patch]`, patches row by row, each channel, line, column, as a
/// convolution's weight `[out, channels, patch, patch]` lies. Lines and columns beyond the last whole patch are left out.
///
/// # Panics
/// If the lengths do not fit.
pub fn patchify(image: &[f32], channels: usize, height: usize, width: usize, patch: usize, out: &mut [f32]) {
    assert!(channels > 0 && patch > 0 && image.len() == channels * height * width, "{channels} x {height} x {width}");
    let (rows, columns, row) = (height / patch, width / patch, channels * patch * patch);
    assert_eq!(out.len(), rows * columns * row, "{rows} x {columns} patches of {row}");
    for_rows(out, row, |first, chunk| {
        for (i, out) in chunk.chunks_exact_mut(row).enumerate() {
            let (y, x) = ((first + i) / columns * patch, (first + i) % columns * patch);
            for (line, out) in out.chunks_exact_mut(patch).enumerate() {
                let (channel, dy) = (line / patch, line % patch);
                out.copy_from_slice(&image[(channel * height + y + dy) * width + x..][..patch]);
            }
        }
    });
}
