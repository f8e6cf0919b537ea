//! `layer_norm_backward`: the gradient through a layer norm and through the activation before it.

use super::layer_norm::sum;
use super::prelude::*;

problem! {
    /// d_x = d layer_norm(x) / dx * d_out, times factor.
    pub struct LayerNormBackwardProblem {
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
        /// Weights: scale, `[cols]`.
        pub scale: u32,
        /// Activations: derivative of the activation that made x, [rows, cols].
        pub factor: u32,
        /// Elements between rows of the factor.
        pub factor_stride: u32,
        /// Activations: the result, [rows, cols].
        pub d_x: u32,
        /// Elements between rows of d_x.
        pub d_x_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
    }
}

/// With g = scale d_out and n = (x - mean) / deviation: d_x = (g - mean(g) - n mean(g n)) / deviation * factor.
#[derive(Debug)]
pub struct LayerNormBackward;

impl Operation for LayerNormBackward {
    type Problem = LayerNormBackwardProblem;
    const NAME: &'static str = "layer_norm_backward";
    const SHADERS: &'static [Shader] = &[
        shader!("layer_norm_backward", "sum", groups: |p: LayerNormBackwardProblem| p.rows),
        shader!(@Software "layer_norm_backward_rows", groups: |p: LayerNormBackwardProblem| p.rows.div_ceil(8)),
    ];

    const BY_ROWS: bool = true;

    fn blocks(p: &LayerNormBackwardProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &LayerNormBackwardProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let n = R::of(f64::from(p.cols));
        let scale = cx.row(WEIGHTS, p.scale, p.cols);
        for row in first..end {
            let g = cx.row(ACTIVATIONS, p.d_out + row * p.d_out_stride, p.cols);
            let x = cx.row(ACTIVATIONS, p.x + row * p.x_stride, p.cols);
            let factor = cx.row(ACTIVATIONS, p.factor + row * p.factor_stride, p.cols);
            let stats = cx.row(ACTIVATIONS, p.stats + row * p.stats_stride, 2);
            let (mean, inverse) = (stats[0], stats[1]);
            let mean_g = sum([g, scale], |[g, scale]| g * scale) / n;
            let mean_gn = sum([g, scale, x], |[g, scale, x]| g * scale * ((x - mean) * inverse)) / n;
            let d_x = cx.row_mut(ACTIVATIONS, p.d_x + row * p.d_x_stride, padded(p.cols));
            let inputs = g.iter().zip(scale).zip(x).zip(factor);
            for (d_x, (((g, scale), x), factor)) in d_x.iter_mut().zip(inputs) {
                let normal = (*x - mean) * inverse;
                *d_x = (*g * *scale - mean_g - normal * mean_gn) * inverse * *factor;
            }
            d_x[p.cols as usize..].fill(R::ZERO);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<LayerNormBackward>();

/// What the forward pass left behind for the backward pass of one layer norm.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// The norm's input, [rows, cols].
    pub x: Region,
    /// [mean, 1/deviation] of each row, [rows, 2].
    pub stats: Region,
    /// Derivative of the activation that made the input, [rows, cols].
    pub derivative: Region,
}

/// Takes `d_out` back through the norm and the activation before it, into `d_x` (both [rows, cols]).
pub fn record(plan: &mut PlanBuilder, label: &str, d_out: Region, saved: Saved, scale: Region, d_x: Region) {
    let alike = [d_out, saved.x, saved.derivative, d_x].iter().all(|r| (r.rows, r.cols) == (d_out.rows, d_out.cols));
    plan.check(label, alike && scale.cols == d_out.cols, || format!("{d_out:?} through {saved:?} -> {d_x:?}"));
    let problem = LayerNormBackwardProblem {
        d_out: d_out.offset,
        d_out_stride: d_out.stride,
        x: saved.x.offset,
        x_stride: saved.x.stride,
        stats: saved.stats.offset,
        stats_stride: saved.stats.stride,
        scale: scale.offset,
        factor: saved.derivative.offset,
        factor_stride: saved.derivative.stride,
        d_x: d_x.offset,
        d_x_stride: d_x.stride,
        rows: d_out.rows,
        cols: d_out.cols,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[d_out, saved.x, saved.stats, saved.derivative, scale], &[d_x]);
}
