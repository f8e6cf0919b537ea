//! Networks: forward and backward passes recorded on a plan.

pub mod ensemble;
pub mod flow;
pub mod init;
pub mod mlp;
pub mod tape;

pub use ensemble::Ensemble;
pub use flow::Flow;
pub use mlp::{Mlp, Tensor};
pub use tape::{Keep, Tape};
