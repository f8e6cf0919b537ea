//! OGBench data sets: `numpy.savez_compressed` files of trajectories, one row per step.
//!
//! Layout, read in ogbench 1.2.2 `utils.py load_dataset`: `observations [rows, obs_dim]`, `actions [rows, action_dim]`,
//! `terminals [rows]` (true on the last row of a trajectory; not an end of the MDP), and for rewards `qpos [rows, nq]`
//! and `button_states [rows, buttons]`. Loading gives what that function gives with `compact_dataset=False`, with the
//! rewards and masks of one task as `relabel_dataset` computes them, and the actions clipped as fql does.
//!
//! Files without simulator states carry `rewards_taskK` and `masks_taskK` instead, row by row ("slim" files). Where both
//! would do, the states count: rewards that can be computed need not be believed.

use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::dataset::{Dataset, Parts, check_finite};
use super::npz::Npz;
use super::tasks::States;
pub use super::tasks::{Goal, Task, env_of, envs, task};
use crate::error::{Error, Result};

/// Whether a file with this beginning can be an OGBench data set: a ZIP file. Which arrays it holds, [`load`] checks, so
/// that a missing one is named instead of the whole file being called unknown.
#[must_use]
pub fn sniff(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Loads a data set with the rewards of one task.
///
/// # Errors
/// If the file is damaged, an array is missing or of another size than the environment's, a value is not finite, the
/// last row does not end a trajectory, there is no transition, or nothing gives the rewards of the task.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Dataset> {
    Dataset::from_parts(read(path, options, true)?)
}

/// Reads a file into transitions. NaN and infinities in observations and actions are refused where `strict`.
pub(super) fn read(path: &Path, options: &LoadOptions, strict: bool) -> Result<Parts> {
    let npz = Npz::open_capped(path, options.max_bytes)?;
    let name = name_of(path);
    let task = task_for(path, &name, options)?;
    let rows = check_shapes(&npz, &task)?;
    let labels = Labels::find(&npz, &task, rows)?;
    check_memory(path, &task, rows, options.max_bytes)?;

    let ends = npz.bools("terminals")?.data;
    check_ends(path, &ends)?;
    let observations = npz.f32("observations")?.data;
    let actions = npz.f32("actions")?.data;
    if strict {
        check_finite(path, "observations", &observations, task.obs_dim, &[])?;
        // The action in the last row of a trajectory has no successor and is dropped, whatever it is.
        check_finite(path, "actions", &actions, task.action_dim, &ends)?;
    }
    let (rewards, masks) = labels.read(&npz, &task, &observations)?;
    Ok(transitions(Rows { name, path, task, ends, observations, actions, rewards, masks }))
}

/// Transitions that succeed in each task of the environment for which the file has rewards.
pub(super) fn successes(path: &Path, options: &LoadOptions) -> Result<Vec<(u32, usize)>> {
    let npz = Npz::open_capped(path, options.max_bytes)?;
    let name = name_of(path);
    let ends = npz.bools("terminals")?.data;
    let observations = npz.f32("observations")?.data;
    let mut found = Vec::new();
    for id in 1.. {
        let Ok(task) = task_for(path, &name, &LoadOptions { task: Some(id), ..options.clone() }) else { break };
        let rows = check_shapes(&npz, &task)?;
        if let Ok(labels) = Labels::find(&npz, &task, rows) {
            let (_, masks) = labels.read(&npz, &task, &observations)?;
            found.push((id, masks.iter().zip(&ends).filter(|(mask, end)| **mask < 0.5 && !**end).count()));
        }
    }
    Ok(found)
}

/// Loads the validation set of the data set at `path`, if it lies beside it: `x-val.npz` for `x.npz`. For `x.slim.npz`
/// it is `x-val.slim.npz`, or else `x-val.npz`, and the other way round.
///
/// # Errors
/// As [`load`].
pub fn load_validation(path: &Path, options: &LoadOptions) -> Result<Option<Dataset>> {
    let stem = name_of(path);
    let slim = is_slim(path);
    let named = |slim: bool| -> PathBuf { path.with_file_name(format!("{stem}-val{}", if slim { ".slim.npz" } else { ".npz" })) };
    for candidate in [named(slim), named(!slim)] {
        if candidate.try_exists().map_err(Error::io(&candidate, "look for"))? {
            return load(&candidate, options).map(Some);
        }
    }
    Ok(None)
}

fn is_slim(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".slim.npz"))
}

/// `cube-single-play-v0` for `cube-single-play-v0.npz` and `cube-single-play-v0.slim.npz`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".npz").unwrap_or(&name);
    name.strip_suffix(".slim").unwrap_or(name).to_owned()
}

fn task_for(path: &Path, name: &str, options: &LoadOptions) -> Result<Task> {
    let env = match &options.env {
        Some(env) => env.as_str(),
        None => env_of(name).ok_or_else(|| {
            let expected = format!("a file name that begins with one of {}", envs().collect::<Vec<_>>().join(", "));
            Error::content(path, "file name", expected, format!("`{name}`"), "pass the environment family as `env`")
        })?,
    };
    task(env, options.task)
}

/// Checks the shapes of the three arrays every file has, from their headers; returns the number of rows.
fn check_shapes(npz: &Npz, task: &Task) -> Result<usize> {
    let rows = npz.shape("observations")?.first().copied().unwrap_or(0);
    check_shape(npz, "observations", &[rows, task.obs_dim], task)?;
    check_shape(npz, "actions", &[rows, task.action_dim], task)?;
    check_shape(npz, "terminals", &[rows], task)?;
    if rows == 0 {
        let remedy = "record at least one trajectory of two rows";
        return Err(Error::content(npz.path(), "observations", "at least one row", "none", remedy));
    }
    Ok(rows)
}

fn check_shape(npz: &Npz, key: &str, expected: &[usize], task: &Task) -> Result<()> {
    let found = npz.shape(key)?;
    if found == expected {
        return Ok(());
    }
    let expected = format!("shape {expected:?} ({}, as many rows as `observations`)", task.env);
    let remedy = "check the environment (`env`) and that every array has one row per step";
    Err(Error::content(npz.path(), key, expected, format!("shape {found:?}"), remedy))
}

/// Refuses a file whose arrays together would exceed the cap; each array alone is capped by the reader.
fn check_memory(path: &Path, task: &Task, rows: usize, max_bytes: u64) -> Result<()> {
    // Two observations, action, reward, mask and the simulator state, 4 bytes each (8 per button), and one flag.
    let per_row = 4 * (2 * task.obs_dim + task.action_dim + 2 + task.qpos_dim + 2 * task.buttons) + 1;
    let bytes = (rows as u64).saturating_mul(per_row as u64);
    if bytes <= max_bytes {
        return Ok(());
    }
    let remedy = "raise `max_bytes` if you trust the file and have the memory";
    Err(Error::content(
        path,
        "observations",
        format!("at most {max_bytes} bytes in all"),
        format!("{bytes} for {rows} rows"),
        remedy,
    ))
}

fn check_ends(path: &Path, ends: &[bool]) -> Result<()> {
    if ends.last() != Some(&true) {
        let found = format!("false in row {} (counted from 0)", ends.len().saturating_sub(1));
        let remedy = "the file was cut, or written without trajectory ends: end it with a whole trajectory";
        return Err(Error::content(path, "terminals", "true in the last row", found, remedy));
    }
    if ends.iter().all(|&end| end) {
        let found = format!("true in all {} rows", ends.len());
        let remedy = "`terminals` marks only the last row of a trajectory, and that row has no successor";
        return Err(Error::content(path, "terminals", "false in at least one row", found, remedy));
    }
    Ok(())
}

/// Where the rewards of a task come from.
enum Labels {
    /// Computed from `qpos` and `button_states`, as far as the task looks at them.
    States,
    /// Computed from the observations, which equal `qpos` in the pointmaze environments (`point.py get_ob`).
    Observations,
    /// Read from these two arrays.
    Columns { rewards: String, masks: String },
}

impl Labels {
    fn find(npz: &Npz, task: &Task, rows: usize) -> Result<Self> {
        let states = [("qpos", task.needs_qpos(), task.qpos_dim), ("button_states", task.buttons > 0, task.buttons)];
        let needed = states.iter().filter(|(_, needed, _)| *needed);
        let missing = needed.clone().find(|(key, ..)| !npz.contains(key));
        let Some((missing, ..)) = missing else {
            needed.clone().try_for_each(|(key, _, width)| check_shape(npz, key, &[rows, *width], task))?;
            return Ok(Self::States);
        };
        if task.env.starts_with("pointmaze") && task.obs_dim == task.qpos_dim {
            return Ok(Self::Observations);
        }
        let (rewards, masks) = (format!("rewards_task{}", task.id), format!("masks_task{}", task.id));
        if !npz.contains(&rewards) && !npz.contains(&masks) {
            let expected = format!("simulator states, or else `{rewards}` and `{masks}`, for the rewards of task {}", task.id);
            let found = format!("only [{}]", npz.names().collect::<Vec<_>>().join(", "));
            let remedy = "use the file as the OGBench generator wrote it, or add those two arrays row by row";
            return Err(Error::content(npz.path(), *missing, expected, found, remedy));
        }
        check_shape(npz, &rewards, &[rows], task)?;
        check_shape(npz, &masks, &[rows], task)?;
        Ok(Self::Columns { rewards, masks })
    }

    /// Rewards and masks `[rows]`.
    fn read(&self, npz: &Npz, task: &Task, observations: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let rows = observations.len() / task.obs_dim;
        match self {
            Self::States => {
                let qpos = if task.needs_qpos() { npz.f32("qpos")?.data } else { Vec::new() };
                check_finite(npz.path(), "qpos", &qpos, task.qpos_dim, &[])?;
                let buttons = if task.buttons > 0 { npz.i64("button_states")?.data } else { Vec::new() };
                Ok(task.relabel(rows, States { qpos: &qpos, buttons: &buttons }))
            }
            Self::Observations => Ok(task.relabel(rows, States { qpos: observations, buttons: &[] })),
            Self::Columns { rewards, masks } => {
                let values = npz.f32(rewards)?.data;
                check_finite(npz.path(), rewards, &values, 1, &[])?;
                let solved = npz.bools(masks)?.data.into_iter().map(|mask| if mask { 1.0 } else { 0.0 });
                Ok((values, solved.collect()))
            }
        }
    }
}

/// A file's rows, before the last one of each trajectory is folded into its predecessor.
struct Rows<'a> {
    name: String,
    path: &'a Path,
    task: Task,
    ends: Vec<bool>,
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    masks: Vec<f32>,
}

/// Every row but the last of a trajectory starts a transition, and the next row's observation ends it. The transition
/// whose next row is the last one is the last of its trajectory.
fn transitions(rows: Rows) -> Parts {
    let Rows { name, path, task, ends, mut observations, mut actions, mut rewards, mut masks } = rows;
    let (obs_dim, action_dim) = (task.obs_dim, task.action_dim);
    // Row t + 1 stands beside row t; the last row has none and is not kept.
    let shifted = observations.get(obs_dim..).unwrap_or_default();
    let kept = ends.iter().filter(|&&end| !end).count();
    let mut next_observations = Vec::with_capacity(kept * obs_dim);
    next_observations.extend(shifted.chunks_exact(obs_dim).zip(&ends).filter(|(_, end)| !**end).flat_map(|(row, _)| row));
    let terminals = ends.iter().skip(1).zip(&ends).filter(|(_, end)| !**end).map(|(next, _)| *next).collect();
    keep_rows(&mut observations, obs_dim, &ends);
    keep_rows(&mut actions, action_dim, &ends);
    keep_rows(&mut rewards, 1, &ends);
    keep_rows(&mut masks, 1, &ends);
    Parts {
        name,
        source: path.to_path_buf(),
        env: Some(task.env),
        task: Some(task.id),
        obs_dim,
        action_dim,
        observations,
        actions,
        next_observations,
        rewards,
        masks,
        terminals,
        ..Parts::default()
    }
}

/// Drops the last row of every trajectory from an array of `width` columns, in place: the array is held once.
pub(super) fn keep_rows(data: &mut Vec<f32>, width: usize, ends: &[bool]) {
    let mut kept = 0;
    for (row, _) in ends.iter().enumerate().filter(|(_, end)| !**end) {
        // Always so, unless the file changed while it was read; then the lengths disagree and the data set is refused.
        if (row + 1) * width <= data.len() {
            data.copy_within(row * width..(row + 1) * width, kept * width);
            kept += 1;
        }
    }
    data.truncate(kept * width);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_transitions_as_in_ogbench_load_dataset() {
        // Its own example, shortened: trajectories s0 s1 s2 | s3 | s4 s5, the middle one without a transition.
        let rows = Rows {
            name: "pointmaze-medium".into(),
            path: Path::new("pointmaze-medium.npz"),
            task: task("pointmaze-medium", None).unwrap(),
            ends: vec![false, false, true, true, false, true],
            observations: (0..12_u8).map(f32::from).collect(),
            actions: (0..12_u8).map(|i| f32::from(i) / 16.0).collect(),
            rewards: (0..6_u8).map(f32::from).collect(),
            masks: vec![1.0, 0.0, 1.0, 1.0, 0.0, 1.0],
        };
        let parts = transitions(rows);
        assert_eq!(parts.observations, [0.0, 1.0, 2.0, 3.0, 8.0, 9.0]);
        assert_eq!(parts.next_observations, [2.0, 3.0, 4.0, 5.0, 10.0, 11.0]);
        assert_eq!(parts.actions, [0.0, 0.0625, 0.125, 0.1875, 0.5, 0.5625]);
        assert_eq!(parts.rewards, [0.0, 1.0, 4.0]);
        assert_eq!(parts.masks, [1.0, 0.0, 0.0]);
        assert_eq!(parts.terminals, [false, true, true]);
    }

    #[test]
    fn slim_and_full_files_have_one_name() {
        for path in ["a/scene-play-v0.npz", "scene-play-v0.slim.npz", "/b/scene-play-v0"] {
            assert_eq!(name_of(Path::new(path)), "scene-play-v0", "{path}");
        }
    }
}
