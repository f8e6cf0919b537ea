//! `column_sum`: the gradient with respect to a layer's bias.

use super::prelude::*;

problem! {
    /// out = sum over the rows of a.
    pub struct ColumnSumProblem {
        /// Activations: a, [rows, cols].
        pub a: u32,
        /// Elements between rows of a.
        pub a_stride: u32,
        /// Training: out, `[cols]`.
        pub out: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding included.
        pub cols: u32,
    }
}

/// out\[col\] = sum over rows of a\[row, col\], from the first row to the last.
#[derive(Debug)]
pub struct ColumnSum;

impl Operation for ColumnSum {
    type Problem = ColumnSumProblem;
    const NAME: &'static str = "column_sum";
    const SHADERS: &'static [Shader] = &[shader!("column_sum", groups: |p: ColumnSumProblem| (p.cols / 4).div_ceil(8))];

    fn blocks(p: &ColumnSumProblem) -> u32 {
        p.cols.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &ColumnSumProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.cols, block);
        let out = cx.row_mut(TRAINING, p.out + first, end - first);
        out.fill(R::ZERO);
        for row in 0..p.rows {
            for (sum, a) in out.iter_mut().zip(cx.row(ACTIVATIONS, p.a + row * p.a_stride + first, end - first)) {
                *sum += *a;
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<ColumnSum>();

/// Sums the rows of `a` ([rows, cols], activations) into `out` ([1, cols], a gradient).
pub fn record(plan: &mut PlanBuilder, label: &str, a: Region, out: Region) {
    plan.check(label, a.cols == out.cols && out.rows == 1, || format!("sum of the rows of {a:?} -> {out:?}"));
    let problem = ColumnSumProblem {
        a: a.offset,
        a_stride: a.stride,
        out: out.offset,
        rows: a.rows,
        cols: a.padded_cols(),
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[a], &[out]);
}
