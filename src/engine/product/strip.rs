//! A panel's products with rows of the left factor: tiles whose sums stay in registers.

use pulp::Simd;

use super::fetch::{fetch, fetch_early, write_past};
use super::{Element, lanes};

/// Rows of a tile whose left factor lies transposed, one vector of columns wide. At f32 sixteen numbers of the left factor are
/// a cache line: it is read once for all of them, and the narrow panel stays in the first-level cache.
pub(super) const UPRIGHT: usize = 16;

/// How many depths ahead such a tile asks for that line, of which it has asked the second-level cache a tile ahead. The rows of
/// the left factor lie too far apart for the processor to foresee the next.
const AHEAD: usize = 8;

/// The product of rows of the left factor with one panel of the right one.
#[derive(Clone, Copy)]
pub(super) struct Strip<R> {
    pub depth: usize,
    pub left: *const R,
    pub left_strides: (usize, usize),
    pub panel: *const R,
    pub panel_stride: usize,
    pub out: *mut R,
    pub stride: usize,
    pub rows: usize,
    pub cols: usize,
    /// Whether `out` holds the sum over what lies before this panel's depth.
    pub goes_on: bool,
    /// Whether the result is written past the caches, in whole lines.
    pub past_caches: bool,
}

impl<R: Element> Strip<R> {
    /// Tiles as tall as the registers allow, then smaller ones for the rows that are left.
    #[inline(always)]
    pub unsafe fn run<S: Simd, const VECTORS: usize>(self, simd: S) {
        // SAFETY: rows below `self.rows`.
        unsafe {
            let row =
                if S::REGISTER_COUNT >= 32 { self.tiles::<S, VECTORS, 8>(simd, 0) } else { self.tiles::<S, VECTORS, 6>(simd, 0) };
            let row = self.tiles::<S, VECTORS, 4>(simd, row);
            let row = self.tiles::<S, VECTORS, 2>(simd, row);
            self.tiles::<S, VECTORS, 1>(simd, row);
        }
    }

    /// Tiles of half a vector of columns, if that is all there is and vectors are AVX-512's: of AVX2's a core makes two in the
    /// time of one. A net's head is that narrow. False if there is nothing better than a whole vector.
    #[inline(always)]
    pub unsafe fn run_narrow<S: Simd>(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if size_of::<R::Vector<S>>() == 64 && 2 * self.cols <= lanes::<S, R>() {
            use pulp::x86::V3;
            // SAFETY: a processor that has AVX-512 has AVX2; rows below `self.rows`.
            unsafe {
                let narrow = V3::new_unchecked();
                let row = self.tiles::<V3, 1, 8>(narrow, 0);
                self.tiles::<V3, 1, 1>(narrow, row);
            }
            return true;
        }
        false
    }

    /// Tiles for a transposed left factor.
    #[inline(always)]
    pub unsafe fn run_upright<S: Simd>(self, simd: S) {
        // SAFETY: rows below `self.rows`.
        unsafe {
            let row = self.tiles::<S, 1, UPRIGHT>(simd, 0);
            let row = self.tiles::<S, 1, 4>(simd, row);
            self.tiles::<S, 1, 1>(simd, row);
        }
    }

    /// Tiles of `ROWS` rows from `row` on; the first row that is left.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const VECTORS: usize, const ROWS: usize>(self, simd: S, mut row: usize) -> usize {
        while row + ROWS <= self.rows {
            // SAFETY: rows below `self.rows`.
            unsafe {
                if self.goes_on {
                    self.tile::<S, VECTORS, ROWS, true>(simd, row);
                } else {
                    self.tile::<S, VECTORS, ROWS, false>(simd, row);
                }
            }
            row += ROWS;
        }
        row
    }

    /// `ROWS` rows by `VECTORS` vectors of columns, whose sums stay in registers. Sums that go on are code of their own: if
    /// only they came from memory, those that begin with zero would pass through it too.
    #[inline(always)]
    unsafe fn tile<S: Simd, const VECTORS: usize, const ROWS: usize, const GOES_ON: bool>(self, simd: S, row: usize) {
        let lanes = lanes::<S, R>();
        let whole = self.cols == VECTORS * lanes;
        // SAFETY: elements of the operands, of the panel, or of the buffer on the stack.
        unsafe {
            let left = self.left.add(row * self.left_strides.0);
            let out = self.out.add(row * self.stride);
            let mut sums = [[R::splat(simd, R::default()); VECTORS]; ROWS];
            if GOES_ON {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = load_some::<S, R>(
                            simd,
                            out.add(r * self.stride + v * lanes),
                            self.cols.saturating_sub(v * lanes).min(lanes),
                        );
                    }
                }
            }
            for k in 0..self.depth {
                if ROWS == UPRIGHT {
                    fetch(left.wrapping_add((k + AHEAD) * self.left_strides.1));
                    fetch_early(left.wrapping_add(k * self.left_strides.1 + UPRIGHT));
                }
                let panel = self.panel.add(k * self.panel_stride);
                let mut right = [R::splat(simd, R::default()); VECTORS];
                for (v, right) in right.iter_mut().enumerate() {
                    *right = panel.add(v * lanes).cast::<R::Vector<S>>().read_unaligned();
                }
                let left = left.add(k * self.left_strides.1);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let left = R::splat(simd, *left.add(r * self.left_strides.0));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = R::mul_add(simd, left, right, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let out = out.add(r * self.stride);
                if ROWS == UPRIGHT && whole && self.past_caches {
                    for (v, sum) in sums.iter().enumerate() {
                        write_past(out.add(v * lanes).cast::<R::Vector<S>>(), *sum);
                    }
                } else if whole {
                    for (v, sum) in sums.iter().enumerate() {
                        out.add(v * lanes).cast::<R::Vector<S>>().write_unaligned(*sum);
                    }
                } else {
                    // A copy, since a sum whose address is taken would leave its register.
                    let sums: [R::Vector<S>; VECTORS] = std::array::from_fn(|v| sums[v]);
                    std::ptr::copy_nonoverlapping(sums.as_ptr().cast::<R>(), out, self.cols);
                }
            }
        }
    }
}

/// A vector whose first `count` elements come from `from`.
#[inline(always)]
unsafe fn load_some<S: Simd, R: Element>(simd: S, from: *const R, count: usize) -> R::Vector<S> {
    let mut vector = R::splat(simd, R::default());
    // SAFETY: the caller's promise for `from`; a vector has room for `count` elements.
    unsafe { std::ptr::copy_nonoverlapping(from, std::ptr::from_mut(&mut vector).cast::<R>(), count) };
    vector
}
