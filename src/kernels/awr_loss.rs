//! `awr_loss`: advantage-weighted regression of a Gaussian policy with unit deviation, and its gradient.

use super::prelude::*;

problem! {
    /// loss = -mean over rows of w log N(action; mean, I), w = min(exp(alpha advantage), cap).
    pub struct AwrLossProblem {
        /// Activations: critics at the data's action, one value a row, member after member.
        pub q: u32,
        /// Elements between rows of q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Aggregate over the critics.
        pub over_members: u32,
        /// Activations: the states' values, one a row.
        pub v: u32,
        /// Elements between rows of v.
        pub v_stride: u32,
        /// Activations: the policy's means, [rows, cols].
        pub mean: u32,
        /// Elements between rows of the means.
        pub mean_stride: u32,
        /// Activations: the data's actions, [rows, cols].
        pub action: u32,
        /// Elements between rows of the actions.
        pub action_stride: u32,
        /// Activations: gradient at the means, [rows, cols].
        pub d_mean: u32,
        /// Elements between rows of d_mean.
        pub d_mean_stride: u32,
        /// Activations: [-w log N, advantage, w, log N] of each row; the mean of the first is the loss.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
        /// Scalar slot of alpha, the inverse temperature.
        pub alpha: u32,
        /// The largest weight.
        pub cap: u32,
    }
}

/// L = -mean_b w_b log N(a; mean(s), I), w = min(exp(alpha (Q(s,a) - V(s))), cap), log N summed over the dimensions.
/// Kostrikov et al. 2022, eq. 7; fql `agents/iql.py`, `actor_loss`. Gradient reaches: actor. Stopped at: w, hence the
/// critics and the value.
#[derive(Debug)]
pub struct AwrLoss;

/// ln(2 pi) / 2: what each dimension of a unit Gaussian adds to -log N.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

impl Operation for AwrLoss {
    type Problem = AwrLossProblem;
    const NAME: &'static str = "awr_loss";
    const SHADERS: &'static [Shader] = &[shader!("awr_loss", "math", "aggregate", groups: |p: AwrLossProblem| per_64(p.rows))];

    fn blocks(p: &AwrLossProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &AwrLossProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let (alpha, cap) = (cx.scalar(p.alpha), R::of(f64::from(p.cap)));
        let (half, rows) = (R::of(0.5), R::of(f64::from(p.rows)));
        let normaliser = R::of(f64::from(p.cols)) * R::of(HALF_LN_TAU);
        for row in first..end {
            let q = aggregate(p.over_members, p.members, |member| {
                cx.row(ACTIVATIONS, p.q + (member * p.rows + row) * p.q_stride, 1)[0]
            });
            let advantage = q - cx.row(ACTIVATIONS, p.v + row * p.v_stride, 1)[0];
            let weight = (alpha * advantage).exp().at_most(cap);
            let mean = cx.row(ACTIVATIONS, p.mean + row * p.mean_stride, p.cols);
            let action = cx.row(ACTIVATIONS, p.action + row * p.action_stride, p.cols);
            let d_mean = cx.row_mut(ACTIVATIONS, p.d_mean + row * p.d_mean_stride, padded(p.cols));
            let slope = -weight / rows;
            let mut squares = R::ZERO;
            for ((d, action), mean) in d_mean.iter_mut().zip(action).zip(mean) {
                let error = *action - *mean;
                squares += error * error;
                *d = slope * error;
            }
            d_mean[p.cols as usize..].fill(R::ZERO);
            let log_prob = -half * squares - normaliser;
            let out = [-weight * log_prob, advantage, weight, log_prob];
            cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, 4).copy_from_slice(&out);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<AwrLoss>();

/// What the weights are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Critics at the data's action, [members * batch, 1], member after member.
    pub q: Region,
    /// Over the critics.
    pub over_members: Aggregate,
    /// The states' values, [batch, 1].
    pub v: Region,
    /// Scalar slot of the inverse temperature.
    pub alpha: u32,
    /// The largest weight.
    pub cap: u32,
}

/// `mean`, `action` and `d_mean` are [batch, action_dim]; `out` is [batch, 4].
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (mean, action): (Region, Region),
    weights: Weights,
    (d_mean, out): (Region, Region),
) {
    let alike = |r: Region| (r.rows, r.cols) == (mean.rows, mean.cols);
    let fits = alike(action) && alike(d_mean) && (out.rows, out.cols) == (mean.rows, 4);
    plan.check(label, fits && weights.q.rows.is_multiple_of(mean.rows) && weights.v.rows == mean.rows, || {
        format!("{mean:?} to {action:?} by {weights:?} -> {d_mean:?}, {out:?}")
    });
    let problem = AwrLossProblem {
        q: weights.q.offset,
        q_stride: weights.q.stride,
        members: weights.q.rows / mean.rows,
        over_members: weights.over_members as u32,
        v: weights.v.offset,
        v_stride: weights.v.stride,
        mean: mean.offset,
        mean_stride: mean.stride,
        action: action.offset,
        action_stride: action.stride,
        d_mean: d_mean.offset,
        d_mean_stride: d_mean.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: mean.rows,
        cols: mean.cols,
        alpha: weights.alpha,
        cap: weights.cap,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[weights.q, weights.v, mean, action], &[d_mean, out]);
}
