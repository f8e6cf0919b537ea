//! Lets one batched policy act in several environments at once and reports every episode.
//!
//! Episode e runs in environment e mod n, so each environment has a fixed quota. Taking whichever episodes finish first
//! would favour short ones, which in goal-reaching tasks are the successful ones.
//!
//! An episode depends on the seed, its index and the policy's row alone, not on n: its reset seed is
//! [`episode_seed`], and the policy is told (episode, step) of each row to draw its noise from.

use super::{Environment, mix};
use crate::error::{Error, Result};

/// Which episode and step a row of a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index of the episode, 0 to episodes - 1; at or above the number of episodes for an environment that had none.
    pub episode: usize,
    /// Step within the episode, from 0.
    pub step: usize,
    /// False once the environment's quota is used up: its last observation stays in the batch, so that the batch has one
    /// size throughout, and the action is ignored.
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

/// An environment and the episode that runs in it.
struct Slot<'a> {
    env: &'a mut Box<dyn Environment>,
    row: Row,
    observation: Vec<f32>,
    running: Episode,
}

impl<'a> Slot<'a> {
    fn start(env: &'a mut Box<dyn Environment>, episode: usize, plan: &Plan) -> Result<Self> {
        let row = Row { episode, step: 0, active: false };
        let running = Episode { success: false, total_reward: 0.0, length: 0, path: None };
        let mut slot = Self { env, row, observation: Vec::new(), running };
        slot.begin(episode, plan)?;
        Ok(slot)
    }

    fn begin(&mut self, episode: usize, plan: &Plan) -> Result<()> {
        self.observation = self.env.reset(episode_seed(plan.seed, episode))?;
        self.row = Row { episode, step: 0, active: episode < plan.episodes };
        let path = (episode < plan.keep_paths).then(|| Path { observations: self.observation.clone(), actions: Vec::new() });
        self.running = Episode { success: false, total_reward: 0.0, length: 0, path };
        Ok(())
    }

    /// Acts; the episode, if this step ended it.
    fn step(&mut self, action: &[f32]) -> Result<Option<Episode>> {
        let step = self.env.step(action)?;
        self.row.step += 1;
        let running = &mut self.running;
        running.success = step.success;
        running.total_reward += f64::from(step.reward);
        running.length = self.row.step;
        if let Some(path) = &mut running.path {
            path.observations.extend_from_slice(&step.observation);
            path.actions.extend_from_slice(action);
        }
        self.observation = step.observation;
        // The horizon is asked for as well, so that an environment that never ends cannot hang an evaluation.
        let ended = step.terminated || step.truncated || self.row.step >= self.env.horizon();
        Ok(ended.then(|| running.clone()))
    }
}

/// What [`rollout`] was asked for.
struct Plan {
    episodes: usize,
    seed: u64,
    keep_paths: usize,
}

/// Runs `episodes` episodes in `envs` (n of them, all alike) and returns them in order of their index; the first
/// `keep_paths` carry their trajectory.
///
/// `policy` sees n rows in every call. The results do not depend on n if each row of its answer depends on that row alone
/// and random numbers are drawn from its [`Row`].
///
/// # Errors
/// [`Error::Setting`] if there is no environment, if they differ in shape, or if the policy answers with another number
/// of values; and whatever an environment or the policy reports.
pub fn rollout(
    envs: &mut [Box<dyn Environment>],
    episodes: usize,
    seed: u64,
    keep_paths: usize,
    policy: &mut Policy,
) -> Result<Vec<Episode>> {
    let (count, action_dim) = (envs.len(), common_shape(envs)?.1);
    let plan = Plan { episodes, seed, keep_paths };
    let mut finished: Vec<Option<Episode>> = vec![None; episodes];
    let mut slots: Vec<Slot> = envs.iter_mut().enumerate().map(|(i, env)| Slot::start(env, i, &plan)).collect::<Result<_>>()?;
    while slots.iter().any(|slot| slot.row.active) {
        let observations: Vec<f32> = slots.iter().flat_map(|slot| slot.observation.iter().copied()).collect();
        let rows: Vec<Row> = slots.iter().map(|slot| slot.row).collect();
        let actions = policy(&observations, &rows)?;
        if actions.len() != count * action_dim {
            let expected = format!("{} actions ({count} rows of {action_dim})", count * action_dim);
            let remedy = "return one action per row, finished rows included";
            return Err(Error::setting("policy", expected, actions.len().to_string(), remedy));
        }
        for (slot, action) in slots.iter_mut().zip(actions.chunks_exact(action_dim.max(1))).filter(|(slot, _)| slot.row.active) {
            let Some(episode) = slot.step(action)? else { continue };
            let index = slot.row.episode;
            finished[index] = Some(episode);
            if index + count < episodes {
                slot.begin(index + count, &plan)?;
            } else {
                slot.row.active = false;
            }
        }
    }
    Ok(finished.into_iter().flatten().collect())
}

/// (obs_dim, action_dim) of all environments.
fn common_shape(envs: &[Box<dyn Environment>]) -> Result<(usize, usize)> {
    let shape = |env: &dyn Environment| (env.obs_dim(), env.action_dim());
    let Some(first) = envs.first().map(|env| shape(env.as_ref())) else {
        return Err(Error::setting("environments", "at least 1", "0", "make one before evaluating"));
    };
    match envs.iter().map(|env| shape(env.as_ref())).find(|&other| other != first) {
        None => Ok(first),
        Some(other) => Err(Error::setting(
            "environments",
            format!("one shape (observation, action), here {first:?}"),
            format!("{other:?}"),
            "evaluate each kind of environment on its own",
        )),
    }
}
