//! Algorithms, one file each, in the order of the paper's box; and what they share.
//!
//! To add one: `agents/x.rs` with its config and [`Algorithm`], a variant of [`AgentConfig`] and a line in [`ALL`]. The
//! trainer, the checkpoints and the tests iterate that list.

pub mod agent;
pub mod blueprint;
pub mod config;
pub mod fql;
pub mod gfp;
pub mod parameters;
pub mod policy;
pub mod recorder;
mod steps;

use serde::{Deserialize, Serialize};

pub use agent::Agent;
pub use blueprint::Blueprint;
pub use config::{Common, Dims, PerLane};
pub use fql::FqlConfig;
pub use gfp::GfpConfig;
pub use parameters::Parameters;
pub use policy::Policy;

use crate::engine::Region;
use crate::error::{Error, Result};
use crate::nets::Ensemble;
use config::in_range;
use policy::ActRecorder;
use recorder::Recorder;

/// An offline-RL algorithm: its settings, its nets, and how it updates them.
pub trait Algorithm {
    /// Its nets.
    type Nets;
    /// Its name on the command line and in files.
    fn name(&self) -> &'static str;
    /// Settings that every agent has.
    fn common(&self) -> &Common;
    /// Its scalars by the names that its recording uses, besides those of [`Common`].
    fn scalars(&self) -> Vec<(&'static str, &PerLane)>;
    /// Columns of its flow's time embedding.
    fn time_dim(&self) -> u32;
    /// Its policies; the first is the one it is judged by.
    fn policies(&self) -> &'static [&'static str];
    /// The total loss from its metrics and scalars.
    fn total(&self, metric: &dyn Fn(&str) -> f64, scalar: &dyn Fn(&str) -> f64) -> f64;
    /// Allocates its nets: the trained ones, then targets.
    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> Self::Nets;
    /// Its critics.
    fn critic(nets: &Self::Nets) -> &Ensemble;
    /// Records one update.
    fn update(&self, nets: &Self::Nets, r: &mut Recorder<'_>);
    /// Records the action of policy `policy`.
    fn act(&self, nets: &Self::Nets, policy: &str, r: &mut ActRecorder) -> Region;
}

/// The settings of any agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "lowercase")]
pub enum AgentConfig {
    /// Guided Flow Policy.
    Gfp(GfpConfig),
    /// Flow Q-learning.
    Fql(FqlConfig),
}

/// An agent, and how its settings stand on a command line.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Adds its settings to a command, as flags.
    pub flags: fn(clap::Command) -> clap::Command,
    /// Its settings from such a command's matches.
    pub read: fn(&clap::ArgMatches) -> std::result::Result<AgentConfig, clap::Error>,
}

impl Entry {
    const fn of<C: clap::Args>(
        name: &'static str,
        read: fn(&clap::ArgMatches) -> std::result::Result<AgentConfig, clap::Error>,
    ) -> Self {
        Self { name, flags: C::augment_args, read }
    }

    /// Its default settings.
    pub fn defaults(&self) -> AgentConfig {
        let matches = (self.flags)(clap::Command::new("defaults")).get_matches_from(["defaults"]);
        (self.read)(&matches).unwrap_or_else(|error| unreachable!("a default does not parse: {error}"))
    }
}

/// Every agent.
pub static ALL: &[Entry] = &[
    Entry::of::<GfpConfig>("gfp", |m| Ok(AgentConfig::Gfp(clap::FromArgMatches::from_arg_matches(m)?))),
    Entry::of::<FqlConfig>("fql", |m| Ok(AgentConfig::Fql(clap::FromArgMatches::from_arg_matches(m)?))),
];

/// The agent called `name`.
///
/// # Errors
/// [`Error::Setting`] if there is none.
pub fn find(name: &str) -> Result<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
        Error::setting("--algo", format!("one of {}", names.join(", ")), name, "correct the name")
    })
}

/// The defaults that the flags' declarations carry, so that no default is written twice.
fn defaults<C: clap::Args>() -> C {
    let matches = C::augment_args(clap::Command::new("defaults")).get_matches_from(["defaults"]);
    C::from_arg_matches(&matches).unwrap_or_else(|error| unreachable!("a default does not parse: {error}"))
}

impl Default for GfpConfig {
    fn default() -> Self {
        defaults()
    }
}

impl Default for FqlConfig {
    fn default() -> Self {
        defaults()
    }
}

/// Calls `$call` with the algorithm of a config, whichever it is.
macro_rules! with_algorithm {
    ($config:expr, $algorithm:ident => $call:expr) => {
        match $config {
            AgentConfig::Gfp($algorithm) => $call,
            AgentConfig::Fql($algorithm) => $call,
        }
    };
}

impl AgentConfig {
    /// The algorithm's name.
    pub fn name(&self) -> &'static str {
        with_algorithm!(self, a => a.name())
    }

    /// Settings that every agent has.
    pub fn common(&self) -> &Common {
        with_algorithm!(self, a => a.common())
    }

    /// The agent's policies; the first is the one it is judged by.
    pub fn policies(&self) -> &'static [&'static str] {
        with_algorithm!(self, a => a.policies())
    }

    /// Every scalar by name, those of [`Common`] included.
    pub fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        let common = self.common();
        let shared = [("discount", &common.discount), ("tau", &common.tau), ("learning_rate", &common.learning_rate)];
        with_algorithm!(self, a => a.scalars()).into_iter().chain(shared).collect()
    }

    /// Its nets for a task of dimensions `dims`.
    pub fn parameters(&self, dims: Dims) -> Parameters {
        let mut parameters = Parameters::new();
        with_algorithm!(self, a => {
            a.nets(dims, &mut parameters);
        });
        parameters
    }

    /// The total loss from metrics and scalars.
    pub fn total(&self, metric: &dyn Fn(&str) -> f64, scalar: &dyn Fn(&str) -> f64) -> f64 {
        with_algorithm!(self, a => a.total(metric, scalar))
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        self.common().check()?;
        for (name, values) in self.scalars() {
            in_range(name, values, 0.0, f64::MAX)?;
        }
        let time_dim = with_algorithm!(self, a => a.time_dim());
        if !time_dim.is_multiple_of(2) {
            return Err(Error::setting("time_dim", "an even number, or 0", time_dim.to_string(), "use 64 as GFP does"));
        }
        Ok(())
    }
}

pub(crate) use with_algorithm;
