//! Transitions in host memory, checked: what every format is turned into and what training reads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Largest action magnitude after loading. fql `make_env_and_datasets` clips to ±(1 - 1e-5), so that a squashed policy
/// can still reach every action of the data.
pub const ACTION_LIMIT: f32 = 1.0 - 1e-5;

/// How far outside [-1, 1] an action may lie before a warning says so: rounding, not another scale.
const ACTION_TOLERANCE: f32 = 1e-5;

/// Observations beyond this make networks without input normalisation diverge (d3rlpy#255), hence a warning. Every
/// OGBench state observation stays below a few hundred.
const WILD_OBSERVATION: f32 = 1e4;

/// The arrays of a data set before they are checked. Field by field what [`Dataset`] holds, in the same layout.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Name for people, such as `cube-single-play-v0`.
    pub name: String,
    /// The file the arrays came from; errors name it.
    pub source: PathBuf,
    /// Environment family, where it is known.
    pub env: Option<String>,
    /// Task whose rewards these are, where the environment has several.
    pub task: Option<u32>,
    /// Returns that count as scores of 0 and 100, where the file says.
    pub score_range: Option<[f64; 2]>,
    /// Columns of an observation.
    pub obs_dim: usize,
    /// Columns of an action.
    pub action_dim: usize,
    /// `[transitions, obs_dim]`
    pub observations: Vec<f32>,
    /// `[transitions, action_dim]`
    pub actions: Vec<f32>,
    /// `[transitions, obs_dim]`
    pub next_observations: Vec<f32>,
    /// `[transitions]`
    pub rewards: Vec<f32>,
    /// `[transitions]`
    pub masks: Vec<f32>,
    /// `[transitions]`
    pub terminals: Vec<bool>,
    /// What the loader decided where the file left a choice, one sentence each; they become warnings.
    pub notes: Vec<String>,
}

/// A checked set of transitions (s, a, r, s'), row-major, in the order of the file. Only [`Dataset::from_parts`] makes
/// one; treat the fields as read-only, since `hash` speaks of them as they were then.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dataset {
    /// Name for people, such as `cube-single-play-v0`.
    pub name: String,
    /// The file the arrays came from.
    pub source: PathBuf,
    /// Environment family (`cube-single`), where it is known.
    pub env: Option<String>,
    /// Task whose rewards these are, where the environment has several.
    pub task: Option<u32>,
    /// Returns that count as scores of 0 and 100, where the file says.
    pub score_range: Option<[f64; 2]>,
    /// Columns of an observation.
    pub obs_dim: usize,
    /// Columns of an action.
    pub action_dim: usize,
    /// `[transitions, obs_dim]`; finite.
    pub observations: Vec<f32>,
    /// `[transitions, action_dim]`; clipped to ±[`ACTION_LIMIT`].
    pub actions: Vec<f32>,
    /// `[transitions, obs_dim]`; finite.
    pub next_observations: Vec<f32>,
    /// `[transitions]`, reward per step; finite.
    pub rewards: Vec<f32>,
    /// `[transitions]`: 1 where the value of s' is bootstrapped, 0 where the task is solved or the episode truly over.
    pub masks: Vec<f32>,
    /// `[transitions]`: true on the last transition of a trajectory. It limits chunks and frame stacks, not bootstrapping.
    pub terminals: Vec<bool>,
    /// SHA-256 of the content used, 64 hex digits: sizes and arrays as they stand above, not names or paths. Equal
    /// hashes mean that training sees equal numbers.
    pub hash: String,
    /// Things that are allowed but probably not meant, one sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Checks the arrays, clips the actions, and collects warnings.
    ///
    /// # Errors
    /// If a size is zero, lengths disagree, a value is NaN or infinite, a mask is neither 0 nor 1, or the last
    /// transition does not end a trajectory. The message names `parts.source`, the array, and row and column.
    pub fn from_parts(mut parts: Parts) -> Result<Self> {
        check_sizes(&parts)?;
        let Parts { obs_dim, action_dim, ref source, .. } = parts;
        check_finite(source, "observations", &parts.observations, obs_dim, &[])?;
        check_finite(source, "actions", &parts.actions, action_dim, &[])?;
        check_finite(source, "next_observations", &parts.next_observations, obs_dim, &[])?;
        check_finite(source, "rewards", &parts.rewards, 1, &[])?;
        if let Some(row) = parts.masks.iter().position(|mask| ![0.0, 1.0].contains(mask)) {
            let found = format!("{:?} in row {row}", parts.masks.get(row).copied().unwrap_or(f32::NAN));
            let remedy = "store 0 where the task is solved or the episode over, 1 elsewhere";
            return Err(Error::content(source, "masks", "only 0 and 1", found, remedy));
        }
        if parts.terminals.last() != Some(&true) {
            let remedy = "mark the last step of every trajectory, also of the last one";
            return Err(Error::content(source, "terminals", "true for the last transition", "false", remedy));
        }
        let mut warnings = std::mem::take(&mut parts.notes);
        warnings.extend(doubts(&parts));
        for action in &mut parts.actions {
            *action = action.clamp(-ACTION_LIMIT, ACTION_LIMIT);
        }
        let hash = hash(&parts);
        let Parts { name, source, env, task, score_range, .. } = parts;
        let Parts { observations, actions, next_observations, rewards, masks, terminals, .. } = parts;
        Ok(Self {
            name,
            source,
            env,
            task,
            score_range,
            obs_dim,
            action_dim,
            observations,
            actions,
            next_observations,
            rewards,
            masks,
            terminals,
            hash,
            warnings,
        })
    }

    /// Number of transitions, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty Dataset cannot be made")]
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Number of trajectories, at least 1.
    #[must_use]
    pub fn trajectories(&self) -> usize {
        self.terminals.iter().filter(|&&end| end).count()
    }

    /// Number of transitions whose mask is 0: from a state that solves the task.
    #[must_use]
    pub fn successes(&self) -> usize {
        successes(&self.masks)
    }
}

fn successes(masks: &[f32]) -> usize {
    masks.iter().filter(|&&mask| mask < 0.5).count()
}

fn check_sizes(parts: &Parts) -> Result<()> {
    let source = &parts.source;
    for (key, width) in [("observations", parts.obs_dim), ("actions", parts.action_dim)] {
        if width == 0 {
            let remedy = "check that this is the array you mean";
            return Err(Error::content(source, key, "at least one column", "none", remedy));
        }
    }
    let rows = parts.rewards.len();
    if rows == 0 {
        let remedy = "a trajectory of one row has no successor: record longer trajectories";
        return Err(Error::content(source, "observations", "at least one transition", "none", remedy));
    }
    let lengths = [
        ("observations", parts.observations.len(), parts.obs_dim),
        ("actions", parts.actions.len(), parts.action_dim),
        ("next_observations", parts.next_observations.len(), parts.obs_dim),
        ("masks", parts.masks.len(), 1),
        ("terminals", parts.terminals.len(), 1),
    ];
    for (key, length, width) in lengths {
        if Some(length) != rows.checked_mul(width) {
            let expected = format!("{rows} rows of {width}, as many as `rewards`");
            let remedy = "record one entry per transition in every array";
            return Err(Error::content(source, key, expected, format!("{length} values"), remedy));
        }
    }
    Ok(())
}

/// Refuses NaN and infinities in an array of `width` columns, naming the first. Rows that are true in `skip` are not
/// looked at; an empty `skip` skips none.
pub(super) fn check_finite(file: &Path, key: &str, data: &[f32], width: usize, skip: &[bool]) -> Result<()> {
    let skipped = |row: usize| skip.get(row).copied().unwrap_or(false);
    let bad = data.iter().enumerate().find(|(at, value)| !value.is_finite() && !skipped(at / width));
    let Some((at, value)) = bad else { return Ok(()) };
    let found = format!("{value} in row {}, column {} (counted from 0)", at / width, at % width);
    let remedy = "drop or repair that trajectory: one such value turns every weight into NaN";
    Err(Error::content(file, key, "finite numbers", found, remedy))
}

/// What is allowed but probably not meant. That no mask is 0 counts where masks say that a task is solved, or where the
/// rewards say nothing either: many locomotion environments never end an episode.
fn doubts(parts: &Parts) -> Vec<String> {
    let mut warnings = Vec::new();
    let task = parts.task.map(|task| format!(" for task {task}")).unwrap_or_default();
    let constant = parts.rewards.first().filter(|first| parts.rewards.iter().all(|reward| reward.to_bits() == first.to_bits()));
    if successes(&parts.masks) == 0 && (parts.task.is_some() || constant.is_some()) {
        warnings.push(format!(
            "masks: no transition succeeds{task} (every mask is 1), so there is little to learn from; use another task or more data"
        ));
    }
    if let Some(first) = constant {
        warnings
            .push(format!("rewards: every reward{task} is {first}, so all policies look alike; use another task or more data"));
    }
    let outside = parts.actions.iter().filter(|action| action.abs() > 1.0 + ACTION_TOLERANCE).count();
    if let Some((worst, place)) = largest(&parts.actions, parts.action_dim).filter(|_| outside > 0) {
        let total = parts.actions.len();
        warnings.push(format!(
            "actions: {outside} of {total} values lie outside [-1, 1] and were clipped (largest {worst} in {place}); rescale them"
        ));
    }
    for (key, data) in [("observations", &parts.observations), ("next_observations", &parts.next_observations)] {
        if let Some((worst, place)) = largest(data, parts.obs_dim).filter(|(worst, _)| worst.abs() > WILD_OBSERVATION) {
            warnings.push(format!("{key}: {worst} in {place} is so large that training may diverge; rescale that column"));
        }
    }
    warnings
}

/// The value of the largest magnitude, and its place in words.
fn largest(data: &[f32], width: usize) -> Option<(f32, String)> {
    let (at, value) = data.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    Some((*value, format!("transition {}, column {}", at / width, at % width)))
}

/// Hashes sizes, then arrays in the order of the fields, numbers little-endian, truth values as one byte.
fn hash(parts: &Parts) -> String {
    let mut hasher = Sha256::new();
    for size in [parts.rewards.len(), parts.obs_dim, parts.action_dim] {
        hasher.update((size as u64).to_le_bytes());
    }
    let mut buffer = Vec::new();
    for array in [&parts.observations, &parts.actions, &parts.next_observations, &parts.rewards, &parts.masks] {
        for chunk in array.chunks(1 << 14) {
            buffer.clear();
            buffer.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&buffer);
        }
    }
    buffer.clear();
    buffer.extend(parts.terminals.iter().map(|&end| u8::from(end)));
    hasher.update(&buffer);
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two trajectories of two and one transitions; the last succeeds.
    fn parts() -> Parts {
        Parts {
            name: "made-up".into(),
            source: "made-up.npz".into(),
            obs_dim: 2,
            action_dim: 1,
            observations: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            actions: vec![-1.0, 0.5, 1.0],
            next_observations: vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
            rewards: vec![-1.0, -1.0, 0.0],
            masks: vec![1.0, 1.0, 0.0],
            terminals: vec![false, true, true],
            ..Parts::default()
        }
    }

    /// The text of the error after one change to good parts.
    fn refusal(change: impl FnOnce(&mut Parts)) -> String {
        let mut parts = parts();
        change(&mut parts);
        Dataset::from_parts(parts).map(|_| "no error").unwrap_err().to_string()
    }

    #[test]
    fn good_parts_pass_without_warning_and_actions_are_clipped() {
        let dataset = Dataset::from_parts(parts()).unwrap();
        assert_eq!((dataset.len(), dataset.trajectories(), dataset.successes()), (3, 2, 1));
        assert_eq!(dataset.warnings, Vec::<String>::new());
        assert_eq!(dataset.actions, [-0.999_99, 0.5, 0.999_99]);
    }

    #[test]
    fn the_clip_is_the_f32_that_numpy_clips_to() {
        // numpy.float32(1 - 1e-5) is 0x3f7fff58.
        assert_eq!(ACTION_LIMIT.to_bits(), 0x3f7f_ff58);
    }

    #[test]
    fn each_bad_array_is_named() {
        let file = "made-up.npz: ";
        for (text, expected) in [
            (refusal(|p| p.obs_dim = 0), "`observations`: expected at least one column"),
            (refusal(|p| p.rewards.clear()), "`observations`: expected at least one transition"),
            (refusal(|p| p.actions.truncate(2)), "`actions`: expected 3 rows of 1"),
            (refusal(|p| p.observations[3] = f32::NAN), "`observations`: expected finite numbers, found NaN in row 1, column 1"),
            (
                refusal(|p| p.next_observations[4] = f32::INFINITY),
                "`next_observations`: expected finite numbers, found inf in row 2",
            ),
            (refusal(|p| p.rewards[2] = f32::NEG_INFINITY), "`rewards`: expected finite numbers, found -inf in row 2"),
            (refusal(|p| p.masks[1] = 0.5), "`masks`: expected only 0 and 1, found 0.5 in row 1"),
            (refusal(|p| p.terminals[2] = false), "`terminals`: expected true for the last transition"),
        ] {
            assert!(text.starts_with(file) && text.contains(expected), "{text}\nlacks {expected}");
        }
    }

    #[test]
    fn doubtful_data_is_loaded_with_a_warning_each() {
        let mut parts = parts();
        parts.task = Some(2);
        parts.rewards = vec![-1.0; 3];
        parts.masks = vec![1.0; 3];
        parts.actions = vec![0.0, -3.5, 1.000_001];
        parts.observations[5] = -2e6;
        let warnings = Dataset::from_parts(parts).unwrap().warnings;
        assert_eq!(warnings.len(), 4, "{warnings:#?}");
        for (warning, expected) in warnings.iter().zip([
            "masks: no transition succeeds for task 2",
            "rewards: every reward for task 2 is -1",
            "actions: 1 of 3 values lie outside [-1, 1] and were clipped (largest -3.5 in transition 1, column 0)",
            "observations: -2000000 in transition 2, column 1",
        ]) {
            assert!(warning.starts_with(expected), "{warning}");
        }
    }

    #[test]
    fn the_hash_follows_the_content_and_nothing_else() {
        let hash = |change: fn(&mut Parts)| {
            let mut parts = parts();
            change(&mut parts);
            Dataset::from_parts(parts).unwrap().hash
        };
        let plain = hash(|_| ());
        assert_eq!(plain.len(), 64);
        assert_eq!(plain, hash(|p| p.name = "renamed".into()));
        for changed in [
            hash(|p| p.observations[0] = 9.0),
            hash(|p| p.actions[1] = 0.25),
            hash(|p| p.next_observations[0] = 9.0),
            hash(|p| p.rewards[0] = -2.0),
            hash(|p| p.masks[0] = 0.0),
            hash(|p| p.terminals[0] = true),
        ] {
            assert_ne!(plain, changed);
        }
    }
}
