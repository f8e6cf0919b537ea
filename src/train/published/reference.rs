//! Reference returns of D4RL and Minari, which turn returns into the scores that papers print.

use std::sync::LazyLock;

use serde::Deserialize;

use super::name::Name;
use super::table;

/// The returns that count as 0 and 100.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Reference {
    /// `D4RL` or `Minari`.
    pub benchmark: String,
    /// What the names of its datasets begin with: `pen`, `D4RL/pen`.
    pub env: String,
    /// Return of a random policy: score 0.
    pub min: f64,
    /// Return of an expert: score 100.
    pub max: f64,
    /// Where both stand.
    pub source: String,
}

/// Each reference with its name in the form that names are compared in.
static TABLE: LazyLock<Vec<(String, Reference)>> = LazyLock::new(|| {
    let rows = table::rows("reference_scores.csv", include_str!("../../../data/published/reference_scores.csv"));
    rows.into_iter().map(|row: Reference| (Name::parse(&row.env).family, row)).collect()
});

/// The reference returns of a D4RL or Minari dataset such as `pen-human-v1`, `maze2d-umaze-dense-v1` or
/// `D4RL/pen/human-v2`; `None` for any other, OGBench's included: its score is the rate of success.
pub fn reference(dataset: &str) -> Option<&'static Reference> {
    let family = Name::parse(dataset).family;
    let begins = |env: &str| family.strip_prefix(env).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    // The longest, since `maze2d-umaze-dense` begins like `maze2d-umaze`.
    TABLE.iter().filter(|(env, _)| begins(env)).max_by_key(|(env, _)| env.len()).map(|(_, reference)| reference)
}

/// The score of an undiscounted episode return: 100 (R - min) / (max - min); `None` where [`reference()`] has none.
pub fn normalised(dataset: &str, episode_return: f64) -> Option<f64> {
    let Reference { min, max, .. } = reference(dataset)?;
    Some(100.0 * (episode_return - min) / (max - min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_are_0_and_100() {
        assert_eq!(TABLE.len(), 27);
        for (_, reference) in TABLE.iter() {
            let set = format!("{}-any", reference.env);
            let (low, high) = (normalised(&set, reference.min).unwrap(), normalised(&set, reference.max).unwrap());
            assert!(low == 0.0 && (high - 100.0).abs() < 1e-12, "{set}: {low} {high}");
            assert!(!reference.source.is_empty(), "{set}");
        }
    }

    #[test]
    fn each_dataset_finds_its_own() {
        for (dataset, benchmark, max) in [
            ("pen-human-v1", "D4RL", 3_076.833_101_782_687_7),
            ("D4RL/pen/human-v2", "Minari", 8_820.508_459_675_83),
            ("D4RL_pen_human_v2", "Minari", 8_820.508_459_675_83),
            ("ant-medium-v2", "D4RL", 3879.7),
            ("antmaze-umaze-diverse-v2", "D4RL", 1.0),
            ("maze2d-umaze-v1", "D4RL", 161.86),
            ("maze2d-umaze-dense-v1", "D4RL", 193.662_856_423_814_82),
            ("mujoco/hopper/simple-v0", "Minari", 3234.3),
            ("hopper-medium-expert-v2", "D4RL", 3234.3),
        ] {
            let found = reference(dataset).unwrap();
            assert_eq!((found.benchmark.as_str(), found.max), (benchmark, max), "{dataset}");
        }
        for dataset in ["antmaze-large-navigate-v0", "cube-single-play-v0", "penny-v1", "mujoco/ant/medium-v0", ""] {
            assert_eq!(reference(dataset), None, "{dataset}");
        }
        let score = normalised("halfcheetah-medium-v2", 5000.0).unwrap();
        assert!((score - 42.530).abs() < 0.001, "{score}");
    }
}
