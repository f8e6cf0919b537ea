//! The training loop: updates in bursts, metrics, evaluations, checkpoints, pictures.

use std::path::Path;
use std::time::{Duration, Instant};

use super::checkpoint::{self, Identity};
use super::evaluate::{Evaluation, Task, evaluate};
use super::metrics::{Line, Metrics};
use super::pictures;
use super::run::{RunConfig, RunFolder};
use crate::agents::Agent;
use crate::agents::recorder::RING_PERIOD;
use crate::data::{self, Dataset};
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Trajectories kept of the last evaluation, for the picture.
const KEPT_PATHS: usize = 12;

/// What happens on the way; every method may do nothing.
pub trait Observer {
    /// Called after every burst of updates.
    fn progress(&mut self, _progress: &Progress<'_>) {}
    /// Called after every evaluation of a lane.
    fn evaluated(&mut self, _step: u64, _lane: usize, _evaluations: &[Evaluation]) {}
    /// Called after every file that was written.
    fn saved(&mut self, _file: &Path) {}
    /// Asked after every burst: whether to save and stop.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Debug)]
pub struct Quiet;

impl Observer for Quiet {}

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Updates done, in earlier sittings too.
    pub step: u64,
    /// Updates to do.
    pub steps: u64,
    /// Updates done in this sitting.
    pub done: u64,
    /// Time that training took in this sitting, evaluation left out.
    pub training: Duration,
    /// Names and last values of lane 0's metrics.
    pub metrics: &'a [(&'static str, f64)],
}

/// A run in memory.
#[derive(Debug)]
pub struct Trainer {
    config: RunConfig,
    folder: RunFolder,
    agent: Agent,
    metrics: Metrics,
    identity: Identity,
    task: Option<Task>,
    training: Duration,
    started_at: u64,
}

impl Trainer {
    /// A new run in folder `out`.
    ///
    /// # Errors
    /// Bad settings, bad data, an unwritable folder; on a GPU also limits and memory.
    pub fn create(config: RunConfig, engine: &Engine, out: &Path) -> Result<Self> {
        config.check()?;
        let (dataset, validation) = load(&config)?;
        let agent = Agent::new(engine, &config.agent, (&dataset, validation.as_ref()), &config.seeds)?;
        // The folder comes last: settings and data that are refused leave nothing behind.
        let folder = RunFolder::create(out, &config)?;
        Self::assemble(config, folder, agent, &dataset, 0)
    }

    /// The run in folder `out`, as its last checkpoint left it; for `steps` updates in all, where given.
    ///
    /// # Errors
    /// A folder without a run, a damaged checkpoint, other data than the run began with.
    pub fn resume(engine: &Engine, out: &Path, steps: Option<u64>) -> Result<Self> {
        let (folder, mut config) = RunFolder::open(out)?;
        if let Some(steps) = steps {
            config.steps = steps;
            folder.write_config(&config)?;
        }
        config.check()?;
        let (dataset, validation) = load(&config)?;
        let mut agent = Agent::new(engine, &config.agent, (&dataset, validation.as_ref()), &config.seeds)?;
        if let Some(last) = folder.checkpoints()?.last() {
            checkpoint::load(&last.path, &mut agent, &config.identity(&dataset))?;
        }
        let step = agent.step();
        Self::assemble(config, folder, agent, &dataset, step)
    }

    fn assemble(config: RunConfig, folder: RunFolder, agent: Agent, dataset: &Dataset, step: u64) -> Result<Self> {
        let metrics = Metrics::open(&folder.metrics_file(), step)?;
        let identity = config.identity(dataset);
        let task = Task::built_in(dataset.env.as_deref(), dataset.task);
        Ok(Self { config, folder, agent, metrics, identity, task, training: Duration::ZERO, started_at: step })
    }

    /// The settings.
    pub const fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The agent.
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The agent, for a caller that wants to change it between two calls of [`Trainer::run`].
    pub const fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Trains for `steps` updates in all from now on.
    pub const fn set_steps(&mut self, steps: u64) {
        self.config.steps = steps;
    }

    /// The folder.
    pub const fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The task that is evaluated, where there is a built-in environment for it.
    pub const fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Trains to the end, evaluates, saves, draws. Returns the last evaluations, one list a lane; empty without a
    /// built-in environment.
    ///
    /// # Errors
    /// [`Error::Diverged`] (the last good checkpoint stays), [`Error::Interrupted`] (all is saved), [`Error::Io`]; on a
    /// GPU also a lost device.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Vec<Vec<Evaluation>>> {
        while self.agent.step() < self.config.steps {
            self.burst()?;
            let step = self.agent.step();
            self.report(observer);
            let last = step == self.config.steps;
            // No step is a multiple of 0.
            if step.is_multiple_of(self.config.eval_every) && !last {
                self.evaluate(self.config.eval_episodes, 0, observer)?;
            }
            let stop = !last && observer.stop();
            if step.is_multiple_of(self.config.save_every) || last || stop {
                self.save(observer)?;
            }
            if stop {
                return Err(Error::Interrupted { step });
            }
        }
        let evaluations = self.evaluate(self.config.final_episodes, KEPT_PATHS, observer)?;
        for file in pictures::draw(&self.folder, &self.metrics, &mut self.agent, self.task.as_ref(), &evaluations)? {
            observer.saved(&file);
        }
        Ok(evaluations)
    }

    /// Updates up to the next point at which something is due, at most as many as the ring of metrics holds.
    fn burst(&mut self) -> Result<()> {
        let step = self.agent.step();
        let due = |every: u64| if every == 0 { u64::MAX } else { every - step % every };
        let updates = [u64::from(RING_PERIOD), self.config.steps - step]
            .into_iter()
            .chain([self.config.log_every, self.config.eval_every, self.config.save_every].map(due))
            .min()
            .unwrap_or(1);
        let start = Instant::now();
        self.agent.update(updates as u32)?;
        self.training += start.elapsed();
        self.log()
    }

    /// Checks the metrics of the burst, and writes a line where one is due.
    fn log(&mut self) -> Result<()> {
        let names = self.agent.metric_names();
        let lanes = self.agent.read_metrics()?;
        for (lane, samples) in lanes.iter().enumerate() {
            if let Some(broken) = samples.iter().find(|sample| sample.broken.is_some()) {
                let loss = names[broken.broken.unwrap_or(0)].to_owned();
                return Err(Error::Diverged { lane, loss, step: broken.step });
            }
        }
        let step = self.agent.step();
        if !step.is_multiple_of(self.config.log_every) && step != self.config.steps {
            return Ok(());
        }
        let validation = self.agent.validate()?;
        for (lane, samples) in lanes.iter().enumerate() {
            let mut values = Vec::new();
            let last = samples.last().map(|sample| ("train", sample));
            let held_out = validation.as_ref().map(|lanes| ("val", &lanes[lane]));
            for (prefix, sample) in last.into_iter().chain(held_out) {
                values.extend(names.iter().zip(&sample.values).map(|(name, v)| (format!("{prefix}/{name}"), *v)));
            }
            self.metrics.append(Line { step, lane, values })?;
        }
        Ok(())
    }

    fn report(&self, observer: &mut dyn Observer) {
        let names = self.agent.metric_names();
        let last = self.metrics.lines().iter().rev().find(|line| line.lane == 0 && line.get("train/total_loss").is_some());
        let metrics: Vec<(&'static str, f64)> = last.map_or_else(Vec::new, |line| {
            names.iter().filter_map(|name| line.get(&format!("train/{name}")).map(|v| (*name, v))).collect()
        });
        observer.progress(&Progress {
            step: self.agent.step(),
            steps: self.config.steps,
            done: self.agent.step() - self.started_at,
            training: self.training,
            metrics: &metrics,
        });
    }

    fn evaluate(&mut self, episodes: usize, keep_paths: usize, observer: &mut dyn Observer) -> Result<Vec<Vec<Evaluation>>> {
        let Some(task) = self.task.clone() else { return Ok(Vec::new()) };
        let step = self.agent.step();
        let mut lanes = Vec::new();
        for lane in 0..self.config.seeds.len() {
            let evaluations = evaluate(&mut self.agent, lane, &task, episodes, keep_paths)?;
            let values = evaluations.iter().flat_map(|e| {
                let name = |what: &str| format!("eval/{}/{what}", e.policy);
                [(name("success"), e.success()), (name("return"), e.total_reward()), (name("length"), e.length())]
            });
            self.metrics.append(Line { step, lane, values: values.collect() })?;
            observer.evaluated(step, lane, &evaluations);
            lanes.push(evaluations);
        }
        Ok(lanes)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let file = self.folder.checkpoint_file(self.agent.step());
        checkpoint::save(&file, &mut self.agent, &self.identity)?;
        observer.saved(&file);
        Ok(())
    }
}

fn load(config: &RunConfig) -> Result<(Dataset, Option<Dataset>)> {
    let options = config.load_options();
    Ok((data::load(&config.data, &options)?, data::load_validation(&config.data, &options)?))
}
