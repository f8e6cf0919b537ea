//! What a forward pass leaves behind, and where the rest of it goes.

use crate::engine::{PlanBuilder, Region};
use crate::kernels::layer_norm_backward::Saved;

/// What a forward pass keeps: the less, the more of what it writes is still in the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// The output.
    Nothing,
    /// What leads back to the input, past the weights.
    InputGradient,
    /// What leads back to weights and input.
    Gradients,
}

/// What a forward pass leaves behind for the backward pass.
#[derive(Clone, Debug)]
pub struct Tape {
    pub(super) keep: Keep,
    /// Input of each dense layer, the first being the net's; overwritten since unless all is kept.
    pub(super) inputs: Vec<Region>,
    /// Derivative of each hidden layer's GELU.
    pub(super) derivatives: Vec<Region>,
    /// What each hidden layer's norm saved.
    pub(super) norms: Vec<Saved>,
}

impl Tape {
    /// Whether a backward pass for `wanted` finds what it needs; if not, the plan has an error.
    pub(super) fn reaches(&self, plan: &mut PlanBuilder, label: &str, wanted: Keep) -> bool {
        plan.check(label, self.keep >= wanted, || format!("{wanted:?} from a forward pass that kept {:?}", self.keep));
        self.keep >= wanted
    }
}

/// Places for what nobody comes back to: two in turn for each shape, over and over. Passes that share one run
/// one after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pair: [Option<Region>; 2],
    next: usize,
}

impl Scratch {
    /// A new region of `rows` x `cols` for what is `kept`; for the rest the place whose turn it is.
    pub(super) fn place(&mut self, plan: &mut PlanBuilder, (rows, cols): (u32, u32), kept: bool) -> Region {
        if kept {
            return plan.activations(rows, cols);
        }
        self.next = 1 - self.next;
        match self.pair[self.next] {
            Some(region) if (region.rows, region.cols) == (rows, cols) => region,
            _ => *self.pair[self.next].insert(plan.activations(rows, cols)),
        }
    }
}
