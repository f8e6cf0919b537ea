//! The command line of wgflow. One file per subcommand; what the examples need too is in `wgflow::cli`.

mod devices;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use wgflow::cli;

/// Trains and runs offline-RL flow policies with hand-written WGSL kernels, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "wgflow", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Devices(devices::Devices),
}

fn main() -> ExitCode {
    cli::start(Arguments::command(), |matches| match Arguments::from_arg_matches(matches) {
        Ok(Arguments { command: Command::Devices(devices) }) => devices.run(),
        Err(error) => error.exit(),
    })
}
