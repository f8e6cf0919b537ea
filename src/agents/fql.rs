//! Flow Q-learning (FQL, Park et al. 2025).
//!
//! A critic Q; a flow policy trained by plain flow matching (BC flow); and a one-step actor distilled from the flow while
//! it maximises Q. Follows the official repository, `agents/fql.py`.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::{Common, Dims, PerLane, QAggregate, even};
use super::parameters::Parameters;
use super::policy::ActRecorder;
use super::recorder::Recorder;
use super::{Algorithm, steps};
use crate::engine::Region;
use crate::error::Result;
use crate::kernels::Aggregate;
use crate::kernels::critic_loss::Reduction;
use crate::kernels::random::stream;
use crate::nets::ensemble::Pair;
use crate::nets::{Ensemble, Flow, Keep, Mlp};

/// Settings of FQL. Defaults are the official repository's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct FqlConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Distillation weight alpha (tune for each environment); a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "10", value_name = "X[,X..]", help_heading = "FQL")]
    pub alpha: Vec<f64>,
    /// Over the two critics, in the Bellman target only; the actor's loss always takes the mean
    #[arg(long, value_enum, default_value = "mean", help_heading = "FQL")]
    pub q_agg: QAggregate,
    /// Scale the Q loss by lambda = 1 / mean|Q|
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL", help_heading = "FQL")]
    pub normalize_q: bool,
    /// Columns of the flow's time embedding (even), or 0 for the time itself
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "FQL")]
    pub time_dim: u32,
}

/// The nets of FQL.
#[derive(Clone, Debug)]
pub struct FqlNets {
    critic: Ensemble,
    bc_flow: Flow,
    actor: Mlp,
    target_critic: Ensemble,
}

impl Algorithm for FqlConfig {
    type Nets = FqlNets;

    fn name(&self) -> &'static str {
        "fql"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        vec![("alpha", &self.alpha)]
    }

    fn check(&self) -> Result<()> {
        even("time_dim", self.time_dim)
    }

    fn policies(&self) -> &'static [&'static str] {
        &["actor", "flow"]
    }

    fn total(&self, metric: &dyn Fn(&str) -> f64, scalar: &dyn Fn(&str) -> f64) -> f64 {
        metric("critic_loss") + metric("flow_loss") + scalar("alpha") * metric("distill_loss") + metric("q_loss")
    }

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> FqlNets {
        let common = &self.common;
        let critic = parameters.critics("critic", dims, common);
        let bc_flow = parameters.flow("bc_flow", dims, common, self.time_dim);
        let actor = parameters.actor("actor", dims, common);
        let target_critic = parameters.target_of(&critic, "target_critic", "critic", dims, common);
        FqlNets { critic, bc_flow, actor, target_critic }
    }

    /// Critic, BC flow, actor; then one step for all.
    fn update(&self, nets: &FqlNets, r: &mut Recorder<'_>) {
        let data = nets.critic.input(r.plan, r.batch());
        r.observation(data.observation);
        r.action(data.action);
        self.critic_loss(nets, r, data);
        steps::flow_matching(r, &nets.bc_flow, "flow", data.action, None);
        self.actor_loss(nets, r);
        r.follow("target critic", nets.critic.range(), nets.target_critic.range(), None);
        r.optimise();
    }

    fn critic(nets: &FqlNets) -> Option<&Ensemble> {
        Some(&nets.critic)
    }

    fn act(&self, nets: &FqlNets, policy: &str, r: &mut ActRecorder) -> Region {
        if policy == "flow" { r.flow_action(&nets.bc_flow, self.common.flow_steps) } else { r.one_step_action(&nets.actor) }
    }
}

impl FqlConfig {
    /// L = mean_(j,b) (Q_j(s,a) - y)^2, y = r + discount mask `q_agg`_j Qbar_j(s', clip(mu(s', z'))).
    ///
    /// Gradient reaches: critic. Stopped at: y, hence the target critic and the actor.
    fn critic_loss(&self, nets: &FqlNets, r: &mut Recorder<'_>, data: Pair) {
        let pair = steps::next_action(r, &nets.target_critic, &nets.actor, ("z_next", stream::Z_NEXT));
        let q = nets.target_critic.forward(r.plan, "target/q", pair, Keep::Nothing).q;
        let aggregates = (self.q_agg.over_members(), Aggregate::First);
        let target = steps::Target { next_q: &[("next_q_actor", q)], aggregates, penalty: None };
        steps::bellman(r, &nets.critic, data, target, Reduction::Mean);
    }

    /// L = alpha mean_(b,d) (u - T)^2 - mean_b mean_j Q_j(s, clip(u)), u = mu(s, z), T the flow's action from the same z.
    ///
    /// Gradient reaches: actor. Stopped at: T (flow), lambda, critic.
    fn actor_loss(&self, nets: &FqlNets, r: &mut Recorder<'_>) {
        let noise = ("z", stream::Z);
        let given_s = steps::condition(r, &nets.bc_flow, "flow", false, self.common.flow_steps);
        let target = r.plan.activations(r.batch(), r.action_dim());
        steps::integrate(r, &nets.bc_flow, "flow", given_s, noise, target);
        steps::distilled_actor(r, (&nets.actor, &nets.critic), noise, target, (Aggregate::Mean, self.normalize_q));
    }
}
