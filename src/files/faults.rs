//! Places at which tests can break a run: `WGFLOW_FAULT=kill:rename:000000200.safetensors` ends the process there as a
//! kill would, `full:` lets the step fail as a full disk would. Without the variable nothing happens.

use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::sync::LazyLock;

use crate::error::{Error, Result};

static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
    let text = std::env::var("WGFLOW_FAULT").ok()?;
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    Some(Fault { effect: parts.next()?, action: parts.next()?, file: parts.next()? })
});

struct Fault {
    effect: String,
    action: String,
    file: String,
}

/// A step that may be made to fail: `action` on `path`.
///
/// # Errors
/// [`Error::Io`], where the variable asks for it.
pub fn point(action: &'static str, path: &Path) -> Result<()> {
    let Some(fault) = FAULT.as_ref() else { return Ok(()) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if fault.action != action || !name.starts_with(&fault.file) {
        return Ok(());
    }
    match fault.effect.as_str() {
        "kill" => std::process::abort(),
        _ => Err(Error::io(path, action)(IoError::from(ErrorKind::StorageFull))),
    }
}
