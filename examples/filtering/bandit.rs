//! The problem: one state, actions in a square, three modes of data that are equally frequent and of different value.

use wgflow::Error;
use wgflow::agents::policy::act_noise;
use wgflow::data::{Dataset, Parts};

/// A point of the square.
pub type Action = [f64; 2];

/// Where the data's modes lie.
pub const CENTRES: [Action; 3] = [[-0.55, -0.45], [0.55, -0.45], [0.0, 0.45]];
/// The mean reward of each, from worst to best. Their differences are small beside their size, as those of Q are where every
/// step of a long task costs something.
pub const REWARDS: [f64; 3] = [-11.0, -10.5, -10.0];
/// Standard deviation of the actions around their mode.
const SPREAD: f64 = 0.11;
/// How much reward one standard deviation to the right adds, so that a mode has better and worse data too; and the standard
/// deviation of the rewards' noise.
const SLOPE: f64 = 0.02;
const REWARD_NOISE: f64 = 0.05;
/// Number of transitions.
pub const SIZE: usize = 6_000;
/// The data is the same for every seed of the training.
const SEED: u64 = 20_26;

/// The mode of transition `row`.
pub const fn mode_of(row: usize) -> usize {
    row % CENTRES.len()
}

/// The mode whose centre is nearest to `action`.
pub fn nearest(action: Action) -> usize {
    let distance = |mode: &usize| (action[0] - CENTRES[*mode][0]).hypot(action[1] - CENTRES[*mode][1]);
    (0..CENTRES.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or_default()
}

/// The transitions: s is always 0, a is drawn around a mode, r around the mode's mean, and the episode ends.
pub fn dataset() -> Result<Dataset, Error> {
    let (mut actions, mut rewards) = (Vec::new(), Vec::new());
    for row in 0..SIZE {
        let mode = mode_of(row);
        let draws = act_noise(SEED, row as u32, 0, 3);
        actions.extend((0..2).map(|axis| (CENTRES[mode][axis] + SPREAD * draws[axis]) as f32));
        rewards.push((REWARDS[mode] + SLOPE * draws[0] + REWARD_NOISE * draws[2]) as f32);
    }
    Dataset::from_parts(Parts {
        name: "three-modes".to_owned(),
        obs_dim: 1,
        action_dim: 2,
        observations: vec![0.0; SIZE],
        next_observations: vec![0.0; SIZE],
        actions,
        rewards,
        masks: vec![0.0; SIZE],
        terminals: vec![true; SIZE],
        ..Parts::default()
    })
}

/// The data's actions.
pub fn actions() -> Result<Vec<Action>, Error> {
    let data = dataset()?;
    Ok(data.actions.as_chunks().0.iter().map(|action: &[f32; 2]| action.map(f64::from)).collect())
}
