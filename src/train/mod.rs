//! Training runs: the loop, metrics, checkpoints, evaluation, pictures. Never asks which agent it holds.

pub mod background;
pub mod checkpoint;
mod csv;
pub mod environment;
pub mod evaluate;
pub mod evaluations;
mod lock;
mod log;
pub mod metrics;
pub mod observer;
pub mod pictures;
pub mod plot;
pub mod presets;
pub mod protocol;
pub mod published;
pub mod run;
pub mod saved;
pub mod statistics;
pub mod status;
pub mod sweep;
mod tensorboard;
pub mod trainer;

pub use background::Background;
pub use environment::{EnvSpec, OpenOptions, Opened};
pub use evaluate::{Evaluation, Quota, Task};
pub use evaluations::Record;
pub use lock::Lock;
pub use observer::{Observer, Progress, Quiet, Stop};
pub use protocol::Protocol;
pub use run::{Checkpoint, RunConfig, RunFolder};
pub use saved::Saved;
pub use status::{State, Status};
pub use trainer::Trainer;
