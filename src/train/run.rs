//! A run: its settings, and the folder it leaves behind.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{Identity, short_hash};
use super::lock::Lock;
use crate::agents::AgentConfig;
use crate::data::{Dataset, LoadOptions};
use crate::engine::Precision;
use crate::error::{Error, Result};
use crate::files;

/// Everything a run is made of. Written to `config.toml`, from which it resumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The dataset's file.
    pub data: PathBuf,
    /// Task whose rewards to use; the environment's default where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
    /// Environment family, where the file's name does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Demonstrations of a RoboMimic file to train on, by the name of their mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Observations of a RoboMimic file, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_keys: Option<Vec<String>>,
    /// Updates to train for.
    pub steps: u64,
    /// One seed a lane.
    pub seeds: Vec<u64>,
    /// Updates between two lines of metrics.
    pub log_every: u64,
    /// Updates between two evaluations; 0: only at the end.
    pub eval_every: u64,
    /// Episodes of an evaluation on the way.
    pub eval_episodes: usize,
    /// Episodes of the evaluation at the end.
    #[serde(alias = "final_episodes")]
    pub episodes: usize,
    /// Updates between two checkpoints.
    pub save_every: u64,
    /// Checkpoints at multiples of this stay for good; 0: only the last two.
    #[serde(default)]
    pub keep_every: u64,
    /// Whether TensorBoard files are written.
    #[serde(default)]
    pub tensorboard: bool,
    /// Of what numbers large matrix products are made.
    #[serde(default)]
    pub precision: Precision,
    /// The preset that the settings began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The algorithm and its settings.
    pub agent: AgentConfig,
}

impl RunConfig {
    /// A run of `agent` on the dataset at `data`: one lane, a million updates, an evaluation every 100,000.
    pub fn new(data: impl Into<PathBuf>, agent: AgentConfig) -> Self {
        Self {
            data: data.into(),
            task: None,
            env: None,
            mask: None,
            obs_keys: None,
            steps: 1_000_000,
            seeds: vec![0],
            log_every: 1000,
            eval_every: 100_000,
            eval_episodes: 50,
            episodes: 200,
            save_every: 10_000,
            keep_every: 0,
            tensorboard: false,
            precision: Precision::F32,
            preset: None,
            agent,
        }
    }

    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("steps", self.steps), ("log_every", self.log_every), ("save_every", self.save_every)] {
            if value == 0 {
                return Err(Error::setting(name, "at least 1", "0", "raise it"));
            }
        }
        if self.steps >= u64::from(u32::MAX) {
            return Err(Error::setting("steps", "below 4294967295", self.steps.to_string(), "lower it"));
        }
        if self.seeds.is_empty() {
            return Err(Error::setting("seeds", "at least one", "none", "give one seed for each lane"));
        }
        if self.episodes == 0 || (self.eval_every > 0 && self.eval_episodes == 0) {
            return Err(Error::setting("episodes", "at least 1", "0", "raise it, or set eval_every to 0"));
        }
        self.agent.check()?;
        for (name, values) in self.agent.scalars() {
            crate::agents::config::of_lane(name, values, 0, self.seeds.len())?;
        }
        Ok(())
    }

    /// What of the dataset to load.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            task: self.task,
            env: self.env.clone(),
            mask: self.mask.clone(),
            obs_keys: self.obs_keys.clone(),
            ..Default::default()
        }
    }

    /// What the run's checkpoints belong to: only what decides the numbers counts, so that a run may be continued for
    /// longer or logged more often.
    pub fn identity(&self, dataset: &Dataset) -> Identity {
        let decisive = serde_json::json!({ "agent": self.agent, "seeds": self.seeds });
        Identity { config: short_hash(&decisive.to_string()), dataset: dataset.hash.clone() }
    }
}

/// File that makes a folder a run's.
const CONFIG: &str = "config.toml";

/// A checkpoint file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checkpoint {
    /// Updates finished when it was written.
    pub step: u64,
    /// The file.
    pub path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint at `path`, if that is the name of one.
    pub fn at(path: PathBuf) -> Option<Self> {
        let step = path.file_name()?.to_str()?.strip_suffix(".safetensors")?.parse().ok()?;
        Some(Self { step, path })
    }
}

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A new folder for a new run, held by this process.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Locked`] if another process begins one there; [`Error::Setting`] if there is a run in it already: it is never overwritten.
    pub fn create(path: &Path, config: &RunConfig) -> Result<(Self, Lock)> {
        let folder = Self { path: path.to_path_buf() };
        if folder.config_file().exists() {
            return Err(Error::setting(
                "--out",
                "a folder without a run",
                format!("{} with one", path.display()),
                format!("choose another folder, or continue that run with --resume {}", path.display()),
            ));
        }
        let checkpoints = folder.checkpoint_folder();
        std::fs::create_dir_all(&checkpoints).map_err(Error::io(&checkpoints, "create"))?;
        let lock = folder.lock()?;
        folder.write_config(config)?;
        Ok((folder, lock))
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process holds it; [`Error::Io`].
    pub fn lock(&self) -> Result<Lock> {
        Lock::take(&self.path)
    }

    /// The folder of a run that is there.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no run, [`Error::Content`] if its settings are damaged.
    pub fn open(path: &Path) -> Result<(Self, RunConfig)> {
        let folder = Self { path: path.to_path_buf() };
        let file = folder.config_file();
        let text = std::fs::read_to_string(&file).map_err(Error::io(&file, "read"))?;
        let config = toml::from_str(&text)
            .map_err(|e| Error::content(&file, "config", "the settings of a run", e.message(), "correct the file"))?;
        Ok((folder, config))
    }

    /// Replaces `config.toml`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_config(&self, config: &RunConfig) -> Result<()> {
        let file = self.config_file();
        let text = toml::to_string(config)
            .map_err(|e| Error::content(&file, "config", "settings that TOML can hold", e.to_string(), "report this"))?;
        files::replace(&file, text.as_bytes())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Whether there is a run in `folder`.
    pub fn is_run(folder: &Path) -> bool {
        folder.join(CONFIG).is_file()
    }

    /// `checkpoints/000010000.safetensors`: the checkpoint of update `step`.
    pub fn checkpoint_file(&self, step: u64) -> PathBuf {
        self.checkpoint_folder().join(format!("{step:09}.safetensors"))
    }

    /// The checkpoint of update `step`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none; [`Error::Io`].
    pub fn checkpoint(&self, step: u64) -> Result<Checkpoint> {
        let found = self.checkpoints()?.into_iter().find(|checkpoint| checkpoint.step == step);
        found.ok_or_else(|| self.no_checkpoint("--step", step))
    }

    /// That no checkpoint is what `flag` asked for; it names those there are.
    pub fn no_checkpoint(&self, flag: &str, asked: u64) -> Error {
        // The folder was read to find out.
        let there = self.checkpoints().unwrap_or_default();
        let steps: Vec<String> = there.iter().map(|checkpoint| checkpoint.step.to_string()).collect();
        let remedy = "name one of these; --keep-every keeps more of them during training";
        Error::setting(flag, format!("one of {}", steps.join(", ")), asked.to_string(), remedy)
    }

    fn checkpoint_folder(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Every checkpoint, oldest first. Found by looking, since a pointer to the last one could lie.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder is there and cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let folder = self.checkpoint_folder();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder, "read"))? {
            found.extend(Checkpoint::at(entry.map_err(Error::io(&folder, "read"))?.path()));
        }
        found.sort();
        Ok(found)
    }

    /// `status.json`.
    pub fn status_file(&self) -> PathBuf {
        self.path.join("status.json")
    }

    /// `metrics.jsonl`.
    pub fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }
}
