//! Trains FQL, and GFP with several temperatures as lanes of one process; then draws from what they learned.

use wgflow::Error;
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::policy::{Values, act_noise};
use wgflow::agents::{Agent, AgentConfig, Common, FqlConfig, GfpConfig};
use wgflow::engine::Engine;

use super::bandit::{self, Action};

/// Weight of the distillation, in FQL as in GFP.
const ALPHA: f64 = 3.0;
/// Euler steps of a flow: a multiple of 4, to show its quarters.
const FLOW_STEPS: u32 = 8;
/// Updates at the end over which the weights g are collected, a batch each.
const WEIGHED: u64 = 16;

/// How much to train.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Updates.
    pub steps: u64,
    /// Seed of every lane.
    pub seed: u64,
    /// Hidden widths of every net.
    pub hidden: Vec<u32>,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Actions to draw from each policy.
    pub samples: u32,
}

/// What one agent learned.
#[derive(Clone, Debug)]
pub struct Learned {
    /// x_t of its flow at t = 0, 1/M, .., 1; the last are the flow's actions.
    pub path: Vec<Vec<Action>>,
    /// Actions of its one-step actor.
    pub actor: Vec<Action>,
    /// The weight of flow matching in the last updates, by mode of the data; 1 in FQL.
    pub weights: [Vec<f64>; 3],
}

impl Learned {
    /// The flow's actions.
    pub fn flow(&self) -> &[Action] {
        self.path.last().map_or(&[], Vec::as_slice)
    }

    /// Mean weight of all data.
    pub fn mean_weight(&self) -> f64 {
        mean(self.weights.iter().flatten().copied())
    }
}

/// Mean; NaN of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn common(effort: &Effort) -> Common {
    Common {
        hidden: effort.hidden.clone(),
        learning_rate: vec![effort.learning_rate],
        tau: vec![0.02],
        flow_steps: FLOW_STEPS,
        ..FqlConfig::default().common
    }
}

/// FQL with its Q loss scaled as GFP scales it.
pub fn fql(effort: &Effort) -> AgentConfig {
    AgentConfig::Fql(FqlConfig { common: common(effort), alpha: vec![ALPHA], normalize_q: true, ..FqlConfig::default() })
}

/// GFP with one lane for each temperature.
pub fn gfp(effort: &Effort, etas: &[f64]) -> AgentConfig {
    AgentConfig::Gfp(GfpConfig {
        common: common(effort),
        alpha: vec![ALPHA],
        eta: etas.to_vec(),
        // There is no next action here: the cheaper target is as good.
        target_agg: PolicyAggregate::Actor,
        ..GfpConfig::default()
    })
}

/// Trains `config` in `lanes` lanes of one seed; returns the agent and what each lane learned.
pub fn train(engine: &Engine, config: &AgentConfig, lanes: usize, effort: &Effort) -> Result<(Agent, Vec<Learned>), Error> {
    let mut agent = Agent::new(engine, config, (&bandit::dataset()?, None), &vec![effort.seed; lanes])?;
    let mut weights = vec![[const { Vec::new() }; 3]; lanes];
    let weighed_from = effort.steps.saturating_sub(WEIGHED);
    while agent.step() < effort.steps {
        let left = if agent.step() < weighed_from { weighed_from - agent.step() } else { 1 };
        agent.update(left.min(256) as u32)?;
        check(&mut agent)?;
        if agent.step() > weighed_from {
            weigh(&mut agent, &mut weights)?;
        }
    }
    let draw = |(lane, weights)| {
        let (path, actor) = (sample(&mut agent, lane, "flow", effort)?, sample(&mut agent, lane, "actor", effort)?);
        Ok(Learned { path, actor: actor.into_iter().next_back().unwrap_or_default(), weights })
    };
    let learned = weights.into_iter().enumerate().map(draw).collect::<Result<_, Error>>()?;
    Ok((agent, learned))
}

/// Fails if a loss is no longer a number.
fn check(agent: &mut Agent) -> Result<(), Error> {
    let names = agent.metric_names();
    for (lane, samples) in agent.read_metrics()?.into_iter().enumerate() {
        if let Some((step, broken)) = samples.iter().find_map(|sample| Some((sample.step, sample.broken?))) {
            return Err(Error::Diverged { lane, loss: names[broken].to_owned(), step });
        }
    }
    Ok(())
}

/// Adds the weights of the last update's batch: those that the update itself computed.
fn weigh(agent: &mut Agent, weights: &mut [[Vec<f64>; 3]]) -> Result<(), Error> {
    let outcome = agent.blueprint().outcome.clone();
    let guidance = outcome.probes.iter().find(|(name, _)| *name == "guidance");
    for (lane, weights) in weights.iter_mut().enumerate() {
        let rows = outcome.indices.map_or(Ok(Vec::new()), |region| agent.machine().read_words(region, lane))?;
        let values = match guidance {
            Some((_, region)) => agent.machine().read(*region, lane)?,
            None => vec![1.0; rows.len()],
        };
        for (row, value) in rows.into_iter().zip(values) {
            weights[bandit::mode_of(row as usize)].push(value);
        }
    }
    Ok(())
}

/// Draws actions from a policy: every x_t on the way, then the actions.
fn sample(agent: &mut Agent, lane: usize, policy: &str, effort: &Effort) -> Result<Vec<Vec<Action>>, Error> {
    let rows = effort.samples;
    let noise: Vec<f64> = (0..rows).flat_map(|row| act_noise(effort.seed, row, 0, 2)).collect();
    let mut policy = agent.policy(policy, lane, rows)?;
    let actions = policy.act(&vec![0.0; rows as usize], &noise)?;
    let pairs = |flat: Vec<f32>| flat.as_chunks().0.iter().map(|pair: &[f32; 2]| pair.map(f64::from)).collect();
    Ok(policy.trace()?.into_iter().chain([actions]).map(pairs).collect())
}

/// Q of lane 0 at `actions`.
pub fn values(agent: &mut Agent, actions: &[Action]) -> Result<Vec<f64>, Error> {
    let weights = agent.weights(0)?;
    let critics = Values::new(agent.config(), agent.dims(), &weights, actions.len() as u32, 1)?;
    let actions: Vec<f32> = actions.iter().flatten().map(|x| *x as f32).collect();
    // GFP has critics.
    critics.map_or_else(|| Ok(Vec::new()), |mut critics| critics.q(&vec![0.0; actions.len() / 2], &actions))
}

/// Share of `actions` that is nearest to each mode.
pub fn shares(actions: &[Action]) -> [f64; 3] {
    let of = |mode| actions.iter().filter(|action| bandit::nearest(**action) == mode).count() as f64 / actions.len() as f64;
    [0, 1, 2].map(of)
}
