//! `critic_loss`: squared Bellman error of an ensemble, and its gradient.

use super::prelude::*;

problem! {
    /// loss = mean over rows of the mean, or the sum, over members of (q - y)^2.
    pub struct CriticLossProblem {
        /// Activations: q, one value a row, member after member.
        pub q: u32,
        /// Elements between rows of q and of d_q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// What the sum over the critics is divided by: their number for a mean, 1 for the sum.
        pub divisor: u32,
        /// Activations: y, in the first column.
        pub y: u32,
        /// Elements between rows of y.
        pub y_stride: u32,
        /// Activations: gradient of the loss at q.
        pub d_q: u32,
        /// Activations: each row's share of the loss, whose mean is the loss.
        pub terms: u32,
        /// Elements between rows of the terms.
        pub terms_stride: u32,
        /// Rows.
        pub rows: u32,
    }
}

/// How the critics' errors become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

/// L = mean_(j,b) (Q_j(s,a) - y)^2: the mean over the critics halves each one's gradient; fql `agents/fql.py`,
/// `critic_loss`. Or L = mean_b sum_j; fql `agents/iql.py`. Gradient reaches: critics. Stopped at: y.
#[derive(Debug)]
pub struct CriticLoss;

impl Operation for CriticLoss {
    type Problem = CriticLossProblem;
    const NAME: &'static str = "critic_loss";
    const SHADERS: &'static [Shader] = &[shader!("critic_loss", groups: |p: CriticLossProblem| per_64(p.rows))];

    fn blocks(_: &CriticLossProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &CriticLossProblem, cx: &Context<'_, R>, _: u32) {
        let divisor = R::of(f64::from(p.divisor));
        let slope = R::of(2.0) / R::of(f64::from(p.divisor * p.rows));
        for row in 0..p.rows {
            let y = cx.row(ACTIVATIONS, p.y + row * p.y_stride, 1)[0];
            let mut squares = R::ZERO;
            for member in 0..p.members {
                let at = (member * p.rows + row) * p.q_stride;
                let error = cx.row(ACTIVATIONS, p.q + at, 1)[0] - y;
                squares += error * error;
                cx.row_mut(ACTIVATIONS, p.d_q + at, 4).copy_from_slice(&alone(slope * error));
            }
            cx.row_mut(ACTIVATIONS, p.terms + row * p.terms_stride, 4).copy_from_slice(&alone(squares / divisor));
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<CriticLoss>();

/// `q` and `d_q` are [members * batch, 1], member after member; y is the first column of `target`; `terms` [batch, 1].
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (q, target): (Region, Region),
    reduction: Reduction,
    (d_q, terms): (Region, Region),
) {
    let fits = q.rows == d_q.rows && q.stride == d_q.stride && q.rows.is_multiple_of(terms.rows) && target.rows == terms.rows;
    plan.check(label, fits, || format!("{q:?} against {target:?} -> {d_q:?}, {terms:?}"));
    let members = q.rows / terms.rows;
    let problem = CriticLossProblem {
        q: q.offset,
        q_stride: q.stride,
        members,
        divisor: if reduction == Reduction::Mean { members } else { 1 },
        y: target.offset,
        y_stride: target.stride,
        d_q: d_q.offset,
        terms: terms.offset,
        terms_stride: terms.stride,
        rows: terms.rows,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[q, target], &[d_q, terms]);
}
