//! Revisited behaviour-regularised actor-critic (ReBRAC, Tarasov et al. 2023): TD3 + BC with layer norm, and a penalty on
//! leaving the data's actions in the critic as well as in the actor.
//!
//! Follows fql `agents/rebrac.py`, with `q_agg` from the GFP authors' copy. The actor is deterministic: tanh(mean(s)).
//!
//! *Every second update.* Actor loss and both targets take part in the updates whose number, counted from 1, is a multiple
//! of `actor_freq`. In the others the actor's gradient is zero and it drifts on by Adam's momentum with the shared step
//! count, as one Adam over all nets has it. One plan serves both kinds: the kernels that decide (`bc_penalty`, `ema`) look
//! at the clock's words, so a burst needs no bookkeeping on the host and a run may be cut after any update. The price is an
//! actor pass that counts for nothing in every second update; two plans in turn would save it, and would have every
//! submission, lane and resumption know which is next.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::{Common, Dims, PerLane, QAggregate, at_least_one};
use super::parameters::Parameters;
use super::policy::ActRecorder;
use super::recorder::Recorder;
use super::{Algorithm, steps};
use crate::engine::Region;
use crate::error::Result;
use crate::kernels::critic_loss::Reduction;
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::metric::Statistic;
use crate::kernels::random::stream;
use crate::kernels::td_target::Penalty;
use crate::kernels::{Aggregate, bc_penalty, perturb};
use crate::nets::ensemble::Pair;
use crate::nets::{Ensemble, Keep, Mlp};

/// Settings of ReBRAC. Defaults are the official repository's, but for the penalties, which it leaves at 0 to be tuned:
/// here those published for cube-single.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct RebracConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Weight of the actor's squared distance to the data's action, summed over its dimensions (tune over 0.001 to 1); a
    /// list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "X[,X..]", help_heading = "ReBRAC")]
    pub alpha_actor: Vec<f64>,
    /// The same in the critic's target, for the next action (tune over 0, 0.001, 0.01, 0.1); a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0", value_name = "X[,X..]", help_heading = "ReBRAC")]
    pub alpha_critic: Vec<f64>,
    /// Over the two critics, in the Bellman target and in the actor's loss
    #[arg(long, value_enum, default_value = "min", help_heading = "ReBRAC")]
    pub q_agg: QAggregate,
    /// Updates from one of the actor and the targets to the next
    #[arg(long, default_value_t = 2, value_name = "N", help_heading = "ReBRAC")]
    pub actor_freq: u32,
    /// Deviation of the noise on the target's next action, in units of the action; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.2", value_name = "X[,X..]", help_heading = "ReBRAC")]
    pub actor_noise: Vec<f64>,
    /// Largest noise on the target's next action, in units of the action; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.5", value_name = "X[,X..]", help_heading = "ReBRAC")]
    pub actor_noise_clip: Vec<f64>,
}

/// The nets of ReBRAC.
#[derive(Clone, Debug)]
pub struct RebracNets {
    critic: Ensemble,
    actor: Mlp,
    target_critic: Ensemble,
    target_actor: Mlp,
}

impl Algorithm for RebracConfig {
    type Nets = RebracNets;

    fn name(&self) -> &'static str {
        "rebrac"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        vec![
            ("alpha_actor", &self.alpha_actor),
            ("alpha_critic", &self.alpha_critic),
            ("actor_noise", &self.actor_noise),
            ("actor_noise_clip", &self.actor_noise_clip),
        ]
    }

    fn check(&self) -> Result<()> {
        at_least_one("actor_freq", self.actor_freq)
    }

    fn policies(&self) -> &'static [&'static str] {
        &["actor"]
    }

    /// The actor's part counts in the updates that it takes part in.
    fn total(&self, metric: &dyn Fn(&str) -> f64, _: &dyn Fn(&str) -> f64) -> f64 {
        metric("critic_loss") + metric("actor_update") * (metric("q_loss") + metric("bc_loss"))
    }

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> RebracNets {
        let common = &self.common;
        let critic = parameters.critics("critic", dims, common);
        let actor = parameters.gaussian_actor("actor", dims, common);
        let target_critic = parameters.target_of(&critic, "target_critic", "critic", dims, common);
        let target_actor = parameters.target_of_actor("target_actor", "actor", dims, common);
        RebracNets { critic, actor, target_critic, target_actor }
    }

    /// Critic, actor; then one step for all.
    fn update(&self, nets: &RebracNets, r: &mut Recorder<'_>) {
        let data = nets.critic.input(r.plan, r.batch());
        r.observation(data.observation);
        r.action(data.action);
        self.critic_loss(nets, r, data);
        self.actor_loss(nets, r, data);
        let turn = r.every(self.actor_freq);
        r.follow("target critic", nets.critic.range(), nets.target_critic.range(), turn);
        r.follow("target actor", nets.actor.range(), nets.target_actor.range(), turn);
        r.optimise();
    }

    fn critic(nets: &RebracNets) -> Option<&Ensemble> {
        Some(&nets.critic)
    }

    fn act(&self, nets: &RebracNets, _: &str, r: &mut ActRecorder) -> Region {
        r.mean_action(&nets.actor, Epilogue::Tanh)
    }
}

impl RebracConfig {
    /// L = mean_(j,b) (Q_j(s,a) - y)^2, y = r + discount mask (`q_agg`_j Qbar_j(s',a') - alpha_critic sum_d (a' - data's)^2),
    /// a' = clip(pibar(s') + clip(actor_noise e, -actor_noise_clip, actor_noise_clip)), e standard normal.
    ///
    /// Gradient reaches: critic. Stopped at: y, hence both targets.
    fn critic_loss(&self, nets: &RebracNets, r: &mut Recorder<'_>, data: Pair) {
        let pair = nets.target_critic.input(r.plan, r.batch());
        r.next_observation(pair.observation);
        let [squashed, noise, reference] = [(); 3].map(|()| r.plan.activations(r.batch(), r.action_dim()));
        let head = (squashed, Epilogue::Tanh);
        nets.target_actor.forward(r.plan, "target/actor", pair.observation, head);
        r.normal("policy_noise", stream::Z_NEXT, noise);
        let bounds = (r.plan.scalar("actor_noise"), r.plan.scalar("actor_noise_clip"));
        perturb::record(r.plan, "target/action", (squashed, noise), bounds, pair.action);
        r.next_action(reference);
        r.probe("next_action_actor", pair.action);
        let q = nets.target_critic.forward(r.plan, "target/q", pair, Keep::Nothing).q;
        let penalty = Penalty { action: pair.action, reference, weight: r.plan.scalar("alpha_critic") };
        let aggregates = (self.q_agg.over_members(), Aggregate::First);
        let target = steps::Target { next_q: &[("next_q_actor", q)], aggregates, penalty: Some(penalty) };
        steps::bellman(r, &nets.critic, data, target, Reduction::Mean);
    }

    /// L = -lambda mean_b `q_agg`_j Q_j(s, pi(s)) + alpha_actor mean_b sum_d (pi(s) - a)^2, lambda = 1 / mean_b |Q|; in every
    /// `actor_freq`-th update.
    ///
    /// Gradient reaches: actor. Stopped at: lambda, critic.
    fn actor_loss(&self, nets: &RebracNets, r: &mut Recorder<'_>, data: Pair) {
        let pair = nets.critic.input(r.plan, r.batch());
        r.observation(pair.observation);
        let tape = nets.actor.forward_kept(r.plan, "actor", pair.observation, (pair.action, Epilogue::Tanh));
        let ascent = steps::ascend(r, &nets.critic, pair, (self.q_agg.over_members(), true));
        let (d_z, out) = (r.plan.activations(r.batch(), r.action_dim()), r.plan.activations(r.batch(), 2));
        let how = (r.plan.scalar("alpha_actor"), r.every(self.actor_freq));
        bc_penalty::record(r.plan, "actor", (pair.action, data.action), ascent.d_action, how, (d_z, out));
        if r.training() {
            nets.actor.backward(r.plan, "actor", &tape, d_z);
        }
        r.probe("actor_action", pair.action);
        steps::log_ascent(r, ascent);
        r.metric("bc_loss", out, 0, Statistic::Mean);
        r.metric("actor_update", out, 1, Statistic::Mean);
    }
}
