//! One name for what benchmarks, datasets and environments write in several ways.

use crate::data::ogbench;

/// A dataset, or a task of one, however it was written.
///
/// `cube_single_play_singletask_task2_v0`, `cube-single-play-singletask-task2-v0` and `cube-single-play/2` are one name,
/// and so are `D4RL_pen_human_v2` and `D4RL/pen/human-v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The dataset without version and task, in lower case with hyphens: `cube-single-play`, `d4rl-pen-human`.
    pub family: String,
    /// The version, where one is named.
    pub version: Option<u32>,
    /// OGBench's task, where one is named; `singletask` without a number names the environment's default.
    pub task: Option<u32>,
}

impl Name {
    /// Takes a name apart. Every text has some name: that it is unknown shows when it is looked up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lower = text.trim().to_lowercase();
        let mut parts: Vec<&str> = lower.split(['-', '_', '/']).collect();
        let mut number = |prefix: &str| {
            let found = parts.last().and_then(|last| last.strip_prefix(prefix)?.parse().ok());
            if found.is_some() {
                parts.pop();
            }
            found
        };
        let short = number("");
        let version = number("v");
        let task = number("task").or(short);
        let single = parts.last() == Some(&"singletask");
        if single {
            parts.pop();
        }
        let family = parts.join("-");
        let task = if single { task.or_else(|| default_task(&family)) } else { task };
        Self { family, version, task }
    }

    /// Whether this name, of a table, is what `asked` means: what `asked` leaves out may be anything.
    #[must_use]
    pub fn answers(&self, asked: &Self) -> bool {
        let version_fits = self.version.is_none() || asked.version.is_none() || self.version == asked.version;
        self.family == asked.family && version_fits && (asked.task.is_none() || self.task == asked.task)
    }
}

/// The task that OGBench takes where none is named.
pub(in crate::train) fn default_task(family: &str) -> Option<u32> {
    ogbench::task(ogbench::env_of(family)?, None).ok().map(|task| task.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(family: &str, version: Option<u32>, task: Option<u32>) -> Name {
        Name { family: family.to_owned(), version, task }
    }

    #[test]
    fn every_way_to_write_a_name_is_one_name() {
        let task2 = name("cube-single-play", Some(0), Some(2));
        for text in ["cube_single_play_singletask_task2_v0", "cube-single-play-singletask-task2-v0", "cube-single-play-v0/2"] {
            assert_eq!(Name::parse(text), task2, "{text}");
        }
        assert_eq!(Name::parse(" Cube-Single-Play/2 "), name("cube-single-play", None, Some(2)));
        assert_eq!(Name::parse("D4RL_pen_human_v2"), Name::parse("D4RL/pen/human-v2"));
        assert_eq!(Name::parse("antmaze_umaze"), name("antmaze-umaze", None, None));
        assert_eq!(Name::parse("puzzle-3x3-play-v0"), name("puzzle-3x3-play", Some(0), None));
        assert_eq!(Name::parse(""), name("", None, None));
    }

    #[test]
    fn singletask_without_a_number_is_the_default_task() {
        assert_eq!(Name::parse("cube-single-play-singletask-v0").task, Some(2));
        assert_eq!(Name::parse("puzzle-3x3-play-singletask-v0").task, Some(4));
        assert_eq!(Name::parse("visual-cube-single-play-singletask-v0").task, None);
    }

    #[test]
    fn another_version_or_task_is_no_answer() {
        let door = Name::parse("door-human-v1");
        assert!(door.answers(&Name::parse("door-human")) && door.answers(&Name::parse("door_human_v1")));
        assert!(!door.answers(&Name::parse("door-human-v0")) && !door.answers(&Name::parse("door-human/1")));
        // The table names no version: any will do.
        assert!(Name::parse("antmaze-umaze").answers(&Name::parse("antmaze-umaze-v2")));
        assert!(!Name::parse("cube-single-play/1").answers(&Name::parse("cube-single-play/2")));
    }
}
