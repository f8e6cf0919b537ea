//! `expectile_loss`: asymmetric squared error of a state's value against the critics, and its gradient.

use super::prelude::*;

problem! {
    /// loss = mean over rows of w (target - v)^2, w = expectile where target >= v, else 1 - expectile.
    pub struct ExpectileLossProblem {
        /// Activations: q, one value a row, member after member.
        pub q: u32,
        /// Elements between rows of q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Aggregate over the critics: the target.
        pub over_members: u32,
        /// Activations: v, one value a row.
        pub v: u32,
        /// Elements between rows of v and of d_v.
        pub v_stride: u32,
        /// Activations: gradient of the loss at v.
        pub d_v: u32,
        /// Activations: [w (target - v)^2, target] of each row; the mean of the first is the loss.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Scalar slot of the expectile, in [0, 1].
        pub expectile: u32,
    }
}

/// L = mean_b w (t - V(s))^2, t = aggregate over critics of Q(s,a), w = kappa where t >= V(s), else 1 - kappa. Kostrikov et
/// al. 2022, eq. 5; fql `agents/iql.py`, `value_loss`. Gradient reaches: value. Stopped at: t.
#[derive(Debug)]
pub struct ExpectileLoss;

impl Operation for ExpectileLoss {
    type Problem = ExpectileLossProblem;
    const NAME: &'static str = "expectile_loss";
    const SHADERS: &'static [Shader] =
        &[shader!("expectile_loss", "aggregate", groups: |p: ExpectileLossProblem| per_64(p.rows))];

    fn blocks(_: &ExpectileLossProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &ExpectileLossProblem, cx: &Context<'_, R>, _: u32) {
        let expectile = cx.scalar(p.expectile);
        let slope = R::of(-2.0) / R::of(f64::from(p.rows));
        for row in 0..p.rows {
            let target = aggregate(p.over_members, p.members, |member| {
                cx.row(ACTIVATIONS, p.q + (member * p.rows + row) * p.q_stride, 1)[0]
            });
            let error = target - cx.row(ACTIVATIONS, p.v + row * p.v_stride, 1)[0];
            let weight = if error >= R::ZERO { expectile } else { R::ONE - expectile };
            cx.row_mut(ACTIVATIONS, p.d_v + row * p.v_stride, 4).copy_from_slice(&alone(slope * weight * error));
            let out = [weight * error * error, target, R::ZERO, R::ZERO];
            cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, 4).copy_from_slice(&out);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<ExpectileLoss>();

/// `q` is [members * batch, 1], member after member; `v` and `d_v` are [batch, 1]; `out` is [batch, 2]; `expectile` a
/// scalar slot.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (q, v): (Region, Region),
    over_members: Aggregate,
    expectile: u32,
    (d_v, out): (Region, Region),
) {
    let fits = q.rows.is_multiple_of(v.rows) && (d_v.rows, d_v.stride) == (v.rows, v.stride) && out.rows == v.rows;
    plan.check(label, fits && out.cols == 2, || format!("{q:?} against {v:?} -> {d_v:?}, {out:?}"));
    let problem = ExpectileLossProblem {
        q: q.offset,
        q_stride: q.stride,
        members: q.rows / v.rows,
        over_members: over_members as u32,
        v: v.offset,
        v_stride: v.stride,
        d_v: d_v.offset,
        out: out.offset,
        out_stride: out.stride,
        rows: v.rows,
        expectile,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[q, v], &[d_v, out]);
}
