//! A contextual bandit with one good action for each state; the data's actions are spread evenly, so copying the data is bad and
//! filtering it by value is good. Actions that are uniform in the square earn about -1.0 here, the best ones 0.

use wgflow::agents::Agent;
use wgflow::agents::policy::act_noise;
use wgflow::data::{Dataset, Parts};

const STATES: usize = 4_000;

/// Numbers in [-1, 1), the same every time.
fn spread(i: usize, salt: u64) -> f32 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x >> 40) as f32 / (1u64 << 23) as f32) - 1.0
}

fn best_action(state: &[f32]) -> [f32; 2] {
    [0.7 * state[0], -0.7 * state[1]]
}

fn reward(state: &[f32], action: &[f32]) -> f32 {
    let best = best_action(state);
    -((action[0] - best[0]).powi(2) + (action[1] - best[1]).powi(2))
}

/// The data.
pub fn bandit() -> Dataset {
    let states: Vec<f32> = (0..2 * STATES).map(|i| spread(i, 1)).collect();
    let actions: Vec<f32> = (0..2 * STATES).map(|i| spread(i, 2)).collect();
    let rewards = states.chunks_exact(2).zip(actions.chunks_exact(2)).map(|(s, a)| reward(s, a)).collect();
    let parts = Parts {
        name: "bandit".to_owned(),
        obs_dim: 2,
        action_dim: 2,
        next_observations: states.clone(),
        observations: states,
        actions,
        rewards,
        masks: vec![0.0; STATES], // every episode is one step
        terminals: vec![true; STATES],
        ..Default::default()
    };
    Dataset::from_parts(parts).unwrap()
}

/// Mean reward of a policy over 200 states it was not trained on.
pub fn mean_reward(agent: &mut Agent, policy: &str) -> f64 {
    let rows = 200;
    let states: Vec<f32> = (0..2 * rows).map(|i| spread(i, 3)).collect();
    let mut policy = agent.policy(policy, 0, rows as u32).unwrap();
    let cols = policy.noise_cols();
    let noise: Vec<f64> = (0..rows as u32).flat_map(|row| act_noise(9, row, 0, cols)).collect();
    let actions = policy.act(&states, &noise).unwrap();
    let rewards = states.chunks_exact(2).zip(actions.chunks_exact(2)).map(|(s, a)| f64::from(reward(s, a)));
    rewards.sum::<f64>() / rows as f64
}
