//! A published score beside an own one, and whether the two agree.

use serde::Serialize;

use super::statistics::{mean, population_std};

/// Noise of evaluation that the rule grants, as a standard deviation in points.
const EVALUATION_NOISE: f64 = 1.0;

/// A score that others published.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Mean over seeds, in the metric's unit (percent).
    pub mean: f64,
    /// Population standard deviation over seeds.
    pub std: f64,
    /// Number of seeds.
    pub count: usize,
    /// The score of each seed, in one order for all tasks; empty where only the mean is known.
    pub seeds: Vec<f64>,
    /// Who published it.
    pub source: String,
}

/// Whether an own score agrees with the published one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The difference lies within the limit.
    Agrees,
    /// It does not.
    Differs,
}

/// An own score against a published one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The published score.
    pub published: Published,
    /// Own less published mean.
    pub difference: f64,
    /// Largest difference that agrees.
    pub limit: f64,
    /// Whether it does.
    pub verdict: Verdict,
}

impl Comparison {
    /// Compares the scores of own seeds: they agree if the means differ by at most
    /// 2 sqrt(s_published^2 / n_published + s_own^2 / n_own + 1), two standard errors of the difference with one point
    /// for the noise of evaluation. A single own seed shows no spread: it is taken to spread as the published ones do.
    pub fn new(own: &[f64], published: Published) -> Option<Self> {
        let own_std = population_std(own).unwrap_or(published.std);
        let of_published = published.std.powi(2) / published.count.max(1) as f64;
        let limit = 2.0 * (of_published + own_std.powi(2) / own.len() as f64 + EVALUATION_NOISE.powi(2)).sqrt();
        let difference = mean(own)? - published.mean;
        let verdict = if difference.abs() <= limit { Verdict::Agrees } else { Verdict::Differs };
        Some(Self { published, difference, limit, verdict })
    }
}

/// The published score of several tasks together: the mean over tasks, and the standard deviation over seeds of each
/// seed's mean over tasks. `None` where a task's score, or its seeds, are not known, or where their numbers differ.
pub fn together(tasks: Vec<Published>) -> Option<Published> {
    match tasks.as_slice() {
        [] => None,
        [_] => tasks.into_iter().next(),
        [first, ..] => {
            let count = first.seeds.len();
            let alike = |task: &Published| task.seeds.len() == count && task.source == first.source;
            if count == 0 || !tasks.iter().all(alike) {
                return None;
            }
            let means: Vec<f64> = tasks.iter().map(|task| task.mean).collect();
            let of_seed = |seed: usize| tasks.iter().map(|task| task.seeds[seed]).sum::<f64>() / tasks.len() as f64;
            let seeds: Vec<f64> = (0..count).map(of_seed).collect();
            let std = population_std(&seeds).unwrap_or(0.0);
            Some(Published { mean: mean(&means)?, std, count, seeds, source: first.source.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(mean: f64, std: f64, seeds: &[f64]) -> Published {
        Published { mean, std, count: seeds.len().max(8), seeds: seeds.to_vec(), source: "a table".to_owned() }
    }

    #[test]
    fn the_limit_is_two_standard_errors_with_a_point_for_evaluation() {
        // 2 sqrt(16 / 8 + 4 / 4 + 1) = 4
        let of = |shift: f64| Comparison::new(&[88.0, 88.0, 92.0, 92.0].map(|x| x + shift), published(90.0, 4.0, &[])).unwrap();
        assert!((of(0.0).limit - 4.0).abs() < 1e-12);
        assert_eq!([of(3.9), of(-3.9), of(4.1), of(-4.1)].map(|c| c.verdict == Verdict::Agrees), [true, true, false, false]);
        // 2 sqrt(16 / 8 + 16 / 1 + 1)
        let single = Comparison::new(&[85.0], published(90.0, 4.0, &[])).unwrap();
        assert!((single.limit - 2.0 * 19.0_f64.sqrt()).abs() < 1e-12 && (single.difference + 5.0).abs() < 1e-12);
        assert_eq!(Comparison::new(&[], published(90.0, 4.0, &[])), None);
    }

    #[test]
    fn a_family_s_std_is_over_seeds_of_the_mean_over_tasks() {
        let [a, b] = [published(15.0, 5.0, &[10.0, 20.0]), published(35.0, 5.0, &[40.0, 30.0])];
        let both = together(vec![a.clone(), b]).unwrap();
        assert_eq!((both.mean, both.std, both.count), (25.0, 0.0, 2), "the seeds cancel out");
        assert_eq!(together(vec![a.clone(), published(1.0, 0.0, &[])]), None);
        assert_eq!(together(vec![a.clone()]), Some(a));
    }
}
