//! `layer_norm_gradient`: the gradient with respect to a layer norm's scale and bias.

use super::layer_norm::Affine;
use super::layer_norm_backward::Saved;
use super::prelude::*;
use crate::engine::product::fetch_row;

problem! {
    /// d_scale = sum over rows of d_out * n; d_bias = sum over rows of d_out.
    pub struct LayerNormGradientProblem {
        /// Activations: gradient at the output, [rows, cols].
        pub d_out: u32,
        /// Elements between rows of d_out.
        pub d_out_stride: u32,
        /// Activations: x, the input of the forward pass, [rows, cols].
        pub x: u32,
        /// Elements between rows of x.
        pub x_stride: u32,
        /// Activations: [mean, 1 / sqrt(variance + epsilon)] of each row.
        pub stats: u32,
        /// Elements between rows of stats.
        pub stats_stride: u32,
        /// Training: gradient of the scale, `[cols]`.
        pub d_scale: u32,
        /// Training: gradient of the bias, `[cols]`.
        pub d_bias: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
    }
}

/// How many rows ahead a block asks for its part of a row: rows lie too far apart for the processor to foresee the next.
const AHEAD: u32 = 8;

/// With n = (x - mean) / deviation, summed from the first row to the last.
#[derive(Debug)]
pub struct LayerNormGradient;

impl Operation for LayerNormGradient {
    type Problem = LayerNormGradientProblem;
    const NAME: &'static str = "layer_norm_gradient";
    const SHADERS: &'static [Shader] =
        &[shader!("layer_norm_gradient", groups: |p: LayerNormGradientProblem| p.cols.div_ceil(4).div_ceil(8))];

    fn blocks(p: &LayerNormGradientProblem) -> u32 {
        p.cols.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &LayerNormGradientProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(padded(p.cols), block); // d_out is zero in the padding, hence the sums
        let count = end - first;
        let d_scale = cx.row_mut(TRAINING, p.d_scale + first, count);
        let d_bias = cx.row_mut(TRAINING, p.d_bias + first, count);
        d_scale.fill(R::ZERO);
        d_bias.fill(R::ZERO);
        for row in 0..p.rows {
            let ahead = (row + AHEAD).min(p.rows - 1);
            fetch_row(cx.row(ACTIVATIONS, p.d_out + ahead * p.d_out_stride + first, count));
            fetch_row(cx.row(ACTIVATIONS, p.x + ahead * p.x_stride + first, count));
            let stats = cx.row(ACTIVATIONS, p.stats + row * p.stats_stride, 2);
            let g = cx.row(ACTIVATIONS, p.d_out + row * p.d_out_stride + first, count);
            let x = cx.row(ACTIVATIONS, p.x + row * p.x_stride + first, count);
            for (((d_scale, d_bias), g), x) in d_scale.iter_mut().zip(&mut *d_bias).zip(g).zip(x) {
                *d_scale += *g * ((*x - stats[0]) * stats[1]);
                *d_bias += *g;
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<LayerNormGradient>();

/// Gradients of a norm's weights into `gradient`, from `d_out` ([rows, cols]) and what the forward pass saved.
pub fn record(plan: &mut PlanBuilder, label: &str, d_out: Region, saved: Saved, gradient: Affine) {
    let fits = gradient.scale.cols == d_out.cols && gradient.bias.cols == d_out.cols;
    plan.check(label, fits && saved.x.cols == d_out.cols, || format!("{d_out:?}, {saved:?} -> {gradient:?}"));
    let problem = LayerNormGradientProblem {
        d_out: d_out.offset,
        d_out_stride: d_out.stride,
        x: saved.x.offset,
        x_stride: saved.x.stride,
        stats: saved.stats.offset,
        stats_stride: saved.stats.stride,
        d_scale: gradient.scale.offset,
        d_bias: gradient.bias.offset,
        rows: d_out.rows,
        cols: d_out.cols,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[d_out, saved.x, saved.stats], &[gradient.scale, gradient.bias]);
}
