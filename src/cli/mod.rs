//! The command line's side of the library, shared by `wgflow` and the examples: flags, progress, signals, exit codes.
//! The only room that prints.

mod console;
mod signal;
pub mod train;

use std::process::ExitCode;

use crate::error::{Error, Result};

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
/// small, 70 our bug, 74 disk, 75 try again (resumes), 76 diverged, 130 interrupted.
pub const fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Setting { .. } => 64,
        Error::Content { .. } => 65,
        Error::Adapter { .. } | Error::Limit { .. } | Error::OutOfMemory { .. } => 69,
        Error::Plan { .. } | Error::Device { .. } => 70,
        Error::Io { .. } => 74,
        Error::DeviceLost { .. } | Error::Timeout { .. } => 75,
        Error::Diverged { .. } => 76,
        Error::Interrupted { .. } => 130,
    }
}
