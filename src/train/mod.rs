//! Training runs: never asks which agent it holds.

pub mod plot;
