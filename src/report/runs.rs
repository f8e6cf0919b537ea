//! Runs: one policy of one lane of a folder, the number that stands for it, and whether that number may be averaged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::evaluations::Evaluation;
use super::folder::Folder;
use super::scoring::{Metric, Protocol};
use super::statistics::mean;
use crate::agents::config::of_lane;
use crate::train::RunConfig;

/// Whether a run's score is averaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "why")]
pub enum Outcome {
    /// It is.
    Counted,
    /// No: evaluations are missing.
    Missing(String),
    /// No: something was not finite.
    Diverged(String),
    /// No: another run is the same one.
    Duplicate(String),
}

/// An evaluation, as a point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Updates.
    pub step: u64,
    /// The score.
    pub value: f64,
    /// Episodes.
    pub episodes: usize,
}

/// One policy of one lane of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The folder.
    pub folder: String,
    /// Its lane.
    pub lane: usize,
    /// The lane's seed.
    pub seed: u64,
    /// Place of the method in [`super::Report::methods`].
    pub method: usize,
    /// Place of the task in [`super::Report::tasks`].
    pub task: usize,
    /// Updates it is to be trained for.
    pub steps: u64,
    /// Updates that were done.
    pub last_step: u64,
    /// Its score; where it is not counted, the mean of what there is.
    pub score: Option<f64>,
    /// Whether it is averaged.
    pub outcome: Outcome,
    /// Updates whose evaluations make up the score.
    pub scored_at: Vec<u64>,
    /// Every evaluation, by update.
    pub evaluations: Vec<Point>,
    /// Content of its dataset, where `status.json` tells.
    pub dataset: Option<String>,
    /// Versions of the environment of the evaluations scored; `built-in` for ours.
    pub environments: Vec<String>,
    /// Version that trained it.
    pub wgflow: Option<String>,
    /// Algorithm, policy and settings, until methods are numbered.
    #[serde(skip)]
    pub identity: Identity,
    /// When its folder was last written to.
    #[serde(skip)]
    pub modified: Option<std::time::SystemTime>,
}

/// What tells a method from others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `gfp`.
    pub algorithm: &'static str,
    /// `actor`.
    pub policy: String,
    /// Place of the policy among its algorithm's: 0 is the one that it is judged by.
    pub rank: usize,
    /// Every setting of the lane, by name.
    pub settings: BTreeMap<String, Value>,
}

impl Run {
    /// Policy `policy` of lane `lane`; `task` is the place of the folder's task.
    pub fn new(folder: &Folder, lane: usize, policy: &str, task: usize, metric: Metric, protocol: Protocol) -> Self {
        let (config, found) = (&folder.config, &folder.evaluations);
        let planned = |step: u64| if step == config.steps { config.episodes } else { config.eval_episodes };
        let evaluations = found.of.get(&(lane, policy.to_owned()));
        let point = |(step, e): (&u64, &Evaluation)| {
            let episodes = e.episodes.unwrap_or_else(|| planned(*step));
            metric.value(e).map(|value| Point { step: *step, value, episodes })
        };
        let points: Vec<Point> = evaluations.into_iter().flatten().filter_map(point).collect();
        let (scored_at, outcome) = judge(folder, lane, &points, protocol);
        // Unfinished runs show the mean of as many evaluations as there are.
        let shown = match protocol {
            Protocol::Last(count) if scored_at.is_empty() => &points[points.len().saturating_sub(count)..],
            _ if scored_at.is_empty() => &points[points.len().saturating_sub(1)..],
            _ => &points,
        };
        let used = |point: &&Point| scored_at.is_empty() || scored_at.contains(&point.step);
        let scores: Vec<f64> = shown.iter().filter(used).map(|point| point.value).collect();
        let environment = |step: &u64| Some(evaluations?.get(step)?.versions.clone().unwrap_or_else(|| "built-in".to_owned()));
        let mut environments: Vec<String> = scored_at.iter().filter_map(environment).collect();
        environments.dedup();
        let agent = &config.agent;
        let rank = agent.policies().iter().position(|known| *known == policy).unwrap_or(usize::MAX);
        let settings = settings(config, lane);
        Self {
            folder: folder.path.display().to_string(),
            lane,
            seed: config.seeds.get(lane).copied().unwrap_or_default(),
            method: 0,
            task,
            steps: config.steps,
            last_step: found.last_step,
            score: mean(&scores).filter(|score| score.is_finite()),
            outcome,
            scored_at,
            evaluations: points,
            dataset: folder.status.dataset_hash.clone(),
            environments,
            wgflow: folder.status.wgflow.clone(),
            identity: Identity { algorithm: agent.name(), policy: policy.to_owned(), rank, settings },
            modified: folder.modified,
        }
    }

    /// Whether its score is averaged.
    pub fn counted(&self) -> bool {
        self.outcome == Outcome::Counted
    }

    /// Episodes behind its score.
    pub fn episodes(&self) -> usize {
        self.evaluations.iter().filter(|point| self.scored_at.contains(&point.step)).map(|point| point.episodes).sum()
    }
}

/// The updates that are scored (none where they do not suffice), and the outcome, before duplicates are looked for.
fn judge(folder: &Folder, lane: usize, points: &[Point], protocol: Protocol) -> (Vec<u64>, Outcome) {
    let (config, state) = (&folder.config, folder.status.state.as_deref());
    let last = folder.evaluations.last_step;
    let done: Vec<u64> = points.iter().map(|point| point.step).collect();
    let wanted = protocol.wanted(&done, config.steps, folder.task.suite);
    let scored_at = wanted.clone().unwrap_or_default();
    let finite = points.iter().filter(|p| scored_at.contains(&p.step)).all(|p| p.value.is_finite());
    let outcome = if state == Some("diverged") {
        Outcome::Diverged(format!("diverged; the last line is of update {last}"))
    } else if let Some(step) = folder.evaluations.broken.get(&lane) {
        Outcome::Diverged(format!("training was not finite at update {step}"))
    } else if last < config.steps {
        let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
        Outcome::Missing(format!("not finished: update {last} of {}{state}", config.steps))
    } else if let Err(why) = wanted {
        Outcome::Missing(why)
    } else if !finite {
        Outcome::Diverged("an evaluation is not finite".to_owned())
    } else {
        Outcome::Counted
    };
    (scored_at, outcome)
}

/// Every setting of a lane that can change its numbers, by name: the algorithm's, with the lane's own value of those
/// that differ between lanes, and the number of updates.
fn settings(config: &RunConfig, lane: usize) -> BTreeMap<String, Value> {
    let mut settings = BTreeMap::new();
    flatten(serde_json::to_value(&config.agent).unwrap_or_default(), &mut settings);
    settings.remove("algorithm");
    for (name, values) in config.agent.scalars() {
        if let Ok(value) = of_lane(name, values, lane, config.seeds.len()) {
            settings.insert(name.to_owned(), value.into());
        }
    }
    settings.insert("steps".to_owned(), config.steps.into());
    settings
}

/// The leaves of nested objects; names are unique over all of an agent's settings, since they are flags.
fn flatten(value: Value, into: &mut BTreeMap<String, Value>) {
    let Value::Object(object) = value else { return };
    for (name, value) in object {
        if value.is_object() {
            flatten(value, into);
        } else {
            into.insert(name, value);
        }
    }
}
