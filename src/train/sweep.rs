//! From lists of values to lanes: a sweep is one process.

use serde_json::Value;

use crate::agents::AgentConfig;
use crate::error::{Error, Result};

/// The seeds of a run's lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// These, one lane each: a list of values gives each lane its own.
    Listed(Vec<u64>),
    /// So many from `first` on, for each combination of values.
    Counted {
        /// The first.
        first: u64,
        /// How many.
        count: u32,
    },
}

/// Turns lists of scalars into lanes. With counted seeds every combination of values is trained with every seed (alpha
/// 3,1 and eta .1,.01 with 2 seeds: 8 lanes), the seed varying fastest; with listed seeds, lane k takes the k-th of each.
///
/// # Errors
/// [`Error::Setting`] for no seed, or lists that do not fit listed seeds.
pub fn lanes(agent: &AgentConfig, seeds: &Seeds) -> Result<(AgentConfig, Vec<u64>)> {
    let (first, count) = match seeds {
        Seeds::Listed(listed) => {
            for (name, values) in agent.scalars() {
                crate::agents::config::of_lane(name, values, 0, listed.len())?;
            }
            return Ok((agent.clone(), listed.clone()));
        }
        Seeds::Counted { first, count } => (*first, *count as usize),
    };
    if count == 0 {
        return Err(Error::setting("--seeds", "at least 1", "0", "leave it out for one seed"));
    }
    let lists: Vec<(&str, Vec<f64>)> =
        agent.scalars().into_iter().filter(|(_, values)| values.len() > 1).map(|(name, values)| (name, values.clone())).collect();
    let lanes = lists.iter().map(|(_, values)| values.len()).product::<usize>() * count;
    let mut settings = serde_json::to_value(agent).map_err(|e| unreadable(&e))?;
    // The last list varies fastest but for the seed.
    let mut stride = count;
    for (name, values) in lists.iter().rev() {
        let of_lanes: Vec<f64> = (0..lanes).map(|lane| values[lane / stride % values.len()]).collect();
        set(&mut settings, name, &of_lanes);
        stride *= values.len();
    }
    let agent = serde_json::from_value(settings).map_err(|e| unreadable(&e))?;
    Ok((agent, (0..lanes).map(|lane| first + (lane % count) as u64).collect()))
}

fn set(settings: &mut Value, name: &str, values: &[f64]) {
    let place = if settings.get(name).is_some() { settings.get_mut(name) } else { settings["common"].get_mut(name) };
    if let Some(place) = place {
        *place = values.into();
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::setting("agent", "settings that can be written and read", error.to_string(), "report this as a bug")
}

/// What makes lane `lane` differ from others: `seed 1`, `alpha 3, eta 0.1, seed 0`.
pub fn label(agent: &AgentConfig, seeds: &[u64], lane: usize) -> String {
    let own = agent.scalars().into_iter().filter(|(_, values)| values.iter().any(|v| v.to_bits() != values[0].to_bits()));
    let own = own.map(|(name, values)| format!("{name} {}", values[lane]));
    own.chain([format!("seed {}", seeds[lane])]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::GfpConfig;

    fn agent(alpha: &[f64], eta: &[f64]) -> AgentConfig {
        AgentConfig::Gfp(GfpConfig { alpha: alpha.to_vec(), eta: eta.to_vec(), ..Default::default() })
    }

    #[test]
    fn a_sweep_is_every_combination_with_every_seed() {
        let counted = Seeds::Counted { first: 5, count: 2 };
        let (swept, seeds) = lanes(&agent(&[3.0, 1.0], &[0.1, 0.01, 0.001]), &counted).unwrap();
        let labels: Vec<String> = (0..seeds.len()).map(|lane| label(&swept, &seeds, lane)).collect();
        assert_eq!(labels.len(), 12);
        let mut expected = Vec::new();
        for alpha in ["3", "1"] {
            for eta in ["0.1", "0.01", "0.001"] {
                expected.extend(["5", "6"].map(|seed| format!("alpha {alpha}, eta {eta}, seed {seed}")));
            }
        }
        assert_eq!(labels, expected);
    }

    #[test]
    fn settings_that_agents_share_can_be_swept() {
        let mut config = GfpConfig::default();
        config.common.discount = vec![0.99, 0.995];
        let (swept, seeds) = lanes(&AgentConfig::Gfp(config), &Seeds::Counted { first: 0, count: 1 }).unwrap();
        assert_eq!((swept.common().discount.as_slice(), seeds.as_slice()), (&[0.99, 0.995][..], &[0, 0][..]));
    }

    #[test]
    fn listed_seeds_give_each_lane_its_own_values() {
        let listed = Seeds::Listed(vec![4, 9]);
        let (own, seeds) = lanes(&agent(&[3.0, 1.0], &[0.1]), &listed).unwrap();
        assert_eq!(label(&own, &seeds, 1), "alpha 1, seed 9");
        assert!(lanes(&agent(&[3.0, 1.0, 0.3], &[0.1]), &listed).is_err());
    }
}
