//! A trained policy that acts, on the CPU twin: well under a millisecond for one state, the same bits on every machine.

mod trace;

use super::config::Dims;
use super::parameters::Parameters;
use super::recorder::fixed_scalar;
use super::{AgentConfig, Algorithm, with_algorithm};
use crate::engine::{Arena, Engine, Machine, PlanBuilder, PlanId, Precision, Region};
use crate::error::{Error, Result};
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::random::{counter, key, normal_pair, philox, stream};
use crate::kernels::{Aggregate, best_candidate};
use crate::nets::ensemble::Pair;
use crate::nets::flow::Constant;
use crate::nets::{Ensemble, Flow, Keep, Mlp};

/// Records a policy's forward pass.
#[derive(Debug)]
pub struct ActRecorder {
    /// The plan.
    pub plan: PlanBuilder,
    /// States acted on at once.
    pub rows: u32,
    dims: Dims,
    observations: Vec<Region>,
    noise: Vec<Region>,
    path: Vec<Region>,
    constants: Vec<Constant>,
    probes: Vec<(&'static str, Region)>,
}

impl ActRecorder {
    /// Records the one-step action clip(mu(s, z)).
    pub fn one_step_action(&mut self, actor: &Mlp) -> Region {
        let input = actor.input(&mut self.plan, self.rows);
        self.observations.push(actor.segment(input, 0));
        self.noise.push(actor.segment(input, 1));
        self.path.push(actor.segment(input, 1));
        let action = self.plan.activations(self.rows, self.dims.action);
        let clip = Epilogue::Clip { raw: None };
        actor.forward(&mut self.plan, "actor", input, (action, clip));
        action
    }

    /// Records the mean action of a Gaussian policy, brought into [-1, 1] by `head`. Needs no noise.
    pub fn mean_action(&mut self, actor: &Mlp, head: Epilogue) -> Region {
        let input = actor.input(&mut self.plan, self.rows);
        self.observations.push(actor.segment(input, 0));
        let action = self.plan.activations(self.rows, self.dims.action);
        actor.forward(&mut self.plan, "actor", input, (action, head));
        action
    }

    /// Records the action of a flow after `steps` Euler steps, clipped.
    pub fn flow_action(&mut self, flow: &Flow, steps: u32) -> Region {
        let action = self.plan.activations(self.rows, self.dims.action);
        self.integrate(flow, steps, action);
        action
    }

    /// Records the best of `count` actions of a flow by the smaller of the critics' values. A state's candidates are
    /// neighbouring rows of one large batch.
    pub fn best_flow_action(&mut self, flow: &Flow, steps: u32, critic: &Ensemble, count: u32) -> Region {
        let pair = critic.input(&mut self.plan, self.rows * count);
        self.observations.push(pair.observation);
        self.integrate(flow, steps, pair.action);
        let q = critic.forward(&mut self.plan, "critic", pair, Keep::Nothing).q;
        let action = self.plan.activations(self.rows, self.dims.action);
        best_candidate::record(&mut self.plan, "best of n", q, Aggregate::Min, pair.action, action);
        self.probes.extend([("candidates", pair.action), ("q", q)]);
        action
    }

    /// Records a flow's integration into `action`, one row a noise.
    fn integrate(&mut self, flow: &Flow, steps: u32, action: Region) {
        let states = flow.states(&mut self.plan, action.rows);
        self.observations.push(states);
        let condition = flow.condition(&mut self.plan, "flow", states, steps, &mut self.constants);
        let noise = self.plan.activations(action.rows, action.cols);
        self.noise.push(noise);
        self.path = flow.integrate(&mut self.plan, "flow", condition, noise, action);
    }
}

/// A policy for a fixed number of states at once.
#[derive(Debug)]
pub struct Policy {
    machine: Machine,
    plan: PlanId,
    observations: Vec<Region>,
    noise: Vec<Region>,
    path: Vec<Region>,
    action: Region,
    probes: Vec<(&'static str, Region)>,
    dims: Dims,
}

impl Policy {
    /// The policy `name` (one of [`AgentConfig::policies`]) of an agent with the given `weights` (a lane's whole weights
    /// arena), for `rows` states at once, on at most `threads` CPU threads.
    ///
    /// # Errors
    /// [`Error::Plan`] if the agent's recording is broken.
    pub fn new(config: &AgentConfig, dims: Dims, name: &str, weights: &[f64], rows: u32, threads: usize) -> Result<Self> {
        with_algorithm!(config, agent => Self::of(agent, dims, name, weights, rows, threads))
    }

    fn of<A: Algorithm>(agent: &A, dims: Dims, name: &str, weights: &[f64], rows: u32, threads: usize) -> Result<Self> {
        let (parameters, nets) = Parameters::of(agent, dims);
        // Acting needs no gradients and no moments.
        let mut r = ActRecorder {
            plan: PlanBuilder::new(parameters.memory.without_training()),
            rows,
            dims,
            observations: Vec::new(),
            noise: Vec::new(),
            path: Vec::new(),
            constants: Vec::new(),
            probes: Vec::new(),
        };
        let action = agent.act(&nets, name, &mut r);
        let (mut machine, plan) = on_cpu(r.plan, &parameters, weights, threads)?;
        for (region, values) in &r.constants {
            machine.write(*region, 0, values)?;
        }
        let ActRecorder { observations, noise, path, probes, .. } = r;
        Ok(Self { machine, plan, observations, noise, path, action, probes, dims })
    }

    /// The same policy at another precision. Mixed halves the weights that an act reads, which is what takes the time for few
    /// states; actions then differ by about a thousandth. At f32 it acts [plain](Precision::Plain), as it does by itself.
    ///
    /// # Errors
    /// [`Error::Setting`] if the processor does not have it.
    pub fn at(mut self, precision: Precision) -> Result<Self> {
        self.machine.set_precision(if precision == Precision::F32 { ACTING } else { precision })?;
        Ok(self)
    }

    /// States acted on at once.
    pub const fn rows(&self) -> usize {
        self.action.rows as usize
    }

    /// Dimensions of a state and of an action.
    pub const fn dims(&self) -> Dims {
        self.dims
    }

    /// Standard normals that a state's action needs: none where the policy is deterministic, an action's dimensions for a
    /// sample, as many times that as it chooses from candidates.
    pub fn noise_cols(&self) -> usize {
        self.noise.first().map_or(0, |noise| noise.len() / self.rows())
    }

    /// Actions ([rows, action_dim], in [-1, 1]) for `observations` ([rows, obs_dim]) and standard normal `noise` ([rows,
    /// [`Policy::noise_cols`]]).
    ///
    /// # Errors
    /// [`Error::Plan`] if a slice has the wrong length.
    pub fn act(&mut self, observations: &[f32], noise: &[f64]) -> Result<Vec<f32>> {
        let cols = self.noise_cols();
        if noise.len() != self.rows() * cols {
            let problem = format!("{} values of noise for {} states of {cols}", noise.len(), self.rows());
            return Err(Error::Plan { label: "act".to_owned(), problem });
        }
        let observations: Vec<f64> = observations.iter().copied().map(f64::from).collect();
        let repeated = self.repeated(&observations);
        for &region in &self.observations {
            self.machine.write(region, 0, if region.rows == self.action.rows { &observations } else { &repeated })?;
        }
        for &region in &self.noise {
            self.machine.write(region, 0, noise)?;
        }
        self.machine.submit(self.plan, 1)?;
        Ok(self.machine.read(self.action, 0)?.into_iter().map(|x| x as f32).collect())
    }

    /// Each observation once for every candidate action.
    fn repeated(&self, observations: &[f64]) -> Vec<f64> {
        let (obs_dim, count) = (self.dims.obs as usize, self.noise_cols() / self.dims.action as usize);
        observations.chunks(obs_dim).flat_map(|row| row.repeat(count)).collect()
    }

    /// An intermediate value of the last actions by its name: of a policy that chooses, "candidates" ([rows, count,
    /// action_dim]) and their values "q" ([critics, rows, count]). `None` for another name.
    ///
    /// # Errors
    /// None on the CPU.
    pub fn probe(&mut self, name: &str) -> Result<Option<Vec<f64>>> {
        let region = self.probes.iter().find(|(known, _)| *known == name).map(|(_, region)| *region);
        region.map(|region| self.machine.read(region, 0)).transpose()
    }
}

/// An agent's critics, for a fixed number of pairs at once.
#[derive(Debug)]
pub struct Values {
    machine: Machine,
    plan: PlanId,
    input: Pair,
    q: Region,
}

impl Values {
    /// The critics of an agent with the given `weights` (a lane's whole weights arena), for `rows` pairs at once; `None` for
    /// an agent without critics. At most `threads` CPU threads.
    ///
    /// # Errors
    /// [`Error::Plan`] if the agent's recording is broken.
    pub fn new(config: &AgentConfig, dims: Dims, weights: &[f64], rows: u32, threads: usize) -> Result<Option<Self>> {
        with_algorithm!(config, agent => Self::of(agent, dims, weights, rows, threads))
    }

    fn of<A: Algorithm>(agent: &A, dims: Dims, weights: &[f64], rows: u32, threads: usize) -> Result<Option<Self>> {
        let (parameters, nets) = Parameters::of(agent, dims);
        let Some(critic) = A::critic(&nets) else { return Ok(None) };
        let mut plan = PlanBuilder::new(parameters.memory.without_training());
        let input = critic.input(&mut plan, rows);
        let q = critic.forward(&mut plan, "critic", input, Keep::Nothing).q;
        let (machine, plan) = on_cpu(plan, &parameters, weights, threads)?;
        Ok(Some(Self { machine, plan, input, q }))
    }

    /// Mean over the critics of Q(s, a), one value a row, for `observations` ([rows, obs_dim]) and `actions` ([rows,
    /// action_dim]).
    ///
    /// # Errors
    /// [`Error::Plan`] if a slice has the wrong length.
    pub fn q(&mut self, observations: &[f32], actions: &[f32]) -> Result<Vec<f64>> {
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        self.machine.write(self.input.observation, 0, &wide(observations))?;
        self.machine.write(self.input.action, 0, &wide(actions))?;
        self.machine.submit(self.plan, 1)?;
        let q = self.machine.read(self.q, 0)?;
        let rows = self.input.whole.rows as usize;
        let members = q.len() / rows;
        Ok((0..rows).map(|row| (0..members).map(|j| q[j * rows + row]).sum::<f64>() / members as f64).collect())
    }
}

/// How policies act where no other precision is asked for: a state's action must not depend on its companions.
const ACTING: Precision = Precision::Plain;

/// Operations of matrix products below which a plan runs on one thread: it is done before a second one has woken up.
const SHARED_FROM: u64 = 10_000_000;

/// What was recorded on `plan`, loaded on the CPU engine over `weights`. Forward passes use only the fixed scalars (the
/// layer norms' epsilon).
fn on_cpu(mut plan: PlanBuilder, parameters: &Parameters, weights: &[f64], threads: usize) -> Result<(Machine, PlanId)> {
    let finished = plan.finish()?;
    let scalars: Vec<f64> = plan.scalars().iter().map(|name| fixed_scalar(name)).collect();
    let threads = if finished.product_flops() < SHARED_FROM { 1 } else { threads };
    let mut machine = Engine::cpu(Some(threads)).at(ACTING)?.machine(&plan.memory, 1, &scalars, Vec::new())?;
    machine.write(parameters.whole(Arena::Weights), 0, weights)?;
    let id = machine.load(&finished, 0)?;
    Ok((machine, id))
}

/// `cols` standard normals for step `step` of episode `episode`: a pure function of these and the seed.
pub fn act_noise(seed: u64, episode: u32, step: u32, cols: usize) -> Vec<f64> {
    let quads = cols.div_ceil(4) as u32;
    let draw = |quad: u32| {
        let bits = philox(counter(step, stream::ACT, episode * quads + quad), key(seed));
        let ((a, b), (c, d)) = (normal_pair::<f64>(bits[0], bits[1]), normal_pair::<f64>(bits[2], bits[3]));
        [a, b, c, d]
    };
    (0..quads).flat_map(draw).take(cols).collect()
}
