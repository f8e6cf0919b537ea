//! The command line of wgflow. One file per subcommand; what the examples need too is in `wgflow::cli`.

mod devices;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wgflow::cli;

/// Wrong usage, in the table of `wgflow::cli::exit_code`.
const USAGE: u8 = 64;

/// A bug of ours, in the same table.
const BUG: u8 = 70;

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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // There is nothing to do about a terminal that is gone. Help and version are no errors.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let run = || match arguments.command {
        Command::Devices(devices) => devices.run(),
    };
    // A panic has told its message by itself.
    std::panic::catch_unwind(run).map_or(ExitCode::from(BUG), cli::finish)
}
