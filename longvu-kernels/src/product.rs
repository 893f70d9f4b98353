//! Matrix products of any strides, through the `gemm` crate.

use gemm::Parallelism;

/// A matrix in a slice: element `[i, j]` lies at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, rows being `stride` elements apart.
    pub(crate) fn new(data: &'a [f32], shape: [usize; 2], stride: usize) -> Self {
        check(data.len(), shape, stride);
        Self { data, shape, strides: [stride, 1] }
    }

    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [outer, inner]) = (self.shape, self.strides);
        Self { data: self.data, shape: [columns, rows], strides: [inner, outer] }
    }
}

/// Checks that the last row ends within `len`, and that rows do not overlap.
fn check(len: usize, [rows, columns]: [usize; 2], stride: usize) {
    let last = rows.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(columns));
    assert!(
        stride >= columns && (rows == 0 || last.is_some_and(|end| end <= len)),
        "{rows} rows of {columns}, {stride} apart, in {len} elements"
    );
}

/// How a product is written.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    /// A factor of every element.
    pub scale: f32,
    /// Whether it is added to what is there.
    pub add: bool,
    /// The threads of the current pool, where they pay. Each element's sum is one thread's, in one order.
    pub threads: Parallelism,
}

impl Default for Product {
    fn default() -> Self {
        Self { scale: 1.0, add: false, threads: Parallelism::Rayon(0) }
    }
}

/// `out = a · b`, the rows of `out` being `stride` elements apart: a `[rows, inner]`, b `[inner, columns]`.
pub(crate) fn multiply_into(out: &mut [f32], stride: usize, a: Matrix<'_>, b: Matrix<'_>, product: Product) {
    let ([rows, inner], [b_rows, columns]) = (a.shape, b.shape);
    assert_eq!(inner, b_rows, "columns of the left matrix and rows of the right");
    check(out.len(), [rows, columns], stride);
    let [a_strides, b_strides] = [a.strides, b.strides].map(|strides| strides.map(|stride| stride as isize));
    // SAFETY: `Matrix::new` and `check` compared the last elements of all three with the lengths of their slices.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride as isize,
            product.add,
            a.data.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.data.as_ptr(),
            b_strides[1],
            b_strides[0],
            1.0,
            product.scale,
            false,
            false,
            false,
            product.threads,
        );
    }
}
