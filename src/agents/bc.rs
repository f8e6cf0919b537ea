//! Behaviour cloning by a flow: the flow policy of FQL alone, without a critic.
//!
//! Plain flow matching to the data's actions, fql `agents/fql.py`, the BC flow part of `actor_loss`. What every other agent
//! here has to beat.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::config::{Common, Dims, PerLane, even};
use super::parameters::Parameters;
use super::policy::ActRecorder;
use super::recorder::Recorder;
use super::{Algorithm, steps};
use crate::engine::Region;
use crate::error::Result;
use crate::nets::{Ensemble, Flow};

/// Settings of behaviour cloning. Of the shared ones, those of critics and targets change nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct BcConfig {
    /// Settings that every agent has.
    #[command(flatten)]
    pub common: Common,
    /// Columns of the flow's time embedding (even), or 0 for the time itself
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "BC")]
    pub time_dim: u32,
}

/// The net of behaviour cloning.
#[derive(Clone, Debug)]
pub struct BcNets {
    bc_flow: Flow,
}

impl Algorithm for BcConfig {
    type Nets = BcNets;

    fn name(&self) -> &'static str {
        "bc"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn scalars(&self) -> Vec<(&'static str, &PerLane)> {
        Vec::new()
    }

    fn check(&self) -> Result<()> {
        even("time_dim", self.time_dim)
    }

    fn policies(&self) -> &'static [&'static str] {
        &["flow"]
    }

    fn total(&self, metric: &dyn Fn(&str) -> f64, _: &dyn Fn(&str) -> f64) -> f64 {
        metric("flow_loss")
    }

    fn nets(&self, dims: Dims, parameters: &mut Parameters) -> BcNets {
        BcNets { bc_flow: parameters.flow("bc_flow", dims, &self.common, self.time_dim) }
    }

    /// The flow, then a step.
    fn update(&self, nets: &BcNets, r: &mut Recorder<'_>) {
        let action = r.plan.activations(r.batch(), r.action_dim());
        r.action(action);
        steps::flow_matching(r, &nets.bc_flow, "flow", action, None);
        r.optimise();
    }

    fn critic(_: &BcNets) -> Option<&Ensemble> {
        None
    }

    fn act(&self, nets: &BcNets, _: &str, r: &mut ActRecorder) -> Region {
        r.flow_action(&nets.bc_flow, self.common.flow_steps)
    }
}
