//! The command line of wgflow. One file per subcommand; what the examples need too is in `wgflow::cli`.

mod devices;
mod doctor;
mod download;
mod eval;
mod export;
mod inspect;
mod manual;
mod presets;
mod report;
mod setup;
mod train;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use wgflow::cli::{self, settings};
use wgflow::{Result, agents};

/// Trains and runs offline-RL flow policies with hand-written WGSL kernels, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "wgflow", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Report(report::ReportFlags),
    Export(export::Export),
    Presets(presets::Presets),
    Download(download::Download),
    Inspect(inspect::Inspect),
    Setup(setup::Setup),
    Devices(devices::Devices),
    Doctor(doctor::Doctor),
    Completions(manual::Completions),
    Man(manual::Man),
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match prepared(&arguments) {
        Ok((command, arguments, algorithm)) => {
            let whole = command.clone();
            cli::start_from(command, arguments, |matches| run(whole, algorithm, matches))
        }
        Err(error) => cli::finish(Err(error)),
    }
}

fn run(whole: clap::Command, algorithm: &agents::Entry, matches: &ArgMatches) -> Result<()> {
    let parsed = Arguments::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    match parsed.command {
        Command::Train(train) => train.run(algorithm, matches.subcommand().map_or(matches, |(_, own)| own)),
        Command::Eval(eval) => eval.run(),
        Command::Report(report) => report.run(),
        Command::Export(export) => export.run(),
        Command::Presets(presets) => presets.run(),
        Command::Download(download) => download.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Setup(setup) => setup.run(),
        Command::Devices(devices) => devices.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Completions(completions) => {
            completions.run(whole);
            Ok(())
        }
        Command::Man(man) => man.run(whole),
    }
}

/// The whole command line, `train` completed by the flags of the algorithm that the arguments choose.
fn prepared(arguments: &[OsString]) -> Result<(clap::Command, Vec<OsString>, &'static agents::Entry)> {
    let chosen: &[OsString] = if arguments.get(1).is_some_and(|name| name == "train") { arguments } else { &[] };
    let command = Arguments::command();
    let train = command.find_subcommand("train").cloned().unwrap_or_default();
    let (train, completed, algorithm) = settings::complete(train, chosen)?;
    let arguments = if chosen.is_empty() { arguments.to_vec() } else { completed };
    Ok((command.mut_subcommand("train", |_| train), arguments, algorithm))
}
