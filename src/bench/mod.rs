//! Timing one update, on made-up data: what `wgflow bench` and the benches share.
//!
//! [`Work`]: what is timed. [`Subject`]: it, at work on an engine. [`rounds`]: how it is timed. [`peak`]: what the processor
//! could do at best. [`mlp`]: a plain training step, to compare with other frameworks.

pub mod mlp;
pub mod peak;
pub mod rounds;
mod subject;

use std::sync::Arc;

use clap::{ArgMatches, Args, FromArgMatches};

pub use subject::Subject;

use crate::agents::{self, AgentConfig, Blueprint, Common};
use crate::data::Layout;
use crate::engine::Records;
use crate::error::{Error, Result};

/// cube-single: the size that the official settings were published for.
pub const PUBLISHED: Layout = Layout { obs_dim: 28, action_dim: 5 };

/// Transitions that are made up, unless another number is asked for.
pub const TRANSITIONS: u32 = 10_000;

/// The name of [`Work::Mlp`] on the command line.
const MLP: &str = "mlp";

/// An update to be timed.
#[derive(Clone, Debug)]
pub enum Work {
    /// An agent's.
    Agent(AgentConfig),
    /// A training step of a plain net; see [`mlp`]. Of the settings, batch, hidden widths, layer norm of the actor and
    /// learning rate count.
    Mlp(Common),
}

impl Work {
    /// The flags of the settings that the work called `name` has, and its name: `mlp`, or an agent's.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none.
    pub fn flags(name: &str) -> Result<agents::NamedFlags> {
        if name == MLP {
            return Ok((MLP, Common::augment_args));
        }
        let known = agents::ALL.iter().find(|entry| entry.name == name);
        known.map(|entry| (entry.name, entry.flags)).ok_or_else(|| {
            let names: Vec<&str> = agents::ALL.iter().map(|entry| entry.name).collect();
            Error::setting("--algo", format!("one of {}, {MLP}", names.join(", ")), name, "correct the name")
        })
    }

    /// The work called `name`, its settings from the matches of a command that has its flags.
    ///
    /// # Errors
    /// [`clap::Error`] for values that do not parse.
    pub fn read(name: &str, matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        match agents::ALL.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.read)(matches).map(Self::Agent),
            None => Common::from_arg_matches(matches).map(Self::Mlp),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent(config) => config.name(),
            Self::Mlp(_) => MLP,
        }
    }

    /// Settings that every work has.
    pub fn common(&self) -> &Common {
        match self {
            Self::Agent(config) => config.common(),
            Self::Mlp(common) => common,
        }
    }

    /// The same, to be changed.
    pub fn common_mut(&mut self) -> &mut Common {
        match self {
            Self::Agent(config) => config.common_mut(),
            Self::Mlp(common) => common,
        }
    }

    /// It, recorded for `records` (and a validation set), which an engine holds in chunks of at most `chunk_bytes`. Nothing is
    /// allocated.
    ///
    /// # Errors
    /// As [`Blueprint::new`].
    pub fn blueprint(&self, layout: Layout, records: (&Records, Option<&Records>), chunk_bytes: u64) -> Result<Blueprint> {
        match self {
            Self::Agent(config) => Blueprint::new(config, layout, records, chunk_bytes),
            Self::Mlp(common) => mlp::blueprint(common, layout),
        }
    }
}

/// So many transitions with small values; what they mean does not change how long an update takes.
pub fn records(layout: Layout, transitions: u32) -> Records {
    let record = layout.record();
    let count = u64::from(transitions) * u64::from(record);
    let value = |i: u64| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0;
    let values = (0..count).map(|i| (value(i) - 0.5) * 0.5);
    Records { values: Arc::new(values.collect()), record }
}

/// The most memory that this process ever had resident, in bytes, where the system says so (`VmHWM`, Linux).
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
