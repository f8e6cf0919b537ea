//! `perturb`: an action with bounded noise.

use super::prelude::*;

problem! {
    /// out = clip(x + clip(scale * noise, -bound, bound), -1, 1).
    pub struct PerturbProblem {
        /// Activations: x, the actions.
        pub x: u32,
        /// Elements between rows of x.
        pub x_stride: u32,
        /// Activations: standard normals.
        pub noise: u32,
        /// Elements between rows of the noise.
        pub noise_stride: u32,
        /// Activations: out.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding included.
        pub cols: u32,
        /// Scalar slot of the noise's scale.
        pub scale: u32,
        /// Scalar slot of the noise's bound.
        pub bound: u32,
    }
}

/// out <- clip(x + clip(scale * noise, -bound, bound), -1, 1). Fujimoto et al. 2018, target policy smoothing; fql
/// `agents/rebrac.py`, `critic_loss`.
#[derive(Debug)]
pub struct Perturb;

impl Operation for Perturb {
    type Problem = PerturbProblem;
    const NAME: &'static str = "perturb";
    const SHADERS: &'static [Shader] = &[shader!("perturb", groups: |p: PerturbProblem| per_64(p.rows * p.cols / 4))];

    fn blocks(p: &PerturbProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &PerturbProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let (scale, bound) = (cx.scalar(p.scale), cx.scalar(p.bound));
        for row in first..end {
            let x = cx.row(ACTIVATIONS, p.x + row * p.x_stride, p.cols);
            let noise = cx.row(ACTIVATIONS, p.noise + row * p.noise_stride, p.cols);
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, p.cols);
            for ((out, x), noise) in out.iter_mut().zip(x).zip(noise) {
                *out = (*x + (scale * *noise).at_least(-bound).at_most(bound)).clip();
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Perturb>();

/// `x`, `noise` and `out` are [batch, action_dim]; `scale` and `bound` scalar slots.
pub fn record(plan: &mut PlanBuilder, label: &str, (x, noise): (Region, Region), (scale, bound): (u32, u32), out: Region) {
    let fits = [x, noise].iter().all(|r| (r.rows, r.cols) == (out.rows, out.cols));
    plan.check(label, fits, || format!("{x:?} + {noise:?} -> {out:?}"));
    let problem = PerturbProblem {
        x: x.offset,
        x_stride: x.stride,
        noise: noise.offset,
        noise_stride: noise.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        cols: out.padded_cols(),
        scale,
        bound,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[x, noise], &[out]);
}
