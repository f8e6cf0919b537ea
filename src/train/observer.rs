//! What a run tells whoever watches it.

use std::path::Path;
use std::time::Duration;

use super::evaluate::Evaluation;

/// Who asked a run to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A person.
    User,
    /// A scheduler that needs the machine.
    System,
}

/// What happens on the way; every method may do nothing.
pub trait Observer {
    /// Called after every burst of updates.
    fn progress(&mut self, _progress: &Progress<'_>) {}
    /// Called after every evaluation of a lane.
    fn evaluated(&mut self, _step: u64, _lane: usize, _evaluations: &[Evaluation]) {}
    /// Called after every file that was written.
    fn saved(&mut self, _file: &Path) {}
    /// Called when something went wrong that does not end the run.
    fn warned(&mut self, _message: &str) {}
    /// Asked after every burst: whether to save and stop.
    fn stop(&mut self) -> Option<Stop> {
        None
    }
}

/// Nobody watches.
#[derive(Debug)]
pub struct Quiet;

impl Observer for Quiet {}

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Updates done, in earlier sittings too.
    pub step: u64,
    /// Updates to do.
    pub steps: u64,
    /// Updates done in this sitting.
    pub done: u64,
    /// Time that training took in this sitting, evaluation left out.
    pub training: Duration,
    /// Names and last values of lane 0's metrics.
    pub metrics: &'a [(&'static str, f64)],
}
