//! Guided Flow Policy (GFP).
//!
//! A critic Q; a multi-step flow policy (VaBC) trained by flow matching weighted with g_eta, how much better the data's
//! action is than the actor's; and a one-step actor distilled from the flow while it maximises Q. Follows the official
//! release, `agents/gfp.py`, whose numbers are the published ones. Differs from the paper: every loss is taken at the
//! parameters before the update; squared norms are means over action dimensions; the critic inside g_eta is the target
//! critic; actor and VaBC share one noise in the target; the VaBC action of the target is conditioned on s
//! (`target_use_next` off).

use clap::{Args, ValueEnum};
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
use crate::kernels::flow_loss::{Gate, Guidance};
use crate::kernels::metric::Statistic;
use crate::kernels::random::stream;
use crate::nets::ensemble::Pair;
use crate::nets::flow::Condition;
use crate::nets::{Ensemble, Flow, Keep, Mlp};

/// Which policies' values enter, and how they become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PolicyAggregate {
    /// The one-step actor alone.
    Actor,
    /// The VaBC flow alone.
    Vabc,
    /// The mean of both.
    Mean,
    /// The smaller of both.
    Min,
    /// The larger of both.
    Max,
}

impl PolicyAggregate {
    const fn uses_actor(self) -> bool {
        !matches!(self, Self::Vabc)
    }

    const fn uses_vabc(self) -> bool {
        !matches!(self, Self::Actor)
    }

    const fn over_candidates(self) -> Aggregate {
        match self {
            Self::Actor | Self::Vabc => Aggregate::First,
            Self::Mean => Aggregate::Mean,
            Self::Min => Aggregate::Min,
            Self::Max => Aggregate::Max,
        }
    }
}

/// Form of the weight g.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum GuidanceFn {
    /// sigmoid(lambda / eta (Q_data - Q_ref)): a softmax of two.
    Softmax,
    /// exp(lambda / eta (Q_data - Q_ref)), not clipped.
    Advantage,
}

impl From<GuidanceFn> for Guidance {
    fn from(form: GuidanceFn) -> Self {
        match form {
            GuidanceFn::Softmax => Self::Softmax,
            GuidanceFn::Advantage => Self::Advantage,
        }
    }
}

/// Settings of GFP. Defaults are the release's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct GfpConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Distillation weight alpha (tune over 3, 1, 0.3, 0.1); a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "10", value_name = "X[,X..]", help_heading = "GFP")]
    pub alpha: Vec<f64>,
    /// Guidance temperature eta (tune over 0.1, 0.01, 0.001, 0.0001): smaller filters harder; 0 switches the weight off
    /// (plain behaviour cloning, the opposite of eta towards 0); a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.1", value_name = "X[,X..]", help_heading = "GFP")]
    pub eta: Vec<f64>,
    /// Over the two critics, everywhere
    #[arg(long, value_enum, default_value = "mean", help_heading = "GFP")]
    pub q_agg: QAggregate,
    /// Whose next action the Bellman target values
    #[arg(long, value_enum, default_value = "mean", help_heading = "GFP")]
    pub target_agg: PolicyAggregate,
    /// Whose action the data's action is compared with in g
    #[arg(long, value_enum, default_value = "actor", help_heading = "GFP")]
    pub guidance_agg: PolicyAggregate,
    /// Form of the weight g
    #[arg(long, value_enum, default_value = "softmax", help_heading = "GFP")]
    pub guidance_fn: GuidanceFn,
    /// Condition the VaBC action of the target on s' (as the paper writes) rather than on s (as the release does)
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL", help_heading = "GFP")]
    pub target_use_next: bool,
    /// Scale the Q loss by lambda = 1 / mean|Q|; the weight g keeps lambda in any case
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL", help_heading = "GFP")]
    pub normalize_q: bool,
    /// Columns of the flow's time embedding (even), or 0 for the time itself
    #[arg(long, default_value_t = 64, value_name = "N", help_heading = "GFP")]
    pub time_dim: u32,
}

/// The nets of GFP.
#[derive(Clone, Debug)]
pub struct GfpNets {
    critic: Ensemble,
    actor: Mlp,
    vabc: Flow,
    target_critic: Ensemble,
}

impl Algorithm for GfpConfig {
    type Nets = GfpNets;

    fn name(&self) -> &'static str {
        "gfp"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        vec![("alpha", &self.alpha), ("eta", &self.eta)]
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

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> GfpNets {
        let common = &self.common;
        let critic = parameters.critics("critic", dims, common);
        let actor = parameters.actor("actor", dims, common);
        let vabc = parameters.flow("vabc", dims, common, self.time_dim);
        let target_critic = parameters.target_of(&critic, "target_critic", "critic", dims, common);
        GfpNets { critic, actor, vabc, target_critic }
    }

    /// The box of the paper: critic, actor, VaBC; then one step for all.
    fn update(&self, nets: &GfpNets, r: &mut Recorder<'_>) {
        let data = nets.critic.input(r.plan, r.batch());
        r.observation(data.observation);
        r.action(data.action);
        let given_s = steps::condition(r, &nets.vabc, "flow", false, self.common.flow_steps);
        self.critic_loss(nets, r, data, given_s);
        let actor = self.actor_loss(nets, r, given_s);
        self.vabc_loss(nets, r, data, actor);
        r.follow("target critic", nets.critic.range(), nets.target_critic.range(), None);
        r.optimise();
    }

    fn critic(nets: &GfpNets) -> Option<&Ensemble> {
        Some(&nets.critic)
    }

    fn act(&self, nets: &GfpNets, policy: &str, r: &mut ActRecorder) -> Region {
        if policy == "flow" { r.flow_action(&nets.vabc, self.common.flow_steps) } else { r.one_step_action(&nets.actor) }
    }
}

impl GfpConfig {
    /// L = mean_(j,b) (Q_j(s,a) - y)^2, y = r + discount mask `target_agg` of Qbar(s', a').
    ///
    /// Gradient reaches: critic. Stopped at: y, hence the target critic and both policies.
    fn critic_loss(&self, nets: &GfpNets, r: &mut Recorder<'_>, data: Pair, given_s: Condition) {
        let noise = ("z_next", stream::Z_NEXT);
        let mut next_q = Vec::new();
        if self.target_agg.uses_actor() {
            let pair = steps::next_action(r, &nets.target_critic, &nets.actor, noise);
            next_q.push(("next_q_actor", nets.target_critic.forward(r.plan, "target/q actor", pair, Keep::Nothing).q));
        }
        if self.target_agg.uses_vabc() {
            let pair = nets.target_critic.input(r.plan, r.batch());
            r.next_observation(pair.observation);
            let given = if self.target_use_next {
                steps::condition(r, &nets.vabc, "target/flow", true, self.common.flow_steps)
            } else {
                given_s
            };
            steps::integrate(r, &nets.vabc, "target/flow", given, noise, pair.action);
            r.probe("next_action_flow", pair.action);
            next_q.push(("next_q_flow", nets.target_critic.forward(r.plan, "target/q flow", pair, Keep::Nothing).q));
        }
        let aggregates = (self.q_agg(), self.target_agg.over_candidates());
        let target = steps::Target { next_q: &next_q, aggregates, penalty: None };
        steps::bellman(r, &nets.critic, data, target, Reduction::Mean);
    }

    /// L = alpha mean_(b,d) (u - T)^2 - lambda mean_b Q(s, clip(u)), u = mu(s, z), T the flow's action from the same z.
    /// Returns [s | clip(u)], [s | T] and lambda, for the guidance.
    ///
    /// Gradient reaches: actor. Stopped at: T (flow), lambda, critic.
    fn actor_loss(&self, nets: &GfpNets, r: &mut Recorder<'_>, given_s: Condition) -> (Pair, Pair, Region) {
        let noise = ("z", stream::Z);
        let flow_pair = nets.target_critic.input(r.plan, r.batch());
        if self.guidance_agg.uses_vabc() {
            r.observation(flow_pair.observation);
        }
        steps::integrate(r, &nets.vabc, "flow", given_s, noise, flow_pair.action);
        let value = (self.q_agg(), self.normalize_q);
        let (pair, lambda) = steps::distilled_actor(r, (&nets.actor, &nets.critic), noise, flow_pair.action, value);
        (pair, flow_pair, lambda)
    }

    /// L = mean_b g_b mean_d (v(s, x_t, t) - (a - x0))^2, g_b = sigmoid(lambda/eta (Qbar(s,a) - Qbar(s, reference))).
    ///
    /// Gradient reaches: vabc. Stopped at: g, hence the target critic, the actor and lambda.
    fn vabc_loss(&self, nets: &GfpNets, r: &mut Recorder<'_>, data: Pair, (actor, flow, lambda): (Pair, Pair, Region)) {
        let q_data = nets.target_critic.forward(r.plan, "guidance/q data", data, Keep::Nothing).q;
        let mut references = Vec::new();
        if self.guidance_agg.uses_actor() {
            references.push(nets.target_critic.forward(r.plan, "guidance/q actor", actor, Keep::Nothing).q);
        }
        if self.guidance_agg.uses_vabc() {
            references.push(nets.target_critic.forward(r.plan, "guidance/q flow", flow, Keep::Nothing).q);
        }
        let gate = Gate {
            guidance: self.guidance_fn.into(),
            q_data,
            q_first: references[0],
            q_second: references.get(1).copied(),
            over_members: self.q_agg(),
            over_references: self.guidance_agg.over_candidates(),
            lambda,
            eta: r.plan.scalar("eta"),
        };
        let rows = steps::flow_matching(r, &nets.vabc, "vabc", data.action, Some(gate));
        for (name, column) in [("guidance", 2), ("guide_q_data", 3), ("guide_q_ref", 4)] {
            r.probe(name, rows.column(column));
        }
        r.metric("q_data", rows, 3, Statistic::Mean);
        r.metric("q_ref", rows, 4, Statistic::Mean);
        r.metric("guidance_mean", rows, 2, Statistic::Mean);
        for (name, threshold) in GUIDANCE_SHARES {
            r.metric(name, rows, 2, Statistic::ShareAbove(threshold));
        }
    }

    const fn q_agg(&self) -> Aggregate {
        self.q_agg.over_members()
    }
}

/// Shares of the guidance that the official code logs.
const GUIDANCE_SHARES: [(&str, f32); 6] = [
    ("guidance_above_0.01", 0.01),
    ("guidance_above_0.1", 0.1),
    ("guidance_above_0.25", 0.25),
    ("guidance_above_0.4", 0.4),
    ("guidance_above_0.5", 0.5),
    ("guidance_above_0.75", 0.75),
];
