//! `layer_norm`: each row to mean 0 and variance 1, then scaled and shifted.

use super::prelude::*;

problem! {
    /// out = scale * (x - mean) / sqrt(variance + epsilon) + bias, row by row.
    pub struct LayerNormProblem {
        /// Activations: x, [rows, cols].
        pub x: u32,
        /// Elements between rows of x.
        pub x_stride: u32,
        /// Weights: scale, `[cols]`.
        pub scale: u32,
        /// Weights: bias, `[cols]`.
        pub bias: u32,
        /// Activations: out, [rows, cols].
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Activations: [mean, 1 / sqrt(variance + epsilon)] of each row; `NONE` if not wanted.
        pub stats: u32,
        /// Elements between rows of stats.
        pub stats_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
        /// Scalar slot of epsilon.
        pub epsilon: u32,
    }
}

/// flax `LayerNorm`: biased variance, epsilon 1e-6. Differs from flax: the variance is the mean squared distance from the
/// mean, not `E[x²] - E[x]²`, which cancels in f32.
#[derive(Debug)]
pub struct LayerNorm;

/// The sum over i of `value` of the i-th elements of `rows`, in sixteen interleaved partial sums: it vectorises, in one
/// order on every instruction set.
#[inline(always)]
pub(super) fn sum<R: Real, const N: usize>(rows: [&[R]; N], value: impl Fn([R; N]) -> R) -> R {
    const LANES: usize = 16;
    let count = rows[0].len();
    let rows = rows.map(|row| &row[..count]);
    let mut partial = [R::ZERO; LANES];
    let whole = count - count % LANES;
    for start in (0..whole).step_by(LANES) {
        let part = rows.map(|row| &row[start..start + LANES]);
        for (lane, partial) in partial.iter_mut().enumerate() {
            *partial += value(part.map(|row| row[lane]));
        }
    }
    for (i, partial) in (whole..count).zip(&mut partial) {
        *partial += value(rows.map(|row| row[i]));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            partial[lane] += partial[lane + width];
        }
        width /= 2;
    }
    partial[0]
}

impl Operation for LayerNorm {
    type Problem = LayerNormProblem;
    const NAME: &'static str = "layer_norm";
    const SHADERS: &'static [Shader] = &[
        shader!("layer_norm", "sum", groups: |p: LayerNormProblem| p.rows),
        shader!(@Software "layer_norm_rows", groups: |p: LayerNormProblem| p.rows.div_ceil(8)),
    ];

    const BY_ROWS: bool = true;

    fn blocks(p: &LayerNormProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &LayerNormProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let n = R::of(f64::from(p.cols));
        let scale = cx.row(WEIGHTS, p.scale, p.cols);
        let bias = cx.row(WEIGHTS, p.bias, p.cols);
        for row in first..end {
            let x = cx.row(ACTIVATIONS, p.x + row * p.x_stride, p.cols);
            let mean = sum([x], |[x]| x) / n;
            let variance = sum([x], |[x]| (x - mean) * (x - mean)) / n;
            let inverse = R::ONE / (variance + cx.scalar(p.epsilon)).sqrt();
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, padded(p.cols));
            for (((out, x), scale), bias) in out.iter_mut().zip(x).zip(scale).zip(bias) {
                *out = (*x - mean) * inverse * *scale + *bias;
            }
            out[p.cols as usize..].fill(R::ZERO);
            if p.stats != NONE {
                cx.row_mut(ACTIVATIONS, p.stats + row * p.stats_stride, 4).copy_from_slice(&[mean, inverse, R::ZERO, R::ZERO]);
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<LayerNorm>();

/// Weights of a layer norm: scale and bias, both [1, cols].
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Multiplies the normalised row.
    pub scale: Region,
    /// Is added to it.
    pub bias: Region,
}

/// Normalises the rows of `x` into `out` (both [rows, cols]); keeps [mean, 1/deviation] in `stats` ([rows, 2]) where a
/// backward pass follows. `epsilon` is a scalar slot.
pub fn record(plan: &mut PlanBuilder, label: &str, x: Region, affine: Affine, out: Region, stats: Option<Region>, epsilon: u32) {
    let fits = (x.rows, x.cols) == (out.rows, out.cols) && affine.scale.cols == x.cols && affine.bias.cols == x.cols;
    plan.check(label, fits, || format!("{x:?} by {affine:?} -> {out:?}"));
    let problem = LayerNormProblem {
        x: x.offset,
        x_stride: x.stride,
        scale: affine.scale.offset,
        bias: affine.bias.offset,
        out: out.offset,
        out_stride: out.stride,
        stats: offset(stats),
        stats_stride: stride(stats),
        rows: x.rows,
        cols: x.cols,
        epsilon,
        ..Default::default()
    };
    let writes: Vec<Region> = [out].into_iter().chain(stats).collect();
    plan.push(label, &KERNEL, &problem, &[x, affine.scale, affine.bias], &writes);
}
