//! `sample_batch`: the rows of an update's batch, uniform with replacement.

use super::prelude::*;
use super::random::{below, counter, philox};

problem! {
    /// Where the indices go and what they range over.
    pub struct SampleBatchProblem {
        /// Words: [step, seed low, seed high, 0].
        pub clock: u32,
        /// Words: one index a row of the batch.
        pub indices: u32,
        /// Rows of the batch.
        pub rows: u32,
        /// Transitions of the dataset.
        pub transitions: u32,
        /// Stream of random numbers.
        pub stream: u32,
    }
}

/// indices\[row\] <- floor(transitions * random / 2^32).
#[derive(Debug)]
pub struct SampleBatch;

impl Operation for SampleBatch {
    type Problem = SampleBatchProblem;
    const NAME: &'static str = "sample_batch";
    const SHADERS: &'static [Shader] = &[shader!("sample_batch", "random", groups: |p: SampleBatchProblem| per_64(p.rows))];

    fn blocks(_: &SampleBatchProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &SampleBatchProblem, cx: &Context<'_, R>, _: u32) {
        let clock = cx.words(p.clock, 3);
        for (row, index) in cx.words_mut(p.indices, p.rows).iter_mut().enumerate() {
            let bits = philox(counter(clock[0], p.stream, row as u32), [clock[1], clock[2]]);
            *index = below(bits[0], p.transitions);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<SampleBatch>();

/// Draws `indices` ([1, batch] words) from `0..transitions`.
pub fn record(plan: &mut PlanBuilder, clock: Region, indices: Region, transitions: u32, stream: u32) {
    let problem = SampleBatchProblem {
        clock: clock.offset,
        indices: indices.offset,
        rows: indices.cols,
        transitions,
        stream,
        ..Default::default()
    };
    plan.push("sample batch", &KERNEL, &problem, &[clock], &[indices]);
}
