//! `td_target`: the Bellman target of a batch.

use super::prelude::*;

problem! {
    /// y = reward + discount * mask * next_q, next_q = aggregate - penalty * squared distance.
    pub struct TdTargetProblem {
        /// Activations: target critics at the first candidate action, one value a row, member after member.
        pub q_first: u32,
        /// The same at the second candidate; `NONE` if there is one candidate.
        pub q_second: u32,
        /// Elements between rows of both.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Activations: [reward, mask] of each row.
        pub reward_mask: u32,
        /// Elements between rows of reward_mask.
        pub reward_mask_stride: u32,
        /// Activations: [y, next_q, q_first, q_second] of each row, the last two aggregated over the critics.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Aggregate over the critics.
        pub over_members: u32,
        /// Aggregate over the candidates.
        pub over_candidates: u32,
        /// Scalar slot of the discount.
        pub discount: u32,
        /// Activations: the next action, [rows, cols]; `NONE` for no penalty.
        pub action: u32,
        /// Elements between rows of the action.
        pub action_stride: u32,
        /// Activations: the data's next action, [rows, cols].
        pub reference: u32,
        /// Elements between rows of the reference.
        pub reference_stride: u32,
        /// Columns of both, padding not counted.
        pub cols: u32,
        /// Scalar slot of the penalty's weight.
        pub penalty: u32,
    }
}

/// y = r + discount * mask * (aggregate over candidates of (aggregate over critics of Q) - penalty sum_d (a' - data's)^2).
/// GFP release `agents/gfp.py`, `critic_loss`; paper eq. of the target with `target_agg` mean. The penalty: fql
/// `agents/rebrac.py`, `critic_loss`. Gradient reaches: nothing. Stopped at: y.
#[derive(Debug)]
pub struct TdTarget;

impl Operation for TdTarget {
    type Problem = TdTargetProblem;
    const NAME: &'static str = "td_target";
    const SHADERS: &'static [Shader] = &[shader!("td_target", "aggregate", groups: |p: TdTargetProblem| per_64(p.rows))];

    fn blocks(_: &TdTargetProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &TdTargetProblem, cx: &Context<'_, R>, _: u32) {
        for row in 0..p.rows {
            let q = |candidate: u32| {
                let base = if candidate == 0 { p.q_first } else { p.q_second };
                aggregate(p.over_members, p.members, |member| {
                    cx.row(ACTIVATIONS, base + (member * p.rows + row) * p.q_stride, 1)[0]
                })
            };
            let candidates = if p.q_second == NONE { 1 } else { 2 };
            let next_q = aggregate(p.over_candidates, candidates, q) - penalty(p, cx, row);
            let reward_mask = cx.row(ACTIVATIONS, p.reward_mask + row * p.reward_mask_stride, 2);
            let y = reward_mask[0] + cx.scalar(p.discount) * reward_mask[1] * next_q;
            let second = if candidates == 2 { q(1) } else { R::ZERO };
            cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, 4).copy_from_slice(&[y, next_q, q(0), second]);
        }
    }
}

/// What is taken off the next value of a row.
#[inline(always)]
fn penalty<R: Real>(p: &TdTargetProblem, cx: &Context<'_, R>, row: u32) -> R {
    if p.action == NONE {
        return R::ZERO;
    }
    let action = cx.row(ACTIVATIONS, p.action + row * p.action_stride, p.cols);
    let reference = cx.row(ACTIVATIONS, p.reference + row * p.reference_stride, p.cols);
    let mut squares = R::ZERO;
    for (action, reference) in action.iter().zip(reference) {
        squares += (*action - *reference) * (*action - *reference);
    }
    cx.scalar(p.penalty) * squares
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<TdTarget>();

/// How far the next action may stray from the data's: weight * sum over dims of (action - reference)^2.
#[derive(Clone, Copy, Debug)]
pub struct Penalty {
    /// The next action, [batch, action_dim].
    pub action: Region,
    /// The data's next action, [batch, action_dim].
    pub reference: Region,
    /// Scalar slot.
    pub weight: u32,
}

/// Writes [y, next_q, first, second] to `out` ([batch, 4]). `candidates` are target critics' values ([members * batch, 1],
/// member after member) at one or two next actions; `reward_mask` is [batch, 2]; `discount` a scalar slot.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    candidates: &[Region],
    (over_members, over_candidates): (Aggregate, Aggregate),
    penalty: Option<Penalty>,
    (reward_mask, discount): (Region, u32),
    out: Region,
) {
    let members = candidates[0].rows / out.rows;
    plan.check(label, candidates.iter().all(|q| q.rows == members * out.rows) && out.cols == 4, || {
        format!("{candidates:?}, {reward_mask:?} -> {out:?}")
    });
    let alike = |p: Penalty| p.action.rows == out.rows && p.reference.rows == out.rows && p.action.cols == p.reference.cols;
    plan.check(label, penalty.is_none_or(alike), || format!("{penalty:?} for {out:?}"));
    let (action, reference) = (penalty.map(|p| p.action), penalty.map(|p| p.reference));
    let problem = TdTargetProblem {
        q_first: candidates[0].offset,
        q_second: offset(candidates.get(1).copied()),
        q_stride: candidates[0].stride,
        members,
        reward_mask: reward_mask.offset,
        reward_mask_stride: reward_mask.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        over_members: over_members as u32,
        over_candidates: over_candidates as u32,
        discount,
        action: offset(action),
        action_stride: stride(action),
        reference: offset(reference),
        reference_stride: stride(reference),
        cols: action.map_or(0, |action| action.cols),
        penalty: penalty.map_or(0, |p| p.weight),
        ..Default::default()
    };
    let reads: Vec<Region> = candidates.iter().copied().chain([reward_mask]).chain(action).chain(reference).collect();
    plan.push(label, &KERNEL, &problem, &reads, &[out]);
}
