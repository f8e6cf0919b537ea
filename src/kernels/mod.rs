//! One file per operation: its contract, its `record` and its CPU twin, under the same stem as its shader.
//!
//! To add a kernel: `shaders/x.wgsl`, `src/kernels/x.rs`, and one line in [`ALL`]; the contract test, the kernel tests
//! and the benches iterate that list.

pub mod adam;
pub mod awr_loss;
pub mod bc_penalty;
pub mod best_candidate;
pub mod clock;
pub mod critic_loss;
pub mod distill;
pub mod ema;
pub mod expectile_loss;
pub mod flow_loss;
pub mod gather;
pub mod interpolate;
pub mod layer_norm;
pub mod layer_norm_backward;
pub mod layer_norm_gradient;
pub mod matmul_nn;
pub mod matmul_nt;
pub mod matmul_tn;
pub mod metric;
pub mod noise;
pub mod perturb;
pub mod q_loss;
pub mod random;
pub mod sample_batch;
pub mod td_target;
pub mod time_embedding;

use crate::engine::{Kernel, Region};

/// Every kernel.
pub static ALL: &[&Kernel] = &[
    &clock::KERNEL,
    &sample_batch::KERNEL,
    &gather::KERNEL,
    &noise::KERNEL,
    &time_embedding::KERNEL,
    &interpolate::KERNEL,
    &matmul_nn::KERNEL,
    &matmul_nt::KERNEL,
    &matmul_tn::KERNEL,
    &layer_norm::KERNEL,
    &layer_norm_backward::KERNEL,
    &layer_norm_gradient::KERNEL,
    &perturb::KERNEL,
    &td_target::KERNEL,
    &critic_loss::KERNEL,
    &expectile_loss::KERNEL,
    &q_loss::KERNEL,
    &distill::KERNEL,
    &bc_penalty::KERNEL,
    &awr_loss::KERNEL,
    &flow_loss::KERNEL,
    &best_candidate::KERNEL,
    &adam::KERNEL,
    &ema::KERNEL,
    &metric::KERNEL,
];

/// How the values of several critics, or of several actions, become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The first alone.
    First = 0,
    /// Their mean.
    Mean = 1,
    /// Their minimum.
    Min = 2,
    /// Their maximum.
    Max = 3,
}

/// The updates that an operation takes part in: those whose number, counted from 1, is a multiple of `period`.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The words whose first is the update's number.
    pub clock: Region,
    /// At least 1.
    pub period: u32,
}

/// What every kernel file uses.
mod prelude {
    pub(super) use super::{Aggregate, Turn};
    pub(super) use crate::engine::kernel::{PackedRead, typed};
    pub(super) use crate::engine::{
        Arena, Context, Kernel, NONE, Operation, PlanBuilder, Real, Region, Shader, Variant, padded, problem,
    };
    pub(super) use crate::shader;

    pub(super) const WEIGHTS: Arena = Arena::Weights;
    pub(super) const TRAINING: Arena = Arena::Training;
    pub(super) const ACTIVATIONS: Arena = Arena::Activations;

    pub(super) use crate::engine::kernel::PART as ROWS;

    /// The rows of block `block`: first, and one past the last.
    #[inline(always)]
    pub(super) fn block_rows(rows: u32, block: u32) -> (u32, u32) {
        (block * ROWS, rows.min((block + 1) * ROWS))
    }

    /// Workgroups of 64 invocations for `invocations` of them.
    pub(super) const fn per_64(invocations: u32) -> u32 {
        invocations.div_ceil(64)
    }

    /// Offset of an operand that may be missing.
    pub(super) fn offset(region: Option<Region>) -> u32 {
        region.map_or(NONE, |r| r.offset)
    }

    /// Stride of an operand that may be missing.
    pub(super) fn stride(region: Option<Region>) -> u32 {
        region.map_or(0, |r| r.stride)
    }

    /// The two fields of a problem that say when it takes part: the clock (`NONE` for always) and the period.
    pub(super) fn turn_fields(turn: Option<Turn>) -> (u32, u32) {
        turn.map_or((NONE, 1), |turn| (turn.clock.offset, turn.period))
    }

    /// Whether a problem with these two fields takes part in the present update.
    #[inline(always)]
    pub(super) fn takes_part<R: Real>(cx: &Context<'_, R>, clock: u32, period: u32) -> bool {
        clock == NONE || cx.words(clock, 1)[0].is_multiple_of(period)
    }

    /// A row of one column, with its padding.
    #[inline(always)]
    pub(super) fn alone<R: Real>(value: R) -> [R; 4] {
        [value, R::ZERO, R::ZERO, R::ZERO]
    }

    /// `aggregate` over `count` values.
    #[inline(always)]
    pub(super) fn aggregate<R: Real>(how: u32, count: u32, value: impl Fn(u32) -> R) -> R {
        let mut result = value(0);
        if how == Aggregate::First as u32 {
            return result;
        }
        for i in 1..count {
            let next = value(i);
            result = match how {
                1 => result + next,
                2 => result.at_most(next),
                _ => result.at_least(next),
            };
        }
        if how == Aggregate::Mean as u32 { result / R::of(f64::from(count)) } else { result }
    }
}

/// A shader of a kernel: its file's stem, the shared files it uses, and its workgroups for a problem.
#[macro_export]
#[doc(hidden)]
macro_rules! shader {
    (@$variant:ident $stem:literal $(, $shared:literal)*, groups: |$p:tt: $problem:ty| $groups:expr) => {
        Shader { variant: Variant::$variant, ..shader!($stem $(, $shared)*, groups: |$p: $problem| $groups) }
    };
    ($stem:literal $(, $shared:literal)*, groups: |$p:tt: $problem:ty| $groups:expr) => {
        Shader {
            entry: $stem,
            source: &[
                include_str!("../../shaders/shared/memory.wgsl"),
                $(include_str!(concat!("../../shaders/shared/", $shared, ".wgsl")),)*
                include_str!(concat!("../../shaders/", $stem, ".wgsl")),
            ],
            groups: |words| {
                let $p = typed::<$problem>(words);
                $groups
            },
            variant: Variant::Plain,
        }
    };
}
