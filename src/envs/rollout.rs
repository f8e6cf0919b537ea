//! Lets one batched policy act in several environments at once and reports every episode.
//!
//! Episode e runs in environment e mod n, so each environment has a fixed quota. Taking whichever episodes finish first
//! would favour short ones, which in goal-reaching tasks are the successful ones.
//!
//! An episode depends on the seed, its index and the policy's row alone, not on n: its reset seed is
//! [`episode_seed`], and the policy is told (episode, step) of each row to draw its noise from.

use super::{Environments, Step, mix};
use crate::error::{Error, Result};

/// Which episode and step a row of a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index of the episode, 0 to episodes - 1; at or above the number of episodes for an environment that had none.
    pub episode: usize,
    /// Step within the episode, from 0.
    pub step: usize,
    /// False once the environment's quota is used up: its last observation (zeros if it had no episode) stays in the
    /// batch, so that the batch has one size throughout, and the action is ignored.
    pub active: bool,
}

/// One finished episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Whether the last step was a success, FQL's `evaluation/success`.
    pub success: bool,
    /// Sum of the rewards.
    pub total_reward: f64,
    /// Number of steps.
    pub length: usize,
    /// The trajectory, for the first episodes only.
    pub path: Option<Path>,
}

/// A trajectory of T steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// Observations, row-major `[T + 1, obs_dim]`, from the reset to the last step.
    pub observations: Vec<f32>,
    /// Actions as the policy gave them, row-major `[T, action_dim]`.
    pub actions: Vec<f32>,
}

/// A batched policy: observations, row-major `[n, obs_dim]`, and the n rows they belong to; it returns actions, row-major
/// `[n, action_dim]`.
pub type Policy<'a> = dyn FnMut(&[f32], &[Row]) -> Result<Vec<f32>> + 'a;

/// The reset seed of an episode: any of them can be repeated alone.
pub fn episode_seed(seed: u64, episode: usize) -> u64 {
    mix(seed, episode as u64)
}

/// An environment's row of the batch, and the episode that runs in it.
struct Slot {
    row: Row,
    observation: Vec<f32>,
    running: Episode,
}

impl Slot {
    /// One that waits for its first episode, if it gets one.
    fn new(episode: usize, obs_dim: usize) -> Self {
        let row = Row { episode, step: 0, active: false };
        Self { row, observation: vec![0.0; obs_dim], running: NOT_STARTED }
    }

    fn begin(&mut self, episode: usize, observation: &[f32], plan: &Plan) {
        self.observation = observation.to_vec();
        self.row = Row { episode, step: 0, active: true };
        let path = || Path { observations: observation.to_vec(), actions: Vec::new() };
        self.running = Episode { path: (episode < plan.keep_paths).then(path), ..NOT_STARTED };
    }

    /// Takes in a step; the episode, if it ended. The horizon is asked for as well, so that an environment that never ends
    /// cannot hang an evaluation.
    fn take(&mut self, step: Step, action: &[f32], horizon: usize) -> Option<Episode> {
        self.row.step += 1;
        let running = &mut self.running;
        running.success = step.success;
        running.total_reward += step.reward;
        running.length = self.row.step;
        if let Some(path) = &mut running.path {
            path.observations.extend_from_slice(&step.observation);
            path.actions.extend_from_slice(action);
        }
        self.observation = step.observation;
        let ended = step.terminated || step.truncated || self.row.step >= horizon;
        ended.then(|| running.clone())
    }
}

const NOT_STARTED: Episode = Episode { success: false, total_reward: 0.0, length: 0, path: None };

/// What [`rollout`] was asked for.
struct Plan {
    seed: u64,
    keep_paths: usize,
}

/// Starts the episodes (slot, episode) of `starts`.
fn begin(envs: &mut dyn Environments, slots: &mut [Slot], starts: &[(usize, usize)], plan: &Plan) -> Result<()> {
    if starts.is_empty() {
        return Ok(());
    }
    let seeds: Vec<(usize, u64)> = starts.iter().map(|&(slot, episode)| (slot, episode_seed(plan.seed, episode))).collect();
    let first = envs.reset(&seeds)?;
    for (&(slot, episode), observation) in starts.iter().zip(first.chunks_exact(envs.obs_dim())) {
        slots[slot].begin(episode, observation, plan);
    }
    Ok(())
}

/// Runs `episodes` episodes in `envs` (n of them) and returns them in order of their index; the first `keep_paths` carry
/// their trajectory.
///
/// `policy` sees n rows in every call. The results do not depend on n if each row of its answer depends on that row alone
/// and random numbers are drawn from its [`Row`].
///
/// # Errors
/// [`Error::Setting`] if the policy answers with another number of values; and whatever an environment or the policy
/// reports.
pub fn rollout(
    envs: &mut dyn Environments,
    episodes: usize,
    seed: u64,
    keep_paths: usize,
    policy: &mut Policy,
) -> Result<Vec<Episode>> {
    let (count, action_dim, horizon) = (envs.count(), envs.action_dim(), envs.horizon());
    let plan = Plan { seed, keep_paths };
    let mut finished: Vec<Option<Episode>> = vec![None; episodes];
    let mut slots: Vec<Slot> = (0..count).map(|i| Slot::new(i, envs.obs_dim())).collect();
    let first: Vec<(usize, usize)> = (0..count.min(episodes)).map(|i| (i, i)).collect();
    begin(envs, &mut slots, &first, &plan)?;
    while slots.iter().any(|slot| slot.row.active) {
        let observations: Vec<f32> = slots.iter().flat_map(|slot| slot.observation.iter().copied()).collect();
        let rows: Vec<Row> = slots.iter().map(|slot| slot.row).collect();
        let actions = policy(&observations, &rows)?;
        if actions.len() != count * action_dim {
            let expected = format!("{} actions ({count} rows of {action_dim})", count * action_dim);
            let remedy = "return one action per row, finished rows included";
            return Err(Error::setting("policy", expected, actions.len().to_string(), remedy));
        }
        let active: Vec<bool> = rows.iter().map(|row| row.active).collect();
        let steps = envs.step(&active, &actions)?;
        let mut next = Vec::new();
        for ((index, slot), step) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.row.active).zip(steps) {
            let action = &actions[index * action_dim..][..action_dim];
            let Some(episode) = slot.take(step, action, horizon) else { continue };
            let done = slot.row.episode;
            finished[done] = Some(episode);
            slot.row.active = false;
            next.extend((done + count < episodes).then_some((index, done + count)));
        }
        begin(envs, &mut slots, &next, &plan)?;
    }
    Ok(finished.into_iter().flatten().collect())
}
