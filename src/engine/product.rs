//! Matrix products of the CPU engine: one micro-kernel, written once over the vectors of whatever processor it runs on.
//!
//! An output element is the sum over the depth in its order, each step one fused multiply-add. So its bits depend neither
//! on the vectors' width nor on where the product is cut into blocks or tiles.

mod element;
mod fetch;
mod panel;
mod quarters;
mod strip;

use pulp::Simd;

use super::aligned::Aligned;
use super::bf16;
use super::precision::Precision;
pub use element::Element;
pub use fetch::fetch_row;
use fetch::settle;
use panel::pack_with;
#[cfg(target_arch = "x86_64")]
pub use panel::transpose;
pub use panel::{pack, panel_count, panel_elements, panel_width};
use strip::{Strip, UPRIGHT};

/// A factor of a matrix product, by address.
#[derive(Clone, Copy, Debug)]
pub struct Operand<R> {
    /// First element.
    pub data: *const R,
    /// Rows and columns, after the transposition that the strides express.
    pub shape: (usize, usize),
    /// Elements from one row, and from one column, to the next.
    pub strides: (usize, usize),
}

impl<R> Operand<R> {
    /// The transposed matrix: the same elements.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { data: self.data, shape: (self.shape.1, self.shape.0), strides: (self.strides.1, self.strides.0) }
    }
}

/// The result of a matrix product, by address.
#[derive(Clone, Copy, Debug)]
pub struct MutOperand<R> {
    /// First element.
    pub data: *mut R,
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Elements from one row to the next; columns are adjacent.
    pub stride: usize,
}

/// How a product takes its factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factors {
    /// As they are.
    Whole,
    /// Rounded to bfloat16, if they are of f32.
    Rounded,
    /// As sums of quarters, of which seven products do for eight (`engine/product/quarters.rs`).
    Quartered,
}

impl Factors {
    /// For the product with a layer's weights of this shape, or for their gradient.
    pub fn of(precision: Precision, (rows, cols): (u32, u32)) -> Self {
        let rounded = precision == Precision::Mixed && rows.min(cols) >= bf16::WORTH;
        if rounded { Self::Rounded } else { Self::Whole }
    }

    /// The same for a result of so many rows and columns, padding not counted, of a product with weights of this shape, as they
    /// are or transposed, where each row may share sums with others. Padding would not stay zero.
    pub fn of_rows(precision: Precision, out: (u32, u32), weights: (u32, u32)) -> Self {
        let fit = || out.1.is_multiple_of(4) && quarters::fit(out.0 as usize, weights.0 as usize, weights.1 as usize);
        if precision == Precision::F32 && fit() { Self::Quartered } else { Self::of(precision, weights) }
    }
}

/// Depth of a panel that is packed for one product: at f32 and 32 columns 64 KiB, which the second-level cache holds beside
/// the left factor's rows.
const DEPTH: usize = 512;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes from which a block of a weights' gradient goes past the caches. In them it would take the place of what is read sooner,
/// and each line that is written would be read first.
const PAST_CACHES: usize = 128 << 10;

/// Rows up to which packing the right factor would cost more than it saves: each packed element serves that few products.
const UNPACKED_ROWS: usize = 4;

/// The right factor of a product.
#[derive(Clone, Copy, Debug)]
pub enum Right<R> {
    /// As it lies in memory.
    Plain(Operand<R>),
    /// Panels made by [`pack`], one after the other, of which the product begins with the first.
    Panels(*const R),
}

impl<R: Element> Right<R> {
    /// `panels` from column `col` on, where a panel begins; of this depth, for these factors.
    pub fn panels_from(panels: *const R, col: usize, depth: usize, factors: Factors) -> Self {
        if col == 0 {
            return Self::Panels(panels);
        }
        debug_assert_ne!(factors, Factors::Quartered, "a panel holds columns of both halves");
        Self::Panels(panels.wrapping_add(col / panel_width::<R>() * panel_elements::<R>(depth, factors)))
    }
}

#[inline(always)]
const fn lanes<S: Simd, R: Element>() -> usize {
    size_of::<R::Vector<S>>() / size_of::<R>()
}

/// `out = lhs * rhs`, on one thread.
///
/// # Safety
/// Every element named by the operands' shapes and strides is valid, and `out` shares none with the factors. Panels are packed
/// for the same `factors`; if those are rounded, the processor is [`bf16::available`]; if they are quartered, it is a product for
/// which [`Factors::of_rows`] says so, or some of its rows by whole sixteens, and the left factor's columns are adjacent.
pub unsafe fn product<R: Element>(out: MutOperand<R>, lhs: Operand<R>, rhs: Right<R>, factors: Factors) {
    // SAFETY: the caller's promise.
    match factors {
        Factors::Whole => unsafe { own_product::<R, false>(out, lhs, rhs) },
        Factors::Rounded => unsafe { R::rounded_product(out, lhs, rhs) },
        Factors::Quartered => unsafe { own_product::<R, true>(out, lhs, rhs) },
    }
}

/// The product of factors that are not rounded.
unsafe fn own_product<R: Element, const QUARTERED: bool>(out: MutOperand<R>, lhs: Operand<R>, rhs: Right<R>) {
    R::with_panel(|space| pulp::Arch::new().dispatch(Run::<R, QUARTERED>(out, lhs, rhs, space)));
}

/// A product with space for packed factors, to be compiled for an instruction set: all that follows is inlined into one function,
/// since a call would leave the instruction set. Whoever makes one gives the promise of [`product`].
struct Run<'a, R, const QUARTERED: bool>(MutOperand<R>, Operand<R>, Right<R>, &'a mut Aligned<R>);

impl<R: Element, const QUARTERED: bool> pulp::WithSimd for Run<'_, R, QUARTERED> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if QUARTERED {
            // SAFETY: the promise of whoever made this.
            return unsafe { quarters::product(simd, self.0, self.1, self.2, self.3) };
        }
        let transposed = self.1.strides.0 == 1 && matches!(self.2, Right::Plain(_));
        let upright = transposed && self.0.shape.0 >= UPRIGHT && S::REGISTER_COUNT >= 32;
        // SAFETY: the promise of whoever made this.
        unsafe {
            if upright {
                panels::<S, R, 1>(simd, self.0, self.1, self.2, self.3);
                settle();
            } else {
                panels::<S, R, 2>(simd, self.0, self.1, self.2, self.3);
            }
        }
    }
}

/// Whether an upright product's result is written past the caches: it is large, a weights' gradient that nobody reads before the
/// optimiser does, and its rows are whole lines.
fn goes_past_caches<R>(out: MutOperand<R>) -> bool {
    let bytes = |elements: usize| elements * size_of::<R>();
    bytes(out.shape.0 * out.shape.1) >= PAST_CACHES
        && out.data.addr().is_multiple_of(LINE)
        && bytes(out.stride).is_multiple_of(LINE)
}

/// The product, panel after panel of `VECTORS` vectors of columns: one for upright tiles.
#[inline(always)]
unsafe fn panels<S: Simd, R: Element, const VECTORS: usize>(
    simd: S,
    out: MutOperand<R>,
    lhs: Operand<R>,
    rhs: Right<R>,
    space: &mut Aligned<R>,
) {
    let wide = VECTORS * lanes::<S, R>();
    let past_caches = VECTORS == 1 && lhs.shape.1 <= DEPTH && goes_past_caches(out);
    for first in (0..lhs.shape.1).step_by(DEPTH) {
        let depth = DEPTH.min(lhs.shape.1 - first);
        for col in (0..out.shape.1).step_by(wide) {
            let cols = wide.min(out.shape.1 - col);
            // SAFETY: inside the operands.
            unsafe {
                let panel = match rhs {
                    Right::Panels(data) => (data.add(col * lhs.shape.1 + first * wide), wide),
                    Right::Plain(rhs) => {
                        let right = rhs.data.add(first * rhs.strides.0 + col * rhs.strides.1);
                        if rhs.strides.1 == 1 && cols == wide && out.shape.0 <= UNPACKED_ROWS {
                            (right, rhs.strides.0)
                        } else {
                            space.at_least(depth * wide);
                            pack_with::<S, R, VECTORS>(space.as_mut_ptr(), right, rhs.strides, (depth, cols));
                            (space.as_ptr(), wide)
                        }
                    }
                };
                let strip = Strip {
                    depth,
                    left: lhs.data.add(first * lhs.strides.1),
                    left_strides: lhs.strides,
                    panel: panel.0,
                    panel_stride: panel.1,
                    out: out.data.add(col),
                    stride: out.stride,
                    rows: out.shape.0,
                    cols,
                    goes_on: first > 0,
                    past_caches,
                };
                match (VECTORS, cols > lanes::<S, R>()) {
                    (1, _) => strip.run_upright::<S>(simd),
                    (_, true) => strip.run::<S, 2>(simd),
                    (_, false) if strip.run_narrow::<S>() => {}
                    (_, false) => strip.run::<S, 1>(simd),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element (i, j) of a matrix, as it is given, or transposed.
    pub(super) fn operand<R>(data: &[R], (rows, cols): (usize, usize), transposed: bool) -> Operand<R> {
        let operand = |shape: (usize, usize)| Operand { data: data.as_ptr(), shape, strides: (shape.1, 1) };
        if transposed { operand((cols, rows)).transposed() } else { operand((rows, cols)) }
    }

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    /// Sums in the order of the depth, each step rounded once: every element must have these very bits.
    fn expected(a: Operand<f32>, b: Operand<f32>) -> Vec<f32> {
        // SAFETY: inside the operands.
        let at = |o: Operand<f32>, i: usize, j: usize| unsafe { *o.data.add(i * o.strides.0 + j * o.strides.1) };
        let element = |i, j| (0..a.shape.1).fold(0f32, |sum, k| at(a, i, k).mul_add(at(b, k, j), sum));
        (0..a.shape.0).flat_map(|i| (0..b.shape.1).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
    }

    #[test]
    fn every_shape_and_transposition_has_the_bits_of_the_plain_sum() {
        for (rows, depth, cols) in
            [(1, 1, 1), (3, 5, 7), (8, 16, 32), (9, 33, 65), (4, 40, 96), (2, 600, 33), (70, 513, 40), (17, 1100, 12)]
        {
            for (left, right) in [(false, false), (false, true), (true, false), (true, true)] {
                let (a, b) = (numbers(rows * depth, 1), numbers(depth * cols, 2));
                let (a, b) = (operand(&a, (rows, depth), left), operand(&b, (depth, cols), right));
                let stride = cols + 3;
                let mut out = vec![f32::NAN; rows * stride];
                // SAFETY: the vectors have these shapes.
                unsafe {
                    product(
                        MutOperand { data: out.as_mut_ptr(), shape: (rows, cols), stride },
                        a,
                        Right::Plain(b),
                        Factors::Whole,
                    )
                };
                let expected = expected(a, b);
                for (i, row) in out.chunks(stride).enumerate() {
                    assert_eq!(row[..cols], expected[i * cols..][..cols], "row {i} of {rows} x {depth} x {cols}, {left} {right}");
                    assert!(row[cols..].iter().all(|x| x.is_nan()), "written beside row {i} of {rows} x {depth} x {cols}");
                }
            }
        }
    }

    #[test]
    fn results_that_go_past_the_caches_are_the_same() {
        let (rows, depth, cols, stride) = (272, 40, 144, 160);
        let (a, b) = (numbers(rows * depth, 5), numbers(depth * cols, 6));
        let (a, b) = (operand(&a, (rows, depth), true), operand(&b, (depth, cols), false));
        let mut aligned = Aligned::<f32>::zeroed(rows * stride);
        aligned.fill(f32::NAN);
        let out = MutOperand { data: aligned.as_mut_ptr(), shape: (rows, cols), stride };
        assert!(goes_past_caches(out));
        assert!(!goes_past_caches(MutOperand { data: out.data.wrapping_add(1), ..out }), "not at a line's begin");
        assert!(!goes_past_caches(MutOperand { stride: stride + 4, ..out }), "rows that are not whole lines");
        assert!(!goes_past_caches(MutOperand { shape: (16, cols), ..out }), "small");
        // SAFETY: the vectors have these shapes.
        unsafe { product(out, a, Right::Plain(b), Factors::Whole) };
        let expected = expected(a, b);
        for (i, row) in aligned.chunks(stride).enumerate() {
            assert_eq!(row[..cols], expected[i * cols..][..cols], "row {i}");
            assert!(row[cols..].iter().all(|x| x.is_nan()), "written beside row {i}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn narrow_vectors_give_the_same_bits_as_wide_ones() {
        let (rows, depth, cols) = (21, 530, 45);
        let (a, b) = (numbers(rows * depth, 3), numbers(depth * cols, 4));
        let (a, b) = (operand(&a, (rows, depth), false), operand(&b, (depth, cols), false));
        let mut wide = vec![0f32; rows * cols];
        let mut narrow = wide.clone();
        let out = |data: &mut Vec<f32>| MutOperand { data: data.as_mut_ptr(), shape: (rows, cols), stride: cols };
        let Some(simd) = pulp::x86::V3::try_new() else { return };
        // SAFETY: the vectors have these shapes.
        unsafe { product(out(&mut wide), a, Right::Plain(b), Factors::Whole) };
        Simd::vectorize(simd, Run::<_, false>(out(&mut narrow), a, Right::Plain(b), &mut Aligned::default()));
        assert_eq!(wide, narrow);
    }
}
