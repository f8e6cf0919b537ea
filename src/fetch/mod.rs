//! Datasets by name: from the folders of this machine, else from mirrors.
//!
//! ```text
//! name ─▶ table ─▶ files of a dataset ─┬─▶ folders: ours, then OGBench's, D4RL's or Minari's ─▶ check
//!  known names, mirrors                └─▶ download: mirror by mirror ─▶ http (one request) ─▶ FILE.part ─▶ check ─▶ FILE
//! ```
//! A file gets its name only when its length, its look and, where one is known, its sha256 are right. Few datasets have a
//! published sha256: of the others the first complete download is trusted and recorded in `FILE.sha256`, and later runs and
//! downloads are held against that record.
//!
//! Nothing here opens a connection except [`fetch`] without [`Options::offline`].

mod check;
mod download;
mod folders;
mod http;
mod lock;
mod part;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::Verified;
pub use folders::Folders;
pub use table::names;

use crate::error::{Error, Result};
use folders::{Place, Search, copy_from, places, search};

/// How to fetch.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folders to look into, and ours to download to.
    pub folders: Folders,
    /// Put the files into this folder instead of ours.
    pub to: Option<PathBuf>,
    /// Prefixes of addresses, in the order in which they are tried, in place of the built-in ones. A file's path below a folder
    /// is appended; or `{first}` and `{rest}` stand for the path's first part and the others.
    pub mirrors: Vec<String>,
    /// The sha256 of the dataset's first file, in place of the table's.
    pub sha256: Option<String>,
    /// Never open a connection.
    pub offline: bool,
    /// When to give up.
    pub limits: Limits,
}

/// When a host is given up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For finding a host, and for connecting to it.
    pub connect: Duration,
    /// Time without a byte.
    pub stall: Duration,
    /// Attempts in a row without progress.
    pub tries: u32,
    /// Bytes that count as progress.
    pub progress: u64,
    /// Pause before the second attempt; it doubles until there is progress.
    pub pause: Duration,
    /// Redirects in a row.
    pub redirects: u32,
}

impl Default for Limits {
    /// 15 s to connect, 30 s without a byte, 4 attempts without a further MiB, a first pause of 1 s, 10 redirects.
    fn default() -> Self {
        let (connect, stall, pause) = (Duration::from_secs(15), Duration::from_secs(30), Duration::from_secs(1));
        Self { connect, stall, tries: 4, progress: 1 << 20, pause, redirects: 10 }
    }
}

impl Options {
    /// The folders of this user, and the mirrors in `WGFLOW_MIRRORS` (prefixes between spaces).
    ///
    /// # Errors
    /// [`Error::Setting`] where there is no home folder.
    pub fn from_env() -> Result<Self> {
        let mirrors = std::env::var("WGFLOW_MIRRORS").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Ok(Self { folders: Folders::from_env()?, to: None, mirrors, sha256: None, offline: false, limits: Limits::default() })
    }

    fn check(&self) -> Result<()> {
        if let Some(mirror) = self.mirrors.iter().find(|mirror| !table::is_web(mirror)) {
            let remedy = "give the address of a folder, for example https://example.org/ogbench";
            return Err(Error::setting("mirror", "https://... or http://...", format!("`{mirror}`"), remedy));
        }
        if let Some(hash) = self.sha256.as_ref().filter(|h| h.len() != 64 || !h.chars().all(|c| c.is_ascii_hexdigit())) {
            let remedy = "`sha256sum FILE` prints it";
            return Err(Error::setting("sha256", "64 hexadecimal digits", format!("`{hash}`"), remedy));
        }
        Ok(())
    }
}

/// A dataset that is now on this machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// Its name as its makers write it: of a single-task name, the dataset that the task belongs to.
    pub name: String,
    /// Its files, the one to open first: the training set, or Minari's `main_data.hdf5`.
    pub paths: Vec<PathBuf>,
    /// How sure it is that they are the published ones: of the least sure file.
    pub verified: Verified,
}

/// What happens while a dataset is fetched.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The dataset is on this machine already.
    Found {
        /// The file to open first.
        path: &'a Path,
        /// How sure it is that it is the published one.
        verified: Verified,
    },
    /// A file under the dataset's name is something else.
    Damaged {
        /// That file.
        path: &'a Path,
        /// What is wrong with it.
        problem: &'a str,
    },
    /// Another process is downloading the file; it is waited for.
    Waiting {
        /// The file.
        path: &'a Path,
    },
    /// A request begins.
    Asking {
        /// The address.
        url: &'a str,
        /// Bytes that need not be sent again.
        from: u64,
    },
    /// Bytes arrived.
    Progress {
        /// Bytes of the file that are here.
        done: u64,
        /// Its length, where the host stated it.
        total: Option<u64>,
    },
    /// A request failed and is made again.
    Failed {
        /// The address.
        url: &'a str,
        /// What went wrong.
        problem: &'a str,
        /// The pause before the next attempt.
        pause: Duration,
    },
    /// A file is complete and has its name.
    Finished {
        /// The file.
        path: &'a Path,
        /// Its sha256.
        sha256: &'a str,
        /// Who vouches for it.
        verified: Verified,
    },
}

/// Why an attempt failed, by what comes next.
enum Failure {
    /// Again, from where it stopped.
    Cut(String),
    /// What arrived is wrong: it is dropped.
    Refused(String),
    /// This address will not serve: the next one.
    Mirror(String),
    /// This machine's fault: the end.
    Local(Error),
}

/// Finds a dataset on this machine, or downloads it.
///
/// # Errors
/// [`Error::Setting`] for an unknown name, with the nearest known ones, or a setting that is none; [`Error::Network`] where no
/// mirror served, or none may be asked; [`Error::Io`] where a file cannot be read or written.
pub fn fetch(name: &str, options: &Options, mut observer: impl FnMut(Event<'_>)) -> Result<Fetched> {
    options.check()?;
    let dataset = table::find(name)?;
    let places = places(&dataset, options);
    let target = &places[0];
    let fetched = |place: &Place, verified| Fetched { name: dataset.name.clone(), paths: place.paths(&dataset), verified };
    let Search { whole, damaged } = search(&dataset, &places, options)?;
    for (path, problem) in &damaged {
        observer(Event::Damaged { path, problem });
    }
    if let Some((place, verified)) = whole {
        observer(Event::Found { path: &place.paths(&dataset)[0], verified });
        if options.to.is_none() || place == target {
            return Ok(fetched(place, verified));
        }
        copy_from(place, target, &dataset)?;
        return Ok(fetched(target, verified));
    }
    if options.offline {
        return Err(not_here(name, &places));
    }
    let mut verified = Verified::Pinned;
    for (k, (item, path)) in dataset.files.iter().zip(target.paths(&dataset)).enumerate() {
        let (urls, pinned) = (dataset.urls(item, &options.mirrors), options.pinned(k, item));
        let job = download::Job { path: &path, urls: &urls, pinned, limits: &options.limits, hint: dataset.hint() };
        verified = verified.min(job.run(&mut observer)?);
    }
    Ok(fetched(target, verified))
}

/// Finds a dataset on this machine: the file to open first, if all of the dataset's files are there and right. `None` where they
/// are not, or where `name` is not the name of a dataset. Opens no connection.
///
/// # Errors
/// [`Error::Content`] where a file is damaged and no other folder has it whole; [`Error::Io`] where one cannot be read.
pub fn locate(name: &str, options: &Options) -> Result<Option<PathBuf>> {
    let Ok(dataset) = table::find(name) else { return Ok(None) };
    let places = places(&dataset, options);
    let Search { whole, damaged } = search(&dataset, &places, options)?;
    match (whole, damaged.first()) {
        (Some((place, _)), _) => Ok(Some(place.paths(&dataset).swap_remove(0))),
        (None, Some((path, problem))) => {
            let remedy = format!("`wgflow download {name}` fetches it again");
            Err(Error::content(path, "content", "the dataset as it was published", problem, remedy))
        }
        (None, None) => Ok(None),
    }
}

impl Options {
    /// The sha256 that a dataset's file number `k` must have.
    fn pinned<'a>(&'a self, k: usize, item: &'a table::Item) -> Option<&'a str> {
        self.sha256.as_deref().filter(|_| k == 0).or_else(|| item.sha256())
    }
}

fn not_here(name: &str, places: &[Place]) -> Error {
    let looked: Vec<String> = places.iter().map(|place| place.folder.display().to_string()).collect();
    Error::Network {
        what: name.to_owned(),
        problem: format!("not whole in {}, and --offline forbids to download it", looked.join(" nor in ")),
        remedy: "run without --offline, or put its files into one of these folders".into(),
    }
}
