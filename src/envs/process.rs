//! Environments that live in Python: n of them in P processes, served in one round trip.
//!
//! Each process runs `python/wgflow_envs.py`, whose text is part of this library and documents the protocol. Environments
//! are split evenly; all processes step at the same time, and each gives its own one after the other. An episode depends on
//! its seed and the actions alone, not on n or P, as far as the environment allows (`wgflow_envs.py`, `Draws`).
//!
//! A process that crashes, falls silent, or breaks the protocol gives one [`Error::Environment`] with its last words, and
//! ends the others. None outlives its [`ProcessEnvs`], nor this process: each ends when its standard input does.

mod frame;
mod server;
mod tail;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Environments, Step, SuccessTiming};
use crate::error::{Error, Result};
use server::Server;

/// The Python program that serves environments.
pub const PROGRAM: &str = include_str!("../../python/wgflow_envs.py");

/// What to serve, and how.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// The environment: an id of OGBench, Gymnasium or d4rl, `minari:DATASET` or `robosuite:TASK`.
    pub env: String,
    /// Python with the packages of the environment; [`super::python::find`] finds one.
    pub python: PathBuf,
    /// Number of environments.
    pub count: usize,
    /// Number of processes; more than environments are not started.
    pub processes: usize,
    /// OGBench's rule for success; the environment's default where `None`.
    pub success_timing: Option<SuccessTiming>,
    /// How long a process may stay silent while it starts, or makes, resets or steps environments.
    pub timeout: Duration,
    /// Environment variables of the processes.
    pub variables: Vec<(String, String)>,
    /// The program to run instead of [`PROGRAM`].
    pub program: Option<String>,
}

impl ProcessOptions {
    /// 10 environments of this id, in as many processes as there are cores for.
    pub fn new(env: impl Into<String>, python: impl Into<PathBuf>) -> Self {
        // Simulators need no window, and one thread each: the processes are what runs side by side.
        let variables = [("MUJOCO_GL", "disable"), ("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")];
        Self {
            env: env.into(),
            python: python.into(),
            count: 10,
            processes: std::thread::available_parallelism().map_or(1, usize::from),
            success_timing: None,
            timeout: Duration::from_secs(120),
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            program: None,
        }
    }
}

/// What a process says of its environments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hello {
    /// The environment's id as its library spells it.
    pub env: String,
    /// Number of values of an observation.
    pub obs_dim: usize,
    /// Number of values of an action.
    pub action_dim: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// OGBench's rule for success, `pre` or `post`; `None` elsewhere.
    pub success_timing: Option<String>,
    /// Versions of Python and of the packages that were used.
    pub versions: BTreeMap<String, String>,
}

/// Environments alike in Python processes.
pub struct ProcessEnvs {
    hello: Hello,
    count: usize,
    /// Empty after a failure.
    servers: Vec<(Range<usize>, Server)>,
    tells_success: bool,
}

impl ProcessEnvs {
    /// Starts the processes and waits until each has made its first environment; the others follow when they are needed.
    ///
    /// # Errors
    /// [`Error::Setting`] for no environment or no process; [`Error::Environment`] if Python cannot be started, a module or
    /// the environment is missing, or a process does not answer in time.
    pub fn start(options: &ProcessOptions) -> Result<Self> {
        for (name, value) in [("--parallel", options.count), ("--processes", options.processes)] {
            if value == 0 {
                return Err(Error::setting(name, "at least 1", "0", "raise it"));
            }
        }
        let (count, processes) = (options.count, options.processes.min(options.count));
        let share = |p: usize| count * p / processes..count * (p + 1) / processes;
        let mut servers =
            (0..processes).map(|p| Ok((share(p), Server::spawn(options, share(p).len())?))).collect::<Result<Vec<_>>>()?;
        let mut hello = None;
        for (_, server) in &mut servers {
            hello = Some(server.hello()?);
        }
        let Some(hello) = hello else { return Err(closed(&options.env)) };
        Ok(Self { hello, count, servers, tells_success: true })
    }

    /// What the processes say of their environments.
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks every server, then hears every server; after a failure all are ended, since their answers no longer fit.
    fn ask<T>(
        &mut self,
        mut send: impl FnMut(&Range<usize>, &mut Server) -> Result<bool>,
        mut hear: impl FnMut(&Range<usize>, &mut Server) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut answers = || -> Result<Vec<T>> {
            let mut asked = Vec::new();
            for (range, server) in &mut self.servers {
                if send(range, server)? {
                    asked.push((range, server));
                }
            }
            asked.into_iter().map(|(range, server)| hear(range, server)).collect()
        };
        let answers = answers();
        if answers.is_err() {
            self.servers.clear();
        }
        answers
    }

    fn check_open(&self) -> Result<()> {
        if self.servers.is_empty() { Err(closed(&self.hello.env)) } else { Ok(()) }
    }
}

fn closed(env: &str) -> Error {
    Error::environment(env, "its processes were ended after a failure", "start them again")
}

impl Environments for ProcessEnvs {
    fn count(&self) -> usize {
        self.count
    }

    fn obs_dim(&self) -> usize {
        self.hello.obs_dim
    }

    fn action_dim(&self) -> usize {
        self.hello.action_dim
    }

    fn horizon(&self) -> usize {
        self.hello.horizon
    }

    fn tells_success(&self) -> bool {
        self.tells_success
    }

    fn reset(&mut self, starts: &[(usize, u64)]) -> Result<Vec<f32>> {
        self.check_open()?;
        let width = self.hello.obs_dim;
        let of = |range: &Range<usize>| -> Vec<(usize, (usize, u64))> {
            let inside = |(place, &(index, seed)): (usize, &(usize, u64))| {
                range.contains(&index).then(|| (place, (index - range.start, seed)))
            };
            starts.iter().enumerate().filter_map(inside).collect()
        };
        let send = |range: &Range<usize>, server: &mut Server| {
            let own: Vec<(usize, u64)> = of(range).into_iter().map(|(_, start)| start).collect();
            if !own.is_empty() {
                server.send_reset(&own)?;
            }
            Ok(!own.is_empty())
        };
        let answers = self.ask(send, |range, server| {
            let places: Vec<usize> = of(range).into_iter().map(|(place, _)| place).collect();
            Ok((server.hear_reset(places.len(), width)?, places))
        })?;
        let mut first = vec![0.0; starts.len() * width];
        for (observations, places) in answers {
            for (observation, place) in observations.chunks_exact(width).zip(places) {
                first[place * width..][..width].copy_from_slice(observation);
            }
        }
        Ok(first)
    }

    fn step(&mut self, active: &[bool], actions: &[f32]) -> Result<Vec<Step>> {
        self.check_open()?;
        let Hello { obs_dim, action_dim, .. } = self.hello;
        if active.len() != self.count || actions.len() != self.count * action_dim {
            let expected = format!("{} actions of {action_dim} values", self.count);
            let found = format!("{} values for {} environments", actions.len(), active.len());
            return Err(Error::setting("action", expected, found, "match the policy to the environment"));
        }
        if let Some(action) = actions.chunks_exact(action_dim).find(|action| !action.iter().all(|v| v.is_finite())) {
            let found = format!("{action:?}");
            return Err(Error::setting("action", "finite values", found, "the policy diverged: lower its learning rate"));
        }
        let send = |range: &Range<usize>, server: &mut Server| {
            let any = active[range.clone()].contains(&true);
            if any {
                server.send_step(&active[range.clone()], &actions[range.start * action_dim..range.end * action_dim])?;
            }
            Ok(any)
        };
        let answers = self.ask(send, |range, server| {
            let stepped = active[range.clone()].iter().filter(|active| **active).count();
            server.hear_step(stepped, obs_dim)
        })?;
        self.tells_success = answers.iter().all(|(_, tells)| *tells);
        Ok(answers.into_iter().flat_map(|(steps, _)| steps).collect())
    }
}
