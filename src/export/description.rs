//! A policy as arithmetic: what every export format has to say, and nothing about how a format says it.

use crate::agents::parameters::Entry;
use crate::agents::recorder::fixed_scalar;
use crate::agents::{AgentConfig, Dims, Parameters};
use crate::error::{Error, Result};
use crate::kernels::time_embedding::frequencies;
use crate::nets::mlp::LAYER_NORM_EPSILON;
use crate::train::Saved;

/// A policy of a trained agent.
#[derive(Clone, Debug)]
pub struct Description {
    /// Dimensions of the task.
    pub dims: Dims,
    /// How an action comes about.
    pub form: Form,
}

/// How an action comes about. z is standard normal.
#[derive(Clone, Debug)]
pub enum Form {
    /// squash(net([s | z])).
    OneStep(Net, Squash),
    /// squash(net(s)): no chance in it.
    Mean(Net, Squash),
    /// x = z; for each step i of M: x += v([s | x | t]) / M at t = i / M; then clip(x, -1, 1).
    Flow(Flow),
    /// Of `count` actions of the flow, each from its own z, the first with the largest smallest value of the critics.
    BestOf {
        /// What proposes.
        flow: Flow,
        /// How many.
        count: u32,
        /// Q([s | a]) of each.
        critics: Vec<Net>,
    },
}

/// How a net's output becomes an action in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squash {
    /// clip(x, -1, 1).
    Clip,
    /// tanh(x).
    Tanh,
}

/// A velocity field and its Euler integration.
#[derive(Clone, Debug)]
pub struct Flow {
    /// v.
    pub field: Net,
    /// M.
    pub steps: u32,
    /// Columns of the time's embedding; 0 for the time itself.
    pub time_dim: u32,
}

/// A multilayer perceptron: [dense, GELU (tanh form), (layer norm)] for each hidden layer, then a dense head.
#[derive(Clone, Debug)]
pub struct Net {
    /// Its layers; the last is the head.
    pub layers: Vec<Layer>,
}

/// A dense layer, and the layer norm after its activation.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Columns of the input.
    pub inputs: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// [inputs, outputs].
    pub kernel: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    /// Where there is one.
    pub norm: Option<Norm>,
}

/// A layer norm's weights, each `[outputs]`.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Multiplies the normalised row.
    pub scale: Vec<f32>,
    /// Is added to it.
    pub bias: Vec<f32>,
}

/// Added to the variance in every layer norm.
pub fn layer_norm_epsilon() -> f64 {
    fixed_scalar(LAYER_NORM_EPSILON)
}

impl Description {
    /// The policy `policy` of lane `lane`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such policy or lane.
    pub fn of(saved: &Saved, policy: &str, lane: usize) -> Result<Self> {
        check_lane(saved, lane)?;
        saved.check_policy(policy)?;
        let config = &saved.config.agent;
        let weights = Weights { parameters: config.parameters(saved.dims()), arena: saved.weights(lane) };
        let flow = |field: &str, time_dim: u32| {
            Ok::<_, Error>(Flow { field: weights.net(field, 0)?, steps: config.common().flow_steps, time_dim })
        };
        let actor = || weights.net("actor", 0);
        let form = match (config, policy) {
            (AgentConfig::Gfp(gfp), "flow") => Form::Flow(flow("vabc", gfp.time_dim)?),
            (AgentConfig::Fql(fql), "flow") => Form::Flow(flow("bc_flow", fql.time_dim)?),
            (AgentConfig::Gfp(_) | AgentConfig::Fql(_), _) => Form::OneStep(actor()?, Squash::Clip),
            (AgentConfig::Ifql(ifql), "flow") => Form::Flow(flow("bc_flow", ifql.time_dim)?),
            (AgentConfig::Ifql(ifql), _) => {
                let critics = vec![weights.net("critic", 0)?, weights.net("critic", 1)?];
                Form::BestOf { flow: flow("bc_flow", ifql.time_dim)?, count: ifql.num_samples, critics }
            }
            (AgentConfig::Iql(_), _) => Form::Mean(actor()?, Squash::Clip),
            (AgentConfig::Rebrac(_), _) => Form::Mean(actor()?, Squash::Tanh),
            (AgentConfig::Bc(bc), _) => Form::Flow(flow("bc_flow", bc.time_dim)?),
        };
        Ok(Self { dims: saved.dims(), form })
    }

    /// The net that makes actions.
    pub const fn net(&self) -> &Net {
        match &self.form {
            Form::OneStep(net, _) | Form::Mean(net, _) => net,
            Form::Flow(flow) | Form::BestOf { flow, .. } => &flow.field,
        }
    }

    /// The same, to be altered.
    pub const fn net_mut(&mut self) -> &mut Net {
        match &mut self.form {
            Form::OneStep(net, _) | Form::Mean(net, _) => net,
            Form::Flow(flow) | Form::BestOf { flow, .. } => &mut flow.field,
        }
    }
}

fn check_lane(saved: &Saved, lane: usize) -> Result<()> {
    if lane < saved.lanes() {
        return Ok(());
    }
    let expected = format!("below {}, the run's number of lanes", saved.lanes());
    Err(Error::setting("--lane", expected, lane.to_string(), "name one of its lanes"))
}

impl Flow {
    /// The columns that stand for the time of step `step`.
    pub fn time(&self, step: u32) -> Vec<f32> {
        let t = f64::from(step) / f64::from(self.steps);
        if self.time_dim == 0 {
            return vec![t as f32];
        }
        let angles = || frequencies(self.time_dim / 2).into_iter().map(move |f| t * f);
        angles().map(f64::sin).chain(angles().map(f64::cos)).map(|x| x as f32).collect()
    }
}

/// A lane's weights by name.
struct Weights<'a> {
    parameters: Parameters,
    arena: &'a [f64],
}

impl Weights<'_> {
    /// The tensor `name` of member `member`, where it belongs to an ensemble, with its shape. Checkpoints hold f32, so
    /// nothing is rounded.
    fn tensor(&self, name: &str, member: u32) -> Option<(Vec<usize>, Vec<f32>)> {
        let own = |entry: &&Entry| entry.name == name && entry.member.is_none_or(|(j, _)| j == member);
        let entry = self.parameters.entries().iter().find(own)?;
        let values = entry.tensor.pick(entry.tensor.region, self.arena).into_iter().map(|x| x as f32).collect();
        Some((entry.tensor.shape.iter().map(|&n| n as usize).collect(), values))
    }

    fn net(&self, name: &str, member: u32) -> Result<Net> {
        let mut layers = Vec::new();
        while let Some(layer) = self.layer(name, member, layers.len()) {
            layers.push(layer);
        }
        if layers.is_empty() {
            return Err(Error::Plan { label: format!("export of {name}"), problem: "the agent has no such net".to_owned() });
        }
        Ok(Net { layers })
    }

    fn layer(&self, net: &str, member: u32, i: usize) -> Option<Layer> {
        let tensor = |name: &str| self.tensor(&format!("{net}/{name}"), member);
        let (shape, kernel) = tensor(&format!("dense{i}/kernel"))?;
        let (_, bias) = tensor(&format!("dense{i}/bias"))?;
        let scale = tensor(&format!("norm{i}/scale"));
        let norm = scale.zip(tensor(&format!("norm{i}/bias"))).map(|((_, scale), (_, bias))| Norm { scale, bias });
        Some(Layer { inputs: shape[0], outputs: shape[1], kernel, bias, norm })
    }
}
