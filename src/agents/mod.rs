//! Algorithms, one file each, in the order of the paper's box; and what they share.
//!
//! To add one: `agents/x.rs` with its config and [`Algorithm`], a variant of [`AgentConfig`], and its name in the lists below
//! that. The trainer, the checkpoints and the tests iterate [`ALL`].

pub mod agent;
pub mod bc;
pub mod blueprint;
pub mod config;
pub mod fql;
pub mod gfp;
pub mod ifql;
pub mod iql;
pub mod parameters;
pub mod policy;
pub mod rebrac;
pub mod recorder;
mod steps;

use serde::{Deserialize, Serialize};

pub use agent::Agent;
pub use bc::BcConfig;
pub use blueprint::Blueprint;
pub use config::{Common, Dims, PerLane};
pub use fql::FqlConfig;
pub use gfp::GfpConfig;
pub use ifql::IfqlConfig;
pub use iql::IqlConfig;
pub use parameters::Parameters;
pub use policy::Policy;
pub use rebrac::RebracConfig;

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
    /// Checks what is its own: settings that are not in [`Common`], and scalars whose range is not all that is not negative.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] naming the first that is out of range.
    fn check(&self) -> Result<()>;
    /// Its policies; the first is the one it is judged by.
    fn policies(&self) -> &'static [&'static str];
    /// The total loss from its metrics and scalars.
    fn total(&self, metric: &dyn Fn(&str) -> f64, scalar: &dyn Fn(&str) -> f64) -> f64;
    /// Allocates its nets: the trained ones, then targets.
    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> Self::Nets;
    /// Its critics, if it has any.
    fn critic(nets: &Self::Nets) -> Option<&Ensemble>;
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
    /// Implicit flow Q-learning.
    Ifql(IfqlConfig),
    /// Implicit Q-learning.
    Iql(IqlConfig),
    /// Revisited behaviour-regularised actor-critic.
    Rebrac(RebracConfig),
    /// Behaviour cloning by a flow.
    Bc(BcConfig),
}

/// An algorithm's name, and what adds its settings to a command, as flags.
pub type NamedFlags = (&'static str, fn(clap::Command) -> clap::Command);

/// An agent, and how its settings stand on a command line.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Adds its settings to a command, as flags.
    pub flags: fn(clap::Command) -> clap::Command,
    /// Its settings from such a command's matches.
    pub read: fn(&clap::ArgMatches) -> std::result::Result<AgentConfig, clap::Error>,
    default: fn() -> AgentConfig,
}

impl Entry {
    /// Its default settings.
    pub fn defaults(&self) -> AgentConfig {
        (self.default)()
    }
}

macro_rules! entry {
    ($name:literal, $variant:ident($config:ty)) => {
        Entry {
            name: $name,
            flags: <$config as clap::Args>::augment_args,
            read: |matches| Ok(AgentConfig::$variant(clap::FromArgMatches::from_arg_matches(matches)?)),
            default: || AgentConfig::$variant(defaults()),
        }
    };
}

/// Every agent.
pub static ALL: &[Entry] = &[
    entry!("gfp", Gfp(GfpConfig)),
    entry!("fql", Fql(FqlConfig)),
    entry!("ifql", Ifql(IfqlConfig)),
    entry!("iql", Iql(IqlConfig)),
    entry!("rebrac", Rebrac(RebracConfig)),
    entry!("bc", Bc(BcConfig)),
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

macro_rules! default_is_declared {
    ($($config:ty),*) => {
        $(impl Default for $config {
            fn default() -> Self {
                defaults()
            }
        })*
    };
}

default_is_declared!(GfpConfig, FqlConfig, IfqlConfig, IqlConfig, RebracConfig, BcConfig);

/// Calls `$call` with the algorithm of a config, whichever it is.
macro_rules! with_algorithm {
    ($config:expr, $algorithm:ident => $call:expr) => {
        match $config {
            AgentConfig::Gfp($algorithm) => $call,
            AgentConfig::Fql($algorithm) => $call,
            AgentConfig::Ifql($algorithm) => $call,
            AgentConfig::Iql($algorithm) => $call,
            AgentConfig::Rebrac($algorithm) => $call,
            AgentConfig::Bc($algorithm) => $call,
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

    /// The same, to be changed.
    pub fn common_mut(&mut self) -> &mut Common {
        with_algorithm!(self, a => &mut a.common)
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
        with_algorithm!(self, a => Parameters::of(a, dims).0)
    }

    /// The total loss from metrics and scalars.
    pub fn total(&self, metric: &dyn Fn(&str) -> f64, scalar: &dyn Fn(&str) -> f64) -> f64 {
        with_algorithm!(self, a => a.total(metric, scalar))
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        self.common().check()?;
        for (name, values) in self.scalars() {
            in_range(name, values, 0.0, f64::MAX)?;
        }
        with_algorithm!(self, a => a.check())
    }
}

pub(crate) use with_algorithm;
