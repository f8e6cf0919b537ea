//! The data room: files of strangers in, checked transitions out. It knows no device and no algorithm.
//!
//! ```text
//! path ─▶ load ─▶ FORMATS (by content) ─▶ ogbench ─▶ npz ─▶ zip, npy      every size is checked before memory is taken
//!            │                            │  └─▶ tasks                    goals; rewards and masks of each task
//!            │                            └▶ d4rl, minari, robomimic ─▶ hdf5 ─▶ a backend     sizes checked likewise
//!            └─▶ Dataset::from_parts                                      every value is checked, actions clipped, hashed
//! ```
//!
//! A file that is damaged, forged or simply another one gives one [`crate::Error`] that names the file, the array, what
//! was expected, what was found, and what helps. Nothing in it can cause a panic or an allocation beyond
//! [`LoadOptions::max_bytes`].

mod columns;
mod d4rl;
mod dataset;
mod hdf5;
pub mod inspect;
mod minari;
mod npy;
pub mod npz;
pub mod ogbench;
pub mod replay;
mod robomimic;
mod tasks;
mod zip;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use dataset::{ACTION_LIMIT, Dataset, Parts};
pub use hdf5::Hdf5Backend;
pub use replay::Layout;

use crate::error::{Error, Result};

/// What the caller may decide about loading.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Task whose rewards to use, from 1; the environment's default where `None`.
    pub task: Option<u32>,
    /// Environment family or id (`cube-single`, `antmaze-large-play-v2`); where `None` it is taken from the file, or from
    /// its name. OGBench files get their goals by it, D4RL files their reward rule and, if need be, their time limit.
    pub env: Option<String>,
    /// RoboMimic's list of demonstrations (`train`) to use; all of them where `None`.
    pub mask: Option<String>,
    /// RoboMimic's arrays that make up an observation, in this order; the usual low-dimensional ones where `None`.
    pub obs_keys: Option<Vec<String>>,
    /// The library that decodes HDF5 files.
    pub hdf5: Hdf5Backend,
    /// Bytes of host memory that the loaded arrays may take together; a larger file is refused before it is read.
    pub max_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let max_bytes = npz::DEFAULT_MAX_BYTES;
        Self { task: None, env: None, mask: None, obs_keys: None, hdf5: Hdf5Backend::default(), max_bytes }
    }
}

/// What can be seen of a file without knowing its format.
#[derive(Debug)]
pub struct Start {
    /// Its first bytes, up to 512.
    pub head: Vec<u8>,
    /// Names in the root group, if it is an HDF5 file.
    pub root: Option<Vec<String>>,
}

impl Start {
    /// Whether the root group of an HDF5 file has a name for which `is` holds.
    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        self.root.as_ref().is_some_and(|names| names.iter().any(|name| is(name)))
    }

    /// Whether the root group of an HDF5 file has this name.
    fn has(&self, name: &str) -> bool {
        self.any(|known| known == name)
    }
}

/// A file format that can be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Format {
    /// Name for people.
    pub name: &'static str,
    /// Fields of [`LoadOptions`] that mean something in this format, of those that choose what to load.
    pub options: &'static [&'static str],
    /// Whether a file that begins like this is of this format. Looks at content, never at names.
    pub sniff: fn(&Start) -> bool,
    /// Reads such a file into transitions; refuses values that are not finite where the last argument is true.
    pub read: fn(&Path, &LoadOptions, bool) -> Result<Parts>,
    /// Loads the validation set that belongs to such a file; `None` where there is none.
    pub load_validation: fn(&Path, &LoadOptions) -> Result<Option<Dataset>>,
}

/// Every format, one entry each; the first that recognises a file loads it.
pub static FORMATS: &[Format] = &[
    Format {
        name: "OGBench npz",
        options: &["task", "env"],
        sniff: |start| ogbench::sniff(&start.head),
        read: ogbench::read,
        load_validation: ogbench::load_validation,
    },
    Format { name: "D4RL HDF5", options: &["env"], sniff: d4rl::sniff, read: d4rl::read, load_validation: |_, _| Ok(None) },
    Format { name: "Minari HDF5", options: &["env"], sniff: minari::sniff, read: minari::read, load_validation: |_, _| Ok(None) },
    Format {
        name: "RoboMimic HDF5",
        options: &["env", "mask", "obs_keys"],
        sniff: robomimic::sniff,
        read: robomimic::read,
        load_validation: robomimic::load_validation,
    },
];

/// What people pass by mistake: how it begins, what it is, what to do.
const MISTAKES: &[(&[u8], &str, &str)] = &[
    (
        hdf5::SIGNATURE,
        "another HDF5 file",
        "D4RL files hold `observations`, `actions`, `rewards` and `terminals`; Minari's hold `episode_0` and so on, RoboMimic's `data`",
    ),
    (b"\x93NUMPY", "a single npy array", "save observations, actions and terminals together with numpy.savez_compressed"),
    (b"\x80", "a pickle", "unpickling runs code, so it is not supported; save the arrays with numpy.savez_compressed"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "fetch the data with git lfs pull"),
    (b"<", "a web page or XML", "the download failed and stored its error page: download the file again"),
    (b"", "an unknown format", "pass a data set of OGBench (.npz), D4RL, Minari or RoboMimic (.hdf5)"),
];

/// Loads the data set at `path` with the first format that recognises its content. A folder is taken for a Minari data set.
///
/// # Errors
/// If the file cannot be read, no format recognises it, its format refuses it, or an option means nothing in its format.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Dataset> {
    let (path, format) = recognise(path.as_ref(), options)?;
    Dataset::from_parts((format.read)(&path, options, true)?)
}

/// Loads the validation set that lies beside the data set at `path`, or in it; `None` where there is none.
///
/// # Errors
/// As [`load`], for either file.
pub fn load_validation(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Option<Dataset>> {
    let (path, format) = recognise(path.as_ref(), options)?;
    (format.load_validation)(&path, options)
}

/// The file of the data set at `path`, and its format.
fn recognise(path: &Path, options: &LoadOptions) -> Result<(PathBuf, &'static Format)> {
    let path = if path.is_dir() { minari::data_file(path)? } else { path.to_path_buf() };
    let file = File::open(&path).map_err(Error::io(&path, "open"))?;
    let mut head = Vec::new();
    file.take(512).read_to_end(&mut head).map_err(Error::io(&path, "read"))?;
    let is_hdf5 = head.starts_with(hdf5::SIGNATURE);
    let root = is_hdf5.then(|| hdf5::Hdf5::open(&path, options)?.names("")).transpose()?;
    let start = Start { head, root };
    match FORMATS.iter().find(|format| (format.sniff)(&start)) {
        Some(format) => check_options(format, options).map(|()| (path, format)),
        None => Err(unknown(&path, &start)),
    }
}

/// Refuses options that would silently do nothing.
fn check_options(format: &Format, options: &LoadOptions) -> Result<()> {
    let given = [
        ("task", options.task.map(|task| task.to_string())),
        ("mask", options.mask.clone()),
        ("obs_keys", options.obs_keys.as_ref().map(|keys| keys.join(","))),
    ];
    for (name, value) in given {
        if let Some(value) = value.filter(|_| !format.options.contains(&name)) {
            let expected = format!("none for {} data, where it means nothing", format.name);
            return Err(Error::setting(name, expected, value, "leave it out"));
        }
    }
    Ok(())
}

fn unknown(path: &Path, start: &Start) -> Error {
    let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    let expected = format!("one of: {}", names.join(", "));
    if start.head.is_empty() {
        return Error::content(path, "format", expected, "an empty file", "copy or download it again");
    }
    let (_, what, remedy) = MISTAKES.iter().find(|(begin, ..)| start.head.starts_with(begin)).unwrap_or(&(b"", "", ""));
    let found = match &start.root {
        Some(names) => format!("{what}, with [{}]", names.iter().take(16).map(String::as_str).collect::<Vec<_>>().join(", ")),
        None => format!("{what} (it begins with \"{}\")", start.head.get(..8).unwrap_or(&start.head).escape_ascii()),
    };
    Error::content(path, "format", expected, found, *remedy)
}
