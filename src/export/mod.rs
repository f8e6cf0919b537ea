//! Trained policies as files for other programs. A file gets its name only after it was read back, evaluated by code that
//! knows nothing but its bytes, and found to act as our own policy does.
//!
//! ```text
//! Saved ─▶ Description ─▶ safetensors | onnx ─▶ bytes beside the name ─▶ parity (read back, f64) ─▶ the name
//! ```

mod description;
mod metadata;
mod observations;
mod onnx;
pub mod parity;
mod safetensors;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

pub use description::{Description, Flow, Form, Layer, Net, Norm, Squash};
pub use metadata::Metadata;
pub use observations::{OBSERVATIONS, Observations};
pub use parity::Parity;

use crate::error::{Error, Result};
use crate::files;
use crate::train::Saved;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The net's tensors w0, b0, w1, b1, ... ([in, out]), and a description of the rest
    Safetensors,
    /// The whole policy as a graph: observation and noise in, action out
    Onnx,
}

impl Format {
    /// The file's extension.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
        }
    }

    /// A policy in this format.
    ///
    /// # Errors
    /// [`Error::Plan`] if the description contradicts itself.
    pub fn encode(self, description: &Description, metadata: &Metadata) -> Result<Vec<u8>> {
        let bytes = match self {
            Self::Safetensors => safetensors::encode(description, metadata),
            Self::Onnx => onnx::encode(description, metadata),
        };
        bytes.map_err(|problem| Error::Plan { label: format!("export of {}", metadata.policy), problem })
    }
}

/// What to export.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// The lane.
    pub lane: usize,
    /// The format.
    pub format: Format,
    /// The file to write.
    pub out: &'a Path,
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// What it says of itself.
    pub metadata: Metadata,
    /// How well it agrees with our own policy.
    pub parity: Parity,
}

/// Writes a policy of `saved`, checked on `observations`. An older file of that name is replaced.
///
/// # Errors
/// [`Error::Setting`] if there is no such policy or lane; [`Error::Io`]; [`Error::Content`] if the file does not act as our
/// own policy does, and then there is no file.
pub fn export(saved: &Saved, request: &Request<'_>, observations: &Observations) -> Result<Exported> {
    let description = Description::of(saved, request.policy, request.lane)?;
    let metadata = Metadata::of(saved, &description, request.policy, request.lane);
    write(saved, request, observations, (&description, metadata))
}

/// The same for a description that is there already.
///
/// # Errors
/// As [`export`].
pub fn write(
    saved: &Saved,
    request: &Request<'_>,
    observations: &Observations,
    (description, metadata): (&Description, Metadata),
) -> Result<Exported> {
    let &Request { policy, lane, format, out } = request;
    if format == Format::Safetensors && metadata.candidates > 1 {
        let remedy = "choose onnx, or export the flow alone with --policy flow";
        return Err(Error::setting("--format", "onnx for a policy that chooses by its critics", "safetensors", remedy));
    }
    let bytes = format.encode(description, &metadata)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    let ours = |rows| saved.policy(policy, lane, rows, 1);
    let check = |file: &Path| parity::check((file, out), format, &ours, observations);
    let parity = files::replace_checked(out, &bytes, check)?;
    Ok(Exported { file: out.to_path_buf(), bytes: bytes.len(), metadata, parity })
}
