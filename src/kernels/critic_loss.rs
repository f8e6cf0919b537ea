//! `critic_loss`: squared Bellman error of an ensemble, and its gradient.

use super::prelude::*;

problem! {
    /// loss = mean over members and rows of (q - y)^2.
    pub struct CriticLossProblem {
        /// Activations: q, one value a row, member after member.
        pub q: u32,
        /// Elements between rows of q and of d_q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
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

/// L = mean_(j,b) (Q_j(s,a) - y)^2: the mean over the critics halves each one's gradient. fql `agents/fql.py`,
/// `critic_loss`. Gradient reaches: critics. Stopped at: y.
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
        let members = R::of(f64::from(p.members));
        let slope = R::of(2.0) / R::of(f64::from(p.members * p.rows));
        for row in 0..p.rows {
            let y = cx.row(ACTIVATIONS, p.y + row * p.y_stride, 1)[0];
            let mut squares = R::ZERO;
            for member in 0..p.members {
                let at = (member * p.rows + row) * p.q_stride;
                let error = cx.row(ACTIVATIONS, p.q + at, 1)[0] - y;
                squares += error * error;
                cx.row_mut(ACTIVATIONS, p.d_q + at, 4).copy_from_slice(&alone(slope * error));
            }
            cx.row_mut(ACTIVATIONS, p.terms + row * p.terms_stride, 4).copy_from_slice(&alone(squares / members));
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<CriticLoss>();

/// `q` and `d_q` are [members * batch, 1], member after member; y is the first column of `target`; `terms` [batch, 1].
pub fn record(plan: &mut PlanBuilder, label: &str, q: Region, target: Region, d_q: Region, terms: Region) {
    let fits = q.rows == d_q.rows && q.stride == d_q.stride && q.rows.is_multiple_of(terms.rows) && target.rows == terms.rows;
    plan.check(label, fits, || format!("{q:?} against {target:?} -> {d_q:?}, {terms:?}"));
    let problem = CriticLossProblem {
        q: q.offset,
        q_stride: q.stride,
        members: q.rows / terms.rows,
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
