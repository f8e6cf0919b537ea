//! The folders of this machine that may hold a dataset already.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::Options;
use super::check::{self, State, Verified};
use super::table::{Dataset, Family};
use crate::error::{Error, Result};
use crate::files::{beside, put};

/// Where datasets lie. The last three are only read.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Ours: a folder for each family inside it.
    pub cache: PathBuf,
    /// OGBench's.
    pub ogbench: PathBuf,
    /// D4RL's.
    pub d4rl: PathBuf,
    /// Minari's.
    pub minari: PathBuf,
}

impl Folders {
    /// Ours is `WGFLOW_CACHE`, else `wgflow` in the user's cache folder. `~/.ogbench/data` (ogbench `utils.py`; it reads no
    /// variable), `D4RL_DATASET_DIR` or `~/.d4rl/datasets` (d4rl `offline_env.py`), `MINARI_DATASETS_PATH` or
    /// `~/.minari/datasets` (minari `datasets_root_dir.py`).
    ///
    /// # Errors
    /// [`Error::Setting`] where the system names no home folder.
    pub fn from_env() -> Result<Self> {
        let base = etcetera::choose_base_strategy()
            .map_err(|_| Error::setting("HOME", "the user's home folder", "none", "set the environment variable HOME"))?;
        let given = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = |path: &str| base.home_dir().join(path);
        Ok(Self {
            cache: given("WGFLOW_CACHE").unwrap_or_else(|| base.cache_dir().join("wgflow")),
            ogbench: home(".ogbench").join("data"),
            d4rl: given("D4RL_DATASET_DIR").unwrap_or_else(|| home(".d4rl").join("datasets")),
            minari: given("MINARI_DATASETS_PATH").unwrap_or_else(|| home(".minari").join("datasets")),
        })
    }
}

/// A folder in which a dataset's files may lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
}

impl Place {
    /// The dataset's files as they would lie here.
    pub(super) fn paths(&self, dataset: &Dataset) -> Vec<PathBuf> {
        dataset.files.iter().map(|item| item.local.split('/').fold(self.folder.clone(), |path, part| path.join(part))).collect()
    }
}

/// The places of a dataset: the one to download to, then the others in the order in which they are looked at.
pub(super) fn places(dataset: &Dataset, options: &Options) -> Vec<Place> {
    let folders = &options.folders;
    let theirs = match dataset.family {
        Family::Ogbench => Some(&folders.ogbench),
        Family::D4rl => Some(&folders.d4rl),
        Family::Minari => Some(&folders.minari),
        Family::Url => None,
    };
    let ours = folders.cache.join(dataset.family.folder());
    let all = options.to.iter().cloned().chain([ours]).chain(theirs.cloned());
    all.map(|folder| Place { folder }).collect()
}

/// What there is of a dataset on this machine.
pub(super) struct Search<'a> {
    /// The first place that has all of it.
    pub(super) whole: Option<(&'a Place, Verified)>,
    /// Files that are not what their names say, and why.
    pub(super) damaged: Vec<(PathBuf, String)>,
}

/// Looks into `places`, in order.
pub(super) fn search<'a>(dataset: &Dataset, places: &'a [Place], options: &Options) -> Result<Search<'a>> {
    let mut damaged = Vec::new();
    for place in places {
        let paths = place.paths(dataset);
        // Reading gigabytes through to find the last file absent would be a waste.
        if !paths.iter().all(|path| path.is_file()) {
            continue;
        }
        let mut whole = Some(Verified::Pinned);
        for (k, (item, path)) in dataset.files.iter().zip(paths).enumerate() {
            match check::state(&path, options.pinned(k, item))? {
                State::Good(verified) => whole = whole.map(|least| least.min(verified)),
                State::Absent => whole = None,
                State::Bad(problem) => {
                    whole = None;
                    damaged.push((path, problem));
                }
            }
        }
        if let Some(verified) = whole {
            return Ok(Search { whole: Some((place, verified)), damaged });
        }
    }
    Ok(Search { whole: None, damaged })
}

/// Copies a whole dataset and its records from one place to another.
pub(super) fn copy_from(from: &Place, to: &Place, dataset: &Dataset) -> Result<()> {
    for (source, target) in from.paths(dataset).iter().zip(to.paths(dataset)) {
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let (record, copy) = (beside(source, ".sha256"), beside(&target, ".sha256"));
        if record.is_file() {
            copy_whole(&record, &copy)?;
        } else if copy.is_file() {
            // Of a file that this one replaces.
            fs::remove_file(&copy).map_err(Error::io(&copy, "remove"))?;
        }
        copy_whole(source, &target)?;
    }
    Ok(())
}

fn copy_whole(source: &Path, target: &Path) -> Result<()> {
    let new = beside(target, &format!(".{}.tmp", std::process::id()));
    let copied = fs::copy(source, &new).and_then(|_| File::open(&new)?.sync_all()).map_err(Error::io(&new, "write"));
    let copied = copied.and_then(|()| put(&new, target));
    if copied.is_err() {
        // The first error is the one to report; the leftover goes as far as that is possible.
        let _ = fs::remove_file(&new);
    }
    copied
}
