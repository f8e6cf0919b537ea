//! The main job: trains Guided Flow Policy on the bundled maze data, evaluates it, and draws what it learned.
//!
//! `cargo run --release --example train_gfp`, no arguments needed; `--help` lists every setting.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use wgflow::agents::{AgentConfig, GfpConfig};
use wgflow::cli::{start, train::TrainFlags};

/// Train Guided Flow Policy (GFP) on an offline dataset
#[derive(Parser)]
#[command(version, after_help = "Example: train_gfp --seeds 4 --out runs/four-seeds")]
struct Flags {
    #[command(flatten)]
    train: TrainFlags,
    #[command(flatten)]
    gfp: GfpConfig,
}

/// Defaults that differ from the library's, which are the published ones for cube-single: chosen so that a laptop reaches
/// a good policy in the bundled maze within minutes. The losses are the same.
const DEFAULTS: [(&str, &str); 12] = [
    ("data", concat!(env!("CARGO_MANIFEST_DIR"), "/data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz")),
    ("task", "3"),
    ("steps", "20000"),
    ("eval_every", "5000"),
    ("out", "runs/gfp-pointmaze"),
    ("hidden", "128,128,128"),
    ("tau", "0.01"),
    ("learning_rate", "0.0005"),
    ("alpha", "0.3"),
    ("eta", "0.01"),
    ("target_agg", "actor"),
    ("q_agg", "min"),
];

fn main() -> ExitCode {
    let mut command = Flags::command();
    for (name, value) in DEFAULTS {
        command = command.mut_arg(name, |arg| arg.required(false).default_value(value));
    }
    start(command, |matches| {
        let flags = Flags::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
        flags.train.run(&AgentConfig::Gfp(flags.gfp), None, matches)
    })
}
