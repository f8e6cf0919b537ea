//! How the papers evaluate: how many episodes, and which evaluations they average.

use super::environment::EnvSpec;
use super::run::{Checkpoint, RunConfig, RunFolder};
use crate::error::{Error, Result};

/// Updates between two of the evaluations that are averaged.
const APART: u64 = 100_000;

/// The protocol of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// GFP's final runs: 100 episodes; on OGBench the mean of the evaluations at N - 200 000, N - 100 000 and N updates,
    /// elsewhere the last one.
    Gfp,
    /// FQL's: 50 episodes; on OGBench the mean of the last three evaluations, 100 000 updates apart, elsewhere the last one.
    Fql,
}

impl Protocol {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gfp => "gfp",
            Self::Fql => "fql",
        }
    }

    /// Episodes of each evaluation.
    pub const fn episodes(self) -> usize {
        match self {
            Self::Gfp => 100,
            Self::Fql => 50,
        }
    }

    /// The updates, ascending, whose evaluations are averaged for a run of `last` updates on OGBench or elsewhere; `None` if
    /// the run is too short.
    pub fn steps(self, ogbench: bool, last: u64) -> Option<Vec<u64>> {
        let back: &[u64] = if ogbench { &[2, 1, 0] } else { &[0] };
        // Nothing is evaluated before the first update.
        (last > back[0] * APART).then(|| back.iter().map(|back| last - back * APART).collect())
    }

    /// The checkpoints of [`Protocol::steps`] for a run's last update.
    ///
    /// # Errors
    /// [`Error::Setting`] if the run is too short or one of them is not there.
    pub fn checkpoints(self, env: &EnvSpec, folder: &RunFolder, config: &RunConfig) -> Result<Vec<Checkpoint>> {
        let steps = self.steps(env.is_ogbench(), config.steps).ok_or_else(|| too_short(config.steps))?;
        let all = folder.checkpoints()?;
        let missing: Vec<String> =
            steps.iter().filter(|step| !all.iter().any(|c| c.step == **step)).map(u64::to_string).collect();
        if missing.is_empty() {
            return Ok(all.into_iter().filter(|checkpoint| steps.contains(&checkpoint.step)).collect());
        }
        let there: Vec<String> = all.iter().map(|checkpoint| checkpoint.step.to_string()).collect();
        let expected = format!("checkpoints of updates {}", steps.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
        let found = format!("none of {} (there: {})", missing.join(", "), there.join(", "));
        let remedy = format!("train to the end with --keep-every {APART}, which keeps those checkpoints");
        Err(Error::setting("--protocol", expected, found, remedy))
    }
}

fn too_short(steps: u64) -> Error {
    let expected = format!("a run of more than {} updates", 2 * APART);
    Error::setting("--protocol", expected, steps.to_string(), "leave --protocol out, or train for longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ogbench_averages_three_evaluations_and_others_take_the_last() {
        for protocol in [Protocol::Gfp, Protocol::Fql] {
            assert_eq!(protocol.steps(true, 1_000_000).unwrap(), [800_000, 900_000, 1_000_000]);
            assert_eq!(protocol.steps(false, 500_000).unwrap(), [500_000]);
            assert_eq!(protocol.steps(true, 200_000), None);
            assert!(too_short(200_000).to_string().contains("more than 200000"));
        }
        assert_eq!((Protocol::Gfp.episodes(), Protocol::Fql.episodes()), (100, 50));
    }
}
