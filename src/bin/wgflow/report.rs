//! `wgflow report`: what many runs say together.

use std::path::PathBuf;

use wgflow::Result;
use wgflow::cli;
use wgflow::report::{Method, Metric, Options, Protocol, Published, Report, Task};
use wgflow::train::{self, published};

/// Say what many runs say together: scores by task and seed, intervals, published scores, curves
///
/// Runs that are missing, unfinished, diverged or there twice are named and not averaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow report runs --protocol gfp --out report")]
pub struct ReportFlags {
    /// Run folders, or folders with run folders in them, at any depth
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Write report.md, report.json, learning curves and performance profiles (SVG and PNG) to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON with every number
    #[arg(long)]
    json: bool,
    /// A run's score is the mean of its last N evaluations
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "protocol")]
    last: usize,
    /// A run's score is made up as the authors do: on OGBench the mean of the evaluations at N-200k, N-100k and N
    /// updates, on D4RL and Minari the one at N
    #[arg(long, value_name = "WHOSE")]
    protocol: Option<train::Protocol>,
    /// What is scored [default: success on OGBench, normalized on D4RL and Minari]
    #[arg(long, value_name = "METRIC")]
    metric: Option<Metric>,
    /// Resamples of the bootstrap intervals of the interquartile mean
    #[arg(long, value_name = "N", default_value_t = Options::default().resamples)]
    resamples: u32,
}

impl ReportFlags {
    /// Prints the report, and writes it where --out says.
    pub fn run(self) -> Result<()> {
        let protocol = self.protocol.map_or(Protocol::Last(self.last), Protocol::Official);
        let options = Options { metric: self.metric, protocol, resamples: self.resamples };
        let report = Report::new(&self.folders, &options, &published_score)?;
        let mut text = if self.json { report.json()? } else { report.text() };
        if let Some(folder) = &self.out {
            let files = report.write(folder)?;
            if !self.json {
                text += &format!("\nwrote {} files to {}", files.len(), folder.display());
            }
        }
        cli::print(&text)
    }
}

/// The published score of a method on a task; of tables that know it, the official one comes first.
fn published_score(method: &Method, task: &Task) -> Option<Published> {
    let advantage = method.setting("guidance_fn").is_some_and(|form| form == "advantage");
    let series: &[&str] = match method.algorithm.as_str() {
        "gfp" if advantage => &["gfp-advantage"],
        "fql" => &["fql", "fql-paper"],
        other => &[other],
    };
    let of = |series: &&str| published::scores(&published::policy(series, &method.policy), &task.name);
    let score = series.iter().find_map(of)?;
    let source = if score.verified { score.policy.clone() } else { format!("{} (recalled)", score.policy) };
    Some(Published { mean: score.mean, std: score.std, count: score.n_seeds, seeds: score.seeds.clone(), source })
}
