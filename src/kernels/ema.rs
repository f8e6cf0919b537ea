//! `ema`: a target network follows its source.

use super::prelude::*;

problem! {
    /// average <- tau * source + (1 - tau) * average.
    pub struct EmaProblem {
        /// Weights: the source.
        pub source: u32,
        /// Weights: the target, which averages it.
        pub average: u32,
        /// Elements; a multiple of 4.
        pub count: u32,
        /// Scalar slot of tau, per update.
        pub tau: u32,
        /// Words: [step, ...]; `NONE` to take part in every update.
        pub clock: u32,
        /// Takes part in updates whose number is a multiple of this.
        pub period: u32,
    }
}

/// The target averages the source as it was *before* this update's step, as fql `agents/fql.py`, `target_update` does:
/// record it before Adam.
#[derive(Debug)]
pub struct Ema;

/// Elements of a block of the twin.
const BLOCK: u32 = 16_384;

impl Operation for Ema {
    type Problem = EmaProblem;
    const NAME: &'static str = "ema";
    const SHADERS: &'static [Shader] = &[shader!("ema", "turn", groups: |p: EmaProblem| (p.count / 4).div_ceil(256))];

    const STREAMS: bool = true;

    fn blocks(p: &EmaProblem) -> u32 {
        p.count.div_ceil(BLOCK)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &EmaProblem, cx: &Context<'_, R>, block: u32) {
        if !takes_part(cx, p.clock, p.period) {
            return;
        }
        let start = block * BLOCK;
        let count = BLOCK.min(p.count - start);
        let tau = cx.scalar(p.tau);
        let source = cx.row(WEIGHTS, p.source + start, count);
        for (target, source) in cx.row_mut(WEIGHTS, p.average + start, count).iter_mut().zip(source) {
            *target = tau * *source + (R::ONE - tau) * *target;
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Ema>();

/// Moves `target` towards `source`: contiguous ranges of weights of one length, each given as one row. `turn` names the
/// updates that do; without it all do.
pub fn record(plan: &mut PlanBuilder, label: &str, source: Region, target: Region, tau: u32, turn: Option<Turn>) {
    let fits = source.rows == 1 && target.rows == 1 && source.cols == target.cols && source.cols.is_multiple_of(4);
    plan.check(label, fits, || format!("{source:?} -> {target:?}"));
    let (clock, period) = turn_fields(turn);
    let problem = EmaProblem {
        source: source.offset,
        average: target.offset,
        count: source.cols,
        tau,
        clock,
        period,
        ..Default::default()
    };
    let reads: Vec<Region> = [source, target].into_iter().chain(turn.map(|turn| turn.clock)).collect();
    plan.push(label, &KERNEL, &problem, &reads, &[target]);
}
