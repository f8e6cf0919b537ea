//! `wgflow bench-act`: how long a trained policy takes to act.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use wgflow::agents::Policy;
use wgflow::bench::rounds::median;
use wgflow::cli;
use wgflow::engine::{Engine, Precision};
use wgflow::train::Saved;
use wgflow::{Error, Result};

/// Time how long a trained policy takes to act
///
/// From observations and noise to actions, again and again on the same numbers, on the CPU, where policies act.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow bench-act runs/cube --policy flow --batch 16 --threads 1")]
pub struct BenchAct {
    /// A run's folder, or a checkpoint file inside one
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The policy: actor, flow, ... [default: the one that the agent is judged by]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// States acted on at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// CPU threads at most [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Numbers that large matrix products are made of
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
    /// Length of a round, in seconds
    #[arg(long, value_name = "S", default_value = "1", value_parser = super::bench::seconds)]
    seconds: Duration,
    /// Rounds; the figure is their median
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "serve")]
    rounds: u32,
    /// Announce readiness as a line of JSON, then time one round for every line of standard input: for programs that are
    /// compared in turn
    #[arg(long)]
    serve: bool,
}

impl BenchAct {
    /// Times acting and prints milliseconds.
    pub fn run(self) -> Result<()> {
        let saved = Saved::open(&self.run)?;
        let name = self.policy.as_deref().unwrap_or(saved.config.agent.policies()[0]);
        let threads = self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let mut acting = Acting::new(saved.policy(name, 0, self.batch, threads)?.at(self.precision)?);
        let action = acting.act()?;
        let burst = acting.warm(self.seconds / 4)?;
        if !self.serve {
            let rounds = (0..self.rounds).map(|_| acting.round(burst, self.seconds)).collect::<Result<Vec<_>>>()?;
            let (least, most) =
                (rounds.iter().copied().fold(f64::INFINITY, f64::min), rounds.iter().copied().fold(0.0, f64::max));
            let middle = median(&rounds);
            let text = format!(
                "{name}, batch {}: {middle:.4} ms ({least:.4} to {most:.4}), {}, on at most {threads} threads",
                self.batch,
                self.precision.name()
            );
            return cli::print(&text);
        }
        let first = &action[..action.len() / self.batch as usize];
        let versions = json!({ "wgflow": env!("CARGO_PKG_VERSION") });
        let device = Engine::cpu(Some(threads)).at(self.precision)?.describe();
        cli::print_json(
            &json!({ "ready": true, "name": "wgflow", "versions": versions, "device": device, "action": first }),
            true,
        )?;
        for line in std::io::stdin().lock().lines() {
            line.map_err(Error::io("standard input", "read"))?;
            cli::print_json(&json!({ "ms": acting.round(burst, self.seconds)? }), true)?;
        }
        Ok(())
    }
}

/// A policy, and what it acts on.
struct Acting {
    policy: Policy,
    observations: Vec<f32>,
    noise: Vec<f64>,
}

impl Acting {
    fn new(policy: Policy) -> Self {
        let observations = vec![0.1; policy.rows() * policy.dims().obs as usize];
        let noise = (0..policy.rows() * policy.noise_cols()).map(|i| (i % 7) as f64 / 3.0 - 1.0).collect();
        Self { policy, observations, noise }
    }

    fn act(&mut self) -> Result<Vec<f32>> {
        self.policy.act(&self.observations, &self.noise)
    }

    /// Acts until a burst lasts at least `length`; returns how often that is. A clock read after each act would count in
    /// what takes microseconds.
    fn warm(&mut self, length: Duration) -> Result<u32> {
        let mut burst = 1;
        loop {
            let start = Instant::now();
            for _ in 0..burst {
                std::hint::black_box(self.act()?);
            }
            if start.elapsed() >= length || burst >= 1 << 30 {
                return Ok(burst);
            }
            burst *= 2;
        }
    }

    /// Milliseconds of one act, in a round that lasts at least `length`.
    fn round(&mut self, burst: u32, length: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut done = 0u64;
        loop {
            for _ in 0..burst {
                std::hint::black_box(self.act()?);
            }
            done += u64::from(burst);
            if start.elapsed() >= length {
                return Ok(start.elapsed().as_secs_f64() * 1e3 / done as f64);
            }
        }
    }
}
