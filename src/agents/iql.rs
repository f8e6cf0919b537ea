//! Implicit Q-learning (IQL, Kostrikov et al. 2022).
//!
//! A state value V that leans towards the better of the data's actions (an expectile); a critic Q whose target is V of the
//! next state, so that no action outside the data is ever valued; and a Gaussian policy that imitates the data's actions,
//! each weighted by the exponential of its advantage. Follows fql `agents/iql.py` with `actor_loss` awr: the critics'
//! squared errors are summed, not averaged; the advantage takes the online critics, the expectile the targets; the policy's
//! deviation is 1. Four layers of 512 as there; the GFP authors run it with `--hidden 256,256,256,256`.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::{Common, Dims, PerLane, in_range};
use super::parameters::Parameters;
use super::policy::ActRecorder;
use super::recorder::Recorder;
use super::{Algorithm, steps};
use crate::engine::Region;
use crate::error::Result;
use crate::kernels::Aggregate;
use crate::kernels::awr_loss::{self, Weights};
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::metric::Statistic;
use crate::nets::ensemble::Pair;
use crate::nets::{Ensemble, Mlp};

/// Settings of IQL. Defaults are the official repository's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct IqlConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Expectile kappa of the state value, in [0, 1]: 0.5 is the mean over the data's actions, 1 the best; a list gives each
    /// lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.9", value_name = "X[,X..]", help_heading = "IQL")]
    pub expectile: Vec<f64>,
    /// Inverse temperature alpha, in advantages (tune over 0.3, 1, 3, 10): an action counts exp(alpha advantage), at most
    /// 100; 0 is plain behaviour cloning; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "10", value_name = "X[,X..]", help_heading = "IQL")]
    pub alpha: Vec<f64>,
}

/// The largest weight of an action.
const LARGEST_WEIGHT: u32 = 100;

/// The nets of IQL.
#[derive(Clone, Debug)]
pub struct IqlNets {
    critic: Ensemble,
    value: Mlp,
    actor: Mlp,
    target_critic: Ensemble,
}

impl Algorithm for IqlConfig {
    type Nets = IqlNets;

    fn name(&self) -> &'static str {
        "iql"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        vec![("expectile", &self.expectile), ("alpha", &self.alpha)]
    }

    fn check(&self) -> Result<()> {
        in_range("expectile", &self.expectile, 0.0, 1.0)
    }

    fn policies(&self) -> &'static [&'static str] {
        &["actor"]
    }

    fn total(&self, metric: &dyn Fn(&str) -> f64, _: &dyn Fn(&str) -> f64) -> f64 {
        metric("value_loss") + metric("critic_loss") + metric("actor_loss")
    }

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> IqlNets {
        let common = &self.common;
        let critic = parameters.critics("critic", dims, common);
        let value = parameters.value("value", dims, common);
        let actor = parameters.gaussian_actor("actor", dims, common);
        let target_critic = parameters.target_of(&critic, "target_critic", "critic", dims, common);
        IqlNets { critic, value, actor, target_critic }
    }

    /// Value, critic, actor; then one step for all.
    fn update(&self, nets: &IqlNets, r: &mut Recorder<'_>) {
        let data = nets.critic.input(r.plan, r.batch());
        r.observation(data.observation);
        r.action(data.action);
        let v = steps::expectile_value(r, &nets.value, &nets.target_critic, data);
        let q = steps::implicit_critic(r, &nets.critic, &nets.value, data);
        actor_loss(nets, r, data, (q, v));
        r.follow("target critic", nets.critic.range(), nets.target_critic.range(), None);
        r.optimise();
    }

    fn critic(nets: &IqlNets) -> Option<&Ensemble> {
        Some(&nets.critic)
    }

    fn act(&self, nets: &IqlNets, _: &str, r: &mut ActRecorder) -> Region {
        r.mean_action(&nets.actor, Epilogue::Clip { raw: None })
    }
}

/// L = -mean_b w_b log N(a; mean(s), I), w_b = min(exp(alpha (min_j Q_j(s,a) - V(s))), 100).
///
/// Gradient reaches: actor. Stopped at: w, hence the critic and the value.
fn actor_loss(nets: &IqlNets, r: &mut Recorder<'_>, data: Pair, (q, v): (Region, Region)) {
    let mean = r.plan.activations(r.batch(), r.action_dim());
    let tape = nets.actor.forward_kept(r.plan, "actor", data.observation, (mean, Epilogue::None));
    let (d_mean, out) = (r.plan.activations(r.batch(), r.action_dim()), r.plan.activations(r.batch(), 4));
    let alpha = r.plan.scalar("alpha");
    let weights = Weights { q, over_members: Aggregate::Min, v, alpha, cap: LARGEST_WEIGHT };
    awr_loss::record(r.plan, "actor", (mean, data.action), weights, (d_mean, out));
    if r.training() {
        nets.actor.backward(r.plan, "actor", &tape, d_mean);
    }
    r.probe("actor_mean", mean);
    for (name, column) in [("advantage", 1), ("awr_weight", 2), ("log_prob", 3)] {
        r.probe(name, out.column(column));
    }
    r.metric("actor_loss", out, 0, Statistic::Mean);
    r.metric("adv", out, 1, Statistic::Mean);
    r.metric("awr_weight", out, 2, Statistic::Mean);
    r.metric("bc_log_prob", out, 3, Statistic::Mean);
}
