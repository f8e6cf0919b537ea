//! Reports: many run folders in, tables and pictures with honest numbers out.
//!
//! ```text
//! folders ─▶ folder, evaluations ─▶ runs (one score each) ─▶ methods (what is averaged) ─▶ summary ─▶ text, pictures
//!                                                               statistics, bootstrap ─────┘   flags ─┘
//! ```
//!
//! The unit of every statistic is a seed, never an episode. What cannot be averaged honestly (runs that are unfinished,
//! diverged or there twice, evaluations that a protocol asks for and that were not made) is left out and flagged, never
//! filled in. The same folders give the same numbers: the bootstrap draws from a fixed seed.

mod bootstrap;
mod comparison;
mod evaluations;
mod flags;
mod folder;
mod methods;
mod pictures;
mod runs;
mod scoring;
mod statistics;
mod summary;
mod table;
mod task;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use comparison::{Comparison, Published, Verdict};
pub use flags::{Flag, Kind};
pub use methods::Method;
pub use runs::{Identity, Outcome, Point, Run};
pub use scoring::{Metric, Protocol};
pub use summary::{Improvement, Profile, Summary};
pub use task::{Suite, Task};

use crate::error::{Error, Result};
use crate::files;
use crate::train;
use folder::Folder;
use summary::Source;

/// What a report is to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is scored; where absent, what the papers score in each task's suite.
    pub metric: Option<Metric>,
    /// Which evaluations make up a run's score.
    pub protocol: Protocol,
    /// Resamples of an interval of the interquartile mean.
    pub resamples: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { metric: None, protocol: Protocol::Last(1), resamples: 10_000 }
    }
}

/// Finds what is published for a method on a task.
pub type Lookup<'a> = dyn Fn(&Method, &Task) -> Option<Published> + 'a;

/// How the numbers of a report were made.
#[derive(Clone, Debug, Serialize)]
pub struct How {
    /// The version that made it.
    pub wgflow: &'static str,
    /// Which evaluations make up a score.
    pub protocol: String,
    /// Share that intervals cover.
    pub confidence: f64,
    /// Resamples of an interval of the interquartile mean.
    pub resamples: u32,
    /// Resamples of profiles and of probabilities of improvement.
    pub profile_resamples: u32,
    /// Seed of the bootstrap.
    pub bootstrap_seed: u64,
}

/// Everything that a report tells.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How its numbers were made.
    pub how: How,
    /// Every task.
    pub tasks: Vec<Task>,
    /// What is scored in each task.
    pub metrics: Vec<Metric>,
    /// What is compared.
    pub methods: Vec<Method>,
    /// Every policy of every lane of every folder.
    pub runs: Vec<Run>,
    /// Each method on each task where it has runs.
    pub cells: Vec<Summary>,
    /// Each method on each family of several tasks.
    pub families: Vec<Summary>,
    /// Each method on all tasks, where there are several families.
    pub overall: Vec<Summary>,
    /// Performance profiles.
    pub profiles: Vec<Profile>,
    /// Probabilities of improvement between the policies that algorithms are judged by.
    pub improvements: Vec<Improvement>,
    /// Whether there were too many pairs to compare all.
    pub improvements_cut: bool,
    /// What to know before believing the numbers.
    pub flags: Vec<Flag>,
}

impl Report {
    /// Reads every run folder in `roots` and below.
    ///
    /// # Errors
    /// [`Error::Io`] for a root that cannot be listed; [`Error::Setting`] if there is no run, or an option is out of range.
    /// Folders that cannot be read are flagged.
    pub fn new(roots: &[PathBuf], options: &Options, lookup: &Lookup<'_>) -> Result<Self> {
        if options.protocol == Protocol::Last(0) {
            return Err(Error::setting("--last", "at least 1", "0", "raise it"));
        }
        if options.resamples == 0 {
            return Err(Error::setting("--resamples", "at least 1", "0", "raise it"));
        }
        let (mut folders, mut broken) = (Vec::new(), Vec::new());
        for path in folder::find(roots)? {
            match Folder::read(&path, options.protocol.official().map(train::Protocol::name)) {
                Ok(folder) => folders.push(folder),
                Err(error) => broken.push((path, error.to_string())),
            }
        }
        Ok(Self::of(&folders, &broken, options, lookup))
    }

    fn of(folders: &[Folder], broken: &[(PathBuf, String)], options: &Options, lookup: &Lookup<'_>) -> Self {
        let tasks: BTreeSet<Task> = folders.iter().map(|folder| folder.task.clone()).collect();
        let tasks: Vec<Task> = tasks.into_iter().collect();
        let metrics: Vec<Metric> = tasks.iter().map(|task| options.metric.unwrap_or(Metric::of(task.suite))).collect();
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        let mut runs = runs_of(folders, &tasks, &metrics, options.protocol);
        let methods = methods::number(&mut runs, &names);
        methods::drop_duplicates(&mut runs);
        let published = |method: usize, task: usize| {
            let fits: bool = metrics[task].is_published(&tasks[task]);
            lookup(&methods[method], &tasks[task]).filter(|_| fits)
        };
        let source =
            Source { runs: &runs, tasks: &tasks, metrics: &metrics, published: &published, resamples: options.resamples };
        let families = families(&tasks);
        let every: Vec<usize> = (0..tasks.len()).collect();
        let has = |method: usize, task: usize| runs.iter().any(|run| run.method == method && run.task == task);
        let on = |sets: &[Vec<usize>]| {
            let pairs = sets.iter().flat_map(|set| (0..methods.len()).map(move |method| (method, set)));
            let known = pairs.filter(|(method, set)| set.iter().any(|task| has(*method, *task)));
            known.map(|(method, set)| source.summary(method, set)).collect::<Vec<Summary>>()
        };
        let cells = on(&every.iter().map(|task| vec![*task]).collect::<Vec<_>>());
        let several: Vec<Vec<usize>> = families.iter().filter(|family| family.len() > 1).cloned().collect();
        let overall = if families.len() > 1 { on(&[every]) } else { Vec::new() };
        let judged = |method: &usize| runs.iter().any(|run| run.method == *method && run.identity.rank == 0);
        let judged: Vec<usize> = (0..methods.len()).filter(judged).collect();
        let (improvements, improvements_cut) = summary::improvements(&source, &judged);
        Self {
            how: how(options),
            families: on(&several),
            cells,
            overall,
            profiles: summary::profiles(&source, methods.len()),
            improvements,
            improvements_cut,
            flags: flags::all((folders, broken), &runs, &methods, &tasks, options.protocol),
            tasks,
            metrics,
            methods,
            runs,
        }
    }

    /// The report as it is printed: tables of at most 120 columns.
    pub fn text(&self) -> String {
        text::document(self, &[]).plain()
    }

    /// Every number, as JSON.
    ///
    /// # Errors
    /// [`Error::Io`] if a number cannot be written, which is a bug.
    pub fn json(&self) -> Result<String> {
        let written = serde_json::to_string(self).map_err(std::io::Error::other);
        written.map_err(Error::io("report.json", "write"))
    }

    /// Writes `report.md`, `report.json` and the pictures to `folder`, which is made where it does not exist. Returns
    /// the files.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let pictures = pictures::draw(self, folder)?;
        let [markdown, json] = ["report.md", "report.json"].map(|name| folder.join(name));
        files::replace(&markdown, text::document(self, &pictures).markdown().as_bytes())?;
        files::replace(&json, self.json()?.as_bytes())?;
        let drawn = pictures.iter().flat_map(|stem| ["svg", "png"].map(|suffix| folder.join(format!("{stem}.{suffix}"))));
        Ok([markdown, json].into_iter().chain(drawn).collect())
    }

    /// The places of each family's tasks, in the order of the tasks.
    fn family_places(&self) -> Vec<Vec<usize>> {
        families(&self.tasks)
    }
}

fn how(options: &Options) -> How {
    How {
        wgflow: env!("CARGO_PKG_VERSION"),
        protocol: options.protocol.described(),
        confidence: bootstrap::CONFIDENCE,
        resamples: options.resamples,
        profile_resamples: summary::PROFILE_RESAMPLES,
        bootstrap_seed: bootstrap::SEED,
    }
}

fn families(tasks: &[Task]) -> Vec<Vec<usize>> {
    let places: Vec<usize> = (0..tasks.len()).collect();
    places
        .chunk_by(|a, b| tasks[*a].suite == tasks[*b].suite && tasks[*a].family == tasks[*b].family)
        .map(<[usize]>::to_vec)
        .collect()
}

/// The runs of every folder: for each lane the policy that its algorithm is judged by, and every other one that some
/// folder of that algorithm has evaluated.
fn runs_of(folders: &[Folder], tasks: &[Task], metrics: &[Metric], protocol: Protocol) -> Vec<Run> {
    let mut policies: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for folder in folders {
        let agent = &folder.config.agent;
        let judged = agent.policies().first().map(|policy| (*policy).to_owned());
        let evaluated = folder.evaluations.of.keys().map(|(_, policy)| policy.clone());
        policies.entry(agent.name()).or_default().extend(judged.into_iter().chain(evaluated));
    }
    let mut runs = Vec::new();
    for folder in folders {
        let task = tasks.iter().position(|task| *task == folder.task).unwrap_or_default();
        for lane in 0..folder.config.seeds.len() {
            let policies = policies[folder.config.agent.name()].iter();
            runs.extend(policies.map(|policy| Run::new(folder, lane, policy, task, metrics[task], protocol)));
        }
    }
    runs
}
