//! Runs plans; knows nothing of learning.
//!
//! [`memory`]: where the state lives. [`kernel`]: what a kernel is. [`plan`]: operations, their hazards, their schedule.
//! [`cpu`]: replays a plan by calling twins, which share the arithmetic of [`real`] and the [`product`] of matrices. [`gpu`]: replays it through wgpu; [`adapter`]: on which adapter.
//! [`machine`]: the engines behind one face. [`footprint`]: what they take in bytes. [`profile`]: where an update's time goes.

pub mod adapter;
mod aligned;
pub mod bf16;
pub mod cpu;
pub mod footprint;
pub mod gpu;
pub mod kernel;
pub mod machine;
pub mod memory;
mod packed;
pub mod plan;
mod precision;
pub mod product;
pub mod profile;
mod readback;
pub mod real;

pub use crate::__problem as problem;
pub use footprint::Footprint;
pub use gpu::{Gpu, GpuMachine, GpuOptions};
pub use kernel::{Context, Field, Kernel, NONE, Operation, Problem, Shader, Variant};
pub use machine::{Engine, Machine, PlanId, Records};
pub use memory::{Arena, Memory, Region, padded};
pub use plan::{Plan, PlanBuilder};
pub use precision::Precision;
pub use profile::Profile;
pub use real::{Real, gelu};
