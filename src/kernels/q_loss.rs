//! `q_loss`: the actor's value, its normaliser lambda = 1 / mean|Q|, and the gradient at the critics' outputs.

use super::prelude::*;

problem! {
    /// loss = -scale * mean over rows of Q, with scale = lambda or 1.
    pub struct QLossProblem {
        /// Activations: q at the actor's clipped actions, one value a row, member after member.
        pub q: u32,
        /// Elements between rows of q and of d_q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Aggregate over the critics: mean or min.
        pub over_members: u32,
        /// 1: scale the loss by lambda. 0: leave it.
        pub normalize: u32,
        /// Activations: gradient of the loss at q.
        pub d_q: u32,
        /// Activations: lambda, `[1]`.
        pub lambda: u32,
        /// Activations: each row's share of the loss, whose mean is the loss.
        pub terms: u32,
        /// Elements between rows of the terms.
        pub terms_stride: u32,
        /// Rows.
        pub rows: u32,
    }
}

/// L = -lambda mean_b Q(s, clip(u)); lambda = 1 / mean_b |Q|, without an epsilon; `normalize` off drops it from the loss
/// only. A minimum that two critics share passes half its gradient to each, as `jnp.min` does. GFP release
/// `agents/gfp.py`, `actor_loss`. Gradient reaches: the critics' input actions. Stopped at: lambda, critics.
#[derive(Debug)]
pub struct QLoss;

impl Operation for QLoss {
    type Problem = QLossProblem;
    const NAME: &'static str = "q_loss";
    const SHADERS: &'static [Shader] = &[shader!("q_loss", "aggregate", "sum", groups: |_: QLossProblem| 1)];

    fn blocks(_: &QLossProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &QLossProblem, cx: &Context<'_, R>, _: u32) {
        let at = |member: u32, row: u32| (member * p.rows + row) * p.q_stride;
        let q = |member: u32, row: u32| cx.row(ACTIVATIONS, p.q + at(member, row), 1)[0];
        let value = |row: u32| aggregate(p.over_members, p.members, |member| q(member, row));
        let mut total = R::ZERO;
        for row in 0..p.rows {
            total += value(row).abs();
        }
        let lambda = R::of(f64::from(p.rows)) / total;
        cx.row_mut(ACTIVATIONS, p.lambda, 4).copy_from_slice(&alone(lambda));
        let scale = if p.normalize == 1 { lambda } else { R::ONE };
        let slope = -scale / R::of(f64::from(p.rows));
        for row in 0..p.rows {
            let best = value(row);
            let mut sharers = R::ZERO;
            for member in 0..p.members {
                if q(member, row) == best {
                    sharers += R::ONE;
                }
            }
            for member in 0..p.members {
                let share = if p.over_members == Aggregate::Mean as u32 {
                    R::ONE / R::of(f64::from(p.members))
                } else if q(member, row) == best {
                    R::ONE / sharers
                } else {
                    R::ZERO
                };
                cx.row_mut(ACTIVATIONS, p.d_q + at(member, row), 4).copy_from_slice(&alone(slope * share));
            }
            cx.row_mut(ACTIVATIONS, p.terms + row * p.terms_stride, 4).copy_from_slice(&alone(-scale * best));
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<QLoss>();

/// Where the results go.
#[derive(Clone, Copy, Debug)]
pub struct Results {
    /// Gradient at q, [members * batch, 1].
    pub d_q: Region,
    /// 1 / mean|Q|, [1, 1].
    pub lambda: Region,
    /// Each row's share of the loss, [batch, 1].
    pub terms: Region,
}

/// `q` is [members * batch, 1], member after member, at the actor's clipped actions.
pub fn record(plan: &mut PlanBuilder, label: &str, q: Region, over_members: Aggregate, normalize: bool, to: Results) {
    let fits = q.rows == to.d_q.rows && q.stride == to.d_q.stride && q.rows.is_multiple_of(to.terms.rows);
    plan.check(label, fits, || format!("{q:?} -> {to:?}"));
    let problem = QLossProblem {
        q: q.offset,
        q_stride: q.stride,
        members: q.rows / to.terms.rows,
        over_members: over_members as u32,
        normalize: u32::from(normalize),
        d_q: to.d_q.offset,
        lambda: to.lambda.offset,
        terms: to.terms.offset,
        terms_stride: to.terms.stride,
        rows: to.terms.rows,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[q], &[to.d_q, to.lambda, to.terms]);
}
