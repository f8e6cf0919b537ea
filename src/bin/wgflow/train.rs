//! `wgflow train`

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use wgflow::Result;
use wgflow::agents;
use wgflow::cli::train::TrainFlags;

/// Train an agent on an offline dataset; stop it with Ctrl-C, continue it with --resume
///
/// The flags below "Agent" and its name are those of the algorithm that --algo chooses: `wgflow train --algo fql --help`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// Algorithm [default: gfp, or the one of --preset or --config]
    #[arg(long, value_name = "NAME", help_heading = "Start")]
    algo: Option<String>,
    /// Published settings by name, such as gfp/cube-single-play or gfp/cube-single-play/2 with a task: `wgflow presets` lists
    /// them; the settings file and flags win over them
    #[arg(long, value_name = "NAME", help_heading = "Start")]
    preset: Option<String>,
    /// Settings from a TOML file, laid out as the config.toml of a run's folder; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Start")]
    config: Option<PathBuf>,
    /// One setting by its name in config.toml, such as agent.alpha=3; wins over everything else
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Start")]
    set: Vec<String>,
    #[command(flatten)]
    flags: TrainFlags,
}

const EXAMPLES: &str = "Examples:
  wgflow train --preset gfp/cube-single-play/2 --data cube-single-play-v0 --out runs/cube
  wgflow train --algo fql --alpha 300 --data cube-single-play-v0.npz --task 2 --seeds 4 --out runs/fql
  wgflow train --data cube-single-play-v0.npz --alpha 3,1,.3,.1 --eta .1,.01,.001 --out runs/sweep
  wgflow train --resume runs/cube --steps 2000000";

impl Train {
    pub fn run(&self, algorithm: &agents::Entry, matches: &ArgMatches) -> Result<()> {
        let agent = (algorithm.read)(matches).unwrap_or_else(|error| error.exit());
        self.flags.run(&agent, self.preset.as_deref(), matches)
    }
}
