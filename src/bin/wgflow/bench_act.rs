//! `wgflow bench-act`: how long a trained policy takes to act.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use wgflow::Result;
use wgflow::bench::rounds::{Rounds, median};
use wgflow::cli;
use wgflow::engine::{Engine, Precision};
use wgflow::train::Saved;

use super::bench::take_turns;

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
    /// How large matrix products are made; policies act plain at f32
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
        let mut policy = saved.policy(name, 0, self.batch, threads)?.at(self.precision)?;
        let observations = vec![0.1; policy.rows() * policy.dims().obs as usize];
        let noise: Vec<_> = (0..policy.rows() * policy.noise_cols()).map(|i| (i % 7) as f64 / 3.0 - 1.0).collect();
        let action = policy.act(&observations, &noise)?;
        let act = |times| {
            (0..times).try_for_each(|_| {
                std::hint::black_box(policy.act(&observations, &noise)?);
                Ok(())
            })
        };
        let mut rounds = Rounds::warm(act, self.seconds)?;
        if self.serve {
            let first = &action[..action.len() / self.batch as usize];
            let versions = json!({ "wgflow": env!("CARGO_PKG_VERSION") });
            let device = Engine::cpu(Some(threads)).at(self.precision)?.describe();
            let ready = json!({ "ready": true, "name": "wgflow", "versions": versions, "device": device, "action": first });
            return take_turns(&ready, || rounds.round());
        }
        let times = (0..self.rounds).map(|_| rounds.round()).collect::<Result<Vec<_>>>()?;
        let (least, most) = (times.iter().copied().fold(f64::INFINITY, f64::min), times.iter().copied().fold(0.0, f64::max));
        cli::print(&format!(
            "{name}, batch {}: {:.4} ms ({least:.4} to {most:.4}), {}, on at most {threads} threads",
            self.batch,
            median(&times),
            self.precision.name()
        ))
    }
}
