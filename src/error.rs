//! The one error type of the library.
//!
//! A message names the place (file, key, flag), what was expected, what was found, and what to do about it.

use std::path::{Path, PathBuf};

/// Every way a call into this library can fail. Arithmetic never does: non-finite losses are counted in the metrics
/// and end training as [`Error::Diverged`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file's content is not what its format promises (dataset, checkpoint, task table).
    #[error("{}: `{key}`: expected {expected}, found {found}; {remedy}", file.display())]
    Content {
        /// The file that was read.
        file: PathBuf,
        /// The array, tensor or field inside it.
        key: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
        /// What the user can do.
        remedy: String,
    },
    /// The operating system refused a file operation.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb: "open", "write", "rename", ...
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No source gave a file: the hosts failed or refused, or what they sent is not the file.
    #[error("{what}: {problem}; {remedy}")]
    Network {
        /// The file or dataset that was wanted.
        what: String,
        /// What each source answered.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A setting (flag, config field, argument of a constructor) is out of range or does not fit another one.
    #[error("{setting}: expected {expected}, found {found}; {remedy}")]
    Setting {
        /// Name of the flag or field.
        setting: String,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
        /// What the user can do.
        remedy: String,
    },
    /// A plan was recorded with shapes that do not fit each other. This is a bug in an agent or a net, not in its input.
    #[error("plan: {label}: {problem}")]
    Plan {
        /// Label of the operation that was refused.
        label: String,
        /// What does not fit.
        problem: String,
    },
    /// No adapter fits the request.
    #[error("no usable GPU adapter: {problem}; {remedy}")]
    Adapter {
        /// What was looked for and what was found instead.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The device's limits are too small for the run.
    #[error("{need} needs {needed} bytes, the device allows {allowed} ({limit}); {remedy}")]
    Limit {
        /// What needs the memory.
        need: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes the device allows.
        allowed: u64,
        /// Name of the limit.
        limit: &'static str,
        /// What the user can do.
        remedy: String,
    },
    /// The device is gone: unplugged, reset by its driver, or destroyed by its owner.
    #[error("the GPU device was lost while {during}: {reason}; resume from the last checkpoint")]
    DeviceLost {
        /// What the engine was doing.
        during: &'static str,
        /// The driver's words, where it gave any.
        reason: String,
    },
    /// The device has no memory left.
    #[error("the GPU ran out of memory while {during}; lower the batch or the lanes, or use the CPU engine")]
    OutOfMemory {
        /// What the engine was doing.
        during: &'static str,
    },
    /// A wait for the device took longer than its limit.
    #[error("the GPU did not answer within {seconds} s while {during}; resume from the last checkpoint")]
    Timeout {
        /// What the engine was waiting for.
        during: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The device rejected a call. This is a bug in the engine.
    #[error("the GPU rejected a call while {during}: {message}")]
    Device {
        /// What the engine was doing.
        during: &'static str,
        /// The validation message.
        message: String,
    },
    /// A process that steps environments failed: it did not start, crashed, fell silent, or broke the protocol.
    #[error("{env}: {problem}; {remedy}")]
    Environment {
        /// The environment's id.
        env: String,
        /// What happened, with the process's last words where it left any.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A loss became NaN or infinite.
    #[error("lane {lane}: `{loss}` became non-finite at update {step}; the last good checkpoint is kept")]
    Diverged {
        /// The lane it happened in.
        lane: usize,
        /// The first loss that broke, in the order of the update.
        loss: String,
        /// The update it broke in.
        step: u64,
    },
    /// Training was asked to stop by a signal; everything up to the named update is saved.
    #[error("{} after update {step}; everything is saved", if *.preempted { "stopped by the system" } else { "interrupted" })]
    Interrupted {
        /// The last finished update.
        step: u64,
        /// Whether a scheduler asked (SIGTERM, SIGUSR1), and not a person (SIGINT).
        preempted: bool,
    },
    /// Another process works in the folder.
    #[error("{}: in use by {holder}; wait for it, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`] for `path`; for use in `map_err`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// An [`Error::Content`].
    pub fn content(
        file: impl AsRef<Path>,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Content {
            file: file.as_ref().to_path_buf(),
            key: key.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Environment`].
    pub fn environment(env: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Environment { env: env.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// An [`Error::Setting`].
    pub fn setting(
        setting: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Setting { setting: setting.into(), expected: expected.into(), found: found.into(), remedy: remedy.into() }
    }
}

/// The `count` known names most like `name`, for a remedy that says what was probably meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut ranked: Vec<(f64, &str)> =
        known.into_iter().map(|known| (strsim::normalized_damerau_levenshtein(name, known), known)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(count).map(|(_, known)| known).collect()
}
