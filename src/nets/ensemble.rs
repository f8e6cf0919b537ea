//! Critics: several networks on the same input, one value each.

use crate::engine::{Memory, PlanBuilder, Region};
use crate::kernels::matmul_nn::Epilogue;

use super::mlp::Mlp;
use super::tape::{Keep, Tape};

/// An ensemble of Q networks: Q_j(s, a), the input being [s | a].
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// The networks, next to each other in memory.
    pub members: Vec<Mlp>,
}

/// An ensemble's values and what their backward pass needs.
#[derive(Clone, Debug)]
pub struct Values {
    /// [members * rows, 1], member after member.
    pub q: Region,
    /// One tape a member.
    tapes: Vec<Tape>,
}

impl Ensemble {
    /// Allocates `count` critics of states and actions, with layer norm where `norm`.
    pub fn new(memory: &mut Memory, count: u32, (obs_dim, action_dim): (u32, u32), hidden: &[u32], norm: bool) -> Self {
        Self { members: (0..count).map(|_| Mlp::new(memory, &[obs_dim, action_dim], hidden, 1, norm)).collect() }
    }

    /// A new input for `rows` pairs.
    pub fn input(&self, plan: &mut PlanBuilder, rows: u32) -> Pair {
        let whole = self.members[0].input(plan, rows);
        Pair { whole, observation: self.members[0].segment(whole, 0), action: self.members[0].segment(whole, 1) }
    }

    /// All weights as one row.
    pub fn range(&self) -> Region {
        let (first, last) = (self.members[0].range(), self.members[self.members.len() - 1].range());
        let cols = last.end() - first.offset;
        Region { cols, stride: cols, ..first }
    }

    /// Records the values of `input`.
    pub fn forward(&self, plan: &mut PlanBuilder, label: &str, input: Pair, keep: Keep) -> Values {
        let rows = input.whole.rows;
        let q = plan.activations(rows * self.members.len() as u32, 1);
        let mut tapes = Vec::new();
        for (j, member) in self.members.iter().enumerate() {
            let out = q.rows(j as u32 * rows, rows);
            let label = format!("{label}.{j}");
            tapes.push(member.forward_keeping(plan, &label, input.whole, (out, Epilogue::None), keep));
        }
        Values { q, tapes }
    }

    /// Records the gradients of the weights from `d_q` ([members * rows, 1]).
    pub fn backward(&self, plan: &mut PlanBuilder, label: &str, values: &Values, d_q: Region) {
        let rows = d_q.rows / self.members.len() as u32;
        for (j, (member, tape)) in self.members.iter().zip(&values.tapes).enumerate() {
            member.backward(plan, &format!("{label}.{j}"), tape, d_q.rows(j as u32 * rows, rows));
        }
    }

    /// Records the gradient at the actions from `d_q`: [members * rows, action_dim], still to be summed over the members.
    pub fn backward_action(&self, plan: &mut PlanBuilder, label: &str, values: &Values, d_q: Region, action_dim: u32) -> Region {
        let rows = d_q.rows / self.members.len() as u32;
        let d_action = plan.activations(d_q.rows, action_dim);
        for (j, (member, tape)) in self.members.iter().zip(&values.tapes).enumerate() {
            let part = |region: Region| region.rows(j as u32 * rows, rows);
            member.backward_input(plan, &format!("{label}.{j}"), tape, part(d_q), (1, part(d_action)));
        }
        d_action
    }
}

/// A critic's input: [s | a].
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// All of it.
    pub whole: Region,
    /// The columns of s.
    pub observation: Region,
    /// The columns of a.
    pub action: Region,
}
