//! A dataset as the engines hold it: one record a transition, resident on the device.

use std::sync::Arc;

use crate::engine::{Records, padded};

use super::dataset::Dataset;

/// Columns of a record: [obs | action | next obs | reward, mask], each part padded to 4 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Dimensions of an observation.
    pub obs_dim: u32,
    /// Dimensions of an action.
    pub action_dim: u32,
}

impl Layout {
    /// First column of the observation.
    pub const fn observation(self) -> u32 {
        0
    }

    /// First column of the action.
    pub const fn action(self) -> u32 {
        padded(self.obs_dim)
    }

    /// First column of the next observation.
    pub const fn next_observation(self) -> u32 {
        self.action() + padded(self.action_dim)
    }

    /// First column of [reward, mask].
    pub const fn reward_mask(self) -> u32 {
        self.next_observation() + padded(self.obs_dim)
    }

    /// Columns of a record.
    pub const fn record(self) -> u32 {
        self.reward_mask() + padded(2)
    }
}

/// The records of `dataset`.
pub fn records(dataset: &Dataset) -> Records {
    let layout = Layout { obs_dim: dataset.obs_dim as u32, action_dim: dataset.action_dim as u32 };
    let (obs_dim, action_dim, record) = (dataset.obs_dim, dataset.action_dim, layout.record() as usize);
    let mut values = vec![0.0; dataset.len() * record];
    for (i, out) in values.chunks_exact_mut(record).enumerate() {
        let mut put = |column: u32, part: &[f32]| out[column as usize..][..part.len()].copy_from_slice(part);
        put(layout.observation(), &dataset.observations[i * obs_dim..][..obs_dim]);
        put(layout.action(), &dataset.actions[i * action_dim..][..action_dim]);
        put(layout.next_observation(), &dataset.next_observations[i * obs_dim..][..obs_dim]);
        put(layout.reward_mask(), &[dataset.rewards[i], dataset.masks[i]]);
    }
    Records { values: Arc::new(values), record: layout.record() }
}
