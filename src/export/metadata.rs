//! What an exported file says of itself, the same in every format.

use serde::{Deserialize, Serialize};

use super::description::{Description, Form, Squash, layer_norm_epsilon};
use crate::agents::AgentConfig;
use crate::train::Saved;

/// The activation of hidden layers.
pub const ACTIVATION: &str = "gelu_tanh";

/// What an action goes through last.
pub const CLIP: &str = "clip(-1, 1)";

/// What an action goes through last.
pub const TANH: &str = "tanh";

/// The time as it is.
pub const RAW_TIME: &str = "t";

/// The time as sines and cosines.
pub const EMBEDDED_TIME: &str =
    "[sin(t f_0) .. sin(t f_(n-1)), cos(t f_0) .. cos(t f_(n-1))], f_i = 10000^(-i / (n-1)), n = columns / 2";

/// Everything that a reader has to know besides the weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of wgflow that wrote the file.
    pub wgflow: String,
    /// `gfp`, `fql`, ...
    pub algorithm: String,
    /// `actor`, `flow`, ...
    pub policy: String,
    /// Updates finished.
    pub step: u64,
    /// Lane of the run.
    pub lane: usize,
    /// Seed of that lane.
    pub seed: u64,
    /// Columns of an observation.
    pub obs_dim: u32,
    /// Columns of an action.
    pub action_dim: u32,
    /// Hidden widths.
    pub hidden: Vec<usize>,
    /// Of hidden layers.
    pub activation: String,
    /// Whether a layer norm follows each activation.
    pub layer_norm: bool,
    /// Added to the variance in it.
    pub layer_norm_epsilon: f64,
    /// What the net's input is a concatenation of, in order.
    pub input: Vec<String>,
    /// Euler steps; 0 if the net's output is the action.
    pub flow_steps: u32,
    /// Columns of the input that stand for the time; 0 without a flow.
    pub time_columns: usize,
    /// What stands in them.
    pub time: String,
    /// What the action goes through last.
    pub output: String,
    /// Actions to choose from by the critics; 1 where nothing is chosen.
    pub candidates: u32,
    /// SHA-256 of the dataset's content.
    pub dataset_hash: String,
    /// Hash of the settings and seeds.
    pub config_hash: String,
    /// The agent's settings.
    pub settings: AgentConfig,
}

impl Metadata {
    /// Of `description`, the policy `policy` of lane `lane` of `saved`.
    pub fn of(saved: &Saved, description: &Description, policy: &str, lane: usize) -> Self {
        let (layers, config) = (&description.net().layers, &saved.config.agent);
        let (squash, flow, candidates) = match &description.form {
            Form::OneStep(_, squash) | Form::Mean(_, squash) => (*squash, None, 1),
            Form::Flow(flow) => (Squash::Clip, Some(flow), 1),
            Form::BestOf { flow, count, .. } => (Squash::Clip, Some(flow), *count),
        };
        let input: &[&str] = match description.form {
            Form::OneStep(..) => &["observation", "noise"],
            Form::Mean(..) => &["observation"],
            Form::Flow(_) | Form::BestOf { .. } => &["observation", "x", "time"],
        };
        let time = flow.map_or("", |flow| if flow.time_dim == 0 { RAW_TIME } else { EMBEDDED_TIME });
        Self {
            wgflow: env!("CARGO_PKG_VERSION").to_owned(),
            algorithm: config.name().to_owned(),
            policy: policy.to_owned(),
            step: saved.step(),
            lane,
            seed: saved.config.seeds.get(lane).copied().unwrap_or_default(),
            obs_dim: description.dims.obs,
            action_dim: description.dims.action,
            hidden: layers[..layers.len() - 1].iter().map(|layer| layer.outputs).collect(),
            activation: ACTIVATION.to_owned(),
            layer_norm: layers[0].norm.is_some(),
            layer_norm_epsilon: layer_norm_epsilon(),
            input: input.iter().map(|&part| part.to_owned()).collect(),
            flow_steps: flow.map_or(0, |flow| flow.steps),
            time_columns: flow.map_or(0, |flow| flow.time_dim.max(1) as usize),
            time: time.to_owned(),
            output: if squash == Squash::Tanh { TANH } else { CLIP }.to_owned(),
            candidates,
            dataset_hash: saved.identity().dataset.clone(),
            config_hash: saved.identity().config.clone(),
            settings: config.clone(),
        }
    }

    /// Standard normals for an action: none, an action's dimensions, or as many times that as there are candidates.
    pub fn noise_cols(&self) -> usize {
        let chance = self.input.len() > 1;
        if chance { (self.candidates * self.action_dim) as usize } else { 0 }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let Self { algorithm, policy, step, obs_dim, action_dim, .. } = self;
        format!("{algorithm} {policy} after {step} updates: {obs_dim} observations to {action_dim} actions in [-1, 1]")
    }
}
