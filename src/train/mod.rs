//! Training runs: the loop, metrics, checkpoints, evaluation, pictures. Never asks which agent it holds.

pub mod checkpoint;
pub mod evaluate;
mod files;
pub mod metrics;
pub mod pictures;
pub mod plot;
pub mod run;
pub mod saved;
pub mod trainer;

pub use evaluate::{Evaluation, Task};
pub use run::{Checkpoint, RunConfig, RunFolder};
pub use saved::Saved;
pub use trainer::{Observer, Progress, Quiet, Trainer};
