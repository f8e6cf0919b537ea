//! The training loop: updates in bursts, metrics, evaluations, checkpoints, pictures.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checkpoint::{self, Identity};
use super::evaluate::{Evaluation, Task, evaluate};
use super::lock::Lock;
use super::log::Log;
use super::metrics::Line;
use super::observer::{Observer, Progress, Stop};
use super::pictures;
use super::run::{Checkpoint, RunConfig, RunFolder};
use super::status::{State, Status};
use crate::agents::Agent;
use crate::agents::recorder::RING_PERIOD;
use crate::data::{self, Dataset};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files;

/// Trajectories kept of the last evaluation, for the picture.
const KEPT_PATHS: usize = 12;

/// Training time between two looks at signals and metrics: an interrupted run saves and ends well within five seconds.
const BURST: Duration = Duration::from_millis(500);

/// Updates that a profile takes apart.
const PROFILED: u64 = 3;

/// Checkpoints in a row that may fail to be written before training gives up.
const FAILED_SAVES: u32 = 3;

/// A run in memory. It holds its folder until it is dropped.
#[derive(Debug)]
pub struct Trainer {
    config: RunConfig,
    folder: RunFolder,
    agent: Agent,
    log: Log,
    identity: Identity,
    task: Option<Task>,
    engine: String,
    notes: Vec<String>,
    training: Duration,
    started_at: u64,
    burst: u64,
    failed_saves: u32,
    profile: Option<PathBuf>,
    _lock: Lock,
}

impl Trainer {
    /// A new run in folder `out`, at the settings' precision.
    ///
    /// # Errors
    /// Bad settings, a precision that the engine does not have, bad data, a folder that has a run or cannot be written; on a
    /// GPU also limits and memory.
    pub fn create(config: RunConfig, engine: &Engine, out: &Path) -> Result<Self> {
        let (engine, dataset, agent) = prepared(&config, engine)?;
        files::expect_space(out, FAILED_SAVES.into(), checkpoint::bytes(&agent))?;
        // The folder comes last: what is refused leaves nothing behind.
        let (folder, lock) = RunFolder::create(out, &config)?;
        Self::assemble((config, folder, lock), agent, &dataset, &engine, Vec::new())
    }

    /// The run in folder `out`, as its last checkpoint left it; for `steps` updates in all, where given. A checkpoint that
    /// is damaged is passed over for the one before it, which [`Trainer::notes`] then says.
    ///
    /// # Errors
    /// A folder without a run, or in use; only damaged checkpoints; other data than the run began with.
    pub fn resume(engine: &Engine, out: &Path, steps: Option<u64>) -> Result<Self> {
        let (folder, mut config) = RunFolder::open(out)?;
        let lock = folder.lock()?;
        if let Some(steps) = steps {
            config.steps = steps;
        }
        let (engine, dataset, mut agent) = prepared(&config, engine)?;
        let notes = restore(&folder, &mut agent, &config.identity(&dataset))?;
        folder.write_config(&config)?;
        Self::assemble((config, folder, lock), agent, &dataset, &engine, notes)
    }

    fn assemble(
        (config, folder, lock): (RunConfig, RunFolder, Lock),
        agent: Agent,
        dataset: &Dataset,
        engine: &Engine,
        notes: Vec<String>,
    ) -> Result<Self> {
        let step = agent.step();
        let log = Log::open(&folder, columns(&agent), config.seeds.len(), step, config.tensorboard)?;
        let notes = dataset.warnings.iter().cloned().chain(notes).collect();
        let trainer = Self {
            identity: config.identity(dataset),
            task: Task::built_in(dataset.env.as_deref(), dataset.task),
            config,
            folder,
            agent,
            log,
            engine: engine.describe(),
            notes,
            training: Duration::ZERO,
            started_at: step,
            burst: 1,
            failed_saves: 0,
            profile: None,
            _lock: lock,
        };
        trainer.report_state(State::Running, None)?;
        Ok(trainer)
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

    /// Takes a few updates of this sitting apart, as soon as the first burst has warmed it up, and writes where their time went to
    /// `file`, as [`Profile::save`](crate::engine::Profile::save) does. They are the run's own: it ends with the same bits.
    pub fn profile_to(&mut self, file: PathBuf) {
        self.profile = Some(file);
    }

    /// The folder.
    pub const fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// What the user should know before the run: warnings about the data, and checkpoints that were passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The task that is evaluated, where there is a built-in environment for it.
    pub const fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }

    /// Trains to the end, evaluates, saves, draws. Returns the last evaluations, one list a lane; empty without a
    /// built-in environment. `status.json` says what became of it.
    ///
    /// # Errors
    /// [`Error::Diverged`] (the last good checkpoint stays), [`Error::Interrupted`] (all is saved), [`Error::Io`]; on a
    /// GPU also a lost device.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Vec<Vec<Evaluation>>> {
        let result = self.run_to_the_end(observer);
        let state = match &result {
            Ok(_) => State::Finished,
            Err(Error::Interrupted { .. }) => State::Interrupted,
            Err(Error::Diverged { .. }) => State::Diverged,
            Err(_) => State::Failed,
        };
        let reported = self.report_state(state, result.as_ref().err());
        // The run's own error is the one to tell.
        let evaluations = result?;
        reported?;
        Ok(evaluations)
    }

    fn run_to_the_end(&mut self, observer: &mut dyn Observer) -> Result<Vec<Vec<Evaluation>>> {
        while self.agent.step() < self.config.steps {
            self.burst(observer)?;
            let step = self.agent.step();
            self.report(observer);
            let last = step == self.config.steps;
            // No step is a multiple of 0.
            if step.is_multiple_of(self.config.eval_every) && !last {
                self.evaluate(self.config.eval_episodes, 0, observer)?;
            }
            let stop = observer.stop().filter(|_| !last);
            if last || stop.is_some() {
                self.save(observer)?;
            } else if step.is_multiple_of(self.config.save_every) {
                self.save_or_go_on(observer)?;
            }
            if let Some(stop) = stop {
                return Err(Error::Interrupted { step, preempted: stop == Stop::System });
            }
        }
        let evaluations = self.evaluate(self.config.episodes, KEPT_PATHS, observer)?;
        let metrics = self.log.metrics();
        for file in pictures::draw(&self.folder, metrics, &mut self.agent, self.task.as_ref(), &evaluations)? {
            observer.saved(&file);
        }
        Ok(evaluations)
    }

    /// Updates up to the next point at which something is due, at most as many as the ring of metrics holds, and as many
    /// as fit into [`BURST`] at the speed of the last burst.
    fn burst(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let step = self.agent.step();
        let trace = if step > self.started_at { self.profile.take() } else { None };
        let due = |every: u64| if every == 0 { u64::MAX } else { every - step % every };
        let wanted = if trace.is_some() { PROFILED } else { self.burst };
        let updates = [u64::from(RING_PERIOD), self.config.steps - step, wanted]
            .into_iter()
            .chain([self.config.log_every, self.config.eval_every, self.config.save_every].map(due))
            .min()
            .unwrap_or(1);
        let start = Instant::now();
        match trace {
            Some(file) => self.profile(updates as u32, &file, observer)?,
            None => self.agent.update(updates as u32)?,
        }
        let time = start.elapsed();
        self.training += time;
        let fitting = updates as f64 * BURST.as_secs_f64() / time.as_secs_f64().max(1e-6);
        self.burst = (fitting as u64).clamp(1, 2 * updates);
        self.log()
    }

    /// Updates whose trace goes to `file`. That there is none, or that it cannot be written, does not end the run.
    fn profile(&mut self, updates: u32, file: &Path, observer: &mut dyn Observer) -> Result<()> {
        let profile = match self.agent.profile(updates) {
            Err(error @ Error::Adapter { .. }) => {
                observer.warned(&format!("no profile: {error}"));
                return self.agent.update(updates);
            }
            profile => profile?,
        };
        match profile.save(file) {
            Ok(()) => observer.saved(file),
            Err(error) => observer.warned(&format!("no profile: {error}")),
        }
        Ok(())
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
            self.log.append(Line { step, lane, values })?;
        }
        Ok(())
    }

    fn report(&self, observer: &mut dyn Observer) {
        let names = self.agent.metric_names();
        let last = self.log.metrics().lines().iter().rev().find(|line| line.lane == 0 && line.get("train/total_loss").is_some());
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
            self.log.append(Line { step, lane, values: values.collect() })?;
            observer.evaluated(step, lane, &evaluations);
            lanes.push(evaluations);
        }
        Ok(lanes)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let file = self.folder.checkpoint_file(self.agent.step());
        // A line that a checkpoint covers must not be lost by a power cut after it.
        self.log.sync()?;
        checkpoint::save(&file, &mut self.agent, &self.identity)?;
        self.prune()?;
        self.report_state(State::Running, None)?;
        observer.saved(&file);
        Ok(())
    }

    /// Saves; where the disk refuses, training goes on and tries again at the next checkpoint, a few times.
    fn save_or_go_on(&mut self, observer: &mut dyn Observer) -> Result<()> {
        match self.save(observer) {
            Ok(()) => self.failed_saves = 0,
            Err(error @ Error::Io { .. }) => {
                self.failed_saves += 1;
                if self.failed_saves >= FAILED_SAVES {
                    return Err(error);
                }
                observer
                    .warned(&format!("no checkpoint after update {}: {error}; the next one will be tried", self.agent.step()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Deletes checkpoints that are neither among the last two nor to be kept.
    fn prune(&self) -> Result<()> {
        let checkpoints = self.folder.checkpoints()?;
        let old = checkpoints.iter().rev().skip(2);
        let kept = |step: u64| self.config.keep_every > 0 && step.is_multiple_of(self.config.keep_every);
        old.filter(|old| !kept(old.step)).try_for_each(|old| files::remove(&old.path))
    }

    fn report_state(&self, state: State, error: Option<&Error>) -> Result<()> {
        let status = Status {
            state,
            step: self.agent.step(),
            steps: self.config.steps,
            error: error.map(ToString::to_string),
            wgflow: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.engine.clone(),
            dataset_hash: self.identity.dataset.clone(),
            config_hash: self.identity.config.clone(),
        };
        status.write(&self.folder.status_file())
    }
}

/// Loads the newest checkpoint that is whole; says which were not.
fn restore(folder: &RunFolder, agent: &mut Agent, identity: &Identity) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let mut damage = None;
    for Checkpoint { path, .. } in folder.checkpoints()?.into_iter().rev() {
        match checkpoint::Checked::read(&path) {
            Ok(checked) => {
                checked.load(agent, identity)?;
                return Ok(notes);
            }
            Err(error @ Error::Content { .. }) => {
                notes.push(format!("{error}; passed over for an older checkpoint"));
                damage.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    damage.map_or(Ok(notes), Err)
}

/// Every name that a line of metrics may have.
fn columns(agent: &Agent) -> Vec<String> {
    let losses = ["train", "val"].into_iter().flat_map(|set| agent.metric_names().into_iter().map(move |n| format!("{set}/{n}")));
    let scores = agent.config().policies().iter().flat_map(|p| ["success", "return", "length"].map(|s| format!("eval/{p}/{s}")));
    losses.chain(scores).collect()
}

/// What every sitting of a run begins with: the engine at the run's precision, its data, and a fresh agent.
fn prepared(config: &RunConfig, engine: &Engine) -> Result<(Engine, Dataset, Agent)> {
    config.check()?;
    let engine = engine.clone().at(config.precision)?;
    let options = config.load_options();
    let (dataset, validation) = (data::load(&config.data, &options)?, data::load_validation(&config.data, &options)?);
    let agent = Agent::new(&engine, &config.agent, (&dataset, validation.as_ref()), &config.seeds)?;
    Ok((engine, dataset, agent))
}
