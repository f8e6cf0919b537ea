//! `status.json`: what a run is doing, for people, schedulers and reports. Training itself never reads it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It trains; or it was killed, if nobody holds the folder's lock.
    Running,
    /// It did all its updates.
    Finished,
    /// It was asked to stop, and saved.
    Interrupted,
    /// A loss became NaN or infinite.
    Diverged,
    /// It ended with another error.
    Failed,
}

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What became of it.
    pub state: State,
    /// Updates finished.
    pub step: u64,
    /// Updates to do.
    pub steps: u64,
    /// The error that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Version of wgflow.
    pub wgflow: String,
    /// Engine, adapter and driver.
    pub engine: String,
    /// Hash of the dataset's content.
    pub dataset_hash: String,
    /// Hash of the settings that decide the numbers.
    pub config_hash: String,
}

impl Status {
    /// Replaces the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::io(path, "encode")(e.into()))?;
        files::replace(path, (text + "\n").as_bytes())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`] if it is not there; [`Error::Content`] if it is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        serde_json::from_str(&text)
            .map_err(|e| Error::content(path, "status", "what wgflow writes there", e.to_string(), "delete the file"))
    }
}
