//! D4RL data sets: one flat HDF5 file, one row per step.
//!
//! Layout: `observations [rows, obs_dim]`, `actions [rows, action_dim]`, `rewards`, `terminals` (true ends of the MDP) and
//! `timeouts` (time limits), the last three `[rows]` or `[rows, 1]`. Loading gives what fql `d4rl_utils.py get_dataset`
//! makes of `d4rl.qlearning_dataset`: the next row's observation is s'; rows with a timeout have no successor and are
//! dropped, and so is the last row; the mask is 0 where `terminals` is set; a trajectory ends there and where a row does
//! not follow from the one before. In the antmaze environments 1 is subtracted from the rewards, and only the second
//! rule ends a trajectory.
//!
//! Two things that code does are not copied. A file without `timeouts` is cut at the environment's time limit, counted
//! from 0 in every episode (there it is counted from 1 behind a terminal, which joins the next two episodes). And where
//! `next_observations` shows that the rows are not in order, s' is taken from it.

use std::path::Path;

use super::dataset::{Parts, check_finite};
use super::hdf5::Hdf5;
use super::ogbench::keep_rows;
use super::{LoadOptions, Start};
use crate::error::{Error, Result};

/// Distance from which two observations count as different (fql `get_dataset`).
const SAME: f64 = 1e-6;

/// Columns of observations and actions in every antmaze file; no other D4RL environment has both.
const ANTMAZE_SIZES: (usize, usize) = (29, 8);

/// Families, and the steps after which D4RL's registrations cut an episode off. The first that occurs in a name counts.
const FAMILIES: [(&str, usize); 15] = [
    ("antmaze-umaze", 700),
    ("antmaze", 1000),
    ("maze2d-open", 150),
    ("maze2d-umaze", 300),
    ("maze2d-medium", 600),
    ("maze2d-large", 800),
    ("pen", 100),
    ("door", 200),
    ("hammer", 200),
    ("relocate", 200),
    ("kitchen", 280),
    ("hopper", 1000),
    ("halfcheetah", 1000),
    ("walker2d", 1000),
    ("ant", 1000),
];

/// Whether an HDF5 file has D4RL's arrays, or most of them: a missing one is then named when it is loaded.
pub(super) fn sniff(start: &Start) -> bool {
    ["observations", "actions", "rewards", "terminals"].iter().filter(|key| start.has(key)).count() >= 2
}

/// Reads a file into transitions. NaN and infinities are refused where `strict`.
pub(super) fn read(path: &Path, options: &LoadOptions, strict: bool) -> Result<Parts> {
    let file = Hdf5::open(path, options)?;
    let [rows, obs_dim, action_dim] = shapes(&file)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let family = family(options.env.as_deref().unwrap_or(&name));
    let observations = file.f32("observations")?;
    let terminals = file.bools("terminals")?;
    let mut notes = Vec::new();
    let steps = Steps::find(&file, &observations, &terminals, family, &mut notes)?;
    let mut table = Table { observations, actions: file.f32("actions")?, rewards: file.f32("rewards")? };
    if strict {
        table.check_finite(&file, [obs_dim, action_dim], &steps)?;
    }
    let rule = RewardRule::choose(options, &name, (obs_dim, action_dim), &table.rewards);
    if rule.subtract {
        table.rewards.iter_mut().for_each(|reward| *reward -= 1.0);
    }
    notes.extend(rule.note);
    let env = options.env.clone().or_else(|| family.map(|(family, _)| family.to_owned()));
    let env = env.or_else(|| rule.antmaze.then(|| "antmaze".to_owned()));
    let mut parts = steps.transitions(table, [rows, obs_dim], &terminals, rule.antmaze);
    parts.action_dim = action_dim;
    Ok(Parts { name, source: path.to_path_buf(), env, notes, ..parts })
}

/// Rows and columns, checked to agree, and to fit into memory.
fn shapes(file: &Hdf5) -> Result<[usize; 3]> {
    let matrix = |key: &str| -> Result<(usize, usize)> {
        match *file.array(key)?.shape.as_slice() {
            [rows, columns] if columns > 0 => Ok((rows, columns)),
            ref other => {
                let remedy = "store one row of numbers per step; images are not supported";
                Err(Error::content(file.path(), key, "shape [rows, columns]", format!("shape {other:?}"), remedy))
            }
        }
    };
    let (rows, obs_dim) = matrix("observations")?;
    let (action_rows, action_dim) = matrix("actions")?;
    if action_rows != rows {
        let remedy = "store one action per row of `observations`";
        let found = format!("{action_rows}");
        return Err(Error::content(file.path(), "actions", format!("{rows} rows"), found, remedy));
    }
    if rows < 2 {
        let remedy = "record at least two steps: the last row has no successor";
        return Err(Error::content(file.path(), "observations", "at least two rows", format!("{rows}"), remedy));
    }
    for key in ["rewards", "terminals"] {
        file.check_column(key, rows)?;
    }
    // Both observations, next_observations while they are compared, one array as it stands in the file (8 bytes at most),
    // the action, reward and mask, and the flags.
    let per_row = (4 + 4 + 4 + 8) * obs_dim as u128 + 4 * (action_dim as u128 + 2) + 4;
    file.check_total("observations", (rows as u128).saturating_mul(per_row))?;
    Ok([rows, obs_dim, action_dim])
}

/// Arrays of the file that become columns of the transitions.
struct Table {
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
}

impl Table {
    /// Refuses NaN and infinities where a transition would use them.
    fn check_finite(&self, file: &Hdf5, [obs_dim, action_dim]: [usize; 2], steps: &Steps) -> Result<()> {
        let followed = std::iter::once(&true).chain(&steps.dropped);
        let unused: Vec<bool> = steps.dropped.iter().zip(followed).map(|(&dropped, &before)| dropped && before).collect();
        check_finite(file.path(), "observations", &self.observations, obs_dim, &unused)?;
        check_finite(file.path(), "actions", &self.actions, action_dim, &steps.dropped)?;
        check_finite(file.path(), "rewards", &self.rewards, 1, &steps.dropped)?;
        steps.next.as_ref().map_or(Ok(()), |next| check_finite(file.path(), "next_observations", next, obs_dim, &[]))
    }
}

/// Which rows become transitions, and where their successors stand.
struct Steps {
    /// True for a row without successor.
    dropped: Vec<bool>,
    /// True for a row that the next one does not continue, as far as flags tell. Empty where the rows are in order.
    cut: Vec<bool>,
    /// The successors, where they are not the next rows.
    next: Option<Vec<f32>>,
}

impl Steps {
    fn find(
        file: &Hdf5,
        observations: &[f32],
        terminals: &[bool],
        family: Option<(&str, usize)>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let rows = terminals.len();
        let mut timeouts = None;
        if file.contains("timeouts")? {
            file.check_column("timeouts", rows)?;
            timeouts = Some(file.bools("timeouts")?);
        }
        if file.contains("next_observations")? {
            let next = stored_successors(file)?;
            let width = observations.len() / rows;
            let flagged = |row: usize| terminals[row] || timeouts.as_ref().is_some_and(|timeouts| timeouts[row]);
            let mut pairs = next.chunks_exact(width).zip(observations.chunks_exact(width).skip(1)).enumerate();
            if pairs.any(|(row, (next, following))| !flagged(row) && !same(next, following)) {
                notes.push("next_observations: the next row does not always follow, so s' is taken from this array".to_owned());
                let cut = (0..rows).map(flagged).collect();
                return Ok(Self { dropped: vec![false; rows], cut, next: Some(next) });
            }
            // Every row is followed by the next, but for the flagged ones: without timeouts there was no time limit.
            timeouts = timeouts.or_else(|| Some(vec![false; rows]));
        }
        let mut dropped = match (timeouts, family) {
            (Some(timeouts), _) => timeouts,
            (None, Some((family, limit))) => {
                notes.push(format!("timeouts: the file has none, so episodes were cut after {limit} steps, as in {family}"));
                limits(terminals, limit)
            }
            (None, None) => {
                let remedy = "pass the environment as `env` (for instance hopper): its time limit ends the episodes then";
                let expected = "an array of this name, or a known environment";
                return Err(Error::content(file.path(), "timeouts", expected, "neither", remedy));
            }
        };
        // Its successor is not in the file.
        if let Some(last) = dropped.last_mut() {
            *last = true;
        }
        Ok(Self { dropped, cut: Vec::new(), next: None })
    }

    fn transitions(self, table: Table, [rows, width]: [usize; 2], terminals: &[bool], antmaze: bool) -> Parts {
        let Self { dropped, cut, next } = self;
        let Table { mut observations, mut actions, mut rewards } = table;
        let kept = dropped.iter().filter(|dropped| !**dropped).count();
        let next_observations = next.unwrap_or_else(|| {
            let mut next = Vec::with_capacity(kept * width);
            let shifted = observations.get(width..).unwrap_or_default();
            next.extend(shifted.chunks_exact(width).zip(&dropped).filter(|(_, dropped)| !**dropped).flat_map(|(row, _)| row));
            next
        });
        let action_dim = actions.len() / rows;
        keep_rows(&mut observations, width, &dropped);
        keep_rows(&mut actions, action_dim, &dropped);
        keep_rows(&mut rewards, 1, &dropped);
        let done: Vec<bool> = terminals.iter().zip(&dropped).filter(|(_, dropped)| !**dropped).map(|(&done, _)| done).collect();
        let masks = done.iter().map(|&done| if done { 0.0 } else { 1.0 }).collect();
        let following = observations.chunks_exact(width).skip(1);
        let mut ends: Vec<bool> =
            next_observations.chunks_exact(width).zip(following).map(|(next, row)| !same(next, row)).collect();
        ends.push(true);
        if !antmaze {
            ends.iter_mut().zip(&done).for_each(|(end, &done)| *end |= done);
        }
        // Only where no row was dropped, so the flags stand beside the transitions.
        ends.iter_mut().zip(&cut).for_each(|(end, &cut)| *end |= cut);
        Parts { obs_dim: width, observations, actions, next_observations, rewards, masks, terminals: ends, ..Parts::default() }
    }
}

/// Reads `next_observations`, which must have the shape of `observations`.
fn stored_successors(file: &Hdf5) -> Result<Vec<f32>> {
    let (expected, found) = (file.array("observations")?.shape, file.array("next_observations")?.shape);
    if expected != found {
        let (expected, found) = (format!("shape {expected:?}, as `observations`"), format!("shape {found:?}"));
        let remedy = "store one successor per row, or leave the array out";
        return Err(Error::content(file.path(), "next_observations", expected, found, remedy));
    }
    file.f32("next_observations")
}

/// Whether two observations are the same but for rounding.
fn same(a: &[f32], b: &[f32]) -> bool {
    let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt() <= SAME
}

/// True for the rows at which an episode reaches `limit` steps without having ended before.
fn limits(terminals: &[bool], limit: usize) -> Vec<bool> {
    let mut step = 0;
    let reached = terminals.iter().map(|&done| {
        step += 1;
        let reached = step == limit;
        if done || reached {
            step = 0;
        }
        reached
    });
    reached.collect()
}

/// The family of a file name or of an environment's id, with its time limit.
fn family(name: &str) -> Option<(&'static str, usize)> {
    let name = format!("-{}-", name.to_lowercase().replace('_', "-"));
    // The published files are called Ant_maze_u-maze_..., the environments antmaze-umaze-....
    let name = name.replace("ant-maze", "antmaze").replace("-u-maze", "-umaze");
    FAMILIES.into_iter().find(|(family, _)| name.contains(&format!("-{family}-")))
}

fn is_antmaze(name: &str) -> bool {
    family(name).is_some_and(|(family, _)| family.starts_with("antmaze"))
}

/// What is done to the rewards, and why: a sentence wherever antmaze is in question, since no file says what it is.
struct RewardRule {
    antmaze: bool,
    subtract: bool,
    note: Option<String>,
}

impl RewardRule {
    fn choose(options: &LoadOptions, name: &str, sizes: (usize, usize), rewards: &[f32]) -> Self {
        let all = |allowed: [f32; 2]| rewards.iter().all(|reward| allowed.contains(reward));
        let (sparse, subtracted) = (all([0.0, 1.0]), all([-1.0, 0.0]) && !all([0.0, 0.0]));
        let by_content = sizes == ANTMAZE_SIZES && (sparse || subtracted);
        let (antmaze, why) = match options.env.as_deref() {
            Some(env) => (is_antmaze(env), "`env` says so"),
            None if by_content => (true, "29 observation columns, 8 action columns, sparse rewards"),
            None => (is_antmaze(name) && (sparse || subtracted), "the file's name says so, and its rewards are sparse"),
        };
        let note = match (antmaze, subtracted) {
            (true, false) if sparse => format!("rewards: 1 was subtracted from each, as for antmaze ({why}); `env` decides"),
            (true, false) => format!("rewards: 1 was subtracted from each, as for antmaze ({why}), but they are not 0 and 1"),
            (true, true) => format!("rewards: taken for antmaze ({why}); they are -1 and 0 already, so nothing was subtracted"),
            (false, _) if by_content || is_antmaze(name) => {
                "rewards: left as they are, though antmaze, as which the file is named or shaped, has 1 subtracted from \
                 each; pass `env` to decide"
                    .to_owned()
            }
            (false, _) => return Self { antmaze, subtract: false, note: None },
        };
        Self { antmaze, subtract: antmaze && !subtracted, note: Some(note) }
    }
}
