//! How exactly an engine computes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Of what numbers the large matrix products are made. Weights, losses, moments and sums are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Of f32.
    #[default]
    F32,
    /// Factors are rounded to half the bits and their products summed at f32.
    Mixed,
}

impl Precision {
    /// As settings name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        }
    }
}
