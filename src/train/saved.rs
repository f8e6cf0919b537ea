//! A run on disk, opened for reading: its policies, without its dataset and without an engine.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checked, Identity, Weights};
use super::run::{RunConfig, RunFolder};
use crate::agents::policy::Values;
use crate::agents::{Dims, Policy};
use crate::error::{Error, Result};

/// A run's settings, and the weights of one of its checkpoints.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The run's folder.
    pub folder: RunFolder,
    /// Its settings.
    pub config: RunConfig,
    /// The checkpoint that was read.
    pub checkpoint: PathBuf,
    weights: Weights,
}

impl Saved {
    /// Opens a run's last checkpoint, or a certain one: `path` is the run's folder, or a checkpoint file inside it.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no run; [`Error::Setting`] if it has no checkpoint yet; [`Error::Content`] if its settings
    /// or the checkpoint are damaged.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            let inside = path.ancestors().skip(1).find(|folder| RunFolder::is_run(folder));
            let folder = inside.ok_or_else(|| {
                let remedy = "leave checkpoints in the folder of their run, which holds their settings";
                Error::setting("RUN", "a run's folder, or a checkpoint inside one", path.display().to_string(), remedy)
            })?;
            let (folder, config) = RunFolder::open(folder)?;
            return Self::read(folder, config, path.to_path_buf());
        }
        let (folder, config) = RunFolder::open(path)?;
        let Some(last) = folder.checkpoints()?.pop() else {
            let remedy = "train it for longer: the first checkpoint comes after --save-every updates";
            return Err(Error::setting("RUN", "a run with a checkpoint", path.display().to_string(), remedy));
        };
        Self::read(folder, config, last.path)
    }

    fn read(folder: RunFolder, config: RunConfig, checkpoint: PathBuf) -> Result<Self> {
        let weights = Checked::read(&checkpoint)?.weights(&config.agent, config.seeds.len())?;
        Ok(Self { folder, config, checkpoint, weights })
    }

    /// Updates finished when the checkpoint was written.
    pub const fn step(&self) -> u64 {
        self.weights.step
    }

    /// The settings and the dataset that the checkpoint belongs to.
    pub const fn identity(&self) -> &Identity {
        &self.weights.identity
    }

    /// Dimensions of the task.
    pub const fn dims(&self) -> Dims {
        self.weights.dims
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.weights.lanes.len()
    }

    /// A lane's whole weights arena, in the layout of [`crate::agents::AgentConfig::parameters`].
    pub fn weights(&self, lane: usize) -> &[f64] {
        &self.weights.lanes[lane]
    }

    /// The policy `name` of a lane, for `rows` states at once, on `threads` CPU threads.
    ///
    /// # Errors
    /// [`Error::Setting`] if the agent has no such policy.
    pub fn policy(&self, name: &str, lane: usize, rows: u32, threads: usize) -> Result<Policy> {
        self.check_policy(name)?;
        Policy::new(&self.config.agent, self.dims(), name, self.weights(lane), rows, threads)
    }

    /// Checks that the agent has a policy `name`.
    ///
    /// # Errors
    /// [`Error::Setting`] if it has none.
    pub fn check_policy(&self, name: &str) -> Result<()> {
        let known = self.config.agent.policies();
        if known.contains(&name) {
            return Ok(());
        }
        let remedy = "name one of its policies";
        Err(Error::setting("--policy", format!("one of {}", known.join(", ")), name, remedy))
    }

    /// The critics of a lane, for `rows` pairs at once; `None` for an agent without any.
    ///
    /// # Errors
    /// As [`Values::new`].
    pub fn values(&self, lane: usize, rows: u32, threads: usize) -> Result<Option<Values>> {
        Values::new(&self.config.agent, self.dims(), self.weights(lane), rows, threads)
    }
}
