//! Matrix products of factors rounded to bfloat16 and summed at f32, for processors that multiply pairs of such numbers.
//!
//! An instruction of AVX512-BF16 adds two products to a sum where one at f32 adds one: twice the rate. A *pair* is the
//! numbers at depths 2k and 2k + 1 in the halves of a word; where the depth is odd, the last one's partner is zero. An output
//! element adds its pairs in their order, so its bits do not depend on where the product is cut.

use super::product::{MutOperand, Operand, Right};

/// Smallest depth and number of columns at which a layer's products are worth rounding. Thinner ones, a network's first
/// layer and its head, cost little and stay at f32: actions, times and values are not rounded.
pub const WORTH: u32 = 64;

/// Columns of a packed panel.
pub const WIDTH: usize = 32;

/// Rows of a tile, whose sums fill half of the registers.
#[cfg(target_arch = "x86_64")]
const TILE: usize = 8;

/// Depth up to which a panel is packed at once; even.
#[cfg(target_arch = "x86_64")]
const DEPTH: usize = 1024;

/// Whether this processor has the instructions.
pub fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Words of a packed panel of this depth.
pub const fn panel_words(depth: usize) -> usize {
    depth.div_ceil(2) * WIDTH
}

/// `out = lhs * rhs` on one thread, both factors rounded. Panels are those of [`pack`], of the whole depth.
///
/// # Safety
/// As for [`super::product::product`]; the processor is [`available`].
pub unsafe fn product(out: MutOperand<f32>, lhs: Operand<f32>, rhs: Right<f32>) {
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "x86_64")]
    super::product::Element::with_panel(|space| unsafe { x86::product(out, lhs, rhs, space) });
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("{out:?} {lhs:?} {rhs:?}: no engine of mixed precision can be made here");
}

/// Packs a panel: `depth` rows of `cols` elements, `strides` apart from row to row and from column to column, as pairs,
/// [`WIDTH`] to a row, with zeros behind them. One of the strides is 1.
///
/// # Safety
/// The elements are valid, `to` has room for [`panel_words`], and the two do not overlap; the processor is [`available`].
pub unsafe fn pack(to: *mut f32, from: *const f32, strides: (usize, usize), (depth, cols): (usize, usize)) {
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        x86::pack_right(to.cast(), from, strides, (depth, cols));
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("{to:?} {from:?} {strides:?} {depth} {cols}: no engine of mixed precision can be made here");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256bh, __m256i, __m512bh, __m512i, __mmask16, _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_dpbf16_ps,
        _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_or_si512, _mm512_set1_epi32, _mm512_setzero_ps,
        _mm512_slli_epi32, _mm512_storeu_si512,
    };
    use std::mem::transmute;

    use super::super::aligned::Aligned;
    use super::super::product::transpose;
    use super::{DEPTH, MutOperand, Operand, Right, TILE, WIDTH};

    /// Elements of a vector.
    const LANES: usize = 16;

    /// Unused words between two rows of a packed left factor: without them the rows of a tile would share a few sets of the
    /// first-level cache.
    const GAP: usize = 16;

    /// See [`super::product`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn product(out: MutOperand<f32>, lhs: Operand<f32>, rhs: Right<f32>, space: &mut Aligned<f32>) {
        let (rows, whole) = (lhs.shape.0, lhs.shape.1.div_ceil(2));
        for first in (0..lhs.shape.1).step_by(DEPTH) {
            let depth = DEPTH.min(lhs.shape.1 - first);
            let left_words = (rows.next_multiple_of(TILE) + GAP) * (depth.div_ceil(2) + GAP);
            space.at_least(left_words.next_multiple_of(LANES) + super::panel_words(depth));
            let left = space.as_mut_ptr().cast::<u32>();
            // SAFETY: inside the operands and the space.
            unsafe {
                let panel = left.add(left_words.next_multiple_of(LANES));
                let strides = pack_left(left, lhs.data.add(first * lhs.strides.1), lhs.strides, (rows, depth));
                for col in (0..out.shape.1).step_by(WIDTH) {
                    let cols = WIDTH.min(out.shape.1 - col);
                    let right = match rhs {
                        Right::Panels(data) => data.cast::<u32>().add(col * whole + first / 2 * WIDTH),
                        Right::Plain(rhs) => {
                            let from = rhs.data.add(first * rhs.strides.0 + col * rhs.strides.1);
                            pack_right(panel, from, rhs.strides, (depth, cols));
                            panel.cast_const()
                        }
                    };
                    for row in (0..rows).step_by(TILE) {
                        let out = MutOperand {
                            data: out.data.add(row * out.stride + col),
                            shape: (TILE.min(rows - row), cols),
                            stride: out.stride,
                        };
                        let left = (left.add(row * strides.0).cast_const(), strides);
                        let (pairs, goes_on) = (depth.div_ceil(2), first > 0);
                        match out.shape.0 {
                            1 => tile::<1>(out, left, right, pairs, goes_on),
                            2 => tile::<2>(out, left, right, pairs, goes_on),
                            3 | 4 => tile::<4>(out, left, right, pairs, goes_on),
                            _ => tile::<TILE>(out, left, right, pairs, goes_on),
                        }
                    }
                }
            }
        }
    }

    /// The first `count` elements of a vector.
    #[inline]
    const fn mask(count: usize) -> __mmask16 {
        if count >= LANES { !0 } else { (1 << count) - 1 }
    }

    /// `ROWS` rows by two vectors of columns, whose sums stay in registers. Rows of `left` past the last of `out` are not
    /// stored; there must be some to read.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn tile<const ROWS: usize>(
        out: MutOperand<f32>,
        (left, strides): (*const u32, (usize, usize)),
        right: *const u32,
        pairs: usize,
        goes_on: bool,
    ) {
        let masks = [0, 1].map(|v| mask(out.shape.1.saturating_sub(v * LANES)));
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        // SAFETY: the caller's promise; nothing is read or written where a mask is zero.
        unsafe {
            let place = |r: usize, v: usize| out.data.wrapping_add(r * out.stride + v * LANES);
            for (r, sums) in sums.iter_mut().enumerate() {
                if goes_on && r < out.shape.0 {
                    *sums = [0, 1].map(|v| _mm512_maskz_loadu_ps(masks[v], place(r, v)));
                }
            }
            for k in 0..pairs {
                let right = [0, 1].map(|v| bf16(_mm512_loadu_si512(right.add(k * WIDTH + v * LANES).cast())));
                let left = left.add(k * strides.1);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let left = bf16(_mm512_set1_epi32((*left.add(r * strides.0)).cast_signed()));
                    *sums = [0, 1].map(|v| _mm512_dpbf16_ps(sums[v], left, right[v]));
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                if r < out.shape.0 {
                    for v in [0, 1] {
                        _mm512_mask_storeu_ps(place(r, v), masks[v], sums[v]);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    #[inline]
    unsafe fn bf16(words: __m512i) -> __m512bh {
        // SAFETY: both are 64 bytes.
        unsafe { transmute(words) }
    }

    /// The pairs of rows 2k and 2k + 1, `stride` apart, of `depth` rows: zero past the last row and outside the mask.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn pairs(from: *const f32, stride: usize, (k, depth): (usize, usize), columns: __mmask16) -> __m512i {
        let [low, high] = [2 * k, 2 * k + 1].map(|row| {
            let some = if row < depth { columns } else { 0 };
            // SAFETY: the caller's promise, and the mask; both sides of the cast are 32 bytes.
            unsafe {
                let rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, from.wrapping_add(row * stride)));
                _mm512_cvtepu16_epi32(transmute::<__m256bh, __m256i>(rounded))
            }
        });
        _mm512_or_si512(low, _mm512_slli_epi32::<16>(high))
    }

    /// Packs the left factor for [`tile`]: from one row, and from one pair, to the next. Rows up to a whole tile are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_left(
        to: *mut u32,
        from: *const f32,
        strides: (usize, usize),
        (rows, depth): (usize, usize),
    ) -> (usize, usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if strides.1 == 1 {
                let stride = depth.div_ceil(2) + GAP;
                for row in 0..rows {
                    pack_row(to.add(row * stride), from.add(row * strides.0), depth);
                }
                return (stride, 1);
            }
            let stride = rows.next_multiple_of(TILE) + GAP;
            for k in 0..depth.div_ceil(2) {
                for row in (0..rows).step_by(LANES) {
                    let pairs = pairs(from.add(row), strides.1, (k, depth), mask(rows - row));
                    _mm512_storeu_si512(to.add(k * stride + row).cast(), pairs);
                }
            }
            (1, stride)
        }
    }

    /// Pairs of adjacent elements. The last vector may write up to eight words more than there are pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[inline]
    unsafe fn pack_row(to: *mut u32, from: *const f32, count: usize) {
        for k in (0..count).step_by(LANES) {
            // SAFETY: the caller's promise, and the mask.
            unsafe {
                let rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask(count - k), from.add(k)));
                to.add(k / 2).cast::<[u32; LANES / 2]>().write_unaligned(transmute::<__m256bh, [u32; LANES / 2]>(rounded));
            }
        }
    }

    /// See [`super::pack`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn pack_right(to: *mut u32, from: *const f32, strides: (usize, usize), (depth, cols): (usize, usize)) {
        let masks = [mask(cols), mask(cols.saturating_sub(LANES))];
        // SAFETY: the caller's promise.
        unsafe {
            if strides.1 == 1 {
                for k in 0..depth.div_ceil(2) {
                    for (v, some) in masks.into_iter().enumerate() {
                        let pairs = pairs(from.wrapping_add(v * LANES), strides.0, (k, depth), some);
                        _mm512_storeu_si512(to.add(k * WIDTH + v * LANES).cast(), pairs);
                    }
                }
                return;
            }
            if cols == WIDTH && depth.is_multiple_of(LANES) {
                pack_turned(to, from, strides.1, depth);
                return;
            }
            let mut column = [0u32; DEPTH / 2 + LANES];
            for first in (0..depth).step_by(DEPTH) {
                let some = DEPTH.min(depth - first);
                for col in 0..WIDTH {
                    if col < cols {
                        pack_row(column.as_mut_ptr(), from.add(first + col * strides.1), some);
                    } else {
                        column.fill(0);
                    }
                    for (k, pair) in column[..some.div_ceil(2)].iter().enumerate() {
                        *to.add((first / 2 + k) * WIDTH + col) = *pair;
                    }
                }
            }
        }
    }

    /// A whole panel of contiguous columns `stride` apart: eight pairs of eight columns at a time, as [`transpose`] takes them.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pack_turned(to: *mut u32, from: *const f32, stride: usize, depth: usize) {
        let mut pairs = [[0u32; LANES / 2]; 8];
        for first in (0..depth).step_by(LANES) {
            for col in (0..WIDTH).step_by(8) {
                // SAFETY: the caller's promise; the words go through as they are.
                unsafe {
                    for (c, pairs) in pairs.iter_mut().enumerate() {
                        pack_row(pairs.as_mut_ptr(), from.add(first + (col + c) * stride), LANES);
                    }
                    transpose(to.add(first / 2 * WIDTH + col).cast(), WIDTH, pairs.as_ptr().cast(), LANES / 2);
                }
            }
        }
    }
}
