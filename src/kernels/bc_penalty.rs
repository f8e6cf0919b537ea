//! `bc_penalty`: a squashed actor's gradient: towards the data's action, and up the critics, in some updates only.

use super::prelude::*;

problem! {
    /// loss = mean over rows of alpha * sum over dims of (a - data)^2; d_z = (d loss / da + d_action) (1 - a^2), a = tanh z.
    pub struct BcPenaltyProblem {
        /// Activations: a, the actor's squashed actions, [rows, cols].
        pub action: u32,
        /// Elements between rows of the actions.
        pub action_stride: u32,
        /// Activations: the data's actions, [rows, cols].
        pub data: u32,
        /// Elements between rows of the data's actions.
        pub data_stride: u32,
        /// Activations: gradient of the Q loss at the action, [rows, cols], one matrix a member.
        pub d_action: u32,
        /// Elements between rows of d_action.
        pub d_action_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Activations: gradient at z, [rows, cols].
        pub d_z: u32,
        /// Elements between rows of d_z.
        pub d_z_stride: u32,
        /// Activations: [share of the loss, whether it counts in this update] of each row.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
        /// Scalar slot of alpha.
        pub alpha: u32,
        /// Words: [step, ...]; `NONE` to take part in every update.
        pub clock: u32,
        /// Takes part in updates whose number is a multiple of this.
        pub period: u32,
    }
}

/// L = alpha mean_b sum_d (a - data)^2 + L_q(a), a = tanh z: the sum over the dimensions, not their mean. In an update that
/// it does not take part in, the gradient is zero. fql `agents/rebrac.py`, `actor_loss`. Gradient reaches: actor. Stopped
/// at: critics.
#[derive(Debug)]
pub struct BcPenalty;

impl Operation for BcPenalty {
    type Problem = BcPenaltyProblem;
    const NAME: &'static str = "bc_penalty";
    const SHADERS: &'static [Shader] = &[shader!("bc_penalty", "turn", groups: |p: BcPenaltyProblem| per_64(p.rows))];

    fn blocks(p: &BcPenaltyProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &BcPenaltyProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let alpha = cx.scalar(p.alpha);
        let slope = alpha * R::of(2.0) / R::of(f64::from(p.rows));
        let counts = takes_part(cx, p.clock, p.period);
        for row in first..end {
            let action = cx.row(ACTIVATIONS, p.action + row * p.action_stride, p.cols);
            let data = cx.row(ACTIVATIONS, p.data + row * p.data_stride, p.cols);
            let d_z = cx.row_mut(ACTIVATIONS, p.d_z + row * p.d_z_stride, padded(p.cols));
            let mut squares = R::ZERO;
            for (col, d_z) in d_z[..p.cols as usize].iter_mut().enumerate() {
                let a = action[col];
                let error = a - data[col];
                squares += error * error;
                let mut ascent = R::ZERO;
                for member in 0..p.members {
                    let at = p.d_action + (member * p.rows + row) * p.d_action_stride + col as u32;
                    ascent += cx.row(ACTIVATIONS, at, 1)[0];
                }
                *d_z = if counts { (slope * error + ascent) * (R::ONE - a * a) } else { R::ZERO };
            }
            d_z[p.cols as usize..].fill(R::ZERO);
            let out = [alpha * squares, if counts { R::ONE } else { R::ZERO }, R::ZERO, R::ZERO];
            cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, 4).copy_from_slice(&out);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<BcPenalty>();

/// `action`, `data` and `d_z` are [batch, action_dim]; `d_action` is [members * batch, action_dim], member after member;
/// `out` [batch, 2]; `alpha` a scalar slot. `turn` names the updates in which it counts; without it all do.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (action, data): (Region, Region),
    d_action: Region,
    (alpha, turn): (u32, Option<Turn>),
    (d_z, out): (Region, Region),
) {
    let alike = |r: Region| (r.rows, r.cols) == (action.rows, action.cols);
    let fits = alike(data) && alike(d_z) && d_action.cols == action.cols && (out.rows, out.cols) == (action.rows, 2);
    plan.check(label, fits && d_action.rows.is_multiple_of(action.rows), || {
        format!("{action:?} to {data:?}, {d_action:?} -> {d_z:?}, {out:?}")
    });
    let (clock, period) = turn_fields(turn);
    let problem = BcPenaltyProblem {
        action: action.offset,
        action_stride: action.stride,
        data: data.offset,
        data_stride: data.stride,
        d_action: d_action.offset,
        d_action_stride: d_action.stride,
        members: d_action.rows / action.rows,
        d_z: d_z.offset,
        d_z_stride: d_z.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: action.rows,
        cols: action.cols,
        alpha,
        clock,
        period,
        ..Default::default()
    };
    let reads: Vec<Region> = [action, data, d_action].into_iter().chain(turn.map(|turn| turn.clock)).collect();
    plan.push(label, &KERNEL, &problem, &reads, &[d_z, out]);
}
