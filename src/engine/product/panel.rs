//! Packing a product's right factor: panels of columns, each read as one stream.

use std::marker::PhantomData;

use pulp::Simd;

use super::fetch::fetch_early;
use super::{Element, Factors, Operand, bf16, lanes, quarters};

/// Columns of a panel on this processor.
pub fn panel_width<R: Element>() -> usize {
    struct Width<R>(PhantomData<R>);
    impl<R: Element> pulp::WithSimd for Width<R> {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            2 * lanes::<S, R>()
        }
    }
    pulp::Arch::new().dispatch(Width::<R>(PhantomData))
}

/// Packs panel `panel` of a right factor: copies [`panel_width`] of its columns to `to`, that many to a row, with zeros behind
/// the last column.
///
/// # Safety
/// The factor's elements are valid, `to` has room for [`panel_elements`], and the two do not overlap; as for
/// [`product`](super::product) with these factors.
pub unsafe fn pack<R: Element>(to: *mut R, matrix: Operand<R>, panel: usize, factors: Factors) {
    let ((depth, cols), strides, col) = (matrix.shape, matrix.strides, panel * panel_width::<R>());
    let (from, shape) = (matrix.data.wrapping_add(col * strides.1), (depth, panel_width::<R>().min(cols - col)));
    // SAFETY: the caller's promise.
    unsafe {
        match factors {
            Factors::Whole => pack_columns(to, from, strides, shape),
            Factors::Rounded => R::pack_rounded(to, from, strides, shape),
            Factors::Quartered => quarters::pack(to, matrix, panel),
        }
    }
}

/// Copies `depth` rows of `cols` elements, `strides` apart from row to row and from column to column, as a panel.
pub(super) unsafe fn pack_columns<R: Element>(to: *mut R, from: *const R, strides: (usize, usize), shape: (usize, usize)) {
    // SAFETY: the caller's promise.
    unsafe {
        if !(strides.0 == 1 && R::pack_transposed(to, from, strides.1, shape)) {
            pack_whole(to, from, strides, shape);
        }
    }
}

/// Panels of a right factor with so many columns.
pub fn panel_count<R: Element>(cols: usize, factors: Factors) -> usize {
    match factors {
        Factors::Quartered => (cols / 2).div_ceil(panel_width::<R>()),
        Factors::Whole | Factors::Rounded => cols.div_ceil(panel_width::<R>()),
    }
}

/// Elements of a panel of this depth.
pub fn panel_elements<R: Element>(depth: usize, factors: Factors) -> usize {
    match factors {
        Factors::Rounded if size_of::<R>() == size_of::<f32>() => bf16::panel_words(depth),
        Factors::Quartered => quarters::panel_elements(depth, panel_width::<R>()),
        Factors::Whole | Factors::Rounded => depth * panel_width::<R>(),
    }
}

pub(super) unsafe fn pack_whole<R: Element>(to: *mut R, from: *const R, strides: (usize, usize), (depth, cols): (usize, usize)) {
    struct Pack<R>(*mut R, *const R, (usize, usize), (usize, usize));
    impl<R: Element> pulp::WithSimd for Pack<R> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            // SAFETY: the promise of whoever called `pack`.
            unsafe { pack_with::<S, R, 2>(self.0, self.1, self.2, self.3) }
        }
    }
    pulp::Arch::new().dispatch(Pack(to, from, strides, (depth, cols)));
}

/// As [`pack`], inlined.
#[inline(always)]
pub(super) unsafe fn pack_with<S: Simd, R: Element, const VECTORS: usize>(
    to: *mut R,
    from: *const R,
    strides: (usize, usize),
    (depth, cols): (usize, usize),
) {
    let wide = VECTORS * lanes::<S, R>();
    // SAFETY: the caller's promise.
    unsafe {
        if strides.1 == 1 && cols == wide {
            for row in 0..depth {
                let from = from.add(row * strides.0).cast::<R::Vector<S>>();
                // What the next panel begins with.
                (0..VECTORS).for_each(|v| fetch_early(from.wrapping_add(VECTORS + v)));
                let to = to.add(row * wide).cast::<R::Vector<S>>();
                (0..VECTORS).for_each(|v| to.add(v).write_unaligned(from.add(v).read_unaligned()));
            }
            return;
        }
        if cols < wide {
            std::slice::from_raw_parts_mut(to, depth * wide).fill(R::default());
        }
        // Eight columns at a time: as many streams as the processor's prefetcher follows.
        for col in (0..cols).step_by(8) {
            let some = 8.min(cols - col);
            for row in 0..depth {
                let to = to.add(row * wide + col);
                for c in 0..some {
                    *to.add(c) = *from.add(row * strides.0 + (col + c) * strides.1);
                }
            }
        }
    }
}

/// As [`pack`], of a transposed matrix: its columns, `stride` apart, are contiguous. False if this processor has no code for it.
///
/// # Safety
/// As for [`pack`].
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn pack_transposed(to: *mut f32, from: *const f32, stride: usize, (depth, cols): (usize, usize)) -> bool {
    let wide = panel_width::<f32>();
    if cols != wide || !wide.is_multiple_of(8) || !depth.is_multiple_of(16) || !std::arch::is_x86_feature_detected!("avx") {
        return false;
    }
    // By lines of the columns, and all of them before the next: of these as of the panel nothing is read or written twice.
    for k in (0..depth).step_by(16) {
        for col in (0..wide).step_by(8) {
            // SAFETY: inside the matrix and the panel, on a processor that has AVX.
            unsafe {
                let from = from.add(col * stride + k);
                (0..8).for_each(|c| fetch_early(from.wrapping_add(c * stride + 64)));
                transpose(to.add(k * wide + col), wide, from, stride);
                transpose(to.add((k + 8) * wide + col), wide, from.add(8), stride);
            }
        }
    }
    true
}

/// Eight rows of eight numbers, `stride` apart, as eight columns, `wide` apart. A loop over single numbers becomes scatters,
/// which are slower than what they replace.
///
/// # Safety
/// They are there to be read and written, and the processor has AVX.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
pub unsafe fn transpose(to: *mut f32, wide: usize, from: *const f32, stride: usize) {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    // SAFETY: the caller's promise.
    let rows: [_; 8] = std::array::from_fn(|r| unsafe { _mm256_loadu_ps(from.add(r * stride)) });
    let pair = |r: usize| (_mm256_unpacklo_ps(rows[r], rows[r + 1]), _mm256_unpackhi_ps(rows[r], rows[r + 1]));
    let four = |r: usize| {
        let ((low, high), (low2, high2)) = (pair(r), pair(r + 2));
        [
            _mm256_shuffle_ps::<0x44>(low, low2),
            _mm256_shuffle_ps::<0xee>(low, low2),
            _mm256_shuffle_ps::<0x44>(high, high2),
            _mm256_shuffle_ps::<0xee>(high, high2),
        ]
    };
    let (upper, lower) = (four(0), four(4));
    for k in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_ps(to.add(k * wide), _mm256_permute2f128_ps::<0x20>(upper[k], lower[k]));
            _mm256_storeu_ps(to.add((k + 4) * wide), _mm256_permute2f128_ps::<0x31>(upper[k], lower[k]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_holds_the_columns_row_by_row_whichever_way_the_matrix_lies() {
        let wide = panel_width::<f32>();
        for (depth, cols) in [(16, wide), (512, wide), (48, wide), (17, wide), (8, wide), (32, wide - 3), (5, 1)] {
            let element = |k: usize, c: usize| (k * 1000 + c) as f32;
            let stride = 600;
            let mut matrix = vec![f32::NAN; stride * stride];
            for transposed in [false, true] {
                let strides = if transposed { (1, stride) } else { (stride, 1) };
                for (k, c) in (0..depth).flat_map(|k| (0..cols).map(move |c| (k, c))) {
                    matrix[k * strides.0 + c * strides.1] = element(k, c);
                }
                let mut panel = vec![f32::NAN; depth * wide];
                // SAFETY: both have these shapes.
                unsafe { pack_columns(panel.as_mut_ptr(), matrix.as_ptr(), strides, (depth, cols)) };
                for (at, x) in panel.iter().enumerate() {
                    let (k, c) = (at / wide, at % wide);
                    let expected = if c < cols { element(k, c) } else { 0.0 };
                    assert_eq!(*x, expected, "row {k}, column {c} of {depth} x {cols}, transposed: {transposed}");
                }
            }
        }
    }
}
