//! How good a policy is: episodes in an environment, each policy of an agent in turn.

use crate::agents::policy::act_noise;
use crate::agents::{Agent, Policy};
use crate::envs::rollout::{Episode, rollout};
use crate::envs::{Environment, PointMaze};
use crate::error::Result;

/// Environments that run side by side: enough to keep a batched policy busy, few enough that little is wasted when the
/// last episodes of a quota run alone.
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
    /// [`crate::Error::Setting`] for a task that does not exist.
    pub fn environment(&self) -> Result<PointMaze> {
        PointMaze::new(&self.env, self.task)
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

/// Runs `episodes` episodes of every policy of lane `lane`, stochastic as trained (fresh noise each step; Gaussian policies
/// act by their mean), actions clipped. Results depend on the weights, the lane's seed and the episode's number only. The
/// first `keep_paths` episodes keep their trajectories.
///
/// # Errors
/// On a GPU: a lost device. [`crate::Error::Setting`] if a policy's action is not finite.
pub fn evaluate(agent: &mut Agent, lane: usize, task: &Task, episodes: usize, keep_paths: usize) -> Result<Vec<Evaluation>> {
    let parallel = episodes.clamp(1, PARALLEL);
    let seed = agent.seeds()[lane] ^ EVALUATION_SEED;
    let names = agent.config().policies();
    let mut evaluations = Vec::new();
    for name in names {
        // One thread: a batch of this size is done before a second one has woken up.
        let mut policy = agent.policy(name, lane, parallel as u32, 1)?;
        let mut envs =
            (0..parallel).map(|_| Ok(Box::new(task.environment()?) as Box<dyn Environment>)).collect::<Result<Vec<_>>>()?;
        let episodes = rollout(&mut envs, episodes, seed, keep_paths, &mut |observations, rows| {
            act(&mut policy, seed, observations, rows.iter().map(|row| (row.episode as u32, row.step as u32)))
        })?;
        evaluations.push(Evaluation { policy: name, episodes });
    }
    Ok(evaluations)
}

/// A policy's actions, with the noise of each row's (episode, step).
fn act(policy: &mut Policy, seed: u64, observations: &[f32], rows: impl Iterator<Item = (u32, u32)>) -> Result<Vec<f32>> {
    let cols = policy.noise_cols();
    let noise: Vec<f64> = rows.flat_map(|(episode, step)| act_noise(seed, episode, step, cols)).collect();
    policy.act(observations, &noise)
}
