//! Settings that agents share, and how they are checked.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::Aggregate;

/// One value for every lane, or one value each.
pub type PerLane = Vec<f64>;

/// Dimensions of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Of an observation.
    pub obs: u32,
    /// Of an action.
    pub action: u32,
}

/// How the two critics' values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum QAggregate {
    /// Their mean.
    Mean,
    /// The smaller.
    Min,
}

impl QAggregate {
    /// As the kernels take it.
    pub const fn over_members(self) -> Aggregate {
        match self {
            Self::Mean => Aggregate::Mean,
            Self::Min => Aggregate::Min,
        }
    }
}

/// Settings of every agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct Common {
    /// Transitions in a batch
    #[arg(long, default_value_t = 256, value_name = "N", help_heading = "Agent")]
    pub batch: u32,
    /// Hidden widths of every net
    #[arg(long, value_delimiter = ',', default_value = "512,512,512,512", value_name = "N,N..", help_heading = "Agent")]
    pub hidden: Vec<u32>,
    /// Layer norm after each activation of the critics
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL", help_heading = "Agent")]
    pub layer_norm: bool,
    /// Layer norm after each activation of the actor and the flow
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL", help_heading = "Agent")]
    pub actor_layer_norm: bool,
    /// Euler steps of a flow integration
    #[arg(long, default_value_t = 10, value_name = "N", help_heading = "Agent")]
    pub flow_steps: u32,
    /// Discount of future rewards, per environment step; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.99", value_name = "X[,X..]", help_heading = "Agent")]
    pub discount: Vec<f64>,
    /// Share of the critic that its target takes over, per update; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.005", value_name = "X[,X..]", help_heading = "Agent")]
    pub tau: Vec<f64>,
    /// Adam's step size, per update; a list gives each lane its own
    #[arg(long, value_delimiter = ',', default_value = "0.0003", value_name = "X[,X..]", help_heading = "Agent")]
    pub learning_rate: Vec<f64>,
}

impl Common {
    /// Checks sizes and ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        at_least_one("batch", self.batch)?;
        at_least_one("flow_steps", self.flow_steps)?;
        if self.hidden.is_empty() || self.hidden.contains(&0) {
            let found = format!("{:?}", self.hidden);
            return Err(Error::setting("hidden", "one or more widths of at least 1", found, "give for example 512,512,512,512"));
        }
        in_range("discount", &self.discount, 0.0, 1.0)?;
        in_range("tau", &self.tau, 0.0, 1.0)?;
        in_range("learning_rate", &self.learning_rate, 0.0, 1.0)
    }
}

/// Checks that a number is not 0.
///
/// # Errors
/// [`Error::Setting`].
pub fn at_least_one(name: &str, value: u32) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::setting(name, "at least 1", "0", "raise it")) }
}

/// Checks that a number is even.
///
/// # Errors
/// [`Error::Setting`].
pub fn even(name: &str, value: u32) -> Result<()> {
    if value.is_multiple_of(2) {
        return Ok(());
    }
    Err(Error::setting(name, "an even number, or 0", value.to_string(), "use 64 as GFP does"))
}

/// Checks that every lane's value of a scalar lies in `low..=high`.
///
/// # Errors
/// [`Error::Setting`].
pub fn in_range(name: &str, values: &[f64], low: f64, high: f64) -> Result<()> {
    match values.iter().find(|v| !(low..=high).contains(*v)) {
        None if !values.is_empty() => Ok(()),
        Some(bad) => Err(Error::setting(name, format!("a number from {low} to {high}"), bad.to_string(), "correct it")),
        None => Err(Error::setting(name, "at least one number", "none", "give one for all lanes or one each")),
    }
}

/// The value of lane `lane`.
///
/// # Errors
/// [`Error::Setting`] if there are neither one nor `lanes` values.
pub fn of_lane(name: &str, values: &[f64], lane: usize, lanes: usize) -> Result<f64> {
    match values {
        [one] => Ok(*one),
        many if many.len() == lanes => Ok(many[lane]),
        _ => Err(Error::setting(
            name,
            format!("1 value, or {lanes} (one for each lane)"),
            format!("{} values", values.len()),
            "give as many values as lanes, or set the number of lanes with --seeds",
        )),
    }
}
