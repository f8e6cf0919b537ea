//! `matmul_tn`: the gradient with respect to a layer's weights and bias.

use super::prelude::*;
use crate::engine::product::{MutOperand, Operand, Right, product};

/// Rows and columns of a block: tall, so that a packed panel of b serves many rows.
const BLOCK: (u32, u32) = (256, 128);

problem! {
    /// out = a^T b; sums = sum over the rows of b.
    pub struct MatmulTnProblem {
        /// Activations: a, [depth, rows].
        pub a: u32,
        /// Elements between rows of a.
        pub a_stride: u32,
        /// Activations: b, [depth, cols].
        pub b: u32,
        /// Elements between rows of b.
        pub b_stride: u32,
        /// Training: out, [rows, cols].
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Training: sums, `[cols]`.
        pub sums: u32,
        /// Rows of out, padding of a's columns included.
        pub rows: u32,
        /// Rows of a and of b: the batch.
        pub depth: u32,
        /// Columns of out, padding included.
        pub cols: u32,
    }
}

/// out = a^T b; sums = sum over the rows of b, from the first to the last; a `[depth, rows]`, b `[depth, cols]`.
#[derive(Debug)]
pub struct MatmulTn;

impl Operation for MatmulTn {
    type Problem = MatmulTnProblem;
    const NAME: &'static str = "matmul_tn";
    const SHADERS: &'static [Shader] = &[
        shader!("matmul_tn", groups: |p: MatmulTnProblem| p.rows.div_ceil(32) * p.cols.div_ceil(32)),
        shader!(@Large "matmul_tn_large", groups: |p: MatmulTnProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
        shader!(@Software "matmul_tn_rows", groups: |p: MatmulTnProblem| p.rows.div_ceil(16) * p.cols.div_ceil(128)),
        shader!(@Subgroup "matmul_tn_subgroup", "product", "tile", groups: |p: MatmulTnProblem| p.rows.div_ceil(64) * p.cols.div_ceil(64)),
    ];

    fn blocks(p: &MatmulTnProblem) -> u32 {
        p.rows.div_ceil(BLOCK.0) * p.cols.div_ceil(BLOCK.1)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &MatmulTnProblem, cx: &Context<'_, R>, block: u32) {
        let across = p.cols.div_ceil(BLOCK.1);
        let (row, col) = (block / across * BLOCK.0, block % across * BLOCK.1);
        let (rows, cols) = (BLOCK.0.min(p.rows - row), BLOCK.1.min(p.cols - col));
        // SAFETY: `Context::matrix` checked the extents; a, b and out lie in different regions.
        unsafe {
            product(
                MutOperand {
                    data: cx.matrix(TRAINING, p.out + row * p.out_stride + col, (rows, cols), p.out_stride, true),
                    shape: (rows as usize, cols as usize),
                    stride: p.out_stride as usize,
                },
                Operand {
                    data: cx.matrix(ACTIVATIONS, p.a + row, (p.depth, rows), p.a_stride, false),
                    shape: (p.depth as usize, rows as usize),
                    strides: (p.a_stride as usize, 1),
                }
                .transposed(),
                Right::Plain(Operand {
                    data: cx.matrix(ACTIVATIONS, p.b + col, (p.depth, cols), p.b_stride, false),
                    shape: (p.depth as usize, cols as usize),
                    strides: (p.b_stride as usize, 1),
                }),
                cx.factors((p.rows, p.cols)),
            );
        }
        if row == 0 {
            let sums = cx.row_mut(TRAINING, p.sums + col, cols);
            sums.fill(R::ZERO);
            for k in 0..p.depth {
                for (sum, b) in sums.iter_mut().zip(cx.row(ACTIVATIONS, p.b + k * p.b_stride + col, cols)) {
                    *sum += *b;
                }
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<MatmulTn>();

/// out = a^T b and the column sums of b: a [batch, rows] (a layer's input) and b [batch, cols] (the gradient at its output)
/// are activations, out [rows, cols] and sums [1, cols] the gradients of the layer's weights and of its bias.
pub fn record(plan: &mut PlanBuilder, label: &str, a: Region, b: Region, out: Region, sums: Region) {
    let fits = a.rows == b.rows && a.padded_cols() == out.rows && b.cols == out.cols && (sums.rows, sums.cols) == (1, b.cols);
    plan.check(label, fits, || format!("{a:?}^T x {b:?} -> {out:?}, {sums:?}"));
    let problem = MatmulTnProblem {
        a: a.offset,
        a_stride: a.stride,
        b: b.offset,
        b_stride: b.stride,
        out: out.offset,
        out_stride: out.stride,
        sums: sums.offset,
        rows: out.rows,
        depth: a.rows,
        cols: out.padded_cols(),
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[a, b], &[out, sums]);
}
