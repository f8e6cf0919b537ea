//! `matmul_nt`: the gradient with respect to a layer's input, with the derivative of the activation before it fused.

use super::prelude::*;
use crate::engine::product::{MutOperand, Operand, Right, product};

problem! {
    /// out = (a b^T) * factor.
    pub struct MatmulNtProblem {
        /// Activations: a, [rows, depth].
        pub a: u32,
        /// Elements between rows of a.
        pub a_stride: u32,
        /// Weights: b, [cols, depth].
        pub b: u32,
        /// Elements between rows of b.
        pub b_stride: u32,
        /// Activations: out, [rows, cols].
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Activations: factor, [rows, cols]; `NONE` for 1.
        pub factor: u32,
        /// Elements between rows of the factor.
        pub factor_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns of a and of b, padding included.
        pub depth: u32,
        /// Columns of out, padding not counted: as many rows of b, and zeros.
        pub cols: u32,
    }
}

/// out = (a b^T) * factor, element by element; a `[rows, depth]`, b `[cols, depth]`.
#[derive(Debug)]
pub struct MatmulNt;

impl Operation for MatmulNt {
    type Problem = MatmulNtProblem;
    const NAME: &'static str = "matmul_nt";
    const SHADERS: &'static [Shader] = &[
        shader!("matmul_nt", "product", groups: |p: MatmulNtProblem| p.rows.div_ceil(32) * p.cols.div_ceil(32)),
        shader!(@Large "matmul_nt_large", "product", groups: |p: MatmulNtProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
        shader!(@Software "matmul_nt_rows", "product", "park", groups: |p: MatmulNtProblem| p.rows.div_ceil(16) * p.cols.div_ceil(128)),
        shader!(@Subgroup "matmul_nt_subgroup", "product", "tile", "broadcast", groups: |p: MatmulNtProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
    ];

    const PACKED_READ: Option<PackedRead> = Some(PackedRead { index: 1, transposed: true });

    const BY_ROWS: bool = true;

    fn blocks(p: &MatmulNtProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &MatmulNtProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let (rows, cols) = (end - first, padded(p.cols));
        let b = || {
            let data = cx.matrix(WEIGHTS, p.b, (cols, p.depth), p.b_stride, false);
            Operand { data, shape: (cols as usize, p.depth as usize), strides: (p.b_stride as usize, 1) }.transposed()
        };
        let factors = cx.factors_of_rows((p.rows, p.cols), (cols, p.depth));
        // SAFETY: `Context::matrix` checked the extents; a, b and out lie in different regions.
        unsafe {
            product(
                MutOperand {
                    data: cx.matrix(ACTIVATIONS, p.out + first * p.out_stride, (rows, cols), p.out_stride, true),
                    shape: (rows as usize, cols as usize),
                    stride: p.out_stride as usize,
                },
                Operand {
                    data: cx.matrix(ACTIVATIONS, p.a + first * p.a_stride, (rows, p.depth), p.a_stride, false),
                    shape: (rows as usize, p.depth as usize),
                    strides: (p.a_stride as usize, 1),
                },
                cx.packed((p.b, cols), true, factors).map_or_else(|| Right::Plain(b()), Right::Panels),
                factors,
            );
        }
        if p.factor == NONE {
            return;
        }
        for row in first..end {
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, p.cols);
            let factor = cx.row(ACTIVATIONS, p.factor + row * p.factor_stride, p.cols);
            for (out, factor) in out.iter_mut().zip(factor) {
                *out = *out * *factor;
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<MatmulNt>();

/// out = (a b^T) * factor: a [rows, depth], out and factor [rows, cols] are activations, b [cols, depth] weights. Rows of
/// b that stand for padding of the layer's input are zero, and so is the padding of out.
pub fn record(plan: &mut PlanBuilder, label: &str, a: Region, b: Region, factor: Option<Region>, out: Region) {
    let fits = a.rows == out.rows && a.padded_cols() == b.padded_cols() && out.padded_cols() == padded(b.rows);
    let like_out = |r: Region| (r.rows, r.cols) == (out.rows, out.cols);
    plan.check(label, fits && factor.is_none_or(like_out), || format!("{a:?} x {b:?}^T * {factor:?} -> {out:?}"));
    let problem = MatmulNtProblem {
        a: a.offset,
        a_stride: a.stride,
        b: b.offset,
        b_stride: b.stride,
        out: out.offset,
        out_stride: out.stride,
        factor: offset(factor),
        factor_stride: stride(factor),
        rows: out.rows,
        depth: a.padded_cols(),
        cols: out.cols,
        ..Default::default()
    };
    let reads: Vec<Region> = [a, b].into_iter().chain(factor).collect();
    plan.push(label, &KERNEL, &problem, &reads, &[out]);
}
