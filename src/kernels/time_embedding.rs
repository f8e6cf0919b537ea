//! `time_embedding`: the flow's time as sines and cosines.

use super::prelude::*;

problem! {
    /// Where the times are and where their embedding goes.
    pub struct TimeEmbeddingProblem {
        /// Activations: the times, one a row, in [0, 1].
        pub t: u32,
        /// Elements between times.
        pub t_stride: u32,
        /// Activations: the frequencies, one row of `half`.
        pub frequencies: u32,
        /// Activations: first element of the embedding.
        pub out: u32,
        /// Elements between rows of the embedding.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Number of frequencies: half the embedding's columns.
        pub half: u32,
    }
}

/// out\[row\] <- [sin(t f_0) .. sin(t f_(half-1)), cos(t f_0) .. cos(t f_(half-1))]; GFP release, `utils/networks.py`.
#[derive(Debug)]
pub struct TimeEmbedding;

impl Operation for TimeEmbedding {
    type Problem = TimeEmbeddingProblem;
    const NAME: &'static str = "time_embedding";
    const SHADERS: &'static [Shader] =
        &[shader!("time_embedding", "math", groups: |p: TimeEmbeddingProblem| per_64(p.rows * padded(2 * p.half) / 4))];

    fn blocks(p: &TimeEmbeddingProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &TimeEmbeddingProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let frequencies = cx.row(ACTIVATIONS, p.frequencies, p.half);
        for row in first..end {
            let t = cx.row(ACTIVATIONS, p.t + row * p.t_stride, 1)[0];
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, padded(2 * p.half));
            let (out, padding) = out.split_at_mut(2 * p.half as usize);
            padding.fill(R::ZERO);
            let (sines, cosines) = out.split_at_mut(p.half as usize);
            for ((sine, cosine), f) in sines.iter_mut().zip(cosines).zip(frequencies) {
                (*sine, *cosine) = (t * *f).sin_cos_unit();
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<TimeEmbedding>();

/// Embeds `t` ([batch, 1], in [0, 1]) into `out` ([batch, 2 * frequencies]); `frequencies` is [1, half], each at most 1.
pub fn record(plan: &mut PlanBuilder, label: &str, t: Region, frequencies: Region, out: Region) {
    plan.check(label, out.cols == 2 * frequencies.cols && out.rows == t.rows, || {
        format!("embeds {} times by {} frequencies into {out:?}", t.rows, frequencies.cols)
    });
    let problem = TimeEmbeddingProblem {
        t: t.offset,
        t_stride: t.stride,
        frequencies: frequencies.offset,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        half: frequencies.cols,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[t, frequencies], &[out]);
}

/// `10000^(-i / (half - 1))` for `i` in `0..half`: the frequencies of the GFP release. The first is 1.
pub fn frequencies(half: u32) -> Vec<f64> {
    let last = f64::from(half.saturating_sub(1).max(1));
    (0..half).map(|i| (-f64::from(i) / last * 10_000f64.ln()).exp()).collect()
}
