//! Published scores, and how a run's own seeds compare with them.
//!
//! Scores are percent: OGBench's rate of success, or D4RL's and Minari's normalised return. They come from
//! `data/published/scores.csv`, which `cargo xtask published` wrote from the official release; no figure was typed, but
//! for those of the FQL paper, which are marked as unverified.

mod name;
mod reference;
pub(super) mod table;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::statistics::population_std;

pub use name::Name;
pub(super) use name::default_task;
pub use reference::{Reference, normalised, reference};
pub use table::Source;

/// A published score of one policy on one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The policy: a series of presets (`gfp`, `fql`, `fql-paper`, ..) for the one it is judged by, `-flow` behind it for
    /// its flow.
    pub policy: String,
    /// `OGBench`, `D4RL` or `Minari`.
    pub benchmark: String,
    /// The task: `cube-single-play-singletask-task2-v0`, `pen-human-v1`, `D4RL/pen/human-v2`.
    pub task: String,
    /// Mean over seeds, percent.
    pub mean: f64,
    /// Population standard deviation over seeds.
    pub std: f64,
    /// Number of seeds.
    pub n_seeds: usize,
    /// The score of each seed; empty where they were not published.
    pub seeds: Vec<f64>,
    /// Whether it was copied from the official tables by program.
    pub verified: bool,
    #[serde(skip)]
    name: Name,
}

/// The score of a policy over all tasks of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FamilyScore {
    /// Mean over seeds and tasks, percent.
    pub mean: f64,
    /// Population standard deviation, over seeds, of the mean over tasks; `None` where the seeds were not published.
    pub std: Option<f64>,
    /// Number of seeds.
    pub n_seeds: usize,
    /// Number of tasks.
    pub tasks: usize,
    /// Whether it was copied from the official tables by program.
    pub verified: bool,
}

/// A row of scores.csv.
#[derive(Deserialize)]
struct Row {
    policy: String,
    benchmark: String,
    task: String,
    mean: f64,
    std: f64,
    n_seeds: usize,
    seeds: String,
    source: String,
}

/// Every score, by policy and family.
static TABLE: LazyLock<BTreeMap<String, Vec<Score>>> = LazyLock::new(|| {
    let mut table: BTreeMap<String, Vec<Score>> = BTreeMap::new();
    for row in table::rows::<Row>("scores.csv", include_str!("../../data/published/scores.csv")) {
        let score = score(row);
        table.entry(key(&score.policy, &score.name)).or_default().push(score);
    }
    table
});

fn key(policy: &str, name: &Name) -> String {
    format!("{policy} {}", name.family)
}

fn score(row: Row) -> Score {
    // Part of the program text, and read by a test: a failure is our bug.
    let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("data/published/scores.csv: `{text}`: {error}"));
    Score {
        seeds: row.seeds.split_whitespace().map(number).collect(),
        verified: table::source(&row.source).verified,
        name: Name::parse(&row.task),
        policy: row.policy,
        benchmark: row.benchmark,
        task: row.task,
        mean: row.mean,
        std: row.std,
        n_seeds: row.n_seeds,
    }
}

/// Every published score.
pub fn all() -> impl Iterator<Item = &'static Score> {
    TABLE.values().flatten()
}

/// The name under which the scores of an agent's policy stand: `gfp` for the policy `actor` of the series `gfp`,
/// `gfp-flow` for its policy `flow`.
#[must_use]
pub fn policy(series: &str, policy: &str) -> String {
    if policy == "flow" { format!("{series}-flow") } else { series.to_owned() }
}

/// The published score of a policy ([`Score::policy`]) on a task, in any way to write it ([`Name`]); `None` where there is
/// none, or where the name fits several tasks.
#[must_use]
pub fn scores(policy: &str, task: &str) -> Option<&'static Score> {
    let asked = Name::parse(task);
    let mut fitting = TABLE.get(&key(policy, &asked))?.iter().filter(|score| score.name.answers(&asked));
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}

/// The published score of a policy over all tasks of a dataset.
#[must_use]
pub fn family(policy: &str, dataset: &str) -> Option<FamilyScore> {
    let asked = Name { task: None, ..Name::parse(dataset) };
    let scores: Vec<&Score> = TABLE.get(&key(policy, &asked))?.iter().filter(|score| score.name.answers(&asked)).collect();
    let first = scores.first()?;
    let tasks = scores.len();
    let complete = !first.seeds.is_empty() && scores.iter().all(|score| score.seeds.len() == first.seeds.len());
    let seed = |i: usize| scores.iter().map(|score| score.seeds[i]).sum::<f64>() / tasks as f64;
    Some(FamilyScore {
        mean: scores.iter().map(|score| score.mean).sum::<f64>() / tasks as f64,
        std: complete.then(|| population_std(&(0..first.seeds.len()).map(seed).collect::<Vec<_>>()).unwrap_or(0.0)),
        n_seeds: first.n_seeds,
        tasks,
        verified: scores.iter().all(|score| score.verified),
    })
}
