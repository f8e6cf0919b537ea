//! What a data set holds, in numbers, and what in it would hurt training.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::dataset::{Dataset, Parts};
use super::{LoadOptions, ogbench};
use crate::error::Result;

/// A data set in numbers. Everything is taken from the transitions as training would see them, but before actions are
/// clipped; values that are NaN or infinite are counted and otherwise left out.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The file that was read.
    pub file: PathBuf,
    /// Name of its format.
    pub format: &'static str,
    /// Name of the data set.
    pub name: String,
    /// Environment, where it is known.
    pub env: Option<String>,
    /// Task whose rewards these are, where the environment has several.
    pub task: Option<u32>,
    /// Returns that count as scores of 0 and 100, where the file says.
    pub score_range: Option<[f64; 2]>,
    /// SHA-256 of the content, as in [`Dataset::hash`]; none where training would refuse the data.
    pub hash: Option<String>,
    /// Transitions.
    pub n: usize,
    /// Columns of an observation.
    pub ob_dim: usize,
    /// Columns of an action.
    pub action_dim: usize,
    /// Sum of all rewards.
    pub rewards_sum: f64,
    /// Transitions whose mask is 0: the task is solved, or the episode over for good.
    pub masks_zero: usize,
    /// Trajectories.
    pub traj_ends: usize,
    /// Sum over all observations and columns.
    pub obs_sum: f64,
    /// Sum over all next observations and columns.
    pub next_obs_sum: f64,
    /// Sum over all actions and columns.
    pub actions_sum: f64,
    /// First columns of the first observation, 4 at most.
    pub first_obs: Vec<f64>,
    /// First columns of the last next observation, 4 at most.
    pub last_next_obs: Vec<f64>,
    /// Range of the rewards.
    pub rewards: Range,
    /// Range of the observations.
    pub observations: Range,
    /// Range of the actions, before they are clipped.
    pub actions: Range,
    /// Range of the trajectories' lengths, in transitions.
    pub lengths: Range,
    /// Actions' values outside [-1, 1].
    pub actions_outside: usize,
    /// Arrays with NaN or infinite values.
    pub non_finite: Vec<NonFinite>,
    /// Columns of the observations that never change.
    pub constant_observations: Vec<usize>,
    /// Columns of the actions that never change.
    pub constant_actions: Vec<usize>,
    /// Transitions that succeed in each task of the environment; empty where there are no tasks.
    pub successes: Vec<Successes>,
    /// What training would say about the data, and what else in it would hurt; one sentence each.
    pub warnings: Vec<String>,
    /// The error with which training would refuse the data.
    pub refused: Option<String>,
}

/// Least, mean and greatest of finite numbers; all 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

/// Values of an array that no training survives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NonFinite {
    /// The array of the transitions.
    pub array: &'static str,
    /// How many there are.
    pub count: usize,
    /// Transition of the first, from 0.
    pub transition: usize,
    /// Column of the first, from 0.
    pub column: usize,
}

/// Transitions that succeed in a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Successes {
    /// The task.
    pub task: u32,
    /// Transitions whose mask is 0.
    pub masks_zero: usize,
}

/// Reads the data set at `path` and reports on it. Data with NaN or infinite values, which [`super::load`] refuses, is
/// reported on too; [`Report::refused`] holds the refusal then.
///
/// # Errors
/// As [`super::load`], for any other reason.
pub fn inspect(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Report> {
    let (path, format) = super::recognise(path.as_ref(), options)?;
    let parts = (format.read)(&path, options, false)?;
    let mut report = measure(&parts, format.name);
    match Dataset::from_parts(parts) {
        Ok(dataset) => (report.hash, report.warnings) = (Some(dataset.hash), dataset.warnings),
        Err(error) if report.non_finite.is_empty() => return Err(error),
        // Loading says where in the file the value stands, which the transitions no longer know.
        Err(_) => report.refused = super::load(&path, options).err().map(|error| error.to_string()),
    }
    let doubts = doubts(&report);
    report.warnings.extend(doubts);
    if report.task.is_some() {
        let successes = ogbench::successes(&path, options)?.into_iter();
        report.successes = successes.map(|(task, masks_zero)| Successes { task, masks_zero }).collect();
    }
    Ok(report)
}

fn measure(parts: &Parts, format: &'static str) -> Report {
    let Parts { obs_dim, action_dim, .. } = *parts;
    let first = |row: Option<&[f32]>| row.unwrap_or_default().iter().take(4).map(|&value| f64::from(value)).collect();
    let non_finite: Vec<_> = [
        ("observations", &parts.observations, obs_dim),
        ("actions", &parts.actions, action_dim),
        ("next_observations", &parts.next_observations, obs_dim),
        ("rewards", &parts.rewards, 1),
    ]
    .into_iter()
    .filter_map(|(array, data, width)| non_finite(array, data, width))
    .collect();
    Report {
        file: parts.source.clone(),
        format,
        name: parts.name.clone(),
        env: parts.env.clone(),
        task: parts.task,
        score_range: parts.score_range,
        hash: None,
        n: parts.rewards.len(),
        ob_dim: obs_dim,
        action_dim,
        rewards_sum: sum(&parts.rewards),
        masks_zero: parts.masks.iter().filter(|&&mask| mask < 0.5).count(),
        traj_ends: parts.terminals.iter().filter(|&&end| end).count(),
        obs_sum: sum(&parts.observations),
        next_obs_sum: sum(&parts.next_observations),
        actions_sum: sum(&parts.actions),
        first_obs: first(parts.observations.get(..obs_dim)),
        last_next_obs: first(parts.next_observations.len().checked_sub(obs_dim).and_then(|at| parts.next_observations.get(at..))),
        rewards: range(finite(&parts.rewards)),
        observations: range(finite(&parts.observations)),
        actions: range(finite(&parts.actions)),
        lengths: range(lengths(&parts.terminals)),
        actions_outside: finite(&parts.actions).filter(|action| action.abs() > 1.0).count(),
        constant_observations: constant(&parts.observations, obs_dim),
        constant_actions: constant(&parts.actions, action_dim),
        successes: Vec::new(),
        warnings: Vec::new(),
        refused: None,
        non_finite,
    }
}

/// What training does not say.
fn doubts(report: &Report) -> Vec<String> {
    let mut doubts = Vec::new();
    for NonFinite { array, count, transition, column } in &report.non_finite {
        doubts.push(format!(
            "{array}: {count} values are NaN or infinite, the first in transition {transition}, column {column}; \
             drop or repair those trajectories"
        ));
    }
    for (array, columns) in [("observations", &report.constant_observations), ("actions", &report.constant_actions)] {
        if !columns.is_empty() {
            let listed: Vec<String> = columns.iter().take(8).map(usize::to_string).collect();
            let more = if columns.len() > listed.len() { ", ..." } else { "" };
            let listed = listed.join(", ");
            doubts.push(format!("{array}: {} columns never change ({listed}{more}), so they teach nothing", columns.len()));
        }
    }
    doubts
}

fn finite(data: &[f32]) -> impl Iterator<Item = f64> {
    data.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value))
}

fn sum(data: &[f32]) -> f64 {
    finite(data).sum()
}

fn range(values: impl Iterator<Item = f64>) -> Range {
    let (mut count, mut total, mut min, mut max) = (0_u64, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        count += 1;
        total += value;
        min = min.min(value);
        max = max.max(value);
    }
    if count == 0 { Range::default() } else { Range { min, mean: total / count as f64, max } }
}

/// Transitions of each trajectory.
fn lengths(terminals: &[bool]) -> impl Iterator<Item = f64> {
    terminals.split_inclusive(|&end| end).map(|trajectory| trajectory.len() as f64)
}

fn non_finite(array: &'static str, data: &[f32], width: usize) -> Option<NonFinite> {
    let first = data.iter().position(|value| !value.is_finite())?;
    let count = data.iter().filter(|value| !value.is_finite()).count();
    Some(NonFinite { array, count, transition: first / width, column: first % width })
}

/// Columns that hold one value throughout.
fn constant(data: &[f32], width: usize) -> Vec<usize> {
    let first = data.get(..width).unwrap_or_default();
    let mut same = vec![true; width];
    for row in data.chunks_exact(width.max(1)) {
        for ((same, value), first) in same.iter_mut().zip(row).zip(first) {
            *same &= value == first;
        }
    }
    same.iter().enumerate().filter(|(_, same)| **same).map(|(column, _)| column).collect()
}
