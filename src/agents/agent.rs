//! An agent at work on an engine.

use super::AgentConfig;
use super::blueprint::Blueprint;
use super::config::{Dims, of_lane};
use super::policy::Policy;
use super::recorder::RING_PERIOD;
use crate::data::{Dataset, Layout, replay};
use crate::engine::{Arena, Engine, Machine, Plan, PlanId, Profile, Records};
use crate::error::{Error, Result};
use crate::kernels::random::key;

/// A lane's metrics of one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The update they belong to, counted from 1.
    pub step: u64,
    /// Values in the order of [`Agent::metric_names`].
    pub values: Vec<f64>,
    /// The first metric with a non-finite value among those it was computed from.
    pub broken: Option<usize>,
}

/// An agent: its nets, optimiser state and dataset on an engine, for one or more lanes.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    blueprint: Blueprint,
    machine: Machine,
    update: PlanId,
    validation: Option<PlanId>,
    seeds: Vec<u64>,
    layout: Layout,
    step: u64,
    /// Steps whose metrics were read.
    seen: u64,
}

impl Agent {
    /// An agent with the initial weights of each lane's seed. Every check, buffer and pipeline: here.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range; on a GPU also limits, memory and pipelines.
    pub fn new(
        engine: &Engine,
        config: &AgentConfig,
        (dataset, validation): (&Dataset, Option<&Dataset>),
        seeds: &[u64],
    ) -> Result<Self> {
        let layout = Layout { obs_dim: dataset.obs_dim as u32, action_dim: dataset.action_dim as u32 };
        Self::on_records(engine, config, layout, (replay::records(dataset), validation.map(replay::records)), seeds)
    }

    /// The same for records that are already laid out.
    ///
    /// # Errors
    /// As [`Agent::new`].
    pub fn on_records(
        engine: &Engine,
        config: &AgentConfig,
        layout: Layout,
        (records, validation): (Records, Option<Records>),
        seeds: &[u64],
    ) -> Result<Self> {
        if seeds.is_empty() {
            return Err(Error::setting("seeds", "at least one", "none", "give one seed for each lane"));
        }
        let blueprint = Blueprint::new(config, layout, (&records, validation.as_ref()), engine.max_chunk_bytes())?;
        let table = blueprint.scalar_table(config, seeds.len())?;
        let datasets: Vec<Records> = [records].into_iter().chain(validation).collect();
        let mut machine = engine.machine(&blueprint.memory, seeds.len(), &table, datasets)?;
        let update = machine.load(&blueprint.update, 0)?;
        let validation = blueprint.validation.as_ref().map(|plan| machine.load(plan, 1)).transpose()?;
        let seeds = seeds.to_vec();
        let config = config.clone();
        let mut agent = Self { config, blueprint, machine, update, validation, seeds, layout, step: 0, seen: 0 };
        agent.initialise()?;
        Ok(agent)
    }

    fn initialise(&mut self) -> Result<()> {
        for lane in 0..self.seeds.len() {
            let weights = self.blueprint.parameters.initial(self.seeds[lane]);
            self.machine.write(self.blueprint.parameters.whole(Arena::Weights), lane, &weights)?;
            for (region, values) in &self.blueprint.outcome.constants {
                self.machine.write(*region, lane, values)?;
            }
        }
        self.set_step(0)
    }

    /// Sets the number of finished updates, for resuming.
    ///
    /// # Errors
    /// On a GPU: a lost device.
    pub fn set_step(&mut self, step: u64) -> Result<()> {
        for (lane, &seed) in self.seeds.iter().enumerate() {
            let [low, high] = key(seed);
            self.machine.write_words(self.blueprint.registers.clock, lane, &[step as u32, low, high, 0])?;
        }
        (self.step, self.seen) = (step, step);
        Ok(())
    }

    /// Replays `plan` from now on instead of the recorded update. Tests replace sampling by uploads this way.
    ///
    /// # Errors
    /// As [`Machine::load`].
    pub fn replace_update(&mut self, plan: &Plan) -> Result<()> {
        self.update = self.machine.load(plan, 0)?;
        Ok(())
    }

    /// Replays the plan `updates` times and waits for it.
    ///
    /// # Errors
    /// On a GPU: a lost device, no memory, or a timeout.
    pub fn update(&mut self, updates: u32) -> Result<()> {
        self.submit(updates)?;
        self.machine.wait()
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// As [`Agent::update`].
    pub fn submit(&mut self, updates: u32) -> Result<()> {
        self.machine.submit(self.update, updates)?;
        self.step += u64::from(updates);
        Ok(())
    }

    /// As [`Agent::update`], telling where the time went.
    ///
    /// # Errors
    /// As [`Machine::profile`].
    pub fn profile(&mut self, updates: u32) -> Result<Profile> {
        let profile = self.machine.profile(self.update, updates)?;
        self.step += u64::from(updates);
        Ok(profile)
    }

    /// Number of updates submitted so far.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// The agent's settings.
    pub const fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// Plans, memory, names.
    pub const fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The run's state on its engine.
    pub const fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// The lanes' seeds.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// Dimensions of the task.
    pub const fn dims(&self) -> Dims {
        Dims { obs: self.layout.obs_dim, action: self.layout.action_dim }
    }

    /// Names of the metrics; the total loss comes first.
    pub fn metric_names(&self) -> Vec<&'static str> {
        [&["total_loss"], self.blueprint.outcome.metrics.as_slice()].concat()
    }

    /// The metrics of every update since the last call, oldest first, at most the ring's length; one list a lane.
    ///
    /// # Errors
    /// On a GPU: a lost device or a timeout.
    pub fn read_metrics(&mut self) -> Result<Vec<Vec<Sample>>> {
        let ring = self.blueprint.registers.ring;
        let first = self.seen.max(self.step.saturating_sub(u64::from(RING_PERIOD))) + 1;
        let mut lanes = Vec::new();
        for lane in 0..self.seeds.len() {
            let values = self.machine.read(ring, lane)?;
            let row =
                |step: u64| &values[((step - 1) % u64::from(RING_PERIOD)) as usize * ring.cols as usize..][..ring.cols as usize];
            let samples = (first..=self.step).map(|step| self.sample(step, row(step), lane));
            lanes.push(samples.collect::<Result<_>>()?);
        }
        self.seen = self.step;
        Ok(lanes)
    }

    /// The losses of one validation batch, without an update; `None` without a validation set.
    ///
    /// # Errors
    /// As [`Agent::read_metrics`].
    pub fn validate(&mut self) -> Result<Option<Vec<Sample>>> {
        let Some(plan) = self.validation else { return Ok(None) };
        let ring = self.blueprint.registers.validation_ring;
        self.machine.submit(plan, 1)?;
        let samples = (0..self.seeds.len())
            .map(|lane| {
                let values = self.machine.read(ring, lane)?;
                self.sample(self.step, &values, lane)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(samples))
    }

    /// Decodes a row of the ring: [value, number of non-finite inputs, 0, 0] for each metric.
    fn sample(&self, step: u64, row: &[f64], lane: usize) -> Result<Sample> {
        let names = &self.blueprint.outcome.metrics;
        let slot = |i: usize| (row[4 * i], row[4 * i + 1]);
        let broken = (0..names.len()).find(|&i| slot(i).1 != 0.0 || !slot(i).0.is_finite());
        let metric = |name: &str| names.iter().position(|n| *n == name).map_or(f64::NAN, |i| slot(i).0);
        let scalars = self.config.scalars();
        let lanes = self.seeds.len();
        let scalar = |name: &str| {
            let values = scalars.iter().find(|(known, _)| *known == name).map(|(_, values)| values.as_slice());
            values.and_then(|values| of_lane(name, values, lane, lanes).ok()).unwrap_or(f64::NAN)
        };
        let total = self.config.total(&metric, &scalar);
        let values = [total].into_iter().chain((0..names.len()).map(|i| slot(i).0)).collect();
        Ok(Sample { step, values, broken: broken.map(|i| i + 1) })
    }

    /// A lane's whole weights arena.
    ///
    /// # Errors
    /// On a GPU: a lost device or a timeout.
    pub fn weights(&mut self, lane: usize) -> Result<Vec<f64>> {
        let region = self.blueprint.parameters.whole(Arena::Weights);
        self.machine.read(region, lane)
    }

    /// The policy `name` of a lane as it is now, for `rows` states at once, on at most as many CPU threads as the agent has.
    ///
    /// # Errors
    /// On a GPU: a lost device or a timeout.
    pub fn policy(&mut self, name: &str, lane: usize, rows: u32) -> Result<Policy> {
        let weights = self.weights(lane)?;
        Policy::new(&self.config, self.dims(), name, &weights, rows, self.machine.cpu_threads())
    }
}
