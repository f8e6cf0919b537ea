//! wgflow: hand-written GPU compute kernels that train offline-RL flow policies, and their CPU twins.
pub mod agents;
pub mod bench;
pub mod cli;
pub mod data;
pub mod engine;
pub mod envs;
pub mod error;
pub mod export;
pub mod fetch;
mod files;
pub mod kernels;
pub mod nets;
pub mod report;
pub mod train;

pub use error::{Error, Result};
/// The version of wgpu whose devices [`engine::Engine::from_device`] takes.
pub use wgpu;

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
