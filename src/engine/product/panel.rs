//! Packing a product's right factor: panels of columns, each read as one stream.

use std::marker::PhantomData;

use pulp::Simd;

use super::{Element, Factors, bf16, lanes};

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

/// Packs a panel: copies `depth` rows of `cols` elements, `strides` apart from row to row and from column to column, to `to`,
/// [`panel_width`] to a row, with zeros behind them.
///
/// # Safety
/// The elements are valid, `to` has room for [`panel_elements`], and the two do not overlap; if the factors are rounded, the
/// processor is [`bf16::available`].
pub unsafe fn pack<R: Element>(to: *mut R, from: *const R, strides: (usize, usize), shape: (usize, usize), factors: Factors) {
    // SAFETY: the caller's promise.
    match factors {
        Factors::Whole => unsafe { pack_whole(to, from, strides, shape) },
        Factors::Rounded => unsafe { R::pack_rounded(to, from, strides, shape) },
    }
}

/// Elements of a panel of this depth.
pub fn panel_elements<R: Element>(depth: usize, factors: Factors) -> usize {
    match factors {
        Factors::Rounded if size_of::<R>() == size_of::<f32>() => bf16::panel_words(depth),
        _ => depth * panel_width::<R>(),
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
