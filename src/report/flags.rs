//! What a reader has to know before believing the numbers: runs that are missing, diverged or there twice, and runs that
//! differ in what they were trained or judged on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::folder::Folder;
use super::methods::Method;
use super::runs::{Outcome, Run};
use super::scoring::Protocol;
use super::task::{Task, listed};
use crate::train::Protocol as Official;

/// A kind of flag, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something was not finite; not averaged.
    Diverged,
    /// A run, or an evaluation, is not there; not averaged.
    Missing,
    /// The same run again; not averaged.
    Duplicate,
    /// Runs that are averaged or compared differ in data or versions.
    Mixed,
    /// Evaluations are not as the protocol asks.
    Protocol,
    /// A folder, or a part of one, cannot be read.
    Unreadable,
}

impl Kind {
    /// The word before the text.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::Mixed => "mixed",
            Self::Protocol => "protocol",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flag {
    /// What kind.
    pub kind: Kind,
    /// Which runs, and what of them.
    pub text: String,
}

/// Every flag, sorted, each once.
pub fn all(
    (folders, broken): (&[Folder], &[(PathBuf, String)]),
    runs: &[Run],
    methods: &[Method],
    tasks: &[Task],
    protocol: Protocol,
) -> Vec<Flag> {
    let mut flags = BTreeSet::new();
    let mut add = |kind: Kind, text: String| {
        flags.insert(Flag { kind, text });
    };
    for (path, why) in broken {
        // Errors name the file already.
        add(
            Kind::Unreadable,
            if why.contains(&*path.to_string_lossy()) { why.clone() } else { format!("{}: {why}", path.display()) },
        );
    }
    for folder in folders {
        for note in &folder.evaluations.notes {
            add(Kind::Unreadable, format!("{}: {note}", folder.path.display()));
        }
    }
    for Shared { folder, outcome, lanes, policies } in outcomes(runs) {
        let (kind, why) = match outcome {
            Outcome::Counted => continue,
            Outcome::Missing(why) => (Kind::Missing, why),
            Outcome::Diverged(why) => (Kind::Diverged, why),
            Outcome::Duplicate(why) => (Kind::Duplicate, why),
        };
        let of = if policies.is_empty() { String::new() } else { format!(" ({})", policies.join(", ")) };
        add(kind, format!("{folder} {}{of}: {why}", numbered("lane", lanes.iter().map(|lane| *lane as u64))));
    }
    for text in absent(runs, methods, tasks) {
        add(Kind::Missing, text);
    }
    for text in mixed(runs, tasks) {
        add(Kind::Mixed, text);
    }
    for text in episodes(runs, protocol) {
        add(Kind::Protocol, text);
    }
    flags.into_iter().collect()
}

/// An outcome of several runs of a folder.
struct Shared<'a> {
    folder: &'a str,
    outcome: &'a Outcome,
    lanes: BTreeSet<usize>,
    /// The policies that it is the outcome of; none if of all.
    policies: Vec<&'a str>,
}

/// The outcomes of each folder. What is so for several lanes or policies is said once.
fn outcomes(runs: &[Run]) -> Vec<Shared<'_>> {
    let mut found: Vec<Shared<'_>> = Vec::new();
    for run in runs {
        let policy = run.identity.policy.as_str();
        match found.iter_mut().find(|shared| shared.folder == run.folder && *shared.outcome == run.outcome) {
            Some(shared) => {
                shared.lanes.insert(run.lane);
                shared.policies.push(policy);
            }
            None => found.push(Shared {
                folder: &run.folder,
                outcome: &run.outcome,
                lanes: BTreeSet::from([run.lane]),
                policies: vec![policy],
            }),
        }
    }
    for shared in &mut found {
        shared.policies.sort_unstable();
        shared.policies.dedup();
        let every: BTreeSet<&str> =
            runs.iter().filter(|run| run.folder == shared.folder).map(|run| run.identity.policy.as_str()).collect();
        if shared.policies.len() == every.len() {
            shared.policies.clear();
        }
    }
    found
}

/// Seeds and tasks that some run has and a method has not.
fn absent(runs: &[Run], methods: &[Method], tasks: &[Task]) -> Vec<String> {
    let seeds: BTreeSet<u64> = runs.iter().map(|run| run.seed).collect();
    let mut found = Vec::new();
    for (index, method) in methods.iter().enumerate() {
        // Policies are trained together: what one of them lacks, all do.
        if methods[..index].iter().any(|earlier| earlier.trained() == method.trained()) {
            continue;
        }
        let own = |task: usize| -> BTreeSet<u64> {
            runs.iter().filter(|run| run.method == index && run.task == task).map(|run| run.seed).collect()
        };
        // Tasks that lack the same seeds share a line.
        let mut lacking: BTreeMap<Vec<u64>, Vec<&Task>> = BTreeMap::new();
        for (place, task) in tasks.iter().enumerate() {
            let lacks: Vec<u64> = seeds.difference(&own(place)).copied().collect();
            if !lacks.is_empty() {
                lacking.entry(lacks).or_default().push(task);
            }
        }
        for (lacks, on) in lacking {
            let what =
                if lacks.len() == seeds.len() { "no run".to_owned() } else { format!("no run of {}", numbered("seed", lacks)) };
            found.push(format!("{}: {what} on {}", method.trained(), listed(on)));
        }
    }
    found
}

/// Datasets and versions that differ between the counted runs of a task.
fn mixed(runs: &[Run], tasks: &[Task]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, task) in tasks.iter().enumerate() {
        let own: Vec<&Run> = runs.iter().filter(|run| run.task == place && run.counted()).collect();
        let mut differ = |what: &str, of: &dyn Fn(&Run) -> Vec<String>| {
            let known: BTreeSet<String> = own.iter().flat_map(|run| of(run)).collect();
            if known.len() > 1 {
                let examples = known.iter().map(|value| {
                    let first = own.iter().find(|run| of(run).contains(value)).map_or("", |run| &run.folder);
                    format!("{value} ({first}, ...)")
                });
                found.push(format!("{}: {what} differ: {}", task.name, examples.collect::<Vec<_>>().join("; ")));
            }
        };
        let short = |hash: &String| hash.chars().take(12).collect();
        differ("datasets", &|run| run.dataset.iter().map(short).collect());
        differ("environments", &|run| run.environments.clone());
        differ("versions of wgflow", &|run| run.wgflow.iter().cloned().collect());
    }
    found
}

/// Counted runs that were judged by another number of episodes than the protocol's.
fn episodes(runs: &[Run], protocol: Protocol) -> Vec<String> {
    let Some(asked) = protocol.official().map(Official::episodes) else { return Vec::new() };
    let mut found: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.counted()) {
        let scored = run.evaluations.iter().filter(|point| run.scored_at.contains(&point.step));
        for point in scored.filter(|point| point.episodes != asked) {
            found.entry(point.episodes).or_default().insert(&run.folder);
        }
    }
    let text = |(episodes, folders): (usize, BTreeSet<&str>)| {
        let first = folders.first().copied().unwrap_or_default();
        format!("evaluations of {episodes} episodes where {asked} are asked for, in {} folders ({first}, ...)", folders.len())
    };
    found.into_iter().map(text).collect()
}

/// `seed 3`, `seeds 0-3, 7`.
pub fn numbered(what: &str, numbers: impl IntoIterator<Item = u64>) -> String {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let stretch = |part: &[u64]| match part {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    let parts: Vec<String> = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)).map(stretch).collect();
    format!("{what}{} {}", if numbers.len() == 1 { "" } else { "s" }, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_numbers_are_written_as_stretches() {
        assert_eq!(numbered("seed", [3]), "seed 3");
        assert_eq!(numbered("lane", [0, 1, 2, 5, 7, 8]), "lanes 0-2, 5, 7-8");
        assert_eq!(numbered("seed", [u64::MAX - 1, u64::MAX]), format!("seeds {}-{}", u64::MAX - 1, u64::MAX));
    }
}
