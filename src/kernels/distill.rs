//! `distill`: the one-step actor's gradient: towards the flow's action, and up the critics.

use super::prelude::*;

problem! {
    /// loss = mean over rows and dims of (u - teacher)^2; d_u = alpha d loss / du + d_action inside the clip.
    pub struct DistillProblem {
        /// Activations: u, the actor's unclipped actions, [rows, cols].
        pub u: u32,
        /// Elements between rows of u.
        pub u_stride: u32,
        /// Activations: teacher, the flow's integrated actions, [rows, cols].
        pub teacher: u32,
        /// Elements between rows of the teacher.
        pub teacher_stride: u32,
        /// Activations: gradient of the Q loss at the clipped action, [rows, cols], one matrix a member.
        pub d_action: u32,
        /// Elements between rows of d_action.
        pub d_action_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Activations: gradient at u, [rows, cols].
        pub d_u: u32,
        /// Elements between rows of d_u.
        pub d_u_stride: u32,
        /// Activations: each row's share of the loss, alpha left out.
        pub terms: u32,
        /// Elements between rows of the terms.
        pub terms_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
        /// Scalar slot of alpha.
        pub alpha: u32,
    }
}

/// L = alpha mean_(b,d) (u - T)^2 + L_q(clip(u)). u is not clipped in the first term; the clip stops the second outside
/// (-1, 1). fql `agents/fql.py`, `actor_loss`. Gradient reaches: actor. Stopped at: flow (T), critics.
#[derive(Debug)]
pub struct Distill;

impl Operation for Distill {
    type Problem = DistillProblem;
    const NAME: &'static str = "distill";
    const SHADERS: &'static [Shader] = &[shader!("distill", groups: |p: DistillProblem| per_64(p.rows))];

    fn blocks(p: &DistillProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &DistillProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let slope = cx.scalar(p.alpha) * R::of(2.0) / R::of(f64::from(p.rows * p.cols));
        for row in first..end {
            let u = cx.row(ACTIVATIONS, p.u + row * p.u_stride, p.cols);
            let target = cx.row(ACTIVATIONS, p.teacher + row * p.teacher_stride, p.cols);
            let d_u = cx.row_mut(ACTIVATIONS, p.d_u + row * p.d_u_stride, padded(p.cols));
            let mut squares = R::ZERO;
            for (col, d_u) in d_u[..p.cols as usize].iter_mut().enumerate() {
                let error = u[col] - target[col];
                squares += error * error;
                let mut ascent = R::ZERO;
                if u[col].abs() < R::ONE {
                    for member in 0..p.members {
                        let at = p.d_action + (member * p.rows + row) * p.d_action_stride + col as u32;
                        ascent += cx.row(ACTIVATIONS, at, 1)[0];
                    }
                }
                *d_u = slope * error + ascent;
            }
            d_u[p.cols as usize..].fill(R::ZERO);
            let term = alone(squares / R::of(f64::from(p.cols)));
            cx.row_mut(ACTIVATIONS, p.terms + row * p.terms_stride, 4).copy_from_slice(&term);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Distill>();

/// `u`, `target` and `d_u` are [batch, action_dim]; `d_action` is [members * batch, action_dim], member after member;
/// `terms` [batch, 1]; `alpha` a scalar slot.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (u, target): (Region, Region),
    d_action: Region,
    alpha: u32,
    (d_u, terms): (Region, Region),
) {
    let fits = [target, d_u].iter().all(|r| (r.rows, r.cols) == (u.rows, u.cols)) && d_action.cols == u.cols;
    plan.check(label, fits && d_action.rows.is_multiple_of(u.rows), || {
        format!("{u:?} to {target:?}, {d_action:?} -> {d_u:?}, {terms:?}")
    });
    let problem = DistillProblem {
        u: u.offset,
        u_stride: u.stride,
        teacher: target.offset,
        teacher_stride: target.stride,
        d_action: d_action.offset,
        d_action_stride: d_action.stride,
        members: d_action.rows / u.rows,
        d_u: d_u.offset,
        d_u_stride: d_u.stride,
        terms: terms.offset,
        terms_stride: terms.stride,
        rows: u.rows,
        cols: u.cols,
        alpha,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[u, target, d_action], &[d_u, terms]);
}
