//! Numbers dumped from the official code, and an agent that starts from them. Layout: `tests/fixtures/README.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use wgflow::agents::{Agent, AgentConfig, BcConfig, FqlConfig, GfpConfig, IfqlConfig, IqlConfig, RebracConfig};
use wgflow::data::Layout;
use wgflow::data::npz::Npz;
use wgflow::engine::{Arena, Engine, Memory, Records};

/// One fixture file, everything as f64.
#[derive(Clone)]
pub struct Fixture {
    pub name: String,
    pub config: Value,
    pub arrays: BTreeMap<String, Vec<f64>>,
}

impl Fixture {
    pub fn load(path: &Path) -> Self {
        let npz = Npz::open(path).unwrap();
        let config = serde_json::from_slice(&npz.bytes("config_json").unwrap().data).unwrap();
        let names: Vec<String> = npz.names().filter(|n| *n != "config_json").map(str::to_owned).collect();
        let arrays = names.into_iter().map(|name| (name.clone(), npz.f64(&name).unwrap().data)).collect();
        Self { name: path.file_stem().unwrap().to_string_lossy().into_owned(), config, arrays }
    }

    pub fn get(&self, key: &str) -> &[f64] {
        self.arrays.get(key).unwrap_or_else(|| panic!("{}: no `{key}`", self.name))
    }

    pub fn number(&self, key: &str) -> f64 {
        self.config[key].as_f64().unwrap_or_else(|| panic!("{}: config has no number `{key}`", self.name))
    }

    pub fn agent_name(&self) -> &str {
        self.config["agent"].as_str().unwrap()
    }

    pub fn steps(&self) -> u32 {
        self.number("steps") as u32
    }

    pub fn batch(&self) -> usize {
        self.number("batch") as usize
    }

    pub fn layout(&self) -> Layout {
        Layout { obs_dim: self.number("obs_dim") as u32, action_dim: self.number("act_dim") as u32 }
    }

    /// The agent's settings; `None` for an agent that is not built.
    pub fn agent_config(&self) -> Option<AgentConfig> {
        let choice = |key: &str| serde_json::from_value(self.config[key].clone()).unwrap();
        let flag = |key: &str| self.config[key].as_bool().unwrap();
        let time_dim = self.config["encode_time_dim"].as_u64().unwrap_or(0) as u32;
        let mut config = match self.agent_name() {
            "gfp" => AgentConfig::Gfp(GfpConfig {
                alpha: vec![self.number("alpha")],
                eta: vec![self.number("eta")],
                q_agg: serde_json::from_value(self.config["q_agg"].clone()).unwrap(),
                target_agg: choice("target_agg"),
                guidance_agg: choice("guidance_agg"),
                guidance_fn: serde_json::from_value(self.config["guidance_fn"].clone()).unwrap(),
                target_use_next: flag("target_use_next"),
                normalize_q: flag("normalize_q"),
                time_dim,
                ..Default::default()
            }),
            "fql" => AgentConfig::Fql(FqlConfig {
                alpha: vec![self.number("alpha")],
                q_agg: serde_json::from_value(self.config["q_agg"].clone()).unwrap(),
                normalize_q: flag("normalize_q"),
                time_dim,
                ..Default::default()
            }),
            "iql" => AgentConfig::Iql(IqlConfig {
                alpha: vec![self.number("alpha")],
                expectile: vec![self.number("expectile")],
                ..Default::default()
            }),
            "ifql" => AgentConfig::Ifql(IfqlConfig {
                expectile: vec![self.number("expectile")],
                num_samples: self.number("num_samples") as u32,
                time_dim,
                ..Default::default()
            }),
            "rebrac" => AgentConfig::Rebrac(RebracConfig {
                alpha_actor: vec![self.number("alpha_actor")],
                alpha_critic: vec![self.number("alpha_critic")],
                q_agg: serde_json::from_value(self.config["q_agg"].clone()).unwrap(),
                actor_freq: self.number("actor_freq") as u32,
                actor_noise: vec![self.number("actor_noise")],
                actor_noise_clip: vec![self.number("actor_noise_clip")],
                ..Default::default()
            }),
            "bc" => AgentConfig::Bc(BcConfig { time_dim, ..Default::default() }),
            _ => return None,
        };
        let common = config.common_mut();
        common.batch = self.batch() as u32;
        common.hidden = self.config["hidden"].as_array().unwrap().iter().map(|h| h.as_u64().unwrap() as u32).collect();
        common.layer_norm = self.config["layer_norm"].as_bool().unwrap_or(true);
        common.actor_layer_norm = self.config["actor_layer_norm"].as_bool().unwrap_or(false);
        common.flow_steps = self.config["flow_steps"].as_u64().map_or(common.flow_steps, |steps| steps as u32);
        common.discount = vec![self.number("discount")];
        common.tau = vec![self.number("tau")];
        common.learning_rate = vec![self.number("lr")];
        Some(config)
    }

    /// Transitions of the dataset for each row of a batch: where the data's next actions count, a second one follows each,
    /// whose action is the next action.
    fn per_row(&self) -> usize {
        1 + usize::from(self.arrays.contains_key("batch/next_actions"))
    }

    /// All batches as one dataset, batch after batch.
    pub fn records(&self) -> Records {
        let layout = self.layout();
        let (obs, act, record) = (layout.obs_dim as usize, layout.action_dim as usize, layout.record() as usize);
        let rows = self.steps() as usize * self.batch();
        let mut values = vec![0.0f32; rows * self.per_row() * record];
        for (i, out) in values.chunks_exact_mut(record * self.per_row()).enumerate() {
            let mut put = |column: u32, key: &str, width: usize| {
                for (j, value) in self.get(key)[i * width..][..width].iter().enumerate() {
                    out[column as usize + j] = *value as f32;
                }
            };
            put(layout.observation(), "batch/observations", obs);
            put(layout.action(), "batch/actions", act);
            put(layout.next_observation(), "batch/next_observations", obs);
            put(layout.reward_mask(), "batch/rewards", 1);
            put(layout.reward_mask() + 1, "batch/masks", 1);
            if self.per_row() == 2 {
                put(layout.record() + layout.action(), "batch/next_actions", act);
            }
        }
        Records { values: Arc::new(values), record: layout.record() }
    }

    /// The agent on `engine`, with the fixture's parameters, waiting for uploads instead of sampling.
    pub fn agent(&self, engine: &Engine, config: &AgentConfig) -> Agent {
        let mut agent = Agent::on_records(engine, config, self.layout(), (self.records(), None), &[0]).unwrap();
        let plan = agent.blueprint().update.without_sampling();
        agent.replace_update(&plan).unwrap();
        let parameters = agent.blueprint().parameters.clone();
        let mut arena = agent.weights(0).unwrap();
        for entry in parameters.entries() {
            let values = member(self.get(&format!("param/{}", entry.name)), entry.member);
            entry.tensor.place(entry.tensor.region, values, &mut arena);
        }
        let whole = parameters.whole(Arena::Weights);
        agent.machine().write(whole, 0, &arena).unwrap();
        agent
    }

    /// Uploads the rows and the noise of update `k`.
    pub fn upload(&self, agent: &mut Agent, k: u32) {
        let batch = self.batch();
        let outcome = agent.blueprint().outcome.clone();
        let rows: Vec<u32> = (0..batch as u32).map(|row| (k * batch as u32 + row) * self.per_row() as u32).collect();
        agent.machine().write_words(outcome.indices.unwrap(), 0, &rows).unwrap();
        for (name, region) in outcome.noise {
            let width = region.cols as usize;
            let values = &self.get(&format!("noise/{name}"))[k as usize * batch * width..][..batch * width];
            agent.machine().write(region, 0, values).unwrap();
        }
    }

    /// The flow of an FQL fixture alone: its gradient depends on no other net, so behaviour cloning makes the same updates.
    pub fn flow_alone(&self) -> Self {
        let mut config = self.config.clone();
        config["agent"] = "bc".into();
        let about = |key: &str| {
            let ends = ["noise/x0", "noise/t", "/flow_pred", "/flow_error", "/flow_loss"];
            key.starts_with("batch/") || key.contains("/bc_flow/") || ends.iter().any(|end| key.ends_with(end))
        };
        let mut arrays: BTreeMap<_, _> = self.arrays.clone().into_iter().filter(|(key, _)| about(key)).collect();
        for (key, loss) in arrays.clone().into_iter().filter(|(key, _)| key.ends_with("/flow_loss")) {
            arrays.insert(key.replace("/flow_loss", "/total_loss"), loss);
        }
        Self { name: format!("{}, flow alone", self.name), config, arrays }
    }

    /// The same fixture in the thin form of large networks.
    pub fn thin(&self) -> Self {
        let mut arrays = BTreeMap::new();
        for (key, values) in &self.arrays {
            let Some((step, kind, tensor)) = split(key) else {
                arrays.insert(key.clone(), values.clone());
                continue;
            };
            // Each tensor is sliced in its own way, a target not like its source.
            let start = tensor.len() % 5;
            let picks: Vec<usize> = (start.min(values.len() - 1)..values.len()).step_by(7).collect();
            arrays.insert(format!("slice/{tensor}"), picks.iter().map(|&i| i as f64).collect());
            arrays.insert(format!("{step}/{kind}val/{tensor}"), picks.iter().map(|&i| values[i]).collect());
            let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            arrays.insert(format!("{step}/{kind}norm/{tensor}"), vec![norm]);
        }
        Self { name: format!("{}, thin", self.name), config: self.config.clone(), arrays }
    }
}

/// `step0/grad/critic/dense0/bias` as (`step0`, `grad`, `critic/dense0/bias`).
fn split(key: &str) -> Option<(&str, &str, &str)> {
    let (step, rest) = key.split_once('/')?;
    let (kind, tensor) = rest.split_once('/')?;
    ((step.starts_with("step") || step == "final") && (kind == "grad" || kind == "param")).then_some((step, kind, tensor))
}

/// An ensemble member's part of values that have a leading ensemble axis.
pub fn member(values: &[f64], member: Option<(u32, u32)>) -> &[f64] {
    match member {
        Some((index, count)) => {
            let len = values.len() / count as usize;
            &values[index as usize * len..][..len]
        }
        None => values,
    }
}

/// Every tensor of an agent by official name, ensembles stacked: (weights, gradients), the gradient of a target empty.
pub fn tensors(agent: &mut Agent) -> BTreeMap<String, (Vec<f64>, Vec<f64>)> {
    let parameters = agent.blueprint().parameters.clone();
    let arenas = [Arena::Weights, Arena::Training].map(|arena| agent.machine().read(parameters.whole(arena), 0).unwrap());
    let mut out: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for entry in parameters.entries() {
        let place = out.entry(entry.name.clone()).or_default();
        place.0.extend(entry.tensor.pick(entry.tensor.region, &arenas[0]));
        if entry.source.is_none() {
            place.1.extend(entry.tensor.pick(Memory::gradient_of(entry.tensor.region), &arenas[1]));
        }
    }
    out
}
