//! Training from the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::console::Console;
use super::signal;
use crate::agents::AgentConfig;
use crate::engine::{Arena, Engine};
use crate::error::{Error, Result};
use crate::train::{Evaluation, RunConfig, Trainer};

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
}

impl EngineFlags {
    /// The engine, and a sentence that says which it is and why.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is no such GPU; [`Error::Setting`] for zero threads.
    pub fn open(&self) -> Result<(Engine, String)> {
        if self.threads == Some(0) {
            return Err(Error::setting("--threads", "at least 1", "0", "leave it out to use every core"));
        }
        let named = self.adapter.as_deref();
        match (self.engine, named) {
            (EngineChoice::Cpu, Some(adapter)) => {
                Err(Error::setting("--adapter", "nothing beside --engine cpu", adapter, "leave one of the two out"))
            }
            (EngineChoice::Cpu, None) => {
                let engine = Engine::cpu(self.threads);
                let described = engine.describe();
                Ok((engine, described))
            }
            (EngineChoice::Gpu, _) | (EngineChoice::Auto, Some(_)) => {
                let engine = Engine::gpu(named)?;
                let described = engine.describe();
                Ok((engine, described))
            }
            (EngineChoice::Auto, None) => Ok(match Engine::auto() {
                (Engine::Cpu { .. }, reason) => {
                    let engine = Engine::cpu(self.threads);
                    let described = format!("{} ({})", engine.describe(), reason.trim_start_matches("CPU: "));
                    (engine, described)
                }
                chosen => chosen,
            }),
        }
    }
}

/// What to train on, for how long, and where to.
#[derive(Clone, Debug, Args)]
pub struct TrainFlags {
    /// Dataset: an OGBench .npz file
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub data: PathBuf,
    /// Task whose rewards to use, from 1 [default: the environment's own]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub task: Option<u32>,
    /// Environment family such as pointmaze-medium [default: from the file's name]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub env: Option<String>,
    /// Updates to train for
    #[arg(long, value_name = "N", default_value_t = 1_000_000, help_heading = "Run")]
    pub steps: u64,
    /// Seed of the first lane
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Run")]
    pub seed: u64,
    /// Number of lanes: runs side by side in one process, with seeds counted up from --seed [default: 1, or one for each
    /// value of a list given to a setting, all with the same seed]
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub seeds: Option<u32>,
    /// Folder for the run: settings, metrics, checkpoint, pictures
    #[arg(long, value_name = "DIR", default_value = "runs/latest", help_heading = "Run")]
    pub out: PathBuf,
    /// Continue the run in this folder, bit for bit, with its own settings (only --steps, --engine, --adapter and
    /// --threads may stand beside it)
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
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Run")]
    pub episodes: usize,
    /// Updates between two checkpoints
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Run")]
    pub save_every: u64,
    /// Where to run.
    #[command(flatten)]
    pub engine: EngineFlags,
}

impl TrainFlags {
    fn config(&self, agent: AgentConfig) -> RunConfig {
        let seeds = match self.seeds {
            Some(count) => (0..u64::from(count)).map(|i| self.seed + i).collect(),
            // A list of values is a sweep: one seed, so that only the values differ.
            None => vec![self.seed; agent.scalars().iter().map(|(_, values)| values.len()).max().unwrap_or(1).max(1)],
        };
        RunConfig {
            data: self.data.clone(),
            task: self.task,
            env: self.env.clone(),
            steps: self.steps,
            seeds,
            log_every: self.log_every,
            eval_every: self.eval_every,
            eval_episodes: self.eval_episodes,
            final_episodes: self.episodes,
            save_every: self.save_every,
            agent,
        }
    }

    /// Trains `agent`, or resumes, and prints the result as the last line. `given` tells whether a flag stood on the
    /// command line.
    ///
    /// # Errors
    /// Whatever [`Trainer`] returns.
    pub fn run(&self, agent: AgentConfig, given: &dyn Fn(&str) -> bool) -> Result<()> {
        signal::listen();
        let (engine, described) = self.engine.open()?;
        println!("engine: {described}");
        let mut trainer = match &self.resume {
            Some(folder) => Trainer::resume(&engine, folder, given("steps").then_some(self.steps))?,
            None => Trainer::create(self.config(agent), &engine, &self.out)?,
        };
        describe(&trainer);
        let mut console = Console::new(trainer.config().steps);
        let result = trainer.run(&mut console);
        console.close();
        if let Err(Error::Interrupted { .. }) = result {
            eprintln!("continue with --resume {}", trainer.folder().path().display());
        }
        print_result(&trainer, &result?);
        Ok(())
    }
}

/// What is about to run: the first lines of every log.
fn describe(trainer: &Trainer) {
    let (config, blueprint) = (trainer.config(), trainer.agent().blueprint());
    let lanes = config.seeds.len();
    let data = config.data.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let task = trainer
        .task()
        .map_or_else(|| "no built-in environment: not evaluated".to_owned(), |t| format!("{} task {}", t.env, t.task));
    println!("data: {data}, {task}");
    let plan = &blueprint.update;
    println!(
        "{}: {} parameters, an update is {} operations in {} dispatches ({} levels), {:.2} GFLOP of products",
        config.agent.name(),
        blueprint.parameters.count(""),
        plan.ops.len(),
        plan.dispatches.len(),
        plan.levels,
        plan.product_flops() as f64 / 1e9
    );
    let mib = |arena: Arena| f64::from(blueprint.memory.used()[arena.index()]) * 4.0 / f64::from(1 << 20);
    println!(
        "memory: {:.1} MiB a lane (weights {:.1}, gradients and moments {:.1}, activations {:.1}), {lanes} lane{}",
        blueprint.memory.bytes() as f64 / f64::from(1 << 20),
        mib(Arena::Weights),
        mib(Arena::Training),
        mib(Arena::Activations),
        if lanes == 1 { "" } else { "s" },
    );
    println!("folder: {}", trainer.folder().path().display());
    if config.agent.scalars().iter().any(|(name, values)| *name == "eta" && values.contains(&0.0)) {
        println!(
            "note: eta 0 switches the weight off (plain behaviour cloning); a hard filter is the opposite limit, a small eta"
        );
    }
}

/// `success NN.N % (actor) NN.N % (flow), N episodes`; with several lanes a line for each, then their mean.
fn print_result(trainer: &Trainer, lanes: &[Vec<Evaluation>]) {
    let Some(first) = lanes.first() else {
        return println!("done: {} updates, no built-in environment to evaluate in", trainer.agent().step());
    };
    let line = |success: &dyn Fn(usize) -> f64| {
        let parts = first.iter().enumerate().map(|(i, e)| format!("{:.1} % ({})", 100.0 * success(i), e.policy));
        parts.collect::<Vec<_>>().join(" ")
    };
    let episodes = first.first().map_or(0, |e| e.episodes.len());
    if lanes.len() > 1 {
        for (lane, evaluations) in lanes.iter().enumerate() {
            println!("lane {lane} (seed {}): {}", trainer.config().seeds[lane], line(&|i| evaluations[i].success()));
        }
    }
    let mean = |i: usize| lanes.iter().map(|e| e[i].success()).sum::<f64>() / lanes.len() as f64;
    let over = if lanes.len() > 1 { format!(" in each of {} lanes", lanes.len()) } else { String::new() };
    println!("success {}, {episodes} episodes{over}", line(&mean));
}
