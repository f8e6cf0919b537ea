//! Which environment a run is evaluated in: its dataset's, or one that is named.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::evaluate::Task;
use super::run::RunConfig;
use crate::data::ogbench;
use crate::envs::{Environments, ProcessEnvs, ProcessOptions, SuccessTiming, python};
use crate::error::{Error, Result};

/// Environments side by side where `OpenOptions` does not say: enough to keep a batched policy busy, few enough that little
/// is wasted when the last episodes of a quota run alone. A real one takes up to a second to make.
const PARALLEL: (usize, usize) = (50, 10);

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSpec {
    /// One of the point mazes that need no Python.
    BuiltIn(Task),
    /// One that Python serves, by its id.
    Python(String),
}

/// How environments are opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Python with the environments; [`python::find`] finds one where `None`.
    pub python: Option<PathBuf>,
    /// Environments side by side; 50 built-in ones, 10 others where `None`.
    pub parallel: Option<usize>,
    /// Processes that serve them; one for each core where `None`.
    pub processes: Option<usize>,
    /// OGBench's rule for success; the environment's default where `None`.
    pub success_timing: Option<SuccessTiming>,
}

/// What a score was measured in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The environment's id.
    pub env: String,
    /// OGBench's rule for success, `pre` or `post`; `None` elsewhere.
    pub success_timing: Option<String>,
    /// Versions of wgflow and, unless the environment is built in, of Python and its packages.
    pub versions: BTreeMap<String, String>,
}

/// Open environments, and what they are.
pub struct Opened {
    /// The environments.
    pub envs: Box<dyn Environments>,
    /// What they are.
    pub setting: Setting,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("count", &self.envs.count()).field("setting", &self.setting).finish()
    }
}

impl EnvSpec {
    /// The environment that a run's dataset was recorded in: built in for the point mazes, else OGBench's single task or
    /// the environment that a Minari dataset names.
    ///
    /// # Errors
    /// [`Error::Setting`] if the dataset's name does not tell, or for a task that does not exist.
    pub fn of_run(config: &RunConfig) -> Result<Self> {
        let name = config.data.file_name().unwrap_or_default().to_string_lossy();
        // D4RL's antmaze-medium-play-v2.hdf5 begins like one of OGBench's families, which come as .npz.
        let of_name = || if name.ends_with(".npz") { ogbench::env_of(&name) } else { None };
        let named = config.env.as_deref().filter(|env| ogbench::envs().any(|known| known == *env));
        if let Some(env) = named.or_else(of_name) {
            let task = ogbench::task(env, config.task)?;
            let built_in = Task::built_in(Some(&task.env), Some(task.id)).map(Self::BuiltIn);
            return Ok(built_in.unwrap_or_else(|| Self::Python(single_task(&task.env, task.id))));
        }
        if let Some(dataset) = minari_dataset(&config.data) {
            return Ok(Self::Python(format!("minari:{dataset}")));
        }
        let remedy = "name one, such as cube-single-singletask-task2-v0, d4rl:hopper-medium-v2 or robosuite:Lift";
        let found = format!("{}, which does not tell it", config.data.display());
        Err(Error::setting("--env", "the environment of the run's dataset", found, remedy))
    }

    /// The environment's id; a built-in one has OGBench's.
    pub fn id(&self) -> String {
        match self {
            Self::BuiltIn(task) => single_task(&task.env, task.task),
            Self::Python(id) => id.clone(),
        }
    }

    /// Whether it is one of OGBench's, whose score is the rate of success.
    pub fn is_ogbench(&self) -> bool {
        self.id().contains("singletask")
    }

    /// Makes environments for evaluations of `episodes` episodes.
    ///
    /// # Errors
    /// As [`ProcessEnvs::start`] and [`python::find`].
    pub fn open(&self, options: &OpenOptions, episodes: usize) -> Result<Opened> {
        let count = |usual: usize| options.parallel.unwrap_or_else(|| usual.min(episodes.max(1)));
        let wgflow = ("wgflow".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        match self {
            Self::BuiltIn(task) => {
                let timing = options.success_timing.unwrap_or_default();
                let told = if timing == SuccessTiming::Pre { "pre" } else { "post" };
                let setting =
                    Setting { env: self.id(), success_timing: Some(told.to_owned()), versions: BTreeMap::from([wgflow]) };
                Ok(Opened { envs: Box::new(task.environments(count(PARALLEL.0), timing)?), setting })
            }
            Self::Python(id) => {
                let defaults = ProcessOptions::new(id, python::find(options.python.as_deref(), id)?);
                let processes = options.processes.unwrap_or(defaults.processes);
                let count = count(PARALLEL.1);
                let envs =
                    ProcessEnvs::start(&ProcessOptions { count, processes, success_timing: options.success_timing, ..defaults })?;
                let hello = envs.hello();
                let versions = hello.versions.clone().into_iter().chain([wgflow]).collect();
                let setting = Setting { env: hello.env.clone(), success_timing: hello.success_timing.clone(), versions };
                Ok(Opened { envs: Box::new(envs), setting })
            }
        }
    }
}

fn single_task(env: &str, task: u32) -> String {
    format!("{env}-singletask-task{task}-v0")
}

/// The name in the `metadata.json` that Minari keeps beside its data.
fn minari_dataset(data: &Path) -> Option<String> {
    let metadata = std::fs::read_to_string(data.with_file_name("metadata.json")).ok()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).ok()?;
    Some(metadata.get("dataset_id")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{AgentConfig, GfpConfig};

    fn of(data: &Path, env: Option<&str>, task: Option<u32>) -> Result<EnvSpec> {
        let config = serde_json::json!({
            "data": data, "task": task, "env": env, "steps": 1, "seeds": [0], "log_every": 1, "eval_every": 0,
            "eval_episodes": 1, "episodes": 1, "save_every": 1, "agent": AgentConfig::Gfp(GfpConfig::default()),
        });
        EnvSpec::of_run(&serde_json::from_value(config).unwrap())
    }

    #[test]
    fn a_run_names_its_environment() {
        let id = |data: &str, env, task| of(Path::new(data), env, task).map(|spec| spec.id());
        assert_eq!(id("d/cube-single-play-v0.slim.npz", None, Some(3)).unwrap(), "cube-single-singletask-task3-v0");
        assert_eq!(id("d/scene-play-v0.npz", None, None).unwrap(), "scene-singletask-task2-v0", "the default task");
        assert_eq!(id("d/mine.npz", Some("puzzle-3x3"), Some(1)).unwrap(), "puzzle-3x3-singletask-task1-v0");
        let maze = of(Path::new("pointmaze-medium-navigate-v0.npz"), None, Some(3)).unwrap();
        assert!(matches!(maze, EnvSpec::BuiltIn(_)) && maze.is_ogbench());
        assert_eq!(maze.id(), "pointmaze-medium-singletask-task3-v0");
        for unknown in ["d/antmaze-medium-play-v2.hdf5", "d/mine.npz"] {
            let error = id(unknown, None, None).unwrap_err().to_string();
            assert!(error.contains("--env") && error.contains(unknown), "{error}");
        }
        assert!(id("cube-single-play-v0.npz", None, Some(9)).is_err());
    }

    #[test]
    fn a_minari_dataset_names_itself() {
        let folder = std::env::temp_dir().join(format!("wgflow-minari-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("metadata.json"), r#"{"dataset_id": "D4RL/pen/human-v2"}"#).unwrap();
        let spec = of(&folder.join("main_data.hdf5"), None, None).unwrap();
        assert_eq!((spec.id().as_str(), spec.is_ogbench()), ("minari:D4RL/pen/human-v2", false));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
