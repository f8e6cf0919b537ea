//! An agent, recorded: its memory, its plans, and where everything is. Needs no device.

use super::config::{Dims, of_lane};
use super::parameters::Parameters;
use super::recorder::{Outcome, Pass, Recorder, Registers, fixed_scalar};
use super::{AgentConfig, Algorithm, with_algorithm};
use crate::data::Layout;
use crate::engine::{Memory, Plan, PlanBuilder, Records};
use crate::error::{Error, Result};

/// Room for metrics in the ring; each agent uses some.
const METRICS: u32 = 24;

/// An agent's plans and the places they work on.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Nets by name.
    pub parameters: Parameters,
    /// Everything an engine must allocate, per lane.
    pub memory: Memory,
    /// One update.
    pub update: Plan,
    /// The losses of a validation batch, where there is a validation set.
    pub validation: Option<Plan>,
    /// Clock and rings.
    pub registers: Registers,
    /// Probes, noise and metrics of the update; constants of both passes.
    pub outcome: Outcome,
    /// Names of the scalars, in the order of their slots.
    pub scalars: Vec<&'static str>,
}

impl Blueprint {
    /// Records `config`'s agent for `records` (and a validation set), which the engine holds in chunks of at most
    /// `chunk_bytes`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range, [`Error::Plan`] if a recording is broken.
    pub fn new(
        config: &AgentConfig,
        layout: Layout,
        (records, validation): (&Records, Option<&Records>),
        chunk_bytes: u64,
    ) -> Result<Self> {
        config.check()?;
        if records.is_empty() {
            return Err(Error::setting("dataset", "at least one transition", "none", "check the file with another tool"));
        }
        with_algorithm!(config, agent => Self::record(agent, layout, (records, validation), chunk_bytes))
    }

    fn record<A: Algorithm>(
        agent: &A,
        layout: Layout,
        (records, validation): (&Records, Option<&Records>),
        chunk_bytes: u64,
    ) -> Result<Self> {
        let (parameters, nets) = Parameters::of(agent, Dims { obs: layout.obs_dim, action: layout.action_dim });
        let mut plan = PlanBuilder::new(parameters.memory.clone());
        let registers = Registers::new(&mut plan, METRICS);
        let batch = (agent.common().batch, chunk_bytes);

        let mut r = Recorder::new(&mut plan, (registers, Pass::Training), (records, layout), batch);
        agent.update(&nets, &mut r);
        let mut outcome = r.outcome;
        let update = plan.finish()?;

        let validation = validation
            .map(|records| {
                let mut r = Recorder::new(&mut plan, (registers, Pass::Validation), (records, layout), batch);
                agent.update(&nets, &mut r);
                outcome.constants.extend(r.outcome.constants);
                plan.keep_only(|op| op.kernel.name == "metric");
                plan.finish()
            })
            .transpose()?;
        let scalars = plan.scalars().to_vec();
        let memory = plan.memory;
        Ok(Self { parameters, memory, update, validation, registers, outcome, scalars })
    }

    /// The table of scalars for `lanes` lanes: lane after lane, in the order of the slots.
    ///
    /// # Errors
    /// [`Error::Setting`] if a list has neither one value nor one for each lane.
    pub fn scalar_table(&self, config: &AgentConfig, lanes: usize) -> Result<Vec<f64>> {
        let named = config.scalars();
        let value = |name: &str, lane: usize| match named.iter().find(|(known, _)| *known == name) {
            Some((name, values)) => of_lane(name, values, lane, lanes),
            None if fixed_scalar(name).is_finite() => Ok(fixed_scalar(name)),
            None => Err(Error::Plan { label: name.to_owned(), problem: "a scalar that the agent does not set".to_owned() }),
        };
        (0..lanes).flat_map(|lane| self.scalars.iter().map(move |name| (name, lane))).map(|(n, lane)| value(n, lane)).collect()
    }
}
