//! `wgflow eval`: episodes of a run's policies in the environment that its data come from.

mod table;

use std::path::PathBuf;

use wgflow::cli;
use wgflow::envs::SuccessTiming;
use wgflow::train::evaluate::evaluate_saved;
use wgflow::train::evaluations::{self, Subject};
use wgflow::train::published::normalised;
use wgflow::train::{Checkpoint, EnvSpec, OpenOptions, Opened, Protocol, Quota, Record, Saved};
use wgflow::{Error, Result};

/// Evaluate the policies of a run, and append the results to RUN/evaluations.jsonl
///
/// Without --env the environment is that of the run's data. Point mazes are built in; everything else runs in Python, which
/// `wgflow setup` installs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Environments: an id of OGBench (with or without the kind of the data: cube-single-play-singletask-task2-v0), Gymnasium,
Gymnasium-Robotics or an installed d4rl; minari:DATASET; robosuite:TASK.
Python is looked for in this order: --python, the variable WGFLOW_PYTHON, what `wgflow setup` made.
Example: wgflow eval runs/cube --all-steps --policy actor")]
pub struct Eval {
    /// The run's folder, or one of its checkpoints
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Environment, run in Python even where it is built in [default: that of the run's data]
    #[arg(long, value_name = "ID")]
    env: Option<String>,
    /// Episodes of each evaluation [default: 50]
    #[arg(long, value_name = "N", conflicts_with = "protocol")]
    episodes: Option<usize>,
    /// Policies [default: all that the agent has]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    policy: Vec<String>,
    /// Lane, or all
    #[arg(long, value_name = "N", default_value = "all")]
    lane: String,
    /// Checkpoint of this update [default: the last one]
    #[arg(long, value_name = "N", group = "which")]
    step: Option<u64>,
    /// Every checkpoint
    #[arg(long, group = "which")]
    all_steps: bool,
    /// Every checkpoint at a multiple of N updates
    #[arg(long, value_name = "N", group = "which")]
    every: Option<u64>,
    /// Episodes and checkpoints as in a paper's final runs. gfp: 100 episodes, fql: 50; on OGBench the mean of the
    /// evaluations at N - 200000, N - 100000 and N updates, elsewhere the last one
    #[arg(long, value_enum, group = "which")]
    protocol: Option<Protocol>,
    /// Environments side by side [default: 10, of the built-in ones 50]
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
    /// Python processes that share them [default: one for each core]
    #[arg(long, value_name = "N")]
    processes: Option<usize>,
    /// Seed of the episodes [default: the lane's own]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// When OGBench looks for success: before the action (its default since 1.2.0) or after it, as published scores did
    #[arg(long, value_enum)]
    success_timing: Option<SuccessTiming>,
    /// Python that has the environments
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Threads of the policy
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Evaluate again what stands in evaluations.jsonl already
    #[arg(long)]
    again: bool,
    /// Print the lines of evaluations.jsonl
    #[arg(long)]
    json: bool,
}

impl Eval {
    /// Evaluates checkpoint by checkpoint, lane by lane, policy by policy; each result is kept as soon as it is there.
    pub fn run(self) -> Result<()> {
        cli::listen();
        let saved = Saved::open(&self.run)?;
        let spec = match &self.env {
            Some(id) => EnvSpec::Python(id.clone()),
            None => EnvSpec::of_run(&saved.config)?,
        };
        let checkpoints = self.checkpoints(&saved, &spec)?;
        let (lanes, policies) = (self.lanes(&saved)?, self.policies(&saved)?);
        let episodes = self.protocol.map_or(self.episodes.unwrap_or(50), Protocol::episodes);
        if episodes == 0 || self.threads == 0 {
            let name = if episodes == 0 { "--episodes" } else { "--threads" };
            return Err(Error::setting(name, "at least 1", "0", "raise it"));
        }
        let mut opened = spec.open(&self.open_options(), episodes)?;
        table::notes(&spec, &opened.setting, self.protocol).iter().for_each(|note| eprintln!("note: {note}"));
        if !self.json {
            table::head(&spec, &opened, episodes)?;
        }
        let mut records = Vec::new();
        for checkpoint in checkpoints {
            let saved = Saved::open(&checkpoint.path)?;
            for &lane in &lanes {
                let quota = Quota { episodes, seed: self.seed.unwrap_or(saved.config.seeds[lane]), keep_paths: 0 };
                for policy in &policies {
                    let protocol = self.protocol.map(Protocol::name);
                    let subject = Subject { step: saved.step(), lane, policy, quota: &quota, protocol };
                    records.push(self.evaluate(&saved, &subject, &mut opened)?);
                }
            }
        }
        match self.protocol {
            Some(protocol) if !self.json => table::summary(protocol, &records),
            _ => Ok(()),
        }
    }

    fn open_options(&self) -> OpenOptions {
        OpenOptions {
            python: self.python.clone(),
            parallel: self.parallel,
            processes: self.processes,
            success_timing: self.success_timing,
        }
    }

    fn checkpoints(&self, saved: &Saved, spec: &EnvSpec) -> Result<Vec<Checkpoint>> {
        if let Some(protocol) = self.protocol {
            return protocol.checkpoints(spec, &saved.folder, &saved.config);
        }
        if let Some(step) = self.step {
            return Ok(vec![saved.folder.checkpoint(step)?]);
        }
        let all = || saved.folder.checkpoints();
        match self.every {
            Some(every) => {
                let chosen: Vec<Checkpoint> = all()?.into_iter().filter(|c| c.step.is_multiple_of(every)).collect();
                if chosen.is_empty() { Err(saved.folder.no_checkpoint("--every", every)) } else { Ok(chosen) }
            }
            None if self.all_steps => all(),
            None => Ok(vec![Checkpoint { step: saved.step(), path: saved.checkpoint.clone() }]),
        }
    }

    fn lanes(&self, saved: &Saved) -> Result<Vec<usize>> {
        match self.lane.parse() {
            _ if self.lane == "all" => Ok((0..saved.lanes()).collect()),
            Ok(lane) if lane < saved.lanes() => Ok(vec![lane]),
            _ => {
                let expected = format!("all, or a lane from 0 to {}", saved.lanes() - 1);
                Err(Error::setting("--lane", expected, self.lane.as_str(), "name one of the run's lanes"))
            }
        }
    }

    fn policies(&self, saved: &Saved) -> Result<Vec<&'static str>> {
        let known = saved.config.agent.policies();
        if self.policy.is_empty() {
            return Ok(known.to_vec());
        }
        let find = |name: &String| {
            known.iter().copied().find(|policy| policy == name).ok_or_else(|| {
                let expected = format!("some of {}", known.join(", "));
                Error::setting("--policy", expected, name.as_str(), "name policies that this agent has")
            })
        };
        self.policy.iter().map(find).collect()
    }

    /// One evaluation, or what is known of it.
    fn evaluate(&self, saved: &Saved, subject: &Subject<'_>, opened: &mut Opened) -> Result<Record> {
        let file = evaluations::file(&saved.folder);
        let announced = Record::announced(subject, &opened.setting);
        let known = evaluations::read(&file)?.into_iter().rev().find(|record| record.same_evaluation(&announced));
        if let Some(known) = known.filter(|_| !self.again) {
            self.print(&known, "known")?;
            return Ok(known);
        }
        let mut proceed = || cli::proceed(subject.step);
        let whose = (subject.lane, subject.policy);
        let evaluation = evaluate_saved(saved, whose, opened.envs.as_mut(), subject.quota, self.threads, &mut proceed)?;
        let record = announced.with_results(&evaluation, opened.envs.tells_success(), &normalised);
        evaluations::append(&file, &record)?;
        self.print(&record, "")?;
        Ok(record)
    }

    fn print(&self, record: &Record, mark: &str) -> Result<()> {
        if self.json {
            return cli::print_json(record, true);
        }
        table::row(record, mark)
    }
}
