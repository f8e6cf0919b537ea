//! How good a policy is: episodes in environments, each policy of an agent in turn.

use super::saved::Saved;
use crate::agents::policy::act_noise;
use crate::agents::{Agent, Policy};
use crate::envs::rollout::{Episode, Row, rollout};
use crate::envs::{Environment, Environments, LocalEnvs, PointMaze, SuccessTiming};
use crate::error::{Error, Result};

/// Built-in environments that run side by side during training.
const PARALLEL: usize = 50;

/// Added to a run's seed for evaluation, so that no episode shares random numbers with training.
const EVALUATION_SEED: u64 = 0x6576_616c;

/// A task that can be evaluated without Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Environment family: `pointmaze-medium`.
    pub env: String,
    /// Task, from 1.
    pub task: u32,
}

impl Task {
    /// The built-in environment of a dataset; `None` where there is none.
    pub fn built_in(env: Option<&str>, task: Option<u32>) -> Option<Self> {
        let (env, task) = (env?, task?);
        crate::envs::Maze::NAMES.contains(&env).then(|| Self { env: env.to_owned(), task })
    }

    /// One environment.
    ///
    /// # Errors
    /// [`Error::Setting`] for a task that does not exist.
    pub fn environment(&self) -> Result<PointMaze> {
        PointMaze::new(&self.env, self.task)
    }

    /// `count` environments.
    ///
    /// # Errors
    /// [`Error::Setting`] for a task that does not exist, or for none of it.
    pub fn environments(&self, count: usize, timing: SuccessTiming) -> Result<LocalEnvs> {
        let one = |_| Ok(Box::new(self.environment()?.with_success_timing(timing)) as Box<dyn Environment>);
        LocalEnvs::new((0..count).map(one).collect::<Result<_>>()?)
    }
}

/// The episodes of one policy.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The policy's name.
    pub policy: &'static str,
    /// Its episodes.
    pub episodes: Vec<Episode>,
}

impl Evaluation {
    /// Share of successful episodes, in [0, 1].
    pub fn success(&self) -> f64 {
        self.mean(|e| f64::from(u8::from(e.success)))
    }

    /// Mean undiscounted return.
    pub fn total_reward(&self) -> f64 {
        self.mean(|e| e.total_reward)
    }

    /// Mean number of steps.
    pub fn length(&self) -> f64 {
        self.mean(|e| e.length as f64)
    }

    fn mean(&self, value: impl Fn(&Episode) -> f64) -> f64 {
        self.episodes.iter().map(value).sum::<f64>() / self.episodes.len().max(1) as f64
    }
}

/// How many episodes, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Number of episodes.
    pub episodes: usize,
    /// Seed of the episodes. Training evaluates a lane with the lane's own seed.
    pub seed: u64,
    /// Episodes, from the first, that keep their trajectories.
    pub keep_paths: usize,
}

/// Runs `episodes` episodes of every policy of lane `lane`, stochastic as trained (fresh noise each step; Gaussian policies
/// act by their mean), actions clipped. Results depend on the weights, the lane's seed and the episode's number only. The
/// first `keep_paths` episodes keep their trajectories.
///
/// # Errors
/// On a GPU: a lost device. [`Error::Setting`] if a policy's action is not finite.
pub fn evaluate(agent: &mut Agent, lane: usize, task: &Task, episodes: usize, keep_paths: usize) -> Result<Vec<Evaluation>> {
    let mut envs = task.environments(episodes.clamp(1, PARALLEL), SuccessTiming::default())?;
    let quota = Quota { episodes, seed: agent.seeds()[lane], keep_paths };
    let mut evaluations = Vec::new();
    for name in agent.config().policies() {
        let mut policy = agent.policy(name, lane, envs.count() as u32)?;
        evaluations.push(Evaluation { policy: name, episodes: run(&mut policy, &mut envs, &quota, &mut || Ok(()))? });
    }
    Ok(evaluations)
}

/// As [`evaluate`], for the policy `name` of a lane of a checkpoint, in any environments. The policy runs on at most
/// `threads` CPU threads. `proceed` is asked before every step; its error ends the evaluation.
///
/// # Errors
/// [`Error::Setting`] if there is no such policy or lane, or if the environments do not fit the policy; whatever the
/// environments or `proceed` report.
pub fn evaluate_saved(
    saved: &Saved,
    (lane, name): (usize, &str),
    envs: &mut dyn Environments,
    quota: &Quota,
    threads: usize,
    proceed: &mut dyn FnMut() -> Result<()>,
) -> Result<Evaluation> {
    if lane >= saved.lanes() {
        let expected = format!("a lane from 0 to {}", saved.lanes() - 1);
        return Err(Error::setting("--lane", expected, lane.to_string(), "name one of the run's lanes"));
    }
    let (own, theirs) = (saved.dims(), (envs.obs_dim(), envs.action_dim()));
    if (own.obs as usize, own.action as usize) != theirs {
        let expected = format!("an environment with {} observed values and {} of an action", own.obs, own.action);
        let found = format!("one with {} and {}", theirs.0, theirs.1);
        return Err(Error::setting("--env", expected, found, "name the environment that the run's data come from"));
    }
    let mut policy = saved.policy(name, lane, envs.count() as u32, threads)?;
    let known = saved.config.agent.policies().iter().find(|known| **known == name);
    Ok(Evaluation { policy: known.copied().unwrap_or_default(), episodes: run(&mut policy, envs, quota, proceed)? })
}

fn run(
    policy: &mut Policy,
    envs: &mut dyn Environments,
    quota: &Quota,
    proceed: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Episode>> {
    let seed = quota.seed ^ EVALUATION_SEED;
    rollout(envs, quota.episodes, seed, quota.keep_paths, &mut |observations, rows| {
        proceed()?;
        act(policy, seed, observations, rows)
    })
}

/// A policy's actions, with the noise of each row's (episode, step).
fn act(policy: &mut Policy, seed: u64, observations: &[f32], rows: &[Row]) -> Result<Vec<f32>> {
    let cols = policy.noise_cols();
    let noise: Vec<f64> = rows.iter().flat_map(|row| act_noise(seed, row.episode as u32, row.step as u32, cols)).collect();
    policy.act(observations, &noise)
}
