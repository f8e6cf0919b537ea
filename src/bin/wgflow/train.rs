//! `wgflow train`

use clap::{ArgMatches, Args};
use wgflow::Result;
use wgflow::agents;
use wgflow::cli::settings::StartFlags;
use wgflow::cli::train::TrainFlags;

/// Train an agent on an offline dataset; stop it with Ctrl-C, continue it with --resume
///
/// The flags below "Agent" and its name are those of the algorithm that --algo chooses: `wgflow train --algo fql --help`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    #[command(flatten)]
    start: StartFlags,
    #[command(flatten)]
    flags: TrainFlags,
}

const EXAMPLES: &str = "Examples:
  wgflow train --preset gfp/cube-single-play/2 --data cube-single-play-v0 --out runs/cube
  wgflow train --algo fql --alpha 300 --data cube-single-play-v0.npz --task 2 --seeds 4 --out runs/fql
  wgflow train --data cube-single-play-v0.npz --alpha 3,1,.3,.1 --eta .1,.01,.001 --out runs/sweep
  wgflow train --resume runs/cube --steps 2000000";

impl Train {
    pub fn run(&self, algorithm: &str, matches: &ArgMatches) -> Result<()> {
        let agent = (agents::find(algorithm)?.read)(matches).unwrap_or_else(|error| error.exit());
        self.flags.run(&agent, self.start.preset.as_deref(), matches)
    }
}
