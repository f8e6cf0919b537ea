//! A product by Strassen's algorithm in Winograd's form, one level of it: seven products of quarters in place of eight.
//!
//! With `a` and `b` cut into quarters, upper rows and lower, left columns and right:
//!
//! ```text
//! s1 = a21 + a22    t1 = b12 - b11    u1 = a11 b11         c11 = u1 + a12 b21
//! s2 = s1 - a11     t2 = b22 - t1     u2 = u1 + s2 t2      c21 = u3 + a22 t4
//! s3 = a11 - a21    t3 = b22 - b12    u3 = u2 + s3 t3      c22 = u3 + p
//! s4 = a12 - s2     t4 = b21 - t2     p  = s1 t1           c12 = (u2 + p) + s4 b22
//! ```
//!
//! (S. Winograd, "On multiplication of 2 x 2 matrices", 1971.) The sums of `b` are made when it is packed. Upper and lower rows
//! are the halves of every 16, so that rows share their sums with those of one tile only, and what a tile adds to what before
//! it leaves is still in the first-level cache. Rounding errors are about twice those of a plain sum.

use pulp::Simd;

use super::panel::pack_columns;
use super::{Element, MutOperand, Operand, Right, lanes, panel_width};
use crate::engine::aligned::Aligned;

/// Rows that share sums: upper and lower ones, half of them each.
const ROWS: usize = 16;
const HALF: usize = ROWS / 2;

/// Products of quarters, and so factors in a panel.
const PRODUCTS: usize = 7;

/// Where the factors lie in a panel, in the order in which a tile needs them.
const B11: usize = 0;
const B21: usize = 1;
const T2: usize = 2;
const T3: usize = 3;
const T4: usize = 4;
const T1: usize = 5;
const B22: usize = 6;

/// Unused elements between the rows of the left factor's sums, which would otherwise share a few sets of the first-level cache.
const GAP: usize = 16;

/// Least depth and number of columns. Below, what is added costs as much as the product that is saved.
const WORTH: usize = 256;

/// Whether a product of so many rows, depth and columns can be made of quarters, and is the faster for it. A matter of shape
/// alone: bits must not depend on the processor's vectors, which divide half of 64 columns, and of depths.
pub const fn fit(rows: usize, depth: usize, cols: usize) -> bool {
    let whole = rows.is_multiple_of(ROWS) && depth.is_multiple_of(64) && cols.is_multiple_of(64);
    whole && rows >= 4 * ROWS && depth >= WORTH && cols >= WORTH
}

/// Elements of a panel: of `wide` columns in the left half, and as many in the right.
pub const fn panel_elements(depth: usize, wide: usize) -> usize {
    PRODUCTS * (depth / 2) * wide
}

/// Packs panel `panel` of a right factor.
///
/// # Safety
/// The factor's elements are valid, its shape [`fit`]s, `to` has room for [`panel_elements`], and the two do not overlap.
pub unsafe fn pack<R: Element>(to: *mut R, matrix: Operand<R>, panel: usize) {
    struct Sums<R>(*mut R, usize);
    impl<R: Element> pulp::WithSimd for Sums<R> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            // SAFETY: the promise of whoever called `pack`.
            unsafe { right_sums::<S, R>(simd, self.0, self.1) }
        }
    }
    let (half, half_cols) = (matrix.shape.0 / 2, matrix.shape.1 / 2);
    let wide = panel_width::<R>();
    // SAFETY: the caller's promise.
    unsafe {
        // b12 goes where t1 will be.
        for (place, row, col) in [(B11, 0, 0), (B21, half, 0), (T1, 0, half_cols), (B22, half, half_cols)] {
            let from = matrix.data.add(row * matrix.strides.0 + (col + panel * wide) * matrix.strides.1);
            pack_columns(to.add(place * half * wide), from, matrix.strides, (half, wide));
        }
        pulp::Arch::new().dispatch(Sums(to, half * wide));
    }
}

/// The right factor's sums, in a panel that holds its quarters, of so many elements each.
#[inline(always)]
unsafe fn right_sums<S: Simd, R: Element>(simd: S, panel: *mut R, quarter: usize) {
    for at in (0..quarter).step_by(lanes::<S, R>()) {
        // SAFETY: inside the panel, whose quarters are whole vectors.
        unsafe {
            let place = |number: usize| panel.add(number * quarter + at).cast::<R::Vector<S>>();
            let read = |number| place(number).read_unaligned();
            let (b11, b12, b21, b22) = (read(B11), read(T1), read(B21), read(B22));
            let t1 = R::sub(simd, b12, b11);
            let t2 = R::sub(simd, b22, t1);
            place(T1).write_unaligned(t1);
            place(T2).write_unaligned(t2);
            place(T3).write_unaligned(R::sub(simd, b22, b12));
            place(T4).write_unaligned(R::sub(simd, b21, t2));
        }
    }
}

/// `out = lhs * rhs`, on one thread, with space for the left factor's sums.
///
/// # Safety
/// As for [`super::product`]; the shape [`fit`]s, and the left factor's columns are adjacent.
#[inline(always)]
pub unsafe fn product<S: Simd, R: Element>(simd: S, out: MutOperand<R>, lhs: Operand<R>, rhs: Right<R>, space: &mut Aligned<R>) {
    let ((rows, depth), cols) = (lhs.shape, out.shape.1);
    let wide = 2 * lanes::<S, R>();
    let elements = panel_elements(depth, wide);
    let sums = rows / ROWS * sum_elements(depth / 2);
    let leftover = 2 * HALF * wide;
    space.at_least(sums + leftover + if matches!(rhs, Right::Plain(_)) { elements } else { 0 });
    // SAFETY: inside the operands and the space, by the promise of whoever made this.
    unsafe {
        let left_sums = space.as_mut_ptr();
        for group in 0..rows / ROWS {
            let to = left_sums.add(group * sum_elements(depth / 2));
            make_left_sums::<S, R>(simd, to, lhs.data.add(group * ROWS * lhs.strides.0), lhs.strides.0, depth / 2);
        }
        let leftover = left_sums.add(sums);
        for number in 0..cols / 2 / wide {
            let panel = match rhs {
                Right::Panels(panels) => panels.add(number * elements),
                Right::Plain(matrix) => {
                    let to = leftover.add(2 * HALF * wide);
                    pack(to, matrix, number);
                    to.cast_const()
                }
            };
            for group in 0..rows / ROWS {
                let tile = Tile {
                    half: depth / 2,
                    left: lhs.data.add(group * ROWS * lhs.strides.0),
                    stride: lhs.strides.0,
                    sums: left_sums.add(group * sum_elements(depth / 2)),
                    panel,
                    out: out.data.add(group * ROWS * out.stride + number * wide),
                    out_stride: out.stride,
                    half_cols: cols / 2,
                    leftover,
                };
                if S::REGISTER_COUNT >= 32 {
                    tile.run::<S, HALF>(simd, 0);
                } else {
                    (0..HALF).step_by(4).for_each(|row| tile.run::<S, 4>(simd, row));
                }
            }
        }
    }
}

/// Elements between two rows of the left factor's sums.
const fn sum_stride(half: usize) -> usize {
    half + GAP
}

/// Elements of a group's s1, s2, s3 and s4, one after the other: half the rows by half the depth each.
const fn sum_elements(half: usize) -> usize {
    4 * HALF * sum_stride(half)
}

/// The left factor's sums of a group of rows.
#[inline(always)]
unsafe fn make_left_sums<S: Simd, R: Element>(simd: S, to: *mut R, left: *const R, stride: usize, half: usize) {
    for row in 0..HALF {
        for k in (0..half).step_by(lanes::<S, R>()) {
            // SAFETY: inside the left factor and the sums.
            unsafe {
                let read = |row: usize, col: usize| left.add(row * stride + col + k).cast::<R::Vector<S>>().read_unaligned();
                let (a11, a12, a21, a22) = (read(row, 0), read(row, half), read(row + HALF, 0), read(row + HALF, half));
                let s1 = R::add(simd, a21, a22);
                let s2 = R::sub(simd, s1, a11);
                for (number, sum) in [s1, s2, R::sub(simd, a11, a21), R::sub(simd, a12, s2)].into_iter().enumerate() {
                    to.add((number * HALF + row) * sum_stride(half) + k).cast::<R::Vector<S>>().write_unaligned(sum);
                }
            }
        }
    }
}

/// The sums of a tile, in registers: rows by two vectors of columns.
type Sums<S, R, const ROWS: usize> = [[<R as Element>::Vector<S>; 2]; ROWS];

/// A group of rows by two vectors in the left half of the columns and two in the right.
struct Tile<R> {
    half: usize,
    /// The left factor's rows.
    left: *const R,
    stride: usize,
    /// And their sums.
    sums: *const R,
    panel: *const R,
    out: *mut R,
    out_stride: usize,
    /// Columns from a result in the left half to the one in the right.
    half_cols: usize,
    /// Space for u1, which u2 takes the place of, and for u3.
    leftover: *mut R,
}

impl<R: Element> Tile<R> {
    /// `COUNT` of the upper rows, from `row` on, and as many of the lower.
    #[inline(always)]
    unsafe fn run<S: Simd, const COUNT: usize>(&self, simd: S, row: usize) {
        let (half, wide) = (self.half, 2 * lanes::<S, R>());
        // SAFETY: inside the operands, the panel and the space.
        unsafe {
            let upper = |col: usize| (self.left.add(row * self.stride + col), self.stride);
            let lower = |col: usize| (self.left.add((row + HALF) * self.stride + col), self.stride);
            let s = |number: usize| {
                let stride = sum_stride(half);
                (self.sums.add(((number - 1) * HALF + row) * stride), stride)
            };
            let out = |row: usize, col: usize| (self.out.add(row * self.out_stride + col), self.out_stride);
            let (kept2, kept3) = ((self.leftover, wide), (self.leftover.add(HALF * wide), wide));
            let onto =
                |sums, left, place: usize| chain::<S, R, COUNT>(simd, sums, left, self.panel.add(place * half * wide), half);
            let zero = [[R::splat(simd, R::default()); 2]; COUNT];

            let u1 = onto(zero, upper(0), B11);
            store::<S, R, COUNT>(u1, kept2);
            store::<S, R, COUNT>(onto(u1, upper(half), B21), out(row, 0));
            let u2 = onto(load::<S, R, COUNT>(kept2), s(2), T2);
            store::<S, R, COUNT>(u2, kept2);
            let u3 = onto(u2, s(3), T3);
            store::<S, R, COUNT>(u3, kept3);
            store::<S, R, COUNT>(onto(u3, lower(half), T4), out(row + HALF, 0));
            let p = onto(zero, s(1), T1);
            store::<S, R, COUNT>(plus::<S, R, COUNT>(simd, kept3, p), out(row + HALF, self.half_cols));
            store::<S, R, COUNT>(onto(plus::<S, R, COUNT>(simd, kept2, p), s(4), B22), out(row, self.half_cols));
        }
    }
}

/// `sums` plus the products of `COUNT` rows, `left.1` apart, with a panel.
#[inline(always)]
unsafe fn chain<S: Simd, R: Element, const COUNT: usize>(
    simd: S,
    mut sums: Sums<S, R, COUNT>,
    left: (*const R, usize),
    panel: *const R,
    depth: usize,
) -> Sums<S, R, COUNT> {
    for k in 0..depth {
        // SAFETY: the caller's promise.
        unsafe {
            let right = panel.add(k * 2 * lanes::<S, R>()).cast::<R::Vector<S>>();
            let right = [right.read_unaligned(), right.add(1).read_unaligned()];
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = R::splat(simd, *left.0.add(r * left.1 + k));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = R::mul_add(simd, left, right, *sum);
                }
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn load<S: Simd, R: Element, const COUNT: usize>(from: (*mut R, usize)) -> Sums<S, R, COUNT> {
    // SAFETY: the caller's promise.
    let vector = |r: usize, v: usize| unsafe { from.0.add(r * from.1).cast::<R::Vector<S>>().add(v).read_unaligned() };
    std::array::from_fn(|r| [vector(r, 0), vector(r, 1)])
}

/// What lies at `from`, plus `sums`.
#[inline(always)]
unsafe fn plus<S: Simd, R: Element, const COUNT: usize>(
    simd: S,
    from: (*mut R, usize),
    sums: Sums<S, R, COUNT>,
) -> Sums<S, R, COUNT> {
    // SAFETY: the caller's promise.
    let kept = unsafe { load::<S, R, COUNT>(from) };
    std::array::from_fn(|r| [R::add(simd, kept[r][0], sums[r][0]), R::add(simd, kept[r][1], sums[r][1])])
}

#[inline(always)]
unsafe fn store<S: Simd, R: Element, const COUNT: usize>(sums: Sums<S, R, COUNT>, to: (*mut R, usize)) {
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.0.add(r * to.1).cast::<R::Vector<S>>();
            to.write_unaligned(sums[0]);
            to.add(1).write_unaligned(sums[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::operand;
    use super::super::{Factors, Precision, Run, pack, panel_count};
    use super::*;

    const SHAPES: [(usize, usize, usize); 3] = [(64, 256, 256), (80, 256, 320), (112, 448, 256)];

    fn times(a: Operand<f32>, b: Right<f32>, cols: usize, factors: Factors) -> Vec<f32> {
        let stride = cols + 4;
        let mut out = vec![f32::NAN; a.shape.0 * stride];
        let to = MutOperand { data: out.as_mut_ptr(), shape: (a.shape.0, cols), stride };
        // SAFETY: the vectors have these shapes.
        unsafe { super::super::product(to, a, b, factors) };
        assert!(out.chunks(stride).all(|row| row[cols..].iter().all(|x| x.is_nan())), "written beside the result");
        out.chunks(stride).flat_map(|row| row[..cols].to_vec()).collect()
    }

    /// Numbers between -1 and 1, without pattern; or whole ones up to 8, whose products and sums are all exact.
    fn numbers(count: usize, salt: u64, whole: bool) -> Vec<f32> {
        let number = |i: u64| {
            let mixed = (i + 1 + (salt << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..count as u64).map(|i| if whole { (8.0 * number(i)).round() } else { number(i) }).collect()
    }

    /// The first place where two results differ.
    fn difference(a: &[f32], b: &[f32]) -> Option<usize> {
        assert_eq!(a.len(), b.len());
        (0..a.len()).find(|&at| a[at].to_bits() != b[at].to_bits())
    }

    #[test]
    fn whole_numbers_give_the_plain_product() {
        for ((rows, depth, cols), transposed) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let (a, b) = (numbers(rows * depth, 1, true), numbers(depth * cols, 2, true));
            let (a, b) = (operand(&a, (rows, depth), false), Right::Plain(operand(&b, (depth, cols), transposed)));
            let [plain, quartered] = [Factors::Whole, Factors::Quartered].map(|factors| times(a, b, cols, factors));
            let differ = plain.iter().zip(&quartered).position(|(a, b)| a != b);
            assert_eq!(differ, None, "{rows} x {depth} x {cols}, transposed: {transposed}");
        }
    }

    #[test]
    fn errors_are_about_twice_those_of_plain_sums() {
        let (rows, depth, cols) = (64, 512, 512);
        let (a, b) = (numbers(rows * depth, 3, false), numbers(depth * cols, 4, false));
        let exact =
            |i: usize, j: usize| (0..depth).map(|k| f64::from(a[i * depth + k]) * f64::from(b[k * cols + j])).sum::<f64>();
        let exact: Vec<f64> = (0..rows * cols).map(|at| exact(at / cols, at % cols)).collect();
        let (a, b) = (operand(&a, (rows, depth), false), Right::Plain(operand(&b, (depth, cols), false)));
        let [plain, quartered] = [Factors::Whole, Factors::Quartered].map(|factors| {
            let found = times(a, b, cols, factors);
            found.iter().zip(&exact).map(|(x, y)| (f64::from(*x) - y).powi(2)).sum::<f64>().sqrt()
        });
        assert!((1.2..3.0).contains(&(quartered / plain)), "{quartered:.2e} and {plain:.2e}");
    }

    #[test]
    fn bits_depend_neither_on_packing_nor_on_other_groups_of_rows() {
        for ((rows, depth, cols), transposed) in SHAPES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let (a, b) = (numbers(rows * depth, 5, false), numbers(depth * cols, 6, false));
            let (a, b) = (operand(&a, (rows, depth), false), operand(&b, (depth, cols), transposed));
            let all = times(a, Right::Plain(b), cols, Factors::Quartered);
            let elements = panel_elements(depth, panel_width::<f32>());
            let mut panels = vec![f32::NAN; panel_count::<f32>(cols, Factors::Quartered) * elements];
            for (number, panel) in panels.chunks_mut(elements).enumerate() {
                // SAFETY: a panel of this factor.
                unsafe { pack(panel.as_mut_ptr(), b, number, Factors::Quartered) };
            }
            for first in (0..rows).step_by(ROWS) {
                let group = Operand { data: a.data.wrapping_add(first * depth), shape: (ROWS, depth), ..a };
                let alone = times(group, Right::Panels(panels.as_ptr()), cols, Factors::Quartered);
                let differ = difference(&alone, &all[first * cols..][..ROWS * cols]);
                assert_eq!(differ, None, "row {first} of {rows} x {depth} x {cols}, transposed: {transposed}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn narrow_vectors_give_the_same_bits_as_wide_ones() {
        let (rows, depth, cols) = (64, 256, 256);
        let (a, b) = (numbers(rows * depth, 7, false), numbers(depth * cols, 8, false));
        let (a, b) = (operand(&a, (rows, depth), false), operand(&b, (depth, cols), false));
        let wide = times(a, Right::Plain(b), cols, Factors::Quartered);
        let Some(simd) = pulp::x86::V3::try_new() else { return };
        let panels = narrow_panels(b, 16);
        let mut narrow = vec![0f32; rows * cols];
        let out = MutOperand { data: narrow.as_mut_ptr(), shape: (rows, cols), stride: cols };
        Simd::vectorize(simd, Run::<_, true>(out, a, Right::Panels(panels.as_ptr()), &mut Aligned::default()));
        assert_eq!(difference(&wide, &narrow), None);
    }

    /// Panels of another width than this processor's, from the definition.
    #[cfg(target_arch = "x86_64")]
    fn narrow_panels(b: Operand<f32>, wide: usize) -> Vec<f32> {
        let (half, half_cols) = (b.shape.0 / 2, b.shape.1 / 2);
        // SAFETY: inside the operand.
        let at = |k: usize, col: usize| unsafe { *b.data.add(k * b.strides.0 + col * b.strides.1) };
        let factor = |number: usize, k: usize, col: usize| {
            let [b11, b12, b21, b22] = [at(k, col), at(k, col + half_cols), at(k + half, col), at(k + half, col + half_cols)];
            match number {
                B11 => b11,
                B21 => b21,
                B22 => b22,
                T1 => b12 - b11,
                T2 => b22 - (b12 - b11),
                T3 => b22 - b12,
                _ => b21 - (b22 - (b12 - b11)),
            }
        };
        let panel = |first: usize| {
            let places = (0..PRODUCTS * half * wide).map(move |at| (at / (half * wide), at / wide % half, first + at % wide));
            places.map(|(number, k, col)| factor(number, k, col)).collect::<Vec<_>>()
        };
        (0..half_cols).step_by(wide).flat_map(panel).collect()
    }

    #[test]
    fn large_products_of_many_rows_are_quartered_at_f32_only() {
        let of = |precision, out, weights| Factors::of_rows(precision, out, weights);
        assert_eq!(of(Precision::F32, (256, 512), (512, 512)), Factors::Quartered);
        assert_eq!(of(Precision::Plain, (256, 512), (512, 512)), Factors::Whole);
        assert_eq!(of(Precision::Mixed, (256, 512), (512, 512)), Factors::Rounded);
        assert_eq!(of(Precision::F32, (256, 510), (512, 512)), Factors::Whole, "the padding would not stay zero");
        for (rows, weights) in [(48, (512, 512)), (100, (512, 512)), (256, (32, 512)), (256, (512, 8)), (256, (300, 300))] {
            assert_eq!(of(Precision::F32, (rows, weights.1), weights), Factors::Whole, "{rows} rows, {weights:?}");
        }
    }
}
