//! A flow policy: a velocity field v(s, x, t) that carries noise at t = 0 to actions at t = 1.

use crate::engine::{Memory, PlanBuilder, Region};
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::time_embedding::frequencies;

use super::mlp::{Mlp, Part};
use super::tape::{Scratch, Tape};

/// A velocity field. Its input is [s | x | t], the time as sines and cosines, or as it is.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The network.
    pub net: Mlp,
    /// Columns of the time's embedding; 0 for the time itself.
    time_dim: u32,
}

/// An input of the field.
#[derive(Clone, Copy, Debug)]
pub struct FlowInput {
    /// All of it.
    pub whole: Region,
    /// The columns of s.
    pub observation: Region,
    /// The columns of x.
    pub x: Region,
    /// The columns of the time.
    pub time: Region,
}

/// What every integration from the same states shares: the first layer's sums over states and times, which no step changes.
/// An action is a small part of the input, so most of the first layer's product is made once and not in every step.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// [rows, outputs of the first layer]: the states' share.
    states: Region,
    /// [steps, outputs of the first layer]: each step's share of the time, with the bias.
    times: Region,
}

/// A region whose values never change: the host writes it once.
pub type Constant = (Region, Vec<f64>);

impl Flow {
    /// Allocates a field over actions of `action_dim` given states of `obs_dim`, with layer norm where `norm`. `time_dim` is
    /// even, or 0 for raw time.
    pub fn new(memory: &mut Memory, (obs_dim, action_dim): (u32, u32), hidden: &[u32], (time_dim, norm): (u32, bool)) -> Self {
        Self { net: Mlp::new(memory, &[obs_dim, action_dim, time_dim.max(1)], hidden, action_dim, norm), time_dim }
    }

    /// Whether the time enters as an embedding.
    pub const fn embeds_time(&self) -> bool {
        self.time_dim > 0
    }

    /// A new input of `rows` rows.
    pub fn input(&self, plan: &mut PlanBuilder, rows: u32) -> FlowInput {
        let whole = self.net.input(plan, rows);
        let segment = |index| self.net.segment(whole, index);
        FlowInput { whole, observation: segment(0), x: segment(1), time: segment(2) }
    }

    /// The embedding's frequencies, as a constant.
    pub fn frequencies(&self, plan: &mut PlanBuilder) -> Constant {
        (plan.activations(1, self.time_dim / 2), frequencies(self.time_dim / 2))
    }

    /// The columns that stand for time `t`.
    fn time(&self, t: f64) -> Vec<f64> {
        if self.time_dim == 0 {
            return vec![t];
        }
        let angles = || frequencies(self.time_dim / 2).into_iter().map(move |f| t * f);
        angles().map(f64::sin).chain(angles().map(f64::cos)).collect()
    }

    /// A place for the states of `rows` rows.
    pub fn states(&self, plan: &mut PlanBuilder, rows: u32) -> Region {
        plan.activations(rows, self.net.segment_cols(0))
    }

    /// Records what integrations of `steps` steps from `states` share. The times are constants: the host writes them once.
    pub fn condition(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        states: Region,
        steps: u32,
        constants: &mut Vec<Constant>,
    ) -> Condition {
        let times = plan.activations(steps, self.net.segment_cols(2));
        constants.push((times, (0..steps).flat_map(|i| self.time(f64::from(i) / f64::from(steps))).collect()));
        Condition {
            states: self.net.share(plan, &format!("{label}/states"), (states, 0), false),
            times: self.net.share(plan, &format!("{label}/times"), (times, 2), true),
        }
    }

    /// Records the velocity at `input` into `out`, keeping what the backward pass needs.
    pub fn velocity(&self, plan: &mut PlanBuilder, label: &str, input: FlowInput, out: Region) -> Tape {
        self.net.forward_kept(plan, label, input.whole, (out, Epilogue::None))
    }

    /// Records the Euler integration from `noise` ([rows, action_dim]), left endpoints, into `out`, clipped to [-1, 1] at the
    /// end only; fql `agents/fql.py`, `compute_flow_actions`. Returns x at the start of each step, the first being the noise.
    pub fn integrate(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        condition: Condition,
        noise: Region,
        out: Region,
    ) -> Vec<Region> {
        let steps = condition.times.rows;
        let mut scratch = Scratch::default();
        let mut path = vec![noise];
        for i in 0..steps {
            let (x, last) = (path[i as usize], i + 1 == steps);
            let to = if last { out } else { plan.activations(noise.rows, noise.cols) };
            let part = Part { x, segment: 1, base: condition.states, shift: condition.times.rows(i, 1) };
            let head = (to, Epilogue::Euler { x, steps, last });
            self.net.forward_part(plan, &format!("{label}/step {i}"), part, head, &mut scratch);
            path.extend((!last).then_some(to));
        }
        path
    }
}
