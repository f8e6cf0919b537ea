//! Runs plans; knows nothing of learning.
//!
//! [`memory`]: where the state lives. [`kernel`]: what a kernel is. [`plan`]: operations, their hazards, their schedule.
//! [`cpu`]: replays a plan by calling twins. [`machine`]: the engines behind one face.

pub mod cpu;
pub mod kernel;
pub mod machine;
pub mod memory;
pub mod plan;
pub mod real;

pub use crate::__problem as problem;
pub use kernel::{Context, Field, Kernel, NONE, Operation, Problem, Shader};
pub use machine::{Engine, Machine, PlanId, Records};
pub use memory::{Arena, Memory, Region, padded};
pub use plan::{Plan, PlanBuilder};
pub use real::{Real, gelu};
