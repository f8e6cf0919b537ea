//! A flow policy: a velocity field v(s, x, t) that carries noise at t = 0 to actions at t = 1.

use crate::engine::{Memory, PlanBuilder, Region};
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::time_embedding::frequencies;

use super::mlp::{Mlp, Scratch, Tape};

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

/// The inputs of an Euler integration, one a step. States and the first x are to be filled in by the caller.
#[derive(Clone, Debug)]
pub struct Path {
    /// One input a step.
    pub steps: Vec<FlowInput>,
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

    /// Inputs for an Euler integration of `steps` steps over `rows` rows. The times are constants: the host writes them
    /// once, and no operation touches them again.
    pub fn path(&self, plan: &mut PlanBuilder, rows: u32, steps: u32, constants: &mut Vec<Constant>) -> Path {
        let inputs: Vec<FlowInput> = (0..steps).map(|_| self.input(plan, rows)).collect();
        for (i, input) in inputs.iter().enumerate() {
            let time = self.time(i as f64 / f64::from(steps));
            constants.push((input.time, time.repeat(rows as usize)));
        }
        Path { steps: inputs }
    }

    /// Records the velocity at `input` into `out`, keeping what the backward pass needs.
    pub fn velocity(&self, plan: &mut PlanBuilder, label: &str, input: FlowInput, out: Region) -> Tape {
        self.net.forward_kept(plan, label, input.whole, (out, Epilogue::None))
    }

    /// Records the Euler integration of `path`, left endpoints, into `out` ([rows, action_dim]), clipped to [-1, 1] at the
    /// end only; fql `agents/fql.py`, `compute_flow_actions`.
    pub fn integrate(&self, plan: &mut PlanBuilder, label: &str, path: &Path, out: Region) {
        let steps = path.steps.len();
        let mut scratch = Scratch::default();
        for (i, input) in path.steps.iter().enumerate() {
            let last = i + 1 == steps;
            let to = if last { out } else { path.steps[i + 1].x };
            let step = Epilogue::Euler { x: input.x, steps: steps as u32, last };
            self.net.forward(plan, &format!("{label}/step {i}"), input.whole, (to, step), &mut scratch);
        }
    }
}
