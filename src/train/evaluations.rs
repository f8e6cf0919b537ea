//! `evaluations.jsonl`: a JSON object a line for every evaluation of a run, with everything its score depends on.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::environment::Setting;
use super::evaluate::{Evaluation, Quota};
use super::run::RunFolder;
use super::statistics::{student, wilson};
use crate::error::{Error, Result};

/// Normalised score of a return on a dataset, in percent; `None` where no references are known.
pub type Normalise = dyn Fn(&str, f64) -> Option<f64> + Send + Sync;

/// One evaluation of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Updates of the checkpoint.
    pub step: u64,
    /// The lane.
    pub lane: usize,
    /// The policy.
    pub policy: String,
    /// The environment's id.
    pub env: String,
    /// Number of episodes.
    pub episodes: usize,
    /// Share of episodes whose last step was a success, in [0, 1]; null where the environment tells no successes.
    pub success: Option<f64>,
    /// Mean undiscounted return.
    #[serde(rename = "return")]
    pub total_reward: f64,
    /// Mean number of steps.
    pub length: f64,
    /// Normalised score of the mean return, percent; null where there are no references.
    pub normalized: Option<f64>,
    /// Seed of the episodes.
    pub seed: u64,
    /// `gfp` or `fql` if the evaluation belongs to that paper's protocol.
    pub protocol: Option<String>,
    /// OGBench's rule for success, `pre` or `post`; null elsewhere.
    pub success_timing: Option<String>,
    /// Versions of wgflow, Python and the environment's packages.
    pub versions: BTreeMap<String, String>,
    /// 95 % intervals.
    pub intervals: Intervals,
}

/// 95 % intervals over episodes, `[low, high]`: Wilson's for success, Student's t for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of the rate of success.
    pub success: Option<[f64; 2]>,
    /// Of the mean return.
    #[serde(rename = "return")]
    pub total_reward: Option<[f64; 2]>,
    /// Of the mean length.
    pub length: Option<[f64; 2]>,
    /// Of the normalised score.
    pub normalized: Option<[f64; 2]>,
}

/// Which evaluation a record is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Updates of the checkpoint.
    pub step: u64,
    /// The lane.
    pub lane: usize,
    /// The policy.
    pub policy: &'a str,
    /// Its episodes.
    pub quota: &'a Quota,
    /// The protocol it belongs to.
    pub protocol: Option<&'a str>,
}

impl Record {
    /// What is known before the episodes; all numbers are zero.
    pub fn announced(subject: &Subject<'_>, setting: &Setting) -> Self {
        Self {
            step: subject.step,
            lane: subject.lane,
            policy: subject.policy.to_owned(),
            env: setting.env.clone(),
            episodes: subject.quota.episodes,
            success: None,
            total_reward: 0.0,
            length: 0.0,
            normalized: None,
            seed: subject.quota.seed,
            protocol: subject.protocol.map(str::to_owned),
            success_timing: setting.success_timing.clone(),
            versions: setting.versions.clone(),
            intervals: Intervals::default(),
        }
    }

    /// The record with its numbers. `tells_success` is the environments'.
    #[must_use]
    pub fn with_results(self, evaluation: &Evaluation, tells_success: bool, normalise: &Normalise) -> Self {
        let column = |value: &dyn Fn(&crate::envs::Episode) -> f64| evaluation.episodes.iter().map(value).collect::<Vec<_>>();
        let total_reward = evaluation.total_reward();
        let of_return = student(&column(&|e| e.total_reward));
        let wins = evaluation.success() * evaluation.episodes.len() as f64;
        // `minari:D4RL/pen/human-v2` is the dataset D4RL/pen/human-v2. OGBench's score is the rate of success.
        let dataset = self.env.split_once(':').map_or(self.env.as_str(), |(_, dataset)| dataset);
        let score = |value: f64| if dataset.contains("singletask") { None } else { normalise(dataset, value) };
        let normalized = score(total_reward);
        let intervals = Intervals {
            success: wilson(wins, evaluation.episodes.len()).filter(|_| tells_success),
            total_reward: of_return,
            length: student(&column(&|e| e.length as f64)),
            normalized: of_return.and_then(|[low, high]| Some([score(low)?, score(high)?])),
        };
        let success = tells_success.then(|| evaluation.success());
        Self { success, total_reward, length: evaluation.length(), normalized, intervals, ..self }
    }

    /// Whether two records are about the same evaluation; their numbers then agree as well.
    pub fn same_evaluation(&self, other: &Self) -> bool {
        let bare = |record: &Self| Self {
            success: None,
            total_reward: 0.0,
            length: 0.0,
            normalized: None,
            intervals: Intervals::default(),
            ..record.clone()
        };
        bare(self) == bare(other)
    }
}

/// `RUN/evaluations.jsonl`.
pub fn file(folder: &RunFolder) -> PathBuf {
    folder.path().join("evaluations.jsonl")
}

/// Appends a record in one write, unless the file has it already. A line that a crash cut short stays apart from it.
///
/// # Errors
/// [`Error::Io`].
pub fn append(path: &Path, record: &Record) -> Result<()> {
    if read(path)?.contains(record) {
        return Ok(());
    }
    let text = serde_json::to_string(record)
        .map_err(|e| Error::content(path, "evaluation", "numbers that JSON can hold", e.to_string(), "report this"))?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(Error::io(path, "open"))?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last).map_err(Error::io(path, "read"))?;
    }
    let gap = if last == *b"\n" { "" } else { "\n" };
    file.write_all(format!("{gap}{text}\n").as_bytes()).map_err(Error::io(path, "append"))
}

/// Every record of a file, oldest first; none if there is no file. A line that is not whole is left out.
///
/// # Errors
/// [`Error::Io`].
pub fn read(path: &Path) -> Result<Vec<Record>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envs::Episode;

    fn record(env: &str, returns: &[f64], tells_success: bool) -> Record {
        let quota = Quota { episodes: returns.len(), seed: u64::MAX, keep_paths: 0 };
        let subject = Subject { step: 7, lane: 1, policy: "actor", quota: &quota, protocol: None };
        let setting = Setting { env: env.to_owned(), success_timing: None, versions: BTreeMap::new() };
        let episode = |&total_reward: &f64| Episode { success: total_reward > 0.0, total_reward, length: 3, path: None };
        let evaluation = Evaluation { policy: "actor", episodes: returns.iter().map(episode).collect() };
        let normalise = |dataset: &str, value: f64| (dataset == "D4RL/pen/human-v2").then_some(10.0 * value + 1.0);
        Record::announced(&subject, &setting).with_results(&evaluation, tells_success, &normalise)
    }

    #[test]
    fn numbers_and_their_intervals() {
        let of = record("minari:D4RL/pen/human-v2", &[0.0, 2.0, 4.0, 6.0], true);
        assert_eq!((of.success, of.total_reward, of.length, of.normalized), (Some(0.75), 3.0, 3.0, Some(31.0)));
        let [low, high] = of.intervals.total_reward.unwrap();
        assert!(low < 3.0 && 3.0 < high && (low + high - 6.0).abs() < 1e-12);
        assert_eq!(of.intervals.normalized, Some([10.0 * low + 1.0, 10.0 * high + 1.0]));
        assert_eq!(of.intervals.success, wilson(3.0, 4));
        let silent = record("Hopper-v5", &[1.0], false);
        // One episode has no interval, and no success is told.
        assert_eq!((silent.success, silent.normalized, silent.intervals), (None, None, Intervals::default()));
        assert_eq!(record("pen-singletask-v0", &[1.0], true).normalized, None);
    }

    #[test]
    fn lines_come_back_and_a_torn_one_does_no_harm() {
        let path = std::env::temp_dir().join(format!("wgflow-evaluations-{}.jsonl", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert_eq!(read(&path).unwrap(), []);
        let (first, second) = (record("a", &[0.5, 1.5], true), record("b", &[1.0], false));
        append(&path, &first).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":2,\"la").unwrap();
        append(&path, &second).unwrap();
        append(&path, &first).unwrap();
        assert_eq!(read(&path).unwrap(), [first.clone(), second.clone()]);
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"return\":1.0"));
        assert!(first.same_evaluation(&Record { success: None, length: 9.0, ..first.clone() }));
        for other in [Record { seed: 1, ..first.clone() }, Record { step: 8, ..first.clone() }, second] {
            assert!(!first.same_evaluation(&other));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
