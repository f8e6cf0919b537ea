//! The data room: files of strangers in, checked transitions out. It knows no device and no algorithm.
//!
//! ```text
//! path ─▶ load ─▶ FORMATS (by content) ─▶ ogbench ─▶ npz ─▶ zip, npy      every size is checked before memory is taken
//!                                            │
//!                                            ├─▶ tasks                    goals; rewards and masks of each task
//!                                            └─▶ Dataset::from_parts      every value is checked, actions clipped, hashed
//! ```
//!
//! A file that is damaged, forged or simply another one gives one [`crate::Error`] that names the file, the array, what
//! was expected, what was found, and what helps. Nothing in it can cause a panic or an allocation beyond
//! [`LoadOptions::max_bytes`].

mod dataset;
mod npy;
pub mod npz;
pub mod ogbench;
pub mod replay;
mod tasks;
mod zip;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use dataset::{ACTION_LIMIT, Dataset, Parts};

pub use replay::Layout;

use crate::error::{Error, Result};

/// What the caller may decide about loading.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Task whose rewards to use, from 1; the environment's default where `None`.
    pub task: Option<u32>,
    /// Environment family (`cube-single`); taken from the file name where `None`.
    pub env: Option<String>,
    /// Bytes of host memory that the loaded arrays may take together; a larger file is refused before it is read.
    pub max_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { task: None, env: None, max_bytes: npz::DEFAULT_MAX_BYTES }
    }
}

/// A file format that can be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Format {
    /// Name for people.
    pub name: &'static str,
    /// Whether a file that begins with these bytes (up to 512) is of this format. Looks at content, never at names.
    pub sniff: fn(&[u8]) -> bool,
    /// Loads such a file.
    pub load: fn(&Path, &LoadOptions) -> Result<Dataset>,
    /// Loads the validation set that belongs to such a file; `None` where there is none.
    pub load_validation: fn(&Path, &LoadOptions) -> Result<Option<Dataset>>,
}

/// Every format, one line each; the first that recognises a file loads it.
pub static FORMATS: &[Format] =
    &[Format { name: "OGBench npz", sniff: ogbench::sniff, load: ogbench::load, load_validation: ogbench::load_validation }];

/// What people pass by mistake: how it begins, what it is, what to do.
const MISTAKES: &[(&[u8], &str, &str)] = &[
    (b"\x89HDF", "an HDF5 file", "convert it to the OGBench npz layout"),
    (b"\x93NUMPY", "a single npy array", "save observations, actions and terminals together with numpy.savez_compressed"),
    (b"\x80", "a pickle", "unpickling runs code, so it is not supported; save the arrays with numpy.savez_compressed"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "fetch the data with git lfs pull"),
    (b"<", "a web page or XML", "the download failed and stored its error page: download the file again"),
    (b"", "an unknown format", "pass an OGBench npz file, such as pointmaze-medium-navigate-v0.npz"),
];

/// Loads the data set at `path` with the first format that recognises its content.
///
/// # Errors
/// If the file cannot be read, no format recognises it, or its format refuses it.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Dataset> {
    let path = path.as_ref();
    (recognise(path)?.load)(path, options)
}

/// Loads the validation set that lies beside the data set at `path`; `None` where there is none.
///
/// # Errors
/// As [`load`], for either file.
pub fn load_validation(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Option<Dataset>> {
    let path = path.as_ref();
    (recognise(path)?.load_validation)(path, options)
}

fn recognise(path: &Path) -> Result<&'static Format> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut head = Vec::new();
    file.take(512).read_to_end(&mut head).map_err(Error::io(path, "read"))?;
    if let Some(format) = FORMATS.iter().find(|format| (format.sniff)(&head)) {
        return Ok(format);
    }
    let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    let expected = format!("one of: {}", names.join(", "));
    if head.is_empty() {
        return Err(Error::content(path, "format", expected, "an empty file", "copy or download it again"));
    }
    let (_, what, remedy) = MISTAKES.iter().find(|(start, ..)| head.starts_with(start)).unwrap_or(&(b"", "", ""));
    let start = head.get(..8).unwrap_or(&head).escape_ascii();
    Err(Error::content(path, "format", expected, format!("{what} (it begins with \"{start}\")"), *remedy))
}
