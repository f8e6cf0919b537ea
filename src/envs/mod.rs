//! Environments: OGBench's point mazes without Python, everything else in processes of Python, and the loop that lets a
//! policy act in them.
//!
//! [`PointMaze`] follows OGBench 1.2.2 on MuJoCo 4.0.0 to rounding errors; [`point_maze`] gives the figures.
//! [`ProcessEnvs`] serves the real ones. [`rollout()`] drives any [`Environments`] in lockstep, so that one batched call of
//! the policy serves them all.

mod contact;
mod local;
pub mod maze;
pub mod point_maze;
pub mod process;
pub mod python;
pub mod rollout;

use crate::error::Result;

pub use contact::RADIUS;
pub use local::LocalEnvs;
pub use maze::{CELL, Cell, Maze};
pub use point_maze::{PointMaze, SuccessTiming};
pub use process::{ProcessEnvs, ProcessOptions};
pub use rollout::{Episode, Path, Policy, Row, episode_seed, rollout};

/// What a policy acts in.
pub trait Environment: Send {
    /// Number of values of an observation.
    fn obs_dim(&self) -> usize;

    /// Number of values of an action; each is within [-1, 1].
    fn action_dim(&self) -> usize;

    /// Steps after which an episode is cut off.
    fn horizon(&self) -> usize;

    /// Starts an episode and returns its first observation, `[obs_dim]`. Everything random in the episode follows from
    /// `seed`: the same seed and the same actions give the same episode.
    ///
    /// # Errors
    /// Whatever keeps the environment from starting.
    fn reset(&mut self, seed: u64) -> Result<Vec<f32>>;

    /// Acts once with `action`, `[action_dim]`; values beyond [-1, 1] are clipped.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if `action` has another length or holds a NaN or an infinity.
    fn step(&mut self, action: &[f32]) -> Result<Step>;
}

/// Several environments alike, served in one call: what [`rollout()`] drives, here or in other processes.
pub trait Environments: Send {
    /// Number of environments, at least 1.
    fn count(&self) -> usize;

    /// Number of values of an observation.
    fn obs_dim(&self) -> usize;

    /// Number of values of an action; each is within [-1, 1].
    fn action_dim(&self) -> usize;

    /// Steps after which an episode is cut off.
    fn horizon(&self) -> usize;

    /// Whether the environment tells successes; before the first step, as far as is known.
    fn tells_success(&self) -> bool {
        true
    }

    /// Starts an episode in each environment (index, seed) of `starts`; the first observations in that order, row-major
    /// `[starts, obs_dim]`. As in [`Environment::reset`], the seed decides everything random in the episode.
    ///
    /// # Errors
    /// Whatever keeps an environment from starting.
    fn reset(&mut self, starts: &[(usize, u64)]) -> Result<Vec<f32>>;

    /// Acts once in every environment that is `active` (`[count]`), with its row of `actions`, row-major `[count,
    /// action_dim]`; one [`Step`] for each active environment, in order.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if an action is not finite; whatever an environment reports.
    fn step(&mut self, active: &[bool], actions: &[f32]) -> Result<Vec<Step>>;
}

/// What one action led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What the policy sees next, `[obs_dim]`.
    pub observation: Vec<f32>,
    /// Reward of this step.
    pub reward: f64,
    /// Whether the goal counts as reached in this step.
    pub success: bool,
    /// Whether the episode ended because of what happened in it.
    pub terminated: bool,
    /// Whether the episode ended because its horizon is reached; both may be true.
    pub truncated: bool,
}

/// 64 well-mixed bits for a pair (seed, counter): two rounds of the SplitMix64 output function, one for each half of the
/// pair, so that neighbouring seeds do not share shifted sequences.
pub(crate) fn mix(seed: u64, counter: u64) -> u64 {
    splitmix64(splitmix64(seed).wrapping_add(counter))
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", with Stafford's constants (Mix13).
fn splitmix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
