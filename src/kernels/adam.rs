//! `adam`: one optimiser step of a range of trained weights.

use super::prelude::*;
use crate::engine::Memory;

problem! {
    /// m <- beta1 m + (1-beta1) g; v <- beta2 v + (1-beta2) g^2; w <- w - lr (m/c1) / (sqrt(v/c2) + epsilon).
    pub struct AdamProblem {
        /// First element of the range, in the weights and in each third of the training arena.
        pub start: u32,
        /// Elements of the range; a multiple of 4.
        pub count: u32,
        /// Elements of the whole trained range: gradients, then first, then second moments lie this far apart.
        pub trained: u32,
        /// Activations: [1 - beta1^step, 1 - beta2^step].
        pub corrections: u32,
        /// Scalar slot of the learning rate, per step.
        pub learning_rate: u32,
        /// Scalar slot of beta1.
        pub beta1: u32,
        /// Scalar slot of beta2.
        pub beta2: u32,
        /// Scalar slot of epsilon, outside the root.
        pub epsilon: u32,
    }
}

/// Kingma and Ba 2015, Algorithm 1, epsilon outside the root as in `optax.adam`. Element by element, so one Adam over
/// all nets is the same as one for each with a shared step.
#[derive(Debug)]
pub struct Adam;

/// Elements of a block of the twin.
const BLOCK: u32 = 16_384;

impl Operation for Adam {
    type Problem = AdamProblem;
    const NAME: &'static str = "adam";
    const SHADERS: &'static [Shader] = &[shader!("adam", groups: |p: AdamProblem| (p.count / 4).div_ceil(256))];

    const STREAMS: bool = true;

    fn blocks(p: &AdamProblem) -> u32 {
        p.count.div_ceil(BLOCK)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &AdamProblem, cx: &Context<'_, R>, block: u32) {
        let start = p.start + block * BLOCK;
        let count = BLOCK.min(p.count - block * BLOCK);
        let (beta1, beta2) = (cx.scalar(p.beta1), cx.scalar(p.beta2));
        let (rate, epsilon) = (cx.scalar(p.learning_rate), cx.scalar(p.epsilon));
        let corrections = cx.row(ACTIVATIONS, p.corrections, 2);
        let (c1, c2) = (R::ONE / corrections[0], R::ONE / corrections[1]);
        let weights = cx.row_mut(WEIGHTS, start, count);
        let gradient = cx.row(TRAINING, start, count);
        let first = cx.row_mut(TRAINING, start + p.trained, count);
        let second = cx.row_mut(TRAINING, start + 2 * p.trained, count);
        for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
            *m = beta1 * *m + (R::ONE - beta1) * *g;
            *v = beta2 * *v + (R::ONE - beta2) * (*g * *g);
            *w -= rate * (*m * c1) / ((*v * c2).sqrt() + epsilon);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Adam>();

/// Scalar slots of Adam's constants.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// Per step.
    pub learning_rate: u32,
    /// Decay of the first moment.
    pub beta1: u32,
    /// Decay of the second moment.
    pub beta2: u32,
    /// Outside the root.
    pub epsilon: u32,
}

/// Steps every trained weight of `plan.memory`, net by net: one whose gradient is ready need not wait for the others.
/// `corrections` ([1, 2]) come from the clock.
pub fn record(plan: &mut PlanBuilder, corrections: Region, constants: Constants) {
    for weights in plan.memory.trained_nets() {
        let gradient = Memory::gradient_of(weights);
        let [first, second] = [1, 2].map(|order| plan.memory.moment_of(weights, order));
        let problem = AdamProblem {
            start: weights.offset,
            count: weights.cols,
            trained: plan.memory.trained(),
            corrections: corrections.offset,
            learning_rate: constants.learning_rate,
            beta1: constants.beta1,
            beta2: constants.beta2,
            epsilon: constants.epsilon,
            ..Default::default()
        };
        plan.push("adam", &KERNEL, &problem, &[weights, gradient, first, second, corrections], &[weights, first, second]);
    }
}
