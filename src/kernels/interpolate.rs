//! `interpolate`: a point on the straight path from noise to action, and the path's velocity.

use super::prelude::*;

problem! {
    /// The ends of the paths, the times, and where point and velocity go.
    pub struct InterpolateProblem {
        /// Activations: starting points (noise).
        pub x0: u32,
        /// Elements between rows of x0.
        pub x0_stride: u32,
        /// Activations: end points (the data's actions).
        pub action: u32,
        /// Elements between rows of the actions.
        pub action_stride: u32,
        /// Activations: times in [0, 1), one a row.
        pub t: u32,
        /// Elements between times.
        pub t_stride: u32,
        /// Activations: the points x_t.
        pub x: u32,
        /// Elements between points.
        pub x_stride: u32,
        /// Activations: the velocities.
        pub velocity: u32,
        /// Elements between velocities.
        pub velocity_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns, padding included.
        pub cols: u32,
    }
}

/// x <- (1-t) x0 + t a; velocity <- a - x0. Lipman et al. 2023, straight paths; fql `agents/fql.py`, `actor_loss`.
#[derive(Debug)]
pub struct Interpolate;

impl Operation for Interpolate {
    type Problem = InterpolateProblem;
    const NAME: &'static str = "interpolate";
    const SHADERS: &'static [Shader] = &[shader!("interpolate", groups: |p: InterpolateProblem| per_64(p.rows * p.cols / 4))];

    fn blocks(p: &InterpolateProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &InterpolateProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        for row in first..end {
            let x0 = cx.row(ACTIVATIONS, p.x0 + row * p.x0_stride, p.cols);
            let a = cx.row(ACTIVATIONS, p.action + row * p.action_stride, p.cols);
            let t = cx.row(ACTIVATIONS, p.t + row * p.t_stride, 1)[0];
            let x = cx.row_mut(ACTIVATIONS, p.x + row * p.x_stride, p.cols);
            let v = cx.row_mut(ACTIVATIONS, p.velocity + row * p.velocity_stride, p.cols);
            for i in 0..p.cols as usize {
                x[i] = (R::ONE - t) * x0[i] + t * a[i];
                v[i] = a[i] - x0[i];
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Interpolate>();

/// Writes `x` and `velocity` from `x0`, `action` (all [batch, action_dim]) and `t` ([batch, 1]).
pub fn record(plan: &mut PlanBuilder, label: &str, x0: Region, action: Region, t: Region, x: Region, velocity: Region) {
    let alike = [x0, action, x, velocity].iter().all(|r| (r.rows, r.cols) == (x0.rows, x0.cols));
    plan.check(label, alike && t.rows == x0.rows, || format!("shapes differ: {x0:?} {action:?} {t:?} {x:?} {velocity:?}"));
    let problem = InterpolateProblem {
        x0: x0.offset,
        x0_stride: x0.stride,
        action: action.offset,
        action_stride: action.stride,
        t: t.offset,
        t_stride: t.stride,
        x: x.offset,
        x_stride: x.stride,
        velocity: velocity.offset,
        velocity_stride: velocity.stride,
        rows: x.rows,
        cols: padded(x.cols),
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[x0, action, t], &[x, velocity]);
}
