//! `noise`: standard normals, or uniforms in [0, 1).

use super::prelude::*;
use super::random::{counter, normal_pair, philox, uniform};

problem! {
    /// Where the numbers go and which they are.
    pub struct NoiseProblem {
        /// Words: [step, seed low, seed high, 0].
        pub clock: u32,
        /// Activations: first element of the destination.
        pub out: u32,
        /// Elements between rows of the destination.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding not counted.
        pub cols: u32,
        /// Stream of random numbers. Two problems with one stream and shape draw the same numbers.
        pub stream: u32,
        /// 0: normal. 1: uniform.
        pub distribution: u32,
    }
}

/// Law of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Standard normal.
    Normal = 0,
    /// Uniform in [0, 1).
    Uniform = 1,
}

/// out\[row, 4c .. 4c+4\] <- law(philox(step, stream, row * ceil(cols/4) + c)).
#[derive(Debug)]
pub struct Noise;

impl Operation for Noise {
    type Problem = NoiseProblem;
    const NAME: &'static str = "noise";
    const SHADERS: &'static [Shader] =
        &[shader!("noise", "math", "random", "normal", groups: |p: NoiseProblem| per_64(p.rows * padded(p.cols) / 4))];

    fn blocks(p: &NoiseProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &NoiseProblem, cx: &Context<'_, R>, block: u32) {
        let clock = cx.words(p.clock, 3);
        let (first, end) = block_rows(p.rows, block);
        let quads = padded(p.cols) / 4;
        for row in first..end {
            let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, padded(p.cols));
            for (quad, out) in out.chunks_exact_mut(4).enumerate() {
                let element = row * quads + quad as u32;
                let bits = philox(counter(clock[0], p.stream, element), [clock[1], clock[2]]);
                let values = if p.distribution == Distribution::Uniform as u32 {
                    bits.map(uniform::<R>)
                } else {
                    let (a, b) = normal_pair(bits[0], bits[1]);
                    let (c, d) = normal_pair(bits[2], bits[3]);
                    [a, b, c, d]
                };
                for (i, (out, value)) in out.iter_mut().zip(values).enumerate() {
                    *out = if quad * 4 + i < p.cols as usize { value } else { R::ZERO };
                }
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Noise>();

/// Fills `out` with `distribution`.
pub fn record(plan: &mut PlanBuilder, label: &str, clock: Region, stream: u32, distribution: Distribution, out: Region) {
    let problem = NoiseProblem {
        clock: clock.offset,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        cols: out.cols,
        stream,
        distribution: distribution as u32,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[clock], &[out]);
}
