//! Presets: the settings that a published score was reached with, by name.
//!
//! They come from `data/published/presets.csv`, which `cargo xtask published` wrote from the tables of GFP's official
//! release. Typed by hand were only what that release fixes for whole tables, in YAML (`fixed.csv`), and the settings of
//! the FQL paper, which are marked as unverified. Names are `SERIES/DATASET`. A series is one
//! table: `gfp`, `gfp-advantage` (another weight), `fql`, `rebrac` and `iql` as GFP's authors tuned them, and `fql-paper`,
//! `ifql-paper`, `iql-paper`, `rebrac-paper` as the FQL paper has them.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize, Serializer};

use super::published::{self, FamilyScore, Name, Score, table};
use crate::agents::{self, AgentConfig};
use crate::error::{Error, Result, nearest};

/// Names that an error suggests.
const SUGGESTIONS: usize = 3;

/// Published settings of one agent for one dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preset {
    /// `gfp/cube-single-play`.
    pub name: String,
    /// The table it comes from: `gfp`, `gfp-advantage`, `fql-paper`; also names its scores in [`published`].
    pub series: String,
    /// The algorithm, as in [`agents::ALL`].
    pub agent: String,
    /// `OGBench`, `D4RL` or `Minari`.
    pub benchmark: String,
    /// The dataset without its version: `cube-single-play`, `D4RL/pen/human`.
    pub family: String,
    /// The dataset: `cube-single-play-v0`; without a version where the source has none.
    pub dataset: String,
    /// OGBench's tasks that it was published for; none for D4RL and Minari.
    pub tasks: Vec<u32>,
    /// Updates.
    pub steps: u64,
    /// Names and values, as the agent's flags take them.
    #[serde(serialize_with = "as_map")]
    pub settings: Vec<(String, String)>,
    /// Whether the settings are those of an official release; else they are recalled.
    pub verified: bool,
    /// Where they come from.
    pub source: String,
    /// Which part of the source, and what is doubtful.
    pub note: String,
    #[serde(skip)]
    key: Name,
}

fn as_map<S: Serializer>(settings: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(settings.iter().map(|(name, value)| (name, value)))
}

/// A row of presets.csv.
#[derive(Deserialize)]
struct Row {
    series: String,
    agent: String,
    benchmark: String,
    dataset: String,
    tasks: String,
    steps: u64,
    settings: String,
    source: String,
    note: String,
}

static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let rows: Vec<Row> = table::rows("presets.csv", include_str!("../../data/published/presets.csv"));
    rows.into_iter().map(preset).collect()
});

fn preset(row: Row) -> Preset {
    let source = table::source(&row.source);
    let unversioned = row.dataset.rsplit_once("-v").filter(|(_, version)| version.parse::<u32>().is_ok());
    let family = unversioned.map_or(row.dataset.as_str(), |(family, _)| family).to_owned();
    let setting = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Preset {
        name: format!("{}/{family}", row.series),
        tasks: row.tasks.split_whitespace().filter_map(|task| task.parse().ok()).collect(),
        settings: row.settings.split_whitespace().filter_map(setting).collect(),
        verified: source.verified,
        source: source.title.clone(),
        note: row.note,
        key: Name::parse(&row.dataset),
        series: row.series,
        agent: row.agent,
        benchmark: row.benchmark,
        family,
        dataset: row.dataset,
        steps: row.steps,
    }
}

/// Every preset, series by series.
#[must_use]
pub fn all() -> &'static [Preset] {
    &ALL
}

/// The preset of a name; see [`resolve`].
///
/// # Errors
/// As [`resolve`].
pub fn find(name: &str) -> Result<&'static Preset> {
    resolve(name).map(|(preset, _)| preset)
}

/// The preset of a name, and the task where the name has one: `gfp/cube-single-play`, `gfp/cube-single-play/2`,
/// `gfp/cube-single-play-singletask-task2-v0`. An agent's name may stand for its series where only one of them knows the
/// dataset: `fql/cube-single-play` is `fql-paper/cube-single-play`.
///
/// # Errors
/// [`Error::Setting`], with the nearest names, if there is no such preset; with its tasks, if it has no such task.
pub fn resolve(name: &str) -> Result<(&'static Preset, Option<u32>)> {
    if let Some(preset) = ALL.iter().find(|preset| preset.name == name) {
        return Ok((preset, None));
    }
    let (series, dataset) = name.split_once('/').unwrap_or(("", name));
    let asked = Name::parse(dataset);
    let any_task = Name { task: None, ..asked.clone() };
    let fitting = |by: &dyn Fn(&Preset) -> bool| -> Vec<&'static Preset> {
        ALL.iter().filter(|preset| by(preset) && preset.key.answers(&any_task)).collect()
    };
    let of_series = fitting(&|preset| preset.series == series);
    let of_agent = fitting(&|preset| preset.agent == series);
    let (([preset], _) | ([], [preset])) = (of_series.as_slice(), of_agent.as_slice()) else {
        return Err(unknown(name));
    };
    match asked.task {
        Some(task) if !preset.tasks.contains(&task) => Err(no_such_task(preset, task)),
        task => Ok((preset, task)),
    }
}

fn unknown(name: &str) -> Error {
    let remedy = format!(
        "nearest: {}; `wgflow presets` lists all",
        nearest(name, ALL.iter().map(|preset| preset.name.as_str()), SUGGESTIONS).join(", ")
    );
    Error::setting("preset", "the name of a preset, such as gfp/cube-single-play", format!("`{name}`"), remedy)
}

fn no_such_task(preset: &Preset, task: u32) -> Error {
    let tasks = preset.tasks.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let expected = if tasks.is_empty() { "no task".to_owned() } else { format!("one of the tasks {tasks}") };
    let remedy = format!("the preset is {}", preset.name);
    Error::setting("preset", format!("{expected} of {}", preset.dataset), task.to_string(), remedy)
}

impl Preset {
    /// The published score of the agent's policy `policy` (`actor`, `flow`) on a task, or on the whole dataset where it has
    /// no tasks.
    #[must_use]
    pub fn score(&self, policy: &str, task: Option<u32>) -> Option<&'static Score> {
        let task = task.map_or_else(|| self.dataset.clone(), |task| format!("{}/{task}", self.dataset));
        published::scores(&published::policy(&self.series, policy), &task)
    }

    /// The published score of the agent's policy `policy` (`actor`, `flow`) over all its tasks.
    #[must_use]
    pub fn expected(&self, policy: &str) -> Option<FamilyScore> {
        published::family(&published::policy(&self.series, policy), &self.dataset)
    }

    /// `verified`, or `unverified (recalled)`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        if self.verified { "verified" } else { "unverified (recalled)" }
    }

    /// The task that OGBench takes by default, or the first it was published for.
    #[must_use]
    pub fn default_task(&self) -> Option<u32> {
        let default = published::default_task(&self.family);
        default.filter(|task| self.tasks.contains(task)).or_else(|| self.tasks.first().copied())
    }

    /// Whether its observations are images.
    #[must_use]
    pub fn has_pixels(&self) -> bool {
        self.family.starts_with("visual-")
    }

    /// The agent's settings: its defaults, with the preset's in their place.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such agent, if it has no such setting, or if a value does not fit it.
    pub fn config(&self) -> Result<AgentConfig> {
        let entry = agents::find(&self.agent)?;
        let flags = self.settings.iter().map(|(name, value)| format!("--{}={value}", name.replace('_', "-")));
        let command = (entry.flags)(clap::Command::new("preset").no_binary_name(true));
        let config =
            command.try_get_matches_from(flags).and_then(|matches| (entry.read)(&matches)).map_err(|e| self.unfit(&e))?;
        config.check()?;
        Ok(config)
    }

    fn unfit(&self, error: &clap::Error) -> Error {
        let expected = format!("settings that {} has", self.agent);
        Error::setting(format!("preset {}", self.name), expected, error.to_string(), "this is a bug in the preset's table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_presets_with_and_without_a_task() {
        for (name, preset, task) in [
            ("gfp/cube-single-play", "gfp/cube-single-play", None),
            ("gfp/cube-single-play/2", "gfp/cube-single-play", Some(2)),
            ("gfp/cube-single-play-singletask-task5-v0", "gfp/cube-single-play", Some(5)),
            ("gfp/cube-single-play-singletask-v0", "gfp/cube-single-play", Some(2)),
            ("gfp/D4RL_pen_human_v2", "gfp/D4RL/pen/human", None),
            ("gfp/pen-human-v1", "gfp/pen-human", None),
            ("fql/antmaze-large-navigate", "fql/antmaze-large-navigate", None),
            ("fql/cube-single-play/1", "fql-paper/cube-single-play", Some(1)),
        ] {
            let (found, found_task) = resolve(name).unwrap();
            assert_eq!((found.name.as_str(), found_task), (preset, task), "{name}");
        }
    }

    #[test]
    fn wrong_names_are_refused_with_a_remedy() {
        let text = find("gfp/cube-sinlge-play").unwrap_err().to_string();
        assert!(text.contains("`gfp/cube-sinlge-play`") && text.contains("nearest: gfp/cube-single-play, "), "{text}");
        let text = find("gfp/cube-single-play/6").unwrap_err().to_string();
        assert!(text.contains("one of the tasks 1, 2, 3, 4, 5 of cube-single-play-v0, found 6"), "{text}");
        let text = find("gfp/visual-scene-play/2").unwrap_err().to_string();
        assert!(text.contains("one of the tasks 1 of"), "{text}");
        for name in ["", "/", "gfp", "gfp/", "cube-single-play", "gfp/pen-human/1", "gfp/pen-human-v0", "bc/cube-single-play"] {
            assert!(find(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused() {
        let preset = |name: &str, value: &str| {
            let settings = vec![(name.to_owned(), value.to_owned())];
            Preset { settings, ..find("gfp/cube-single-play").unwrap().clone() }
        };
        assert!(preset("alpha", "3").config().is_ok());
        assert_eq!(preset("hidden", "256,256,8").config().unwrap().common().hidden, [256, 256, 8]);
        for (name, value) in
            [("alfa", "3"), ("alpha", "x"), ("batch", "-1"), ("q_agg", "median"), ("discount", "1.5"), ("eta", "")]
        {
            let text = preset(name, value).config().unwrap_err().to_string();
            assert!(text.contains("gfp/cube-single-play") || text.contains(name), "{name} {value}: {text}");
        }
        let unknown = Preset { agent: "ppo".to_owned(), ..find("gfp/cube-single-play").unwrap().clone() };
        assert!(unknown.config().unwrap_err().to_string().contains("found ppo"));
    }
}
