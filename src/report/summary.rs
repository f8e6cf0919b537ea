//! What is known of a method on a task, a family of tasks, or all tasks: one computation for the three.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::bootstrap::{self, Strata};
use super::comparison::{Comparison, Published, together};
use super::flags::numbered;
use super::runs::Run;
use super::scoring::Metric;
use super::statistics::{mean, population_std, wilson};
use super::task::{Task, listed};

/// Resamples of profiles and of probabilities of improvement, as in rliable.
pub const PROFILE_RESAMPLES: u32 = 2000;
/// Intervals between the thresholds of a performance profile.
const THRESHOLDS: u32 = 100;
/// Pairs of methods that are compared at most: of a large sweep nobody reads them all.
const MOST_PAIRS: usize = 30;

/// A method on some tasks.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Place of the method.
    pub method: usize,
    /// Places of the tasks.
    pub tasks: Vec<usize>,
    /// Seeds that have a counted score on every task.
    pub seeds: Vec<u64>,
    /// For each of them, the mean of its scores over tasks.
    pub scores: Vec<f64>,
    /// Mean of `scores`.
    pub mean: Option<f64>,
    /// Population standard deviation of `scores`; none of a single seed.
    pub std: Option<f64>,
    /// Interquartile mean over every counted score of every task; none where a task has no score.
    pub iqm: Option<f64>,
    /// Its stratified bootstrap interval; none where a task has a single seed.
    pub iqm_interval: Option<[f64; 2]>,
    /// Of a single run's success: Wilson's interval over its episodes, which is the noise of evaluation and says nothing
    /// about other seeds.
    pub evaluation_noise: Option<[f64; 2]>,
    /// The published score.
    pub comparison: Option<Comparison>,
    /// What is missing: tasks without a counted score, and seeds that lack a task.
    pub missing: Vec<String>,
}

/// Everything that summaries are made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Every run.
    pub runs: &'a [Run],
    /// Every task.
    pub tasks: &'a [Task],
    /// The metric of each task.
    pub metrics: &'a [Metric],
    /// The published score of (method, task).
    pub published: &'a dyn Fn(usize, usize) -> Option<Published>,
    /// Resamples of an interval.
    pub resamples: u32,
}

impl Source<'_> {
    /// The counted scores of a method on a task, by seed: there is one of each.
    fn scores(&self, method: usize, task: usize) -> BTreeMap<u64, f64> {
        let own = self.runs.iter().filter(|run| run.method == method && run.task == task && run.counted());
        own.filter_map(|run| Some((run.seed, run.score?))).collect()
    }

    /// Summarises `method` on `tasks`.
    pub fn summary(&self, method: usize, tasks: &[usize]) -> Summary {
        let scores: Vec<BTreeMap<u64, f64>> = tasks.iter().map(|task| self.scores(method, *task)).collect();
        let every: Vec<u64> = scores.first().map_or_else(Vec::new, |first| first.keys().copied().collect());
        let seeds: Vec<u64> = every.into_iter().filter(|seed| scores.iter().all(|task| task.contains_key(seed))).collect();
        let of_seed = |seed: &u64| scores.iter().map(|task| task[seed]).sum::<f64>() / tasks.len() as f64;
        let of_seeds: Vec<f64> = seeds.iter().map(of_seed).collect();
        let strata = Strata::new(&scores.iter().map(|task| task.values().copied().collect()).collect::<Vec<_>>());
        let whole = scores.iter().all(|task| !task.is_empty());
        let published = tasks.iter().map(|task| (self.published)(method, *task)).collect::<Option<Vec<_>>>();
        Summary {
            method,
            tasks: tasks.to_vec(),
            mean: mean(&of_seeds),
            std: population_std(&of_seeds),
            iqm: strata.interquartile_mean().filter(|_| whole),
            iqm_interval: strata.interquartile_interval(self.resamples).filter(|_| whole),
            evaluation_noise: self.evaluation_noise(method, tasks, &seeds),
            comparison: published.and_then(together).and_then(|published| Comparison::new(&of_seeds, published)),
            missing: self.missing(tasks, &scores, &seeds),
            seeds,
            scores: of_seeds,
        }
    }

    fn evaluation_noise(&self, method: usize, tasks: &[usize], seeds: &[u64]) -> Option<[f64; 2]> {
        let ([task], [_]) = (tasks, seeds) else { return None };
        let run = self.runs.iter().find(|run| run.method == method && run.task == *task && run.counted())?;
        let share = run.score.filter(|_| self.metrics[*task] == Metric::Success)? / 100.0;
        wilson(share, run.episodes()).map(|interval| interval.map(|end| 100.0 * end))
    }

    fn missing(&self, tasks: &[usize], scores: &[BTreeMap<u64, f64>], complete: &[u64]) -> Vec<String> {
        let named = |lacks: &dyn Fn(&BTreeMap<u64, f64>) -> bool| {
            listed(tasks.iter().zip(scores).filter(|(_, scores)| lacks(scores)).map(|(task, _)| &self.tasks[*task]))
        };
        let nobody = named(&BTreeMap::is_empty);
        // Seeds that lack the same tasks share a line.
        let mut lacking: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for seed in scores.iter().flat_map(BTreeMap::keys).filter(|seed| !complete.contains(seed)) {
            lacking.entry(named(&|scores| !scores.is_empty() && !scores.contains_key(seed))).or_default().insert(*seed);
        }
        lacking.remove("");
        let of_seeds = |(on, seeds): (String, BTreeSet<u64>)| format!("{} left out: no score on {on}", numbered("seed", seeds));
        let nobody = (!nobody.is_empty()).then(|| format!("no score on {nobody}"));
        nobody.into_iter().chain(lacking.into_iter().map(of_seeds)).collect()
    }
}

/// The performance profile of a method: for each threshold, the share of its runs that score above it.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Place of the method.
    pub method: usize,
    /// The tasks on which it has scores.
    pub tasks: Vec<usize>,
    /// The thresholds.
    pub thresholds: Vec<f64>,
    /// Share of scores above each, in [0, 1].
    pub shares: Vec<f64>,
    /// Its bootstrap interval at each; none where a task has a single seed.
    pub band: Option<Vec<[f64; 2]>>,
}

/// The profiles of every method with scores, at thresholds that all of them share: 0 to 100 in percent, further where
/// scores lie beyond; from the lowest to the highest return.
pub fn profiles(source: &Source<'_>, methods: usize) -> Vec<Profile> {
    let counted = source.runs.iter().filter(|run| run.counted()).filter_map(|run| run.score);
    let returns = source.metrics.contains(&Metric::Return);
    let start = if returns { [f64::INFINITY, f64::NEG_INFINITY] } else { [0.0, 100.0] };
    let [low, high] = counted.fold(start, |[low, high], score| [low.min(score), high.max(score)]);
    let place = |step: u32| low + (high - low) * f64::from(step) / f64::from(THRESHOLDS);
    let thresholds: Vec<f64> = (0..=THRESHOLDS).map(place).collect();
    let mut profiles = Vec::new();
    for method in 0..methods {
        let scores = (0..source.tasks.len()).map(|task| (task, source.scores(method, task)));
        let (tasks, scores): (Vec<usize>, Vec<Vec<f64>>) =
            scores.filter(|(_, scores)| !scores.is_empty()).map(|(task, scores)| (task, scores.into_values().collect())).unzip();
        if !tasks.is_empty() {
            let strata = Strata::new(&scores);
            let band = strata.share_intervals(&thresholds, PROFILE_RESAMPLES);
            profiles.push(Profile {
                method,
                tasks,
                shares: strata.shares_above(&thresholds),
                band,
                thresholds: thresholds.clone(),
            });
        }
    }
    profiles
}

/// How probably a run of one method beats a run of another on the same task.
#[derive(Clone, Debug, Serialize)]
pub struct Improvement {
    /// Places of the two methods.
    pub methods: [usize; 2],
    /// Tasks on which both have scores.
    pub tasks: Vec<usize>,
    /// The probability that the first one's score is higher, a draw counting a half.
    pub probability: f64,
    /// Its bootstrap interval; none where a method has a single seed on a task.
    pub interval: Option<[f64; 2]>,
}

/// The probability for every pair of `methods` with a task in common, up to [`MOST_PAIRS`] of them, and whether some
/// were left out.
pub fn improvements(source: &Source<'_>, methods: &[usize]) -> (Vec<Improvement>, bool) {
    let mut found = Vec::new();
    for (index, first) in methods.iter().enumerate() {
        for second in &methods[index + 1..] {
            let both =
                |task: usize| [*first, *second].map(|method| source.scores(method, task).into_values().collect::<Vec<_>>());
            let common = (0..source.tasks.len()).map(|task| (task, both(task)));
            let (tasks, pairs): (Vec<usize>, Vec<[Vec<f64>; 2]>) =
                common.filter(|(_, [xs, ys])| !xs.is_empty() && !ys.is_empty()).unzip();
            if tasks.is_empty() {
                continue;
            }
            if found.len() == MOST_PAIRS {
                return (found, true);
            }
            let (probability, interval) = bootstrap::improvement(&pairs, PROFILE_RESAMPLES);
            found.push(Improvement { methods: [*first, *second], tasks, probability, interval });
        }
    }
    (found, false)
}
