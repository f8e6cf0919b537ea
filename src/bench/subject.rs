//! Work on an engine.

use super::{Work, mlp};
use crate::agents::{Agent, Blueprint};
use crate::data::Layout;
use crate::engine::{Arena, Engine, Machine, PlanId, Profile, Records};
use crate::error::{Error, Result};

/// An update that can be replayed.
#[derive(Debug)]
pub struct Subject(Kind);

#[derive(Debug)]
enum Kind {
    Agent(Box<Agent>),
    Plain { blueprint: Box<Blueprint>, machine: Box<Machine>, update: PlanId },
}

impl Subject {
    /// `work` on `engine`, a lane for each of `seeds`.
    ///
    /// # Errors
    /// As [`Agent::on_records`].
    pub fn new(engine: &Engine, work: &Work, layout: Layout, records: Records, seeds: &[u64]) -> Result<Self> {
        let common = match work {
            Work::Agent(config) => {
                let agent = Agent::on_records(engine, config, layout, (records, None), seeds)?;
                return Ok(Self(Kind::Agent(Box::new(agent))));
            }
            Work::Mlp(common) => common,
        };
        if common.learning_rate.len() != 1 {
            let found = format!("{} values", common.learning_rate.len());
            return Err(Error::setting("learning_rate", "one value for the plain net", found, "give one"));
        }
        let blueprint = mlp::blueprint(common, layout)?;
        let table = mlp::scalars(common, &blueprint).repeat(seeds.len());
        let mut machine = engine.machine(&blueprint.memory, seeds.len(), &table, Vec::new())?;
        let update = machine.load(&blueprint.update, 0)?;
        for (lane, seed) in seeds.iter().enumerate() {
            let weights = blueprint.parameters.whole(Arena::Weights);
            machine.write(weights, lane, &blueprint.parameters.initial(*seed))?;
            for (region, values) in &blueprint.outcome.constants {
                machine.write(*region, lane, values)?;
            }
        }
        Ok(Self(Kind::Plain { blueprint: Box::new(blueprint), machine: Box::new(machine), update }))
    }

    /// Makes `updates` updates in every lane, and waits for them.
    ///
    /// # Errors
    /// As [`Agent::update`].
    pub fn update(&mut self, updates: u32) -> Result<()> {
        match &mut self.0 {
            Kind::Agent(agent) => agent.update(updates),
            Kind::Plain { machine, update, .. } => {
                machine.submit(*update, updates)?;
                machine.wait()
            }
        }
    }

    /// The same, telling where the time went.
    ///
    /// # Errors
    /// As [`Machine::profile`].
    pub fn profile(&mut self, updates: u32) -> Result<Profile> {
        match &mut self.0 {
            Kind::Agent(agent) => agent.profile(updates),
            Kind::Plain { machine, update, .. } => machine.profile(*update, updates),
        }
    }

    /// Plans, memory, names.
    pub fn blueprint(&self) -> &Blueprint {
        match &self.0 {
            Kind::Agent(agent) => agent.blueprint(),
            Kind::Plain { blueprint, .. } => blueprint,
        }
    }

    /// Its state on the engine.
    pub fn machine(&mut self) -> &mut Machine {
        match &mut self.0 {
            Kind::Agent(agent) => agent.machine(),
            Kind::Plain { machine, .. } => machine,
        }
    }
}
