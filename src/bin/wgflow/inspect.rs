//! `wgflow inspect`: what a data set holds, and what in it would hurt training.

use std::fmt::Write as _;
use std::path::PathBuf;

use wgflow::cli::train::located;
use wgflow::data::LoadOptions;
use wgflow::data::inspect::{Range, Report, inspect};
use wgflow::{Result, cli};

/// Describe datasets: sizes, rewards, ranges, and what in them would hurt training
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow inspect cube-single-play-v0 --task 2")]
pub struct Inspect {
    /// Files of OGBench (.npz), D4RL, Minari or RoboMimic (.hdf5), folders of Minari data sets, or names of downloaded datasets
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object a line, one for each file
    #[arg(long)]
    json: bool,
    /// Task whose rewards to use, from 1 (OGBench) [default: the environment's own]
    #[arg(long, value_name = "N")]
    task: Option<u32>,
    /// Environment such as cube-single or antmaze-large-play-v2 [default: from the file, or its name]
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// List of demonstrations to use, such as train (RoboMimic) [default: all]
    #[arg(long, value_name = "NAME")]
    mask: Option<String>,
    /// Arrays that make up an observation (RoboMimic) [default: the usual low-dimensional ones]
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    obs_keys: Option<Vec<String>>,
    /// Read HDF5 files with the C library: only files you trust
    #[cfg(feature = "libhdf5")]
    #[arg(long)]
    libhdf5: bool,
}

impl Inspect {
    /// Reports on standard output. Data that training refuses is reported on too, and then is the error.
    pub fn run(self) -> Result<()> {
        let options = LoadOptions {
            task: self.task,
            env: self.env,
            mask: self.mask,
            obs_keys: self.obs_keys,
            #[cfg(feature = "libhdf5")]
            hdf5: if self.libhdf5 { wgflow::data::Hdf5Backend::C } else { wgflow::data::Hdf5Backend::Rust },
            ..LoadOptions::default()
        };
        let mut refused = Ok(());
        for file in &self.files {
            let file = &located("FILE", file)?;
            let report = inspect(file, &options)?;
            if self.json { cli::print_json(&report, true) } else { cli::print(&table(&report)) }?;
            if report.refused.is_some() {
                refused = refused.and(wgflow::data::load(file, &options).map(|_| ()));
            }
        }
        refused
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    line("file", report.file.display().to_string());
    line("format", report.format.to_owned());
    line("name", report.name.clone());
    let env = report.env.as_deref().unwrap_or("unknown");
    line("environment", report.task.map_or_else(|| env.to_owned(), |task| format!("{env}, task {task}")));
    line("transitions", report.n.to_string());
    line("trajectories", format!("{} of {} transitions", report.traj_ends, range(report.lengths)));
    line("observations", format!("{} columns, {}", report.ob_dim, range(report.observations)));
    line("actions", format!("{} columns, {}", report.action_dim, range(report.actions)));
    line("rewards", format!("{}, sum {}", range(report.rewards), short(report.rewards_sum)));
    let zero = format!("{} (no bootstrapping: solved, or over for good)", report.masks_zero);
    line("masks of 0", zero);
    if !report.successes.is_empty() {
        let each: Vec<String> = report.successes.iter().map(|s| format!("task {}: {}", s.task, s.masks_zero)).collect();
        line("successes", each.join(", "));
    }
    if let Some([low, high]) = report.score_range {
        line("score", format!("0 at a return of {}, 100 at {}", short(low), short(high)));
    }
    line("not finite", report.non_finite.iter().map(|found| found.count).sum::<usize>().to_string());
    line("hash", report.hash.clone().unwrap_or_else(|| "none: training refuses this data".to_owned()));
    for warning in &report.warnings {
        line("warning", warning.clone());
    }
    if report.warnings.is_empty() {
        line("warnings", "none".to_owned());
    }
    text
}

fn range(range: Range) -> String {
    let Range { min, mean, max } = range;
    format!("{} to {}, mean {}", short(min), short(max), short(mean))
}

/// Six digits, and no zeros behind them.
fn short(value: f64) -> String {
    let digits = 6 - (value.abs().max(1.0).log10() as usize + 1).min(6);
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
