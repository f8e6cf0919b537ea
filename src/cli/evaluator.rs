//! Evaluation beside training, in a real environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::error::Result;
use crate::train::background::{Background, Job, Report};
use crate::train::published::normalised;
use crate::train::{Checkpoint, EnvSpec, OpenOptions, Opened, Record, RunConfig, RunFolder, evaluations};

/// Time between two looks at a stop signal.
const LOOK: Duration = Duration::from_millis(100);

/// Where to evaluate beside training.
#[derive(Clone, Debug, Default, Args)]
pub struct EvaluatorFlags {
    /// Environment in Python, such as cube-single-singletask-task2-v0, in which every checkpoint at a multiple of --eval-every is
    /// evaluated while training goes on; these checkpoints stay
    #[arg(long, value_name = "ID", help_heading = "Run")]
    pub eval_env: Option<String>,
    /// Python that has the environment [default: what `wgflow setup` made]
    #[arg(long, value_name = "PROGRAM", help_heading = "Run")]
    pub python: Option<PathBuf>,
}

impl EvaluatorFlags {
    /// Opens the environment, if one is named: before anything else, so that what is missing is known before a run has
    /// begun.
    pub(super) fn open(&self, episodes: usize) -> Result<Option<Environment>> {
        let Some(id) = &self.eval_env else { return Ok(None) };
        let spec = EnvSpec::Python(id.clone());
        let options = OpenOptions { python: self.python.clone(), ..OpenOptions::default() };
        let opened = spec.open(&options, episodes)?;
        Ok(Some(Environment { spec, options, opened }))
    }
}

/// An environment that is open, and how to open it again.
pub(super) struct Environment {
    spec: EnvSpec,
    options: OpenOptions,
    opened: Opened,
}

/// A thread that evaluates the checkpoints of a run.
pub(super) struct Evaluator {
    background: Background,
    /// Updates between two evaluations, and the last update.
    due: (u64, u64),
}

impl Evaluator {
    /// Starts with the checkpoints that an earlier sitting left out.
    pub(super) fn start(environment: Environment, config: &RunConfig, folder: &RunFolder) -> Result<Self> {
        let Environment { spec, options, opened } = environment;
        let (env, episodes) = (opened.setting.env.clone(), config.eval_episodes.max(1));
        let mut first = Some(opened);
        let open = move || first.take().map_or_else(|| spec.open(&options, episodes), Ok);
        let job = Job { open: Box::new(open), episodes, keep_paths: 0, threads: 1, normalise: Box::new(normalised) };
        let mut evaluator = Self { background: Background::start(job), due: (config.eval_every, config.steps) };
        let known = evaluations::read(&evaluations::file(folder))?;
        let unknown = |step: u64| !known.iter().any(|record| record.step == step && record.env == env);
        folder.checkpoints()?.iter().filter(|c| unknown(c.step)).for_each(|c| evaluator.take(c));
        Ok(evaluator)
    }

    fn take(&mut self, checkpoint: &Checkpoint) {
        let (every, last) = self.due;
        if checkpoint.step == last || (every > 0 && checkpoint.step.is_multiple_of(every)) {
            self.background.submit(checkpoint.path.clone());
        }
    }

    /// Told of every file that was written; a checkpoint that is due will be evaluated.
    pub(super) fn saved(&mut self, file: &Path) {
        if let Some(checkpoint) = Checkpoint::at(file.to_path_buf()) {
            self.take(&checkpoint);
        }
    }

    /// What was found out since: a line each.
    pub(super) fn news(&mut self) -> Vec<String> {
        self.background.poll().iter().flat_map(told).collect()
    }

    /// Waits for what is pending, a line for each result, until `stop` says so.
    pub(super) fn finish(&mut self, say: &dyn Fn(&str), stop: &dyn Fn() -> bool) {
        while !self.background.pending().is_empty() {
            if stop() {
                return say("the rest is not evaluated; wgflow eval RUN --all-steps makes up for it");
            }
            self.background.wait(LOOK).iter().flat_map(told).for_each(|line| say(&line));
        }
    }
}

fn told(report: &Report) -> Vec<String> {
    let line = |r: &Record| {
        let lane = if r.lane == 0 { String::new() } else { format!(" lane {}", r.lane) };
        let success = r.success.map_or_else(String::new, |s| format!(" {:.1} % success,", 100.0 * s));
        let rest = format!("return {:.2}, {} episodes", r.total_reward, r.episodes);
        format!("update {}{lane} in {}: {}{success} {rest}", r.step, r.env, r.policy)
    };
    match report {
        Report::Failed { checkpoint, error } => vec![format!("no evaluation of {}: {error}", checkpoint.display())],
        Report::Evaluated { records, .. } => records.iter().map(line).collect(),
    }
}
