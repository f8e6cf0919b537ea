//! Run folders: found in any tree of folders, read without believing that they are whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use super::evaluations::Evaluations;
use super::task::Task;
use crate::error::{Error, Result};
use crate::train::{RunConfig, RunFolder};

/// Folders below a given one that are looked into: deeper than anyone nests runs, and an end to a tree without one.
const DEEPEST: usize = 16;

/// What `status.json` may tell; every part of it is optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `running`, `finished`, `interrupted`, `diverged` or `failed`.
    pub state: Option<String>,
    /// Updates done.
    pub step: Option<u64>,
    /// The version that trained.
    pub wgflow: Option<String>,
    /// Content of the dataset.
    pub dataset_hash: Option<String>,
}

/// A run folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is, as the user would type it.
    pub path: PathBuf,
    /// Its settings.
    pub config: RunConfig,
    /// Its task.
    pub task: Task,
    /// Its state.
    pub status: Status,
    /// Its evaluations.
    pub evaluations: Evaluations,
    /// When its metrics were last written.
    pub modified: Option<SystemTime>,
}

impl Folder {
    /// Reads a run folder.
    ///
    /// # Errors
    /// [`Error::Content`] or [`Error::Io`] if its settings or metrics cannot be read.
    pub fn read(path: &Path, protocol: Option<&str>) -> Result<Self> {
        let (folder, config) = RunFolder::open(path)?;
        let task = Task::of(&config);
        let mut evaluations = Evaluations::read(path, &task, protocol)?;
        let status = match fs::read(path.join("status.json")).map(|bytes| serde_json::from_slice::<Status>(&bytes)) {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                evaluations.notes.push(format!("status.json cannot be read: {error}"));
                Status::default()
            }
            Err(_) => Status::default(),
        };
        evaluations.last_step = evaluations.last_step.max(status.step.unwrap_or(0));
        let modified = fs::metadata(folder.metrics_file()).and_then(|data| data.modified()).ok();
        Ok(Self { path: path.to_path_buf(), config, task, status, evaluations, modified })
    }
}

/// Every folder in `roots` and below that holds a part of a run, each once, in the order of their names. Links are
/// followed where the user names them, and not below, so that no circle of links catches the search.
///
/// # Errors
/// [`Error::Io`] for a root that cannot be listed; [`Error::Setting`] if there is no run at all.
pub fn find(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in roots {
        search(root, DEEPEST, &mut found).map_err(Error::io(root, "list"))?;
    }
    if found.is_empty() {
        let named: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let (expected, remedy) = ("run folders (config.toml and metrics.jsonl)", "name the folder that training wrote to");
        return Err(Error::setting("DIR", expected, format!("none in {}", named.join(", ")), remedy));
    }
    let mut known = BTreeSet::new();
    found.retain(|path| known.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut below = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below.push(entry.path());
        }
    }
    if ["config.toml", "metrics.jsonl"].iter().any(|file| folder.join(file).is_file()) {
        found.push(folder.to_path_buf());
    }
    below.sort();
    for path in below.iter().filter(|_| depth > 0) {
        // A folder that may not be listed might hold runs: reading it will tell why it could not be.
        if search(path, depth - 1, found).is_err() {
            found.push(path.clone());
        }
    }
    Ok(())
}
