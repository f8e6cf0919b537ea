//! The command line's side of the library, shared by `wgflow` and the examples: flags, progress, signals, exit codes.
//! The only room that prints.

pub mod bar;
mod console;
pub mod doctor;
mod evaluator;
pub mod settings;
mod signal;
pub mod summary;
pub mod train;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::train::Stop;

/// Reads the command line as `command` declares it, runs `run` on it, and turns all that can happen into an exit code:
/// wrong usage is 64 (help and version are no errors), a panic 70.
pub fn start(command: clap::Command, run: impl FnOnce(&clap::ArgMatches) -> Result<()>) -> ExitCode {
    start_from(command, std::env::args_os(), run)
}

/// The same for arguments that are not the process's own.
pub fn start_from(
    command: clap::Command,
    arguments: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(&clap::ArgMatches) -> Result<()>,
) -> ExitCode {
    // Of a flag given twice the last counts, so that a script's defaults can be overridden.
    match command.args_override_self(true).try_get_matches_from(arguments) {
        // A panic has told its message by itself.
        Ok(matches) => {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&matches))).map_or(ExitCode::from(70), finish)
        }
        Err(message) => {
            // There is nothing to do about a terminal that is gone.
            let _ = message.print();
            if message.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
        }
    }
}

/// Prints `text` and a line break to standard output.
///
/// # Errors
/// [`Error::Io`]; none if whoever reads has seen enough and closed the pipe.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::io("standard output", "write")),
    }
}

/// Begins to listen to Ctrl-C and termination, for work that asks [`proceed`].
pub fn listen() {
    signal::listen();
}

/// Whether to go on: an error once a signal asked to stop. `step` is the update that is worked on.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn proceed(step: u64) -> Result<()> {
    match signal::stop() {
        Some(stop) => Err(Error::Interrupted { step, preempted: stop == Stop::System }),
        None => Ok(()),
    }
}

/// Prints `value` as JSON to standard output: over several lines, or as one line of a file of such lines.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize, one_line: bool) -> Result<()> {
    let text = if one_line { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
    print(&text.map_err(std::io::Error::other).map_err(Error::io("standard output", "write"))?)
}

/// Turns a result into what the process leaves behind: one line on standard error, and an exit code.
pub fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The exit code of an error, one meaning each for people and schedulers: 64 usage, 65 bad data, 69 no adapter or too
/// small or no environment, 70 our bug, 73 folder in use, 74 disk or network, 75 try again (resumes), 76 diverged, 130 interrupted.
pub const fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Setting { .. } => 64,
        Error::Content { .. } => 65,
        Error::Adapter { .. } | Error::Limit { .. } | Error::OutOfMemory { .. } | Error::Environment { .. } => 69,
        Error::Plan { .. } | Error::Device { .. } => 70,
        Error::Io { .. } | Error::Network { .. } => 74,
        Error::DeviceLost { .. } | Error::Timeout { .. } | Error::Interrupted { preempted: true, .. } => 75,
        Error::Diverged { .. } => 76,
        Error::Locked { .. } => 73,
        Error::Interrupted { preempted: false, .. } => 130,
    }
}
