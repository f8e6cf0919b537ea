//! What the matrix products need of a number type.

use std::cell::RefCell;

use pulp::Simd;

use super::panel::pack_whole;
use super::{MutOperand, Operand, Right, bf16, own_product};
use crate::engine::aligned::Aligned;

/// A number type with vectors.
pub trait Element: bytemuck::Pod + Default + Send {
    /// A vector of the instruction set `S`.
    type Vector<S: Simd>: Copy;
    /// Every element `value`.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// `a + b`.
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a - b`.
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Runs `work` with this thread's space for packed factors.
    fn with_panel<T>(work: impl FnOnce(&mut Aligned<Self>) -> T) -> T;
    /// As [`product`](super::product), of rounded factors.
    ///
    /// # Safety
    /// As for [`product`](super::product), with [`Factors::Rounded`](super::Factors::Rounded).
    unsafe fn rounded_product(out: MutOperand<Self>, lhs: Operand<Self>, rhs: Right<Self>);
    /// As [`pack`](super::pack), rounded; where that differs, into [`bf16::panel_words`].
    ///
    /// # Safety
    /// As for [`pack`](super::pack), with [`Factors::Rounded`](super::Factors::Rounded).
    unsafe fn pack_rounded(to: *mut Self, from: *const Self, strides: (usize, usize), shape: (usize, usize));
    /// As [`pack`](super::pack), of a matrix whose columns are contiguous and `stride` apart; false if there is nothing better
    /// than that.
    ///
    /// # Safety
    /// As for [`pack`](super::pack).
    unsafe fn pack_transposed(to: *mut Self, from: *const Self, stride: usize, shape: (usize, usize)) -> bool {
        let _ = (to, from, stride, shape);
        false
    }
}

macro_rules! element {
    ($number:ident, $vector:ident, $splat:ident, $mul_add:ident, $add:ident, $sub:ident, $rounded_product:path, $pack_rounded:path $(, $transposed:path)?) => {
        impl Element for $number {
            type Vector<S: Simd> = S::$vector;
            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }
            fn with_panel<T>(work: impl FnOnce(&mut Aligned<Self>) -> T) -> T {
                thread_local! {
                    static PANEL: RefCell<Aligned<$number>> = RefCell::default();
                }
                PANEL.with_borrow_mut(work)
            }
            unsafe fn rounded_product(out: MutOperand<Self>, lhs: Operand<Self>, rhs: Right<Self>) {
                // SAFETY: the same promise.
                unsafe { $rounded_product(out, lhs, rhs) }
            }
            unsafe fn pack_rounded(to: *mut Self, from: *const Self, strides: (usize, usize), shape: (usize, usize)) {
                // SAFETY: the same promise.
                unsafe { $pack_rounded(to, from, strides, shape) }
            }
            $(
                #[cfg(target_arch = "x86_64")]
                unsafe fn pack_transposed(to: *mut Self, from: *const Self, stride: usize, shape: (usize, usize)) -> bool {
                    // SAFETY: the same promise.
                    unsafe { $transposed(to, from, stride, shape) }
                }
            )?
        }
    };
}
element!(f32, f32s, splat_f32s, mul_add_e_f32s, add_f32s, sub_f32s, bf16::product, bf16::pack, super::panel::pack_transposed);
element!(f64, f64s, splat_f64s, mul_add_e_f64s, add_f64s, sub_f64s, own_product::<f64, false>, pack_whole);
