//! wgflow: hand-written GPU compute kernels that train offline-RL flow policies, and their CPU twins.
#![warn(missing_docs)]
pub mod engine;
pub mod envs;
pub mod error;
pub mod kernels;
pub use error::{Error, Result};
