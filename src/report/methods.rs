//! Methods: which runs are averaged with which. An algorithm whose settings differ on one task is several methods; one
//! that is tuned for each task is one method, as in the papers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::runs::{Outcome, Run};

/// What is compared: a policy of an algorithm, with the settings by which it differs from others.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// `gfp actor eta=0.1`.
    pub label: String,
    /// `gfp`.
    pub algorithm: String,
    /// `actor`.
    pub policy: String,
    /// The settings that tell it from the same algorithm's other methods.
    pub differing: BTreeMap<String, Value>,
    /// Settings that are the same in all its runs.
    pub settings: BTreeMap<String, Value>,
    /// Settings that differ between its tasks, by task.
    pub tuned: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Method {
    /// Its label without the policy: what is trained, rather than what is judged.
    pub fn trained(&self) -> String {
        format!("{}{}", self.algorithm, listed(&self.differing))
    }

    /// The value of a setting; none where it is not the same in all its runs.
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.settings.get(name)
    }
}

/// ` alpha=10 eta=0.1`.
fn listed(settings: &BTreeMap<String, Value>) -> String {
    settings.iter().map(|(name, value)| format!(" {name}={}", shown(value))).collect()
}

/// What of a run decides its method: algorithm, rank and name of the policy, and the differing settings.
type Place = (&'static str, usize, String, Vec<(String, Sortable)>);

/// A setting's value, ordered as people expect: numbers by size.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Sortable {
    Number(f64),
    Text(String),
}

/// Finds the methods of `runs`, and numbers the runs by them.
pub fn number(runs: &mut [Run], task_names: &[String]) -> Vec<Method> {
    let differing = differing(runs);
    let place = |run: &Run| -> Place {
        let id = &run.identity;
        let keys = differing.get(id.algorithm).into_iter().flatten();
        let values = keys.map(|key| (key.clone(), sortable(id.settings.get(key)))).collect();
        (id.algorithm, id.rank, id.policy.clone(), values)
    };
    let mut places: Vec<Place> = Vec::new();
    for run in runs.iter() {
        let found = place(run);
        if !places.contains(&found) {
            places.push(found);
        }
    }
    places.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    for run in runs.iter_mut() {
        let found = place(run);
        run.method = places.iter().position(|known| *known == found).unwrap_or_default();
    }
    (0..places.len()).map(|index| method(index, runs, differing.get(places[index].0), task_names)).collect()
}

/// For each algorithm, the settings that differ between runs of one task.
fn differing(runs: &[Run]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut first: BTreeMap<(&'static str, usize), &BTreeMap<String, Value>> = BTreeMap::new();
    for run in runs {
        let id = &run.identity;
        let known = *first.entry((id.algorithm, run.task)).or_insert(&id.settings);
        let names = known.keys().chain(id.settings.keys()).filter(|name| known.get(*name) != id.settings.get(*name));
        found.entry(id.algorithm).or_default().extend(names.cloned());
    }
    found
}

fn method(index: usize, runs: &[Run], differing: Option<&BTreeSet<String>>, task_names: &[String]) -> Method {
    let own: Vec<&Run> = runs.iter().filter(|run| run.method == index).collect();
    let id = &own[0].identity;
    let (mut settings, mut tuned) = (id.settings.clone(), BTreeMap::<String, BTreeMap<String, Value>>::new());
    settings.retain(|name, value| own.iter().all(|run| run.identity.settings.get(name) == Some(value)));
    for run in &own {
        for (name, value) in run.identity.settings.iter().filter(|(name, _)| !settings.contains_key(*name)) {
            tuned.entry(name.clone()).or_default().insert(task_names[run.task].clone(), value.clone());
        }
    }
    let differing: BTreeMap<String, Value> =
        differing.into_iter().flatten().map(|name| (name.clone(), id.settings.get(name).cloned().unwrap_or_default())).collect();
    let label = format!("{} {}{}", id.algorithm, id.policy, listed(&differing));
    Method { label, algorithm: id.algorithm.to_owned(), policy: id.policy.clone(), differing, settings, tuned }
}

/// Keeps one run of each method, task and seed: a counted one where there is one, and of several the newest. Datasets
/// do not tell runs apart here; the flags say where they differ.
pub fn drop_duplicates(runs: &mut [Run]) {
    let mut same: BTreeMap<(usize, usize, u64), Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        same.entry((run.method, run.task, run.seed)).or_default().push(index);
    }
    for mut copies in same.into_values().filter(|copies| copies.len() > 1) {
        copies.sort_by_key(|index| {
            let run = &runs[*index];
            (Reverse(run.counted()), Reverse(run.modified), Reverse(run.folder.clone()), run.lane)
        });
        let kept = &runs[copies[0]];
        let (folder, lane, complete, modified) = (kept.folder.clone(), kept.lane, kept.counted(), kept.modified);
        for copy in &copies[1..] {
            let run = &mut runs[*copy];
            let better = match (complete && !run.counted(), modified > run.modified) {
                (true, _) => "complete and ",
                (_, true) => "newer and ",
                _ => "",
            };
            run.outcome = Outcome::Duplicate(format!("the same run as {folder} lane {lane}, which is {better}used"));
        }
    }
}

fn sortable(value: Option<&Value>) -> Sortable {
    value.and_then(Value::as_f64).map_or_else(|| Sortable::Text(value.map(shown).unwrap_or_default()), Sortable::Number)
}

/// A setting's value as it would be typed as a flag.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}
