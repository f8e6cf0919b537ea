//! `flow_loss`: flow matching weighted by g_eta, with its gradient, in one pass over the batch.

use super::prelude::*;

problem! {
    /// loss = mean over rows of g * mean over dims of (prediction - velocity)^2.
    pub struct FlowLossProblem {
        /// Activations: the flow's velocity at x_t, [rows, cols].
        pub prediction: u32,
        /// Elements between rows of the prediction.
        pub prediction_stride: u32,
        /// Activations: the path's velocity a - x0, [rows, cols].
        pub velocity: u32,
        /// Elements between rows of the velocity.
        pub velocity_stride: u32,
        /// Activations: target critics at the data's action, one value a row, member after member.
        pub q_data: u32,
        /// The same at the first reference action.
        pub q_first: u32,
        /// The same at the second reference action; `NONE` if there is one.
        pub q_second: u32,
        /// Elements between rows of the three.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Aggregate over the critics.
        pub over_members: u32,
        /// Aggregate over the reference actions.
        pub over_references: u32,
        /// Activations: lambda, `[1]`.
        pub lambda: u32,
        /// Scalar slot of eta.
        pub eta: u32,
        /// 0: weight 1. 1: sigmoid. 2: exponential of the advantage.
        pub guidance: u32,
        /// Activations: gradient at the prediction, [rows, cols].
        pub d_prediction: u32,
        /// Elements between rows of d_prediction.
        pub d_prediction_stride: u32,
        /// Activations: [g e, e, g, q_data, q_ref] of each row; the mean of the first is the loss.
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
    }
}

/// How much a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guidance {
    /// Weight 1: plain flow matching.
    None = 0,
    /// g = sigmoid(lambda / eta (Q_data - Q_ref)): the softmax of two.
    Softmax = 1,
    /// g = exp(lambda / eta (Q_data - Q_ref)), not clipped: the ablation "advantage".
    Advantage = 2,
}

/// L = mean_b g_b e_b, e_b = mean_d (v(s, x_t, t) - (a - x0))^2, g not renormalised over the batch. eta = 0 is a switch:
/// weight 1. GFP release `agents/gfp.py`, `vabc_loss`; paper eq. of g_eta. Gradient reaches: flow. Stopped at: g, hence
/// the target critics, the actor and lambda.
#[derive(Debug)]
pub struct FlowLoss;

impl Operation for FlowLoss {
    type Problem = FlowLossProblem;
    const NAME: &'static str = "flow_loss";
    const SHADERS: &'static [Shader] = &[shader!("flow_loss", "math", "aggregate", groups: |p: FlowLossProblem| per_64(p.rows))];

    fn blocks(p: &FlowLossProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &FlowLossProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let cols = R::of(f64::from(p.cols));
        for row in first..end {
            let [weight, q_data, q_ref] = weigh(p, cx, row);
            let prediction = cx.row(ACTIVATIONS, p.prediction + row * p.prediction_stride, p.cols);
            let velocity = cx.row(ACTIVATIONS, p.velocity + row * p.velocity_stride, p.cols);
            let d = cx.row_mut(ACTIVATIONS, p.d_prediction + row * p.d_prediction_stride, padded(p.cols));
            let slope = R::of(2.0) * weight / R::of(f64::from(p.rows * p.cols));
            let mut squares = R::ZERO;
            for ((d, prediction), velocity) in d.iter_mut().zip(prediction).zip(velocity) {
                let error = *prediction - *velocity;
                squares += error * error;
                *d = slope * error;
            }
            d[p.cols as usize..].fill(R::ZERO);
            let error = squares / cols;
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, 8);
            out[..4].copy_from_slice(&[weight * error, error, weight, q_data]);
            out[4..].copy_from_slice(&alone(q_ref));
        }
    }
}

/// [g, q_data, q_ref] of a row.
#[inline(always)]
fn weigh<R: Real>(p: &FlowLossProblem, cx: &Context<'_, R>, row: u32) -> [R; 3] {
    if p.guidance == Guidance::None as u32 {
        return [R::ONE, R::ZERO, R::ZERO];
    }
    let q = |base: u32| {
        aggregate(p.over_members, p.members, |member| cx.row(ACTIVATIONS, base + (member * p.rows + row) * p.q_stride, 1)[0])
    };
    let references = if p.q_second == NONE { 1 } else { 2 };
    let q_data = q(p.q_data);
    let q_ref = aggregate(p.over_references, references, |i| q(if i == 0 { p.q_first } else { p.q_second }));
    let eta = cx.scalar(p.eta);
    if eta == R::ZERO {
        return [R::ONE, q_data, q_ref];
    }
    let advantage = cx.row(ACTIVATIONS, p.lambda, 1)[0] / eta * (q_data - q_ref);
    let weight = if p.guidance == Guidance::Softmax as u32 { R::ONE / (R::ONE + (-advantage).exp()) } else { advantage.exp() };
    [weight, q_data, q_ref]
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<FlowLoss>();

/// What g_eta is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// The weight's form.
    pub guidance: Guidance,
    /// Target critics at the data's action, [members * batch, 1], member after member.
    pub q_data: Region,
    /// The same at the reference action.
    pub q_first: Region,
    /// The same at a second reference action.
    pub q_second: Option<Region>,
    /// Over the critics.
    pub over_members: Aggregate,
    /// Over the reference actions.
    pub over_references: Aggregate,
    /// 1 / mean|Q|, [1, 1].
    pub lambda: Region,
    /// Scalar slot.
    pub eta: u32,
}

/// `prediction`, `velocity`, `d_prediction` are [batch, action_dim]; `out` is [batch, 5]. Without a gate: weight 1.
pub fn record(
    plan: &mut PlanBuilder,
    label: &str,
    (prediction, velocity): (Region, Region),
    gate: Option<Gate>,
    (d_prediction, out): (Region, Region),
) {
    let alike = |r: &Region| (r.rows, r.cols) == (prediction.rows, prediction.cols);
    let fits = [velocity, d_prediction].iter().all(alike) && (out.rows, out.cols) == (prediction.rows, 5);
    plan.check(label, fits, || format!("{prediction:?} to {velocity:?} -> {d_prediction:?}, {out:?}"));
    let mut problem = FlowLossProblem {
        prediction: prediction.offset,
        prediction_stride: prediction.stride,
        velocity: velocity.offset,
        velocity_stride: velocity.stride,
        q_second: NONE,
        d_prediction: d_prediction.offset,
        d_prediction_stride: d_prediction.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: prediction.rows,
        cols: prediction.cols,
        ..Default::default()
    };
    let mut reads = vec![prediction, velocity];
    if let Some(gate) = gate {
        plan.check(label, gate.q_data.rows == gate.q_first.rows && gate.q_data.rows.is_multiple_of(prediction.rows), || {
            format!("gate {gate:?} for {prediction:?}")
        });
        problem.guidance = gate.guidance as u32;
        problem.q_data = gate.q_data.offset;
        problem.q_first = gate.q_first.offset;
        problem.q_second = offset(gate.q_second);
        problem.q_stride = gate.q_data.stride;
        problem.members = gate.q_data.rows / prediction.rows;
        problem.over_members = gate.over_members as u32;
        problem.over_references = gate.over_references as u32;
        problem.lambda = gate.lambda.offset;
        problem.eta = gate.eta;
        reads.extend([gate.q_data, gate.q_first, gate.lambda].into_iter().chain(gate.q_second));
    }
    plan.push(label, &KERNEL, &problem, &reads, &[d_prediction, out]);
}
