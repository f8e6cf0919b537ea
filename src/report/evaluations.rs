//! The evaluations of a run folder, from the lines that training wrote (`metrics.jsonl`) and from those that were made
//! of its checkpoints afterwards (`evaluations.jsonl`).

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::task::Task;
use crate::error::{Error, Result};

/// One policy of one lane.
pub type Key = (usize, String);

/// One evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Share of successful episodes, in [0, 1]. NaN where the file says null.
    pub success: Option<f64>,
    /// Mean undiscounted return. NaN where the file says null.
    pub total_return: Option<f64>,
    /// Normalised return, 100 for the expert's; absent where the task has no reference returns.
    pub normalized: Option<f64>,
    /// Number of episodes, where the line tells.
    pub episodes: Option<usize>,
    /// Versions of the environment; `None` for the built-in one.
    pub versions: Option<String>,
    /// What it was made for: `gfp`, `fql`.
    pub protocol: Option<String>,
}

/// What a folder's two files tell.
#[derive(Clone, Debug, Default)]
pub struct Evaluations {
    /// By policy, and then by update.
    pub of: BTreeMap<Key, BTreeMap<u64, Evaluation>>,
    /// The last update that any line of training speaks of.
    pub last_step: u64,
    /// The first line of training with a value that is not finite, by lane: its update.
    pub broken: BTreeMap<usize, u64>,
    /// What could not be used, and why.
    pub notes: Vec<String>,
}

/// A line of `evaluations.jsonl`.
#[derive(Deserialize)]
struct Afterwards {
    step: u64,
    lane: usize,
    policy: String,
    env: Option<String>,
    episodes: Option<usize>,
    success: Option<f64>,
    #[serde(rename = "return")]
    total_return: Option<f64>,
    normalized: Option<f64>,
    protocol: Option<String>,
    versions: Option<Value>,
}

impl Evaluations {
    /// Reads both files of `folder`. Among several evaluations of one policy after one update the last one counts,
    /// and one of `evaluations.jsonl` before one of training; if `protocol` is asked for, one made for it before others.
    ///
    /// # Errors
    /// [`Error::Io`] if `metrics.jsonl` cannot be read.
    pub fn read(folder: &Path, task: &Task, protocol: Option<&str>) -> Result<Self> {
        let mut found = Self::default();
        let file = folder.join("metrics.jsonl");
        let bytes = fs::read(&file).map_err(Error::io(&file, "read"))?;
        let unreadable = each_line(&bytes, |line| found.training_line(line, protocol));
        found.note_unreadable("metrics.jsonl", unreadable);
        let file = folder.join("evaluations.jsonl");
        match fs::read(&file) {
            Ok(bytes) => {
                let mut elsewhere = 0;
                let unreadable = each_line(&bytes, |line| found.afterwards_line(line, task, protocol, &mut elsewhere));
                found.note_unreadable("evaluations.jsonl", unreadable);
                if elsewhere > 0 {
                    found.notes.push(format!("{elsewhere} lines of evaluations.jsonl are of another task: not used"));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => found.notes.push(format!("evaluations.jsonl cannot be read: {error}")),
        }
        Ok(found)
    }

    fn note_unreadable(&mut self, file: &str, lines: usize) {
        if lines > 0 {
            self.notes.push(format!("{lines} lines of {file} cannot be read: not used"));
        }
    }

    /// A line of `metrics.jsonl`. Most are about losses and by far the longest part of a folder: of those only the
    /// update counts, and whether a value is null.
    fn training_line(&mut self, line: &str, protocol: Option<&str>) -> Option<()> {
        if !line.contains("\"eval/") {
            let step = number_after(line, "\"step\":")?;
            self.last_step = self.last_step.max(step);
            if line.contains(":null") {
                self.broken.entry(number_after(line, "\"lane\":")? as usize).or_insert(step);
            }
            return line.ends_with('}').then_some(());
        }
        let line: BTreeMap<String, Value> = serde_json::from_str(line).ok()?;
        let number = |key: &str| line.get(key).and_then(Value::as_u64);
        let (step, lane) = (number("step")?, number("lane")? as usize);
        self.last_step = self.last_step.max(step);
        let mut policies: BTreeMap<&str, Evaluation> = BTreeMap::new();
        for (key, value) in &line {
            let Some((policy, what)) = key.strip_prefix("eval/").and_then(|rest| rest.rsplit_once('/')) else { continue };
            let evaluation = policies.entry(policy).or_default();
            match what {
                "success" => evaluation.success = Some(value.as_f64().unwrap_or(f64::NAN)),
                "return" => evaluation.total_return = Some(value.as_f64().unwrap_or(f64::NAN)),
                "normalized" => evaluation.normalized = value.as_f64(),
                _ => {}
            }
        }
        for (policy, evaluation) in policies {
            self.add((lane, policy.to_owned()), step, evaluation, protocol);
        }
        Some(())
    }

    fn afterwards_line(&mut self, line: &str, task: &Task, protocol: Option<&str>, elsewhere: &mut usize) -> Option<()> {
        let line: Afterwards = serde_json::from_str(line).ok()?;
        if line.env.as_deref().is_some_and(|env| !task.is_of(env)) {
            *elsewhere += 1;
            return Some(());
        }
        let evaluation = Evaluation {
            success: Some(line.success.unwrap_or(f64::NAN)),
            total_return: Some(line.total_return.unwrap_or(f64::NAN)),
            normalized: line.normalized,
            episodes: line.episodes,
            versions: line.versions.filter(|v| !v.is_null()).map(|versions| versions_text(&versions)),
            protocol: line.protocol,
        };
        self.add((line.lane, line.policy), line.step, evaluation, protocol);
        Some(())
    }

    fn add(&mut self, key: Key, step: u64, new: Evaluation, protocol: Option<&str>) {
        // Lines come in the order in which they were written, those of training first.
        let asked = |e: &Evaluation| protocol.is_some() && e.protocol.as_deref() == protocol;
        let of_policy = self.of.entry(key).or_default();
        if of_policy.get(&step).is_none_or(|old| asked(&new) >= asked(old)) {
            of_policy.insert(step, new);
        }
    }
}

/// Calls `take` with each whole line, and counts those that it cannot use. A last line without its end is one that is
/// being written, or that a crash cut short: it is left out in silence if it cannot be used.
fn each_line(bytes: &[u8], mut take: impl FnMut(&str) -> Option<()>) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let mut unusable = 0;
    for line in text.split_inclusive('\n') {
        let whole = line.trim();
        if !whole.is_empty() && take(whole).is_none() && line.ends_with('\n') {
            unusable += 1;
        }
    }
    unusable
}

/// The whole number that follows `key`.
fn number_after(line: &str, key: &str) -> Option<u64> {
    let rest = line[line.find(key)? + key.len()..].trim_start();
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// `mujoco 4.0.0, ogbench 1.2.2`.
fn versions_text(versions: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    versions.as_object().map_or_else(
        || word(versions),
        |parts| parts.iter().map(|(name, version)| format!("{name} {}", word(version))).collect::<Vec<_>>().join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_ends_are_passed_over_and_bad_lines_are_counted() {
        let mut seen = Vec::new();
        let mut take = |line: &str| {
            seen.push(line.to_owned());
            line.ends_with('}').then_some(())
        };
        assert_eq!(each_line(b"{a}\n\n{b\n{c}\n{d", &mut take), 1);
        assert_eq!(each_line(b"{a}\n\xff\n", &mut take), 1);
        assert_eq!(seen, ["{a}", "{b", "{c}", "{d", "{a}", "\u{fffd}"]);
    }

    #[test]
    fn numbers_are_found_without_parsing_the_line() {
        let line = r#"{"lane":2,"step": 1000,"train/q":-1}"#;
        assert_eq!((number_after(line, "\"step\":"), number_after(line, "\"lane\":")), (Some(1000), Some(2)));
        assert_eq!((number_after(line, "\"train/q\":"), number_after("{\"step\":7", "\"step\":")), (None, Some(7)));
    }
}
