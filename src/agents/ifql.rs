//! Implicit flow Q-learning (IFQL): implicit diffusion Q-learning (Hansen-Estruch et al. 2023) with a flow.
//!
//! Value and critic of implicit Q-learning, and a flow policy trained by plain flow matching: nothing teaches the policy to
//! seek value. It is sought when acting: of several of the flow's actions the one that the critics value most is taken.
//! Follows fql `agents/ifql.py`; like the GFP authors' copy it chooses for a whole batch of states at once.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::{Common, Dims, PerLane, at_least_one, even, in_range};
use super::parameters::Parameters;
use super::policy::ActRecorder;
use super::recorder::Recorder;
use super::{Algorithm, steps};
use crate::engine::Region;
use crate::error::Result;
use crate::nets::{Ensemble, Flow, Mlp};

/// Settings of IFQL. Defaults are the official repository's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct IfqlConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Expectile kappa of the state value, in [0, 1]: 0.5 is the mean over the data's actions, 1 the best; a list gives each
    /// lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.9", value_name = "X[,X..]", help_heading = "IFQL")]
    pub expectile: Vec<f64>,
    /// Actions to choose from (published: 32; 64 in antsoccer, 128 in cube-triple); acting costs as many times more
    #[arg(long, default_value_t = 32, value_name = "N", help_heading = "IFQL")]
    pub num_samples: u32,
    /// Columns of the flow's time embedding (even), or 0 for the time itself
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "IFQL")]
    pub time_dim: u32,
}

/// The nets of IFQL.
#[derive(Clone, Debug)]
pub struct IfqlNets {
    critic: Ensemble,
    value: Mlp,
    bc_flow: Flow,
    target_critic: Ensemble,
}

impl Algorithm for IfqlConfig {
    type Nets = IfqlNets;

    fn name(&self) -> &'static str {
        "ifql"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        vec![("expectile", &self.expectile)]
    }

    fn check(&self) -> Result<()> {
        in_range("expectile", &self.expectile, 0.0, 1.0)?;
        at_least_one("num_samples", self.num_samples)?;
        even("time_dim", self.time_dim)
    }

    fn policies(&self) -> &'static [&'static str] {
        &["best_of_n", "flow"]
    }

    fn total(&self, metric: &dyn Fn(&str) -> f64, _: &dyn Fn(&str) -> f64) -> f64 {
        metric("value_loss") + metric("critic_loss") + metric("flow_loss")
    }

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> IfqlNets {
        let common = &self.common;
        let critic = parameters.critics("critic", dims, common);
        let value = parameters.value("value", dims, common);
        let bc_flow = parameters.flow("bc_flow", dims, common, self.time_dim);
        let target_critic = parameters.target_of(&critic, "target_critic", "critic", dims, common);
        IfqlNets { critic, value, bc_flow, target_critic }
    }

    /// Value, critic, BC flow; then one step for all.
    fn update(&self, nets: &IfqlNets, r: &mut Recorder<'_>) {
        let data = nets.critic.input(r.plan, r.batch());
        r.observation(data.observation);
        r.action(data.action);
        steps::expectile_value(r, &nets.value, &nets.target_critic, data);
        steps::implicit_critic(r, &nets.critic, &nets.value, data);
        steps::flow_matching(r, &nets.bc_flow, "flow", data.action, None);
        r.follow("target critic", nets.critic.range(), nets.target_critic.range(), None);
        r.optimise();
    }

    fn critic(nets: &IfqlNets) -> Option<&Ensemble> {
        Some(&nets.critic)
    }

    fn act(&self, nets: &IfqlNets, policy: &str, r: &mut ActRecorder) -> Region {
        let steps = self.common.flow_steps;
        if policy == "flow" {
            r.flow_action(&nets.bc_flow, steps)
        } else {
            r.best_flow_action(&nets.bc_flow, steps, &nets.critic, self.num_samples)
        }
    }
}
