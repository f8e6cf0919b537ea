//! Training from the command line.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use super::console::Console;
use super::evaluator::{Evaluator, EvaluatorFlags};
use super::{signal, summary};
use crate::agents::AgentConfig;
use crate::engine::{Engine, Precision};
use crate::error::{Error, Result};
use crate::fetch;
use crate::train::sweep::{self, Seeds};
use crate::train::{RunConfig, RunFolder, Trainer};

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// A real GPU if there is one, else the CPU
    Auto,
    /// The CPU engine
    Cpu,
    /// The best real GPU, or the adapter that --adapter names, which may be a software one
    Gpu,
}

/// Where to run.
#[derive(Clone, Debug, Args)]
pub struct EngineFlags {
    /// Engine to run on
    #[arg(long, value_enum, default_value = "auto", help_heading = "Engine")]
    pub engine: EngineChoice,
    /// GPU adapter: its number in `wgflow devices`, a part of its name, or its PCI id
    #[arg(long, value_name = "WHICH", help_heading = "Engine")]
    pub adapter: Option<String>,
    /// Threads of the CPU engine [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Engine")]
    pub threads: Option<usize>,
    /// How the CPU engine makes large matrix products; on a GPU they are plain
    #[arg(long, value_enum, default_value = "f32", help_heading = "Engine")]
    pub precision: Precision,
}

impl EngineFlags {
    /// The engine, and a sentence that says which it is and why.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is no such GPU; [`Error::Setting`] for zero threads and for a precision that is not there.
    pub fn open(&self) -> Result<(Engine, String)> {
        self.open_at(self.precision)
    }

    /// The same at a precision other than the flags'.
    ///
    /// # Errors
    /// As [`EngineFlags::open`].
    pub fn open_at(&self, precision: Precision) -> Result<(Engine, String)> {
        if self.threads == Some(0) {
            return Err(Error::setting("--threads", "at least 1", "0", "leave it out to use every core"));
        }
        let named = self.adapter.as_deref();
        match (self.engine, named) {
            (EngineChoice::Cpu, Some(adapter)) => {
                Err(Error::setting("--adapter", "nothing beside --engine cpu", adapter, "leave one of the two out"))
            }
            (EngineChoice::Cpu, None) => {
                let engine = Engine::cpu(self.threads).at(precision)?;
                let described = engine.describe();
                Ok((engine, described))
            }
            (EngineChoice::Gpu, _) | (EngineChoice::Auto, Some(_)) => {
                let engine = Engine::gpu(named)?.at(precision)?;
                let described = engine.describe();
                Ok((engine, described))
            }
            (EngineChoice::Auto, None) => Ok(match Engine::auto() {
                (Engine::Cpu { .. }, reason) => {
                    let engine = Engine::cpu(self.threads).at(precision)?;
                    let described = format!("{} ({})", engine.describe(), reason.trim_start_matches("CPU: "));
                    (engine, described)
                }
                (gpu, reason) => (gpu.at(precision)?, reason),
            }),
        }
    }
}

/// Which lanes.
#[derive(Clone, Debug, Args)]
pub struct LaneFlags {
    /// Seed of the first lane
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Run")]
    pub seed: u64,
    /// Lanes, runs side by side in one process: their number, with seeds counted up from --seed and one set of lanes for
    /// each combination of listed values (--alpha 3,1 --eta .1,.01 --seeds 2 is 8 lanes); or a list of seeds, and then
    /// lane k takes the k-th of each list
    #[arg(long, value_name = "N|A,B..", default_value = "1", help_heading = "Run")]
    pub seeds: String,
}

impl LaneFlags {
    /// The seeds of the lanes.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is neither a number nor a list.
    pub fn seeds(&self) -> Result<Seeds> {
        let wrong = || Error::setting("--seeds", "a number of lanes, or seeds with commas between", &self.seeds, "correct it");
        if let Ok(count) = self.seeds.parse() {
            return Ok(Seeds::Counted { first: self.seed, count });
        }
        let listed = self.seeds.split(',').map(|seed| seed.trim().parse().map_err(|_| wrong()));
        Ok(Seeds::Listed(listed.collect::<Result<_>>()?))
    }
}

/// What to train on, for how long, and where to.
#[derive(Clone, Debug, Args)]
pub struct TrainFlags {
    /// Dataset: a file of OGBench (.npz), D4RL, Minari or RoboMimic (.hdf5), the folder of a Minari dataset, or a name that `wgflow download` knows
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub data: Option<PathBuf>,
    /// Task whose rewards to use, from 1 [default: the environment's own]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub task: Option<u32>,
    /// Environment family such as pointmaze-medium [default: from the file's name]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub env: Option<String>,
    /// Demonstrations of a RoboMimic file to train on, such as `train`; `valid` is then the validation set
    #[arg(long, value_name = "MASK", help_heading = "Run")]
    pub mask: Option<String>,
    /// Observations of a RoboMimic file, in this order [default: every one that is no image]
    #[arg(long, value_name = "KEYS", value_delimiter = ',', help_heading = "Run")]
    pub obs_keys: Option<Vec<String>>,
    /// Updates to train for
    #[arg(long, value_name = "N", default_value_t = 1_000_000, help_heading = "Run")]
    pub steps: u64,
    /// Which lanes.
    #[command(flatten)]
    pub lanes: LaneFlags,
    /// Folder for the run: settings, metrics, checkpoints, pictures
    #[arg(long, value_name = "DIR", default_value = "runs/latest", help_heading = "Run")]
    pub out: PathBuf,
    /// Continue the run in this folder, bit for bit, with its own settings (only --steps, --eval-env, --python, --engine,
    /// --adapter, --threads and --profile may stand beside it)
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub resume: Option<PathBuf>,
    /// Updates between two lines of metrics
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Run")]
    pub log_every: u64,
    /// Updates between two evaluations; 0 for one at the end only
    #[arg(long, value_name = "N", default_value_t = 100_000, help_heading = "Run")]
    pub eval_every: u64,
    /// Episodes of an evaluation on the way
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Run")]
    pub eval_episodes: usize,
    /// Episodes of the evaluation at the end
    #[arg(long, value_name = "N", default_value_t = 200, alias = "final-episodes", help_heading = "Run")]
    pub episodes: usize,
    /// Updates between two checkpoints, of which the last two stay
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Run")]
    pub save_every: u64,
    /// Keep the checkpoints at multiples of N updates for good, to be evaluated later; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Run")]
    pub keep_every: u64,
    /// Write TensorBoard event files too
    #[arg(long, help_heading = "Run")]
    pub tensorboard: bool,
    /// Write where the time of three of the run's updates went, a trace for chrome://tracing and Perfetto, as soon as it is warm
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub profile: Option<PathBuf>,
    /// Where to evaluate beside training.
    #[command(flatten)]
    pub evaluator: EvaluatorFlags,
    /// Where to run.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// The dataset that `data`, the value of `flag`, names: a path, or the name of one in a cache of this machine.
///
/// # Errors
/// [`Error::Setting`] for a known name that was not downloaded.
pub fn located(flag: &'static str, data: &Path) -> Result<PathBuf> {
    let name = data.to_string_lossy();
    if data.exists() {
        return Ok(data.to_path_buf());
    }
    // A path that is not there is refused where it is opened, with what the system says.
    let found = fetch::locate(&name, &fetch::Options::from_env()?)?;
    if found.is_none() && fetch::names().any(|known| known == name) {
        let remedy = format!("fetch it with wgflow download {name}");
        return Err(Error::setting(flag, "a file, or a dataset that was downloaded", name, remedy));
    }
    Ok(found.unwrap_or_else(|| data.to_path_buf()))
}

/// Flags that may stand beside --resume: none of them changes the numbers.
const BESIDE_RESUME: [&str; 8] = ["resume", "steps", "engine", "adapter", "threads", "eval_env", "python", "profile"];

impl TrainFlags {
    fn config(&self, agent: &AgentConfig, preset: Option<&str>) -> Result<RunConfig> {
        let (agent, seeds) = sweep::lanes(agent, &self.lanes.seeds()?)?;
        let none = || Error::setting("--data", "a dataset", "none", "name a file, or continue a run with --resume");
        let data = located("--data", self.data.as_deref().ok_or_else(none)?)?;
        Ok(RunConfig {
            // Absolute, so that the run can be resumed from anywhere.
            data: std::path::absolute(&data).map_err(Error::io(&data, "find"))?,
            task: self.task,
            env: self.env.clone(),
            mask: self.mask.clone(),
            obs_keys: self.obs_keys.clone(),
            steps: self.steps,
            seeds,
            log_every: self.log_every,
            eval_every: self.eval_every,
            eval_episodes: self.eval_episodes,
            episodes: self.episodes,
            save_every: self.save_every,
            keep_every: self.kept()?,
            tensorboard: self.tensorboard,
            precision: self.engine.precision,
            preset: preset.map(str::to_owned),
            agent,
        })
    }

    /// Checkpoints that will be evaluated have to be written, and to stay until then.
    fn kept(&self) -> Result<u64> {
        if self.evaluator.eval_env.is_none() || self.eval_every == 0 {
            return Ok(self.keep_every);
        }
        for (flag, other) in [("--save-every", self.save_every), ("--keep-every", self.keep_every)] {
            if other > 0 && !self.eval_every.is_multiple_of(other) {
                let expected = format!("a divisor of --eval-every {}, since checkpoints are evaluated", self.eval_every);
                return Err(Error::setting(flag, expected, other.to_string(), "change one of the two"));
            }
        }
        Ok(if self.keep_every == 0 { self.eval_every } else { self.keep_every })
    }

    /// Trains `agent`, whose settings began with `preset`, or resumes; prints the result as the last line. `matches` tell which
    /// flags were given.
    ///
    /// # Errors
    /// Whatever [`Trainer`] returns.
    pub fn run(&self, agent: &AgentConfig, preset: Option<&str>, matches: &ArgMatches) -> Result<()> {
        signal::listen();
        let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let precision = match &self.resume {
            Some(folder) => {
                refuse_beside_resume(matches)?;
                RunFolder::open(folder)?.1.precision
            }
            None => self.engine.precision,
        };
        let (engine, described) = self.engine.open_at(precision)?;
        println!("engine: {described}");
        let environment = self.evaluator.open(self.eval_episodes.max(1))?;
        let mut trainer = match &self.resume {
            Some(folder) => Trainer::resume(&engine, folder, given("steps").then_some(self.steps))?,
            None => Trainer::create(self.config(agent, preset)?, &engine, &self.out)?,
        };
        if let Some(file) = &self.profile {
            trainer.profile_to(file.clone());
        }
        summary::describe(&trainer, self.evaluator.eval_env.as_deref());
        let start = |environment| Evaluator::start(environment, trainer.config(), trainer.folder());
        let evaluator = environment.map(start).transpose()?;
        let mut console = Console::new(trainer.config().steps, evaluator);
        let result = trainer.run(&mut console);
        console.close();
        if result.is_ok() {
            console.finish();
        }
        if let Err(Error::Interrupted { .. }) = result {
            eprintln!("continue with --resume {}", trainer.folder().path().display());
        }
        summary::print_result(&trainer, &result?);
        Ok(())
    }
}

fn refuse_beside_resume(matches: &ArgMatches) -> Result<()> {
    // Groups are listed too; they bear the names of their structs.
    let flags = matches.ids().map(clap::Id::as_str).filter(|id| !id.starts_with(char::is_uppercase));
    let mut given = flags.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    match given.find(|id| !BESIDE_RESUME.contains(id)) {
        None => Ok(()),
        Some(other) => Err(Error::setting(
            format!("--{}", other.replace('_', "-")),
            "nothing of the kind beside --resume: a resumed run keeps its settings",
            "a value",
            "leave it out, or start another run",
        )),
    }
}
