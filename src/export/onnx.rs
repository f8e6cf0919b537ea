//! ONNX: a policy as a graph that inference engines run.

mod array;
mod builder;
mod file;
mod graph;
mod interpreter;
mod proto;

pub use file::encode;
pub use interpreter::Interpreter;

/// Input: [batch, obs_dim].
pub const OBSERVATION: &str = "observation";

/// Input: standard normal noise, [batch, action_dim], or [batch, candidates, action_dim]; a deterministic policy has none.
pub const NOISE: &str = "noise";

/// Output: [batch, action_dim], in [-1, 1].
pub const ACTION: &str = "action";
