//! The task that a run was trained for, by the name under which scores are published.

use std::path::Path;

use serde::Serialize;

use crate::data::ogbench;
use crate::train::RunConfig;

/// A collection of tasks with a way of scoring of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// OGBench's single-task variants: share of successful episodes.
    Ogbench,
    /// D4RL: normalised return.
    D4rl,
    /// Minari: normalised return.
    Minari,
    /// Anything else.
    Other,
}

/// A task. Tasks are ordered as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Task {
    /// Where it is from.
    pub suite: Suite,
    /// The tasks that papers average: `cube-single-play`.
    pub family: String,
    /// Its name within the family: `task2`.
    pub label: String,
    /// Its full name: `cube-single-play-singletask-task2-v0`.
    pub name: String,
}

/// How names of D4RL's tasks begin. OGBench's ant mazes have the same beginning and other kinds of data.
const D4RL: &[&str] = &["pen", "door", "hammer", "relocate", "halfcheetah", "hopper", "walker2d", "ant", "kitchen", "maze2d"];
/// How names of OGBench's pixel tasks begin.
const VISUAL: &str = "visual-";

impl Task {
    /// The task of a run, from its dataset's name, its environment and its task.
    pub fn of(config: &RunConfig) -> Self {
        let stem = stem(&config.data);
        if let Some(task) = minari(&config.data) {
            return task;
        }
        if let Some(task) = config.env.as_deref().and_then(d4rl).or_else(|| d4rl(&stem)) {
            return task;
        }
        let inner = stem.strip_prefix(VISUAL).unwrap_or(&stem);
        let Some(env) = config.env.as_deref().or_else(|| ogbench::env_of(inner)) else {
            let label = config.task.map_or_else(|| stem.clone(), |id| format!("task{id}"));
            let name = config.task.map_or_else(|| stem.clone(), |id| format!("{stem}-task{id}"));
            return Self { suite: Suite::Other, family: stem, label, name };
        };
        let id = config.task.or_else(|| ogbench::task(env, None).ok().map(|task| task.id)).unwrap_or(1);
        let (family, version) = split_version(&stem).unwrap_or((&stem, "v0"));
        let label = format!("task{id}");
        // A file of another name holds other data, whatever the environment: nobody published its scores.
        let published = ogbench::env_of(inner) == Some(env);
        let name = if published { format!("{family}-singletask-{label}-{version}") } else { format!("{stem}-{label}") };
        Self { suite: Suite::Ogbench, family: family.to_owned(), label, name }
    }

    /// Whether an evaluation in environment `env` was one of this task; names that tell neither are believed.
    pub fn is_of(&self, env: &str) -> bool {
        let number = |name: &str| name.split("task").last().and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let place = |name: &str| ogbench::env_of(name.strip_prefix(VISUAL).unwrap_or(name));
        let differ = |a: Option<u32>, b: Option<u32>| a.zip(b).is_some_and(|(a, b)| a != b);
        let elsewhere = place(env).zip(place(&self.name)).is_some_and(|(a, b)| a != b);
        self.suite != Suite::Ogbench || !(elsewhere || differ(number(env), number(&self.name)))
    }
}

/// `cube-single-play task1, task2; scene-play task4`.
pub fn listed<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> String {
    let tasks: Vec<&Task> = tasks.into_iter().collect();
    let family = |tasks: &[&Task]| {
        let labels: Vec<&str> = tasks.iter().map(|task| &*task.label).collect();
        if labels == [tasks[0].family.as_str()] {
            labels[0].to_owned()
        } else {
            format!("{} {}", tasks[0].family, labels.join(", "))
        }
    };
    tasks.chunk_by(|a, b| a.family == b.family).map(family).collect::<Vec<_>>().join("; ")
}

/// `cube-single-play-v0` for `cube-single-play-v0.npz` and `cube-single-play-v0.slim.npz`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = [".npz", ".hdf5", ".h5"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
    name.strip_suffix(".slim").unwrap_or(name).to_owned()
}

/// `cube-single-play` and `v0` of `cube-single-play-v0`.
fn split_version(name: &str) -> Option<(&str, &str)> {
    let (base, version) = name.rsplit_once('-')?;
    let digits = version.strip_prefix('v')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((base, version))
}

/// `pen-human-v1` and the like, `antmaze-umaze-v2` and its sisters.
fn d4rl(name: &str) -> Option<Task> {
    let (base, _) = split_version(name)?;
    let (family, rest) = base.split_once('-')?;
    let maze = family == "antmaze" && (rest.starts_with("umaze") || rest.ends_with("play") || rest.ends_with("diverse"));
    let known = maze || D4RL.contains(&family);
    let task = || Task { suite: Suite::D4rl, family: family.to_owned(), label: rest.to_owned(), name: name.to_owned() };
    known.then(task)
}

/// Minari keeps `pen/human-v2` of the namespace `D4RL` as `D4RL/pen/human-v2/data/main_data.hdf5`.
fn minari(path: &Path) -> Option<Task> {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let inside = match parts.as_slice() {
        [inside @ .., data, file] if data == "data" && file == "main_data.hdf5" => inside,
        [inside @ .., data] if data == "data" => inside,
        whole => whole,
    };
    let [.., space, family, label] = inside else { return None };
    let known = matches!(space.as_str(), "D4RL" | "mujoco") && split_version(label).is_some();
    let name = format!("{space}/{family}/{label}");
    known.then(|| Task { suite: Suite::Minari, family: format!("{space}/{family}"), label: label.clone(), name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{AgentConfig, FqlConfig};

    fn task(data: &str, env: Option<&str>, task: Option<u32>) -> Task {
        Task::of(&RunConfig { task, env: env.map(str::to_owned), ..RunConfig::new(data, AgentConfig::Fql(FqlConfig::default())) })
    }

    #[test]
    fn names_are_those_of_the_papers() {
        for (data, env, id, name, family, label) in [
            ("a/cube-single-play-v0.npz", None, Some(3), "cube-single-play-singletask-task3-v0", "cube-single-play", "task3"),
            // The environment's default task.
            ("puzzle-3x3-play-v0.slim.npz", None, None, "puzzle-3x3-play-singletask-task4-v0", "puzzle-3x3-play", "task4"),
            (
                "antmaze-large-navigate-v0.npz",
                None,
                None,
                "antmaze-large-navigate-singletask-task1-v0",
                "antmaze-large-navigate",
                "task1",
            ),
            ("mine.npz", Some("cube-single"), Some(2), "mine-task2", "mine", "task2"),
            ("antmaze-large-play-v2.hdf5", None, None, "antmaze-large-play-v2", "antmaze", "large-play"),
            ("pen-human-v1.hdf5", None, None, "pen-human-v1", "pen", "human"),
            ("x.hdf5", Some("hopper-medium-v2"), None, "hopper-medium-v2", "hopper", "medium"),
            ("m/D4RL/pen/human-v2/data/main_data.hdf5", None, None, "D4RL/pen/human-v2", "D4RL/pen", "human-v2"),
            ("m/mujoco/hopper/simple-v0", None, None, "mujoco/hopper/simple-v0", "mujoco/hopper", "simple-v0"),
            ("robots.npz", None, None, "robots", "robots", "robots"),
        ] {
            let found = task(data, env, id);
            assert_eq!((&*found.name, &*found.family, &*found.label), (name, family, label), "{data}");
        }
    }

    #[test]
    fn evaluations_elsewhere_are_told_apart() {
        let cube = task("cube-single-play-v0.npz", None, Some(2));
        for (env, fits) in [
            ("cube-single-singletask-task2-v0", true),
            ("cube-single-play-singletask-task2-v0", true),
            ("cube-single-v0", true),
            ("cube-single-singletask-task3-v0", false),
            ("cube-double-singletask-task2-v0", false),
        ] {
            assert_eq!(cube.is_of(env), fits, "{env}");
        }
        assert!(task("pen-human-v1.hdf5", None, None).is_of("AdroitHandPen-v1"));
    }
}
