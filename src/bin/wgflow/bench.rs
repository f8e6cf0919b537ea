//! `wgflow bench`

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args};
use serde::Serialize;
use wgflow::bench::rounds::{Rounds, median};
use wgflow::bench::{self, Subject, Work, peak};
use wgflow::engine::{Engine, Precision, Profile};
use wgflow::{Error, Result, cli};

use super::work::WorkFlags;

/// Time one update, of the published size unless flags say otherwise, on made-up data
///
/// The flags below "Agent" and its name are those of the algorithm that --algo chooses; `--algo mlp` is one training step of a
/// plain net, to compare with other frameworks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    #[command(flatten)]
    work: WorkFlags,
    /// Transitions that are made up to draw batches from
    #[arg(long, value_name = "N", default_value_t = bench::TRANSITIONS, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Bench")]
    transitions: u32,
    /// Length of a round, in seconds
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds, help_heading = "Bench")]
    seconds: Duration,
    /// Rounds; the figure is their median
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Bench")]
    rounds: u32,
    /// Time a round for each line of standard input, and answer with a line of JSON: for programs that time several in turn
    #[arg(long, conflicts_with_all = ["json", "rounds"], help_heading = "Bench")]
    serve: bool,
    /// Take an update apart instead: a table by kernel, and FILE for chrome://tracing or Perfetto, with every block of every
    /// thread on the CPU engine and every dispatch on a GPU that has timestamp queries
    #[arg(long, value_name = "FILE", conflicts_with_all = ["serve", "json", "rounds", "seconds"], help_heading = "Bench")]
    profile: Option<PathBuf>,
    /// Print JSON
    #[arg(long, help_heading = "Bench")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  wgflow bench --algo gfp --engine cpu --json
  wgflow bench --preset fql/cube-single-play --seeds 8
  wgflow bench --algo mlp --engine gpu --adapter 0
  wgflow bench --engine cpu --threads 2 --profile trace.json";

/// Updates before those that are taken apart, and their number.
const PROFILED: (u32, u32) = (2, 3);

/// Reads a duration in seconds.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    algo: &'static str,
    obs_dim: u32,
    action_dim: u32,
    batch: u32,
    lanes: usize,
    /// `cpu` or `gpu`.
    engine: &'static str,
    device: String,
    /// Of the CPU engine.
    threads: Option<usize>,
    precision: Precision,
    /// Milliseconds of an update of all lanes, round by round.
    rounds_ms: Vec<f64>,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    /// Updates of single lanes.
    updates_per_second: f64,
    /// Floating-point operations of an update's matrix products, all lanes, in thousand millions.
    gflop: f64,
    /// Their rate over the whole update.
    gflops: f64,
    operations: usize,
    levels: u32,
    dispatches: usize,
    /// What the CPU engine's threads reach by products of 512 x 512 matrices alone at this precision, between the rounds.
    peak_gflops: Option<f64>,
    share_of_peak: Option<f64>,
    /// Largest resident memory of this process.
    peak_memory_bytes: Option<u64>,
    version: &'static str,
    commit: Option<&'static str>,
}

/// The commit that the program was built from, where `WGFLOW_COMMIT` said so.
const COMMIT: Option<&str> = option_env!("WGFLOW_COMMIT");

impl Bench {
    pub fn run(&self, algorithm: &str, matches: &ArgMatches) -> Result<()> {
        let (work, seeds) = self.work.read(algorithm, matches)?;
        let (engine, described) = self.work.engine.open()?;
        let layout = self.work.layout();
        let mut subject = Subject::new(&engine, &work, layout, bench::records(layout, self.transitions), &seeds)?;
        if self.serve {
            return self.serve(&mut subject, &described);
        }
        if let Some(file) = &self.profile {
            subject.update(PROFILED.0)?;
            let profile = subject.profile(PROFILED.1)?;
            profile.save(file)?;
            return cli::print(&table(&profile));
        }
        let (times, peaks) = self.time(&mut subject, &engine)?;
        let report = self.report(&work, &subject, (&engine, described), (times, &peaks), seeds.len());
        if self.json { cli::print_json(&report, false) } else { cli::print(&report.text(self.seconds)) }
    }

    /// Milliseconds of an update, and GFLOP/s of products alone, in rounds that alternate.
    fn time(&self, subject: &mut Subject, engine: &Engine) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut rounds = Rounds::warm(|updates| subject.update(updates), self.seconds)?;
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            if let Engine::Cpu { threads, precision } = engine {
                peaks.push(peak::gflops(*threads, *precision, self.seconds / 4));
            }
            times.push(rounds.round()?);
        }
        Ok((times, peaks))
    }

    fn report(
        &self,
        work: &Work,
        subject: &Subject,
        (engine, device): (&Engine, String),
        (rounds_ms, peaks): (Vec<f64>, &[f64]),
        lanes: usize,
    ) -> Report {
        let plan = &subject.blueprint().update;
        let layout = self.work.layout();
        let median_ms = median(&rounds_ms);
        let gflop = (plan.product_flops() * lanes as u64) as f64 / 1e9;
        let gflops = gflop / median_ms * 1e3;
        let peak_gflops = (!peaks.is_empty()).then(|| median(peaks));
        Report {
            algo: work.name(),
            obs_dim: layout.obs_dim,
            action_dim: layout.action_dim,
            batch: work.common().batch,
            lanes,
            engine: if matches!(engine, Engine::Gpu(_)) { "gpu" } else { "cpu" },
            device,
            threads: if let Engine::Cpu { threads, .. } = engine { Some(*threads) } else { None },
            precision: engine.precision(),
            min_ms: rounds_ms.iter().copied().fold(f64::INFINITY, f64::min),
            max_ms: rounds_ms.iter().copied().fold(0.0, f64::max),
            rounds_ms,
            median_ms,
            updates_per_second: lanes as f64 * 1e3 / median_ms,
            gflop,
            gflops,
            operations: plan.ops.len(),
            levels: plan.levels,
            dispatches: plan.dispatches.len(),
            peak_gflops,
            share_of_peak: peak_gflops.map(|peak| gflops / peak),
            peak_memory_bytes: bench::peak_memory(),
            version: env!("CARGO_PKG_VERSION"),
            commit: COMMIT,
        }
    }

    fn serve(&self, subject: &mut Subject, device: &str) -> Result<()> {
        let mut rounds = Rounds::warm(|updates| subject.update(updates), self.seconds)?;
        let versions = [("wgflow", Some(env!("CARGO_PKG_VERSION"))), ("commit", COMMIT)];
        let versions: BTreeMap<_, _> = versions.into_iter().filter_map(|(name, known)| known.map(|k| (name, k))).collect();
        let ready = serde_json::json!({ "ready": true, "name": "wgflow", "versions": versions, "device": device });
        take_turns(&ready, || rounds.round())
    }
}

/// The protocol of `benches/baselines/common.py`: one line when ready, then the milliseconds of a round for each line that is
/// read.
pub fn take_turns(ready: &serde_json::Value, mut round: impl FnMut() -> Result<f64>) -> Result<()> {
    cli::print_json(ready, true)?;
    for line in std::io::stdin().lock().lines() {
        line.map_err(Error::io("standard input", "read"))?;
        cli::print_json(&serde_json::json!({ "ms": round()? }), true)?;
    }
    Ok(())
}

/// What each kernel took.
fn table(profile: &Profile) -> String {
    let mut text = format!("{:<22}{:>12}{:>9}{:>10}\n", "kernel", "ms/update", "share", "GFLOP/s");
    let shares = profile.by_kernel();
    for share in &shares {
        let rate = share.gflops.map_or_else(String::new, |rate| format!("{rate:.1}"));
        text += &format!("{:<22}{:>12.3}{:>7.1} %{rate:>10}\n", share.name, share.ms, 100.0 * share.share);
    }
    let whole = profile.update_ms();
    let gflops = profile.plan.product_flops() as f64 * profile.lanes as f64 / whole / 1e6;
    text += &format!("{:<22}{whole:>12.3}{:>7.1} %{gflops:>10.1}\n", "update", 100.0);
    text
}

impl Report {
    fn text(&self, seconds: Duration) -> String {
        let lanes = if self.lanes == 1 { "1 lane".to_owned() } else { format!("{} lanes", self.lanes) };
        let mut text = format!(
            "{}: observations of {}, actions of {}, batch {}, {lanes}; {}\n",
            self.algo, self.obs_dim, self.action_dim, self.batch, self.device
        );
        text += &format!(
            "update    {:.2} ms, the median of {} rounds of {} s ({:.2} to {:.2}): {:.1} updates/s\n",
            self.median_ms,
            self.rounds_ms.len(),
            seconds.as_secs_f64(),
            self.min_ms,
            self.max_ms,
            self.updates_per_second
        );
        text += &format!("products  {:.1} GFLOP an update, {:.1} GFLOP/s", self.gflop, self.gflops);
        if let (Some(peak), Some(share)) = (self.peak_gflops, self.share_of_peak) {
            text += &format!(", {:.0} % of the {peak:.1} that products alone reach", 100.0 * share);
        }
        text += &format!("\nplan      {} operations, {} levels, {} dispatches", self.operations, self.levels, self.dispatches);
        text
    }
}
