//! wgflow: hand-written GPU compute kernels that train offline-RL flow policies, and their CPU twins.
pub mod agents;
pub mod cli;
pub mod data;
pub mod engine;
pub mod envs;
pub mod error;
pub mod kernels;
pub mod nets;
pub mod train;

pub use error::{Error, Result};
pub use wgpu;
