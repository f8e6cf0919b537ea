//! `clock`: the update's number, and the bias corrections of Adam that follow from it.

use super::prelude::*;

problem! {
    /// Offsets of the clock and of what is derived from it.
    pub struct ClockProblem {
        /// Words: [step, seed low, seed high, 0].
        pub clock: u32,
        /// Activations: [1 - beta1^step, 1 - beta2^step].
        pub corrections: u32,
        /// Scalar slot of Adam's beta1.
        pub beta1: u32,
        /// Scalar slot of Adam's beta2.
        pub beta2: u32,
    }
}

/// step <- step + 1; corrections <- 1 - beta^step.
#[derive(Debug)]
pub struct Clock;

/// `base^exponent` by squaring, the same products in the shader.
#[inline(always)]
fn power<R: Real>(mut base: R, mut exponent: u32) -> R {
    let mut result = R::ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base;
        }
        base = base * base;
        exponent >>= 1;
    }
    result
}

impl Operation for Clock {
    type Problem = ClockProblem;
    const NAME: &'static str = "clock";
    const SHADERS: &'static [Shader] = &[shader!("clock", groups: |_: ClockProblem| 1)];

    fn blocks(_: &ClockProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &ClockProblem, cx: &Context<'_, R>, _: u32) {
        let clock = cx.words_mut(p.clock, 1);
        clock[0] += 1;
        let corrections = cx.row_mut(ACTIVATIONS, p.corrections, 4);
        let [first, second] = [p.beta1, p.beta2].map(|beta| R::ONE - power(cx.scalar(beta), clock[0]));
        corrections.copy_from_slice(&[first, second, R::ZERO, R::ZERO]);
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Clock>();

/// Starts an update: advances `clock` ([1, 4] words) and writes `corrections` ([1, 2]).
pub fn record(plan: &mut PlanBuilder, clock: Region, corrections: Region, beta1: u32, beta2: u32) {
    let problem = ClockProblem { clock: clock.offset, corrections: corrections.offset, beta1, beta2, ..Default::default() };
    plan.push("clock", &KERNEL, &problem, &[clock], &[clock, corrections]);
}
