//! How exactly an engine computes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the CPU engine makes large matrix products. Weights, losses, moments and sums are f32 in all; on a GPU every product is
/// [plain](Self::Plain).
///
/// Strassen's algorithm, in training at [f32](Self::F32), makes rounding errors about twice those of plain sums, and a row's bits
/// depend on other rows of the batch. Policies therefore act plain: a state's action does not depend on its companions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Of f32, large ones in training by Strassen's algorithm: seven products of quarters for eight
    #[default]
    F32,
    /// Of f32, each element the sum over the depth in its order
    Plain,
    /// Factors rounded to bfloat16, products summed at f32 (faster; processors with AVX512-BF16)
    Mixed,
}

impl Precision {
    /// As settings name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Plain => "plain",
            Self::Mixed => "mixed",
        }
    }
}
