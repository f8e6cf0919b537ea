//! `metric`: one number about a batch, into the ring that the host reads every few hundred updates.

use super::prelude::*;

problem! {
    /// ring[(step - 1) mod period, slot] = [statistic, number of non-finite values].
    pub struct MetricProblem {
        /// Activations: the values, one a row.
        pub x: u32,
        /// Elements between values.
        pub x_stride: u32,
        /// Number of values.
        pub rows: u32,
        /// 0: mean. 1: minimum. 2: maximum. 3: share above the threshold.
        pub statistic: u32,
        /// Threshold of the share.
        pub threshold: f32,
        /// Words: [step, ...].
        pub clock: u32,
        /// Activations: the slot in the ring's first row.
        pub ring: u32,
        /// Elements between rows of the ring.
        pub ring_stride: u32,
        /// Rows of the ring.
        pub period: u32,
    }
}

/// What is kept of a batch of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// Their mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The share above a threshold.
    ShareAbove(f32),
}

/// Non-finite values are counted from their bits: a shader compiler may assume that none occur and drop a comparison.
#[derive(Debug)]
pub struct Metric;

impl Operation for Metric {
    type Problem = MetricProblem;
    const NAME: &'static str = "metric";
    const SHADERS: &'static [Shader] = &[shader!("metric", groups: |_: MetricProblem| 1)];

    fn blocks(_: &MetricProblem) -> u32 {
        1
    }

    #[inline(always)]
    fn twin<R: Real>(p: &MetricProblem, cx: &Context<'_, R>, _: u32) {
        let x = |row: u32| cx.row(ACTIVATIONS, p.x + row * p.x_stride, 1)[0];
        let (mut sum, mut low, mut high, mut above, mut broken) = (R::ZERO, x(0), x(0), R::ZERO, R::ZERO);
        let threshold = R::of(f64::from(p.threshold));
        for row in 0..p.rows {
            let value = x(row);
            sum += value;
            low = low.at_most(value);
            high = high.at_least(value);
            above += if value > threshold { R::ONE } else { R::ZERO };
            broken += if value.is_non_finite() { R::ONE } else { R::ZERO };
        }
        let n = R::of(f64::from(p.rows));
        let result = [sum / n, low, high, above / n][p.statistic as usize];
        let row = cx.words(p.clock, 1)[0].wrapping_sub(1) % p.period;
        cx.row_mut(ACTIVATIONS, p.ring + row * p.ring_stride, 4).copy_from_slice(&[result, broken, R::ZERO, R::ZERO]);
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Metric>();

/// Where the metrics of an update go.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// [period, 4 * slots]: four columns a slot, the first two in use.
    pub region: Region,
    /// The words whose first is the step.
    pub clock: Region,
}

/// Puts `statistic` of column `column` of `x` into slot `slot` of the ring.
pub fn record(plan: &mut PlanBuilder, label: &str, (x, column): (Region, u32), statistic: Statistic, ring: Ring, slot: u32) {
    plan.check(label, column < x.cols && 4 * slot < ring.region.cols, || format!("column {column} of {x:?}, slot {slot}"));
    let place = ring.region.columns(4 * slot, 2);
    let (mode, threshold) = match statistic {
        Statistic::Mean => (0, 0.0),
        Statistic::Min => (1, 0.0),
        Statistic::Max => (2, 0.0),
        Statistic::ShareAbove(threshold) => (3, threshold),
    };
    let problem = MetricProblem {
        x: x.offset + column,
        x_stride: x.stride,
        rows: x.rows,
        statistic: mode,
        threshold,
        clock: ring.clock.offset,
        ring: place.offset,
        ring_stride: place.stride,
        period: place.rows,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[x, ring.clock], &[place]);
}
