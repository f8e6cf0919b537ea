//! What is scored, and which evaluations make up a score.

use clap::ValueEnum;
use serde::Serialize;

use super::evaluations::Evaluation;
use super::task::{Suite, Task};
use crate::train::Protocol as Official;

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Successful episodes, in percent
    Success,
    /// Mean undiscounted return of an episode
    Return,
    /// Normalised return, 100 for the expert's
    Normalized,
}

impl Metric {
    /// What the papers score in a suite.
    pub const fn of(suite: Suite) -> Self {
        match suite {
            Suite::D4rl | Suite::Minari => Self::Normalized,
            Suite::Ogbench | Suite::Other => Self::Success,
        }
    }

    /// Its name for people, with its unit.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Success => "success in %",
            Self::Return => "return",
            Self::Normalized => "normalised return",
        }
    }

    /// Whether published scores of `task` are in this metric. Of D4RL's ant mazes the normalised return is the success.
    pub fn is_published(self, task: &Task) -> bool {
        self == Self::of(task.suite) || (self == Self::Success && task.suite == Suite::D4rl && task.family == "antmaze")
    }

    pub(super) fn value(self, evaluation: &Evaluation) -> Option<f64> {
        match self {
            // 100 * 0.56 is a little more than 56, and would lie above the threshold 56 of a profile.
            Self::Success => evaluation.success.map(|share| (share * 1e12).round() / 1e10),
            Self::Return => evaluation.total_return,
            Self::Normalized => evaluation.normalized,
        }
    }
}

/// Which evaluations of a run make up its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The mean of this many last ones; the very last one must be after the last update.
    Last(usize),
    /// Those of a paper.
    Official(Official),
}

impl Protocol {
    /// The paper's.
    pub const fn official(self) -> Option<Official> {
        match self {
            Self::Last(_) => None,
            Self::Official(official) => Some(official),
        }
    }

    /// Its sentence.
    pub fn described(self) -> String {
        match self {
            Self::Last(1) => "the evaluation after the last update".to_owned(),
            Self::Last(count) => format!("mean of the last {count} evaluations"),
            Self::Official(Official::Gfp) => {
                "GFP's protocol (OGBench: mean of the evaluations at N-200k, N-100k and N; others: at N)".to_owned()
            }
            Self::Official(Official::Fql) => {
                "FQL's protocol (OGBench: mean of the last three 100k evaluations; others: the last one)".to_owned()
            }
        }
    }

    /// The updates whose evaluations make up the score, or why they do not suffice. `done` is sorted.
    pub(super) fn wanted(self, done: &[u64], steps: u64, suite: Suite) -> Result<Vec<u64>, String> {
        let last = *done.last().ok_or("no evaluation")?;
        match self {
            Self::Last(_) if last < steps => Err(format!("the last evaluation is at update {last} of {steps}")),
            Self::Last(count) if done.len() < count => Err(format!("{} evaluations, {count} are asked for", done.len())),
            Self::Last(count) => Ok(done[done.len() - count..].to_vec()),
            Self::Official(official) => {
                let wanted = official.steps(suite == Suite::Ogbench, steps);
                let wanted = wanted.ok_or_else(|| format!("{steps} updates are too few for the protocol"))?;
                let missing = wanted.iter().filter(|step| !done.contains(step)).map(u64::to_string).collect::<Vec<_>>();
                if missing.is_empty() { Ok(wanted) } else { Err(format!("no evaluation at update {}", missing.join(", "))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_evaluations_must_reach_the_end_and_be_as_many_as_asked_for() {
        let wanted = |count, done: &[u64]| Protocol::Last(count).wanted(done, 300, Suite::Ogbench);
        assert_eq!(wanted(1, &[100, 300]), Ok(vec![300]));
        assert_eq!(wanted(2, &[100, 200, 300]), Ok(vec![200, 300]));
        assert!(wanted(1, &[]).is_err() && wanted(1, &[100, 200]).is_err() && wanted(3, &[100, 300]).is_err());
    }

    #[test]
    fn the_official_protocols_take_three_evaluations_on_ogbench_and_one_elsewhere() {
        let done: Vec<u64> = (1..=10).map(|i| i * 100_000).collect();
        for protocol in [Official::Gfp, Official::Fql].map(Protocol::Official) {
            let wanted = |done: &[u64], steps, suite| protocol.wanted(done, steps, suite);
            assert_eq!(wanted(&done, 1_000_000, Suite::Ogbench), Ok(vec![800_000, 900_000, 1_000_000]));
            assert_eq!(wanted(&done, 1_000_000, Suite::D4rl), Ok(vec![1_000_000]));
            let why = wanted(&[800_000, 1_000_000], 1_000_000, Suite::Ogbench).unwrap_err();
            assert_eq!(why, "no evaluation at update 900000");
            assert!(wanted(&done, 200_000, Suite::Ogbench).is_err(), "nothing is evaluated before the first update");
        }
    }
}
