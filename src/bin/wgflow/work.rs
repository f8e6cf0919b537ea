//! What `wgflow bench` and `wgflow plan` work on: an update, its size, its lanes, its engine.

use clap::{ArgMatches, Args};
use wgflow::bench::{PUBLISHED, Work};
use wgflow::cli::settings::StartFlags;
use wgflow::cli::train::{EngineFlags, LaneFlags};
use wgflow::data::Layout;
use wgflow::train::sweep::{self, Seeds};
use wgflow::{Error, Result};

/// The size of the work.
#[derive(Clone, Debug, Args)]
pub struct WorkFlags {
    #[command(flatten)]
    start: StartFlags,
    /// Columns of an observation
    #[arg(long, value_name = "N", default_value_t = PUBLISHED.obs_dim, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Run")]
    obs_dim: u32,
    /// Columns of an action
    #[arg(long, value_name = "N", default_value_t = PUBLISHED.action_dim, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Run")]
    action_dim: u32,
    #[command(flatten)]
    lanes: LaneFlags,
    #[command(flatten)]
    pub engine: EngineFlags,
}

impl WorkFlags {
    /// The work with a seed for each lane, from the matches of a command that has the flags of `algorithm`.
    pub fn read(&self, algorithm: &str, matches: &ArgMatches) -> Result<(Work, Vec<u64>)> {
        let work = Work::read(algorithm, matches).unwrap_or_else(|error| error.exit());
        let seeds = self.lanes.seeds()?;
        match (work, seeds) {
            (Work::Agent(config), seeds) => sweep::lanes(&config, &seeds).map(|(config, seeds)| (Work::Agent(config), seeds)),
            (_, Seeds::Counted { count: 0, .. }) => {
                Err(Error::setting("--seeds", "at least 1", "0", "leave it out for one lane"))
            }
            (work, Seeds::Listed(seeds)) => Ok((work, seeds)),
            (work, Seeds::Counted { first, count }) => Ok((work, (first..first + u64::from(count)).collect())),
        }
    }

    /// The dimensions that the flags name.
    pub const fn layout(&self) -> Layout {
        Layout { obs_dim: self.obs_dim, action_dim: self.action_dim }
    }
}
