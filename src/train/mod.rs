//! Training runs: the loop, metrics, checkpoints, evaluation, pictures. Never asks which agent it holds.

pub mod checkpoint;
mod csv;
pub mod evaluate;
mod lock;
mod log;
pub mod metrics;
pub mod pictures;
pub mod plot;
pub mod presets;
pub mod published;
pub mod run;
pub mod saved;
pub mod status;
pub mod sweep;
mod tensorboard;
pub mod trainer;

pub use evaluate::{Evaluation, Task};
pub use lock::Lock;
pub use run::{Checkpoint, RunConfig, RunFolder};
pub use saved::Saved;
pub use status::{State, Status};
pub use trainer::{Observer, Progress, Quiet, Stop, Trainer};
