//! The datasets that are known by name, and the mirrors that hold them: `data/mirrors.toml`, built in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, nearest};
use crate::files::hex;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // Part of the program text, and read by every test of this room: a failure is our bug.
    toml::from_str(include_str!("../../data/mirrors.toml")).unwrap_or_else(|error| panic!("data/mirrors.toml: {error}"))
});

#[derive(Deserialize)]
struct Table {
    ogbench: Source,
    d4rl: Source,
    minari: Source,
    sha256: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Source {
    mirrors: Vec<String>,
    /// What to try when no mirror served.
    hint: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// Where a dataset comes from, which decides its files, its mirrors and the folders it may already be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Ogbench,
    D4rl,
    Minari,
    Url,
}

impl Family {
    /// The name of its folder in our cache.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Ogbench => "ogbench",
            Self::D4rl => "d4rl",
            Self::Minari => "minari",
            Self::Url => "url",
        }
    }

    fn source(self) -> Option<&'static Source> {
        match self {
            Self::Ogbench => Some(&TABLE.ogbench),
            Self::D4rl => Some(&TABLE.d4rl),
            Self::Minari => Some(&TABLE.minari),
            Self::Url => None,
        }
    }
}

/// A name that was understood.
#[derive(Debug)]
pub(super) struct Dataset {
    /// As its makers write it: of a single-task name, the dataset that the task belongs to.
    pub(super) name: String,
    pub(super) family: Family,
    /// The file to open first; a dataset is complete only with all of them.
    pub(super) files: Vec<Item>,
}

/// One file of a dataset.
#[derive(Debug)]
pub(super) struct Item {
    /// Its path below a mirror; a whole address for a dataset that is named by one.
    remote: String,
    /// Its path below a folder of this machine: names of ASCII letters, digits, `-`, `_` and inner dots, between slashes.
    pub(super) local: String,
}

/// The known names, sorted by family. Minari ids beyond these are tried too.
pub fn names() -> impl Iterator<Item = &'static str> {
    let d4rl = TABLE.d4rl.files.keys();
    TABLE.ogbench.names.iter().chain(d4rl).chain(&TABLE.minari.names).map(String::as_str)
}

/// Understands a dataset's name.
///
/// # Errors
/// [`Error::Setting`] with the nearest known names.
pub(super) fn find(name: &str) -> Result<Dataset> {
    if name.contains("://") {
        return by_url(name);
    }
    let base = without_task(name);
    if TABLE.ogbench.names.contains(&base) {
        let files = ["", "-val"].map(|part| Item::same(format!("{base}{part}.npz"))).into();
        return Ok(Dataset { name: base, family: Family::Ogbench, files });
    }
    if let Some(path) = TABLE.d4rl.files.get(name) {
        // D4RL keeps its files in one folder under the address's last name.
        let local = path.rsplit('/').next().unwrap_or(path).to_owned();
        return Ok(Dataset { name: name.to_owned(), family: Family::D4rl, files: vec![Item { remote: path.clone(), local }] });
    }
    if is_minari_id(name) {
        let files = ["main_data.hdf5", "metadata.json"].map(|file| Item::same(format!("{name}/data/{file}"))).into();
        return Ok(Dataset { name: name.to_owned(), family: Family::Minari, files });
    }
    let near: Vec<String> = nearest(&base, names(), 3).iter().map(|name| format!("`{name}`")).collect();
    let remedy = format!("the nearest are {}; `wgflow download --list` prints all", near.join(", "));
    Err(Error::setting("dataset", "a known name, a Minari id (NAMESPACE/NAME-vN) or an address", format!("`{name}`"), remedy))
}

impl Item {
    fn same(path: String) -> Self {
        Self { local: path.clone(), remote: path }
    }

    /// The sha256 that the table promises.
    pub(super) fn sha256(&self) -> Option<&'static str> {
        TABLE.sha256.get(&self.local).map(String::as_str)
    }

    fn at(&self, mirror: &str) -> String {
        if mirror.contains("{rest}") {
            let (first, rest) = self.remote.split_once('/').unwrap_or(("", &self.remote));
            return mirror.replace("{first}", first).replace("{rest}", rest);
        }
        format!("{}/{}", mirror.trim_end_matches('/'), self.remote)
    }
}

impl Dataset {
    /// The addresses of a file, in the order in which they are tried. `mirrors` take the place of the table's.
    pub(super) fn urls(&self, item: &Item, mirrors: &[String]) -> Vec<String> {
        match self.family.source() {
            None => vec![item.remote.clone()],
            Some(source) => {
                let mirrors = if mirrors.is_empty() { &source.mirrors } else { mirrors };
                mirrors.iter().map(|mirror| item.at(mirror)).collect()
            }
        }
    }

    /// What the user can try when no mirror served.
    pub(super) fn hint(&self) -> &'static str {
        self.family.source().map_or("check the address", |source| &source.hint)
    }
}

fn by_url(url: &str) -> Result<Dataset> {
    let refuse = |expected: &str, remedy: &str| Err(Error::setting("dataset", expected, format!("`{url}`"), remedy));
    if !is_web(url) {
        return refuse("an address that begins with https:// or http://", "give a file that is on this machine as its path");
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let file = path.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if !is_plain(file) {
        return refuse(
            "an address that ends in a file name of letters, digits, `-`, `_` and dots",
            "download it by other means and give its path",
        );
    }
    // Two addresses may end in the same name.
    let folder: String = hex(&Sha256::digest(url)).chars().take(16).collect();
    let item = Item { remote: url.to_owned(), local: format!("{folder}/{file}") };
    Ok(Dataset { name: file.to_owned(), family: Family::Url, files: vec![item] })
}

pub(super) fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// A name that is a name on every system, and never a way out of a folder.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.ends_with('.') && name.chars().all(plain)
}

/// `cube-single-play-singletask-task2-v0` is a task of `cube-single-play-v0` (ogbench `make_env_and_datasets`).
fn without_task(name: &str) -> String {
    let parts: Vec<&str> = name.split('-').collect();
    let is_task = |part: &str| part.strip_prefix("task").is_some_and(|k| matches!(k, "1" | "2" | "3" | "4" | "5"));
    match parts.iter().position(|part| *part == "singletask") {
        Some(at) if parts.len() == at + 2 || (parts.len() == at + 3 && is_task(parts[at + 1])) => {
            [&parts[..at], &parts[parts.len() - 1..]].concat().join("-")
        }
        _ => name.to_owned(),
    }
}

/// minari 0.5.4 `DATASET_ID_RE`, in ASCII and with a namespace.
fn is_minari_id(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let versioned = name.rsplit_once("-v").is_some_and(|(_, n)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    versioned && name.contains('/') && name.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_url(name: &str) -> String {
        let dataset = find(name).unwrap();
        dataset.urls(&dataset.files[0], &[]).remove(0)
    }

    #[test]
    fn names_become_the_files_that_their_makers_use() {
        let base = "https://rail.eecs.berkeley.edu/datasets";
        for name in ["cube-single-play-v0", "cube-single-play-singletask-v0", "cube-single-play-singletask-task2-v0"] {
            assert_eq!(first_url(name), format!("{base}/ogbench/cube-single-play-v0.npz"));
            let dataset = find(name).unwrap();
            assert_eq!(dataset.name, "cube-single-play-v0");
            assert_eq!(dataset.files[1].local, "cube-single-play-v0-val.npz");
        }
        assert_eq!(first_url("hopper-medium-v2"), format!("{base}/offline_rl/gym_mujoco_v2/hopper_medium-v2.hdf5"));
        assert_eq!(find("hopper-medium-v2").unwrap().files[0].local, "hopper_medium-v2.hdf5");
        let hub = "https://huggingface.co/datasets/farama-minari/D4RL/resolve/main/pen/human-v2/data/main_data.hdf5";
        assert_eq!(first_url("D4RL/pen/human-v2"), hub);
        assert_eq!(find("D4RL/pen/human-v2").unwrap().files[1].local, "D4RL/pen/human-v2/data/metadata.json");
        assert_eq!(names().count(), 85 + 155 + TABLE.minari.names.len());
    }

    #[test]
    fn every_entry_of_the_table_is_safe_and_whole() {
        for name in names() {
            let dataset = find(name).unwrap();
            assert_eq!(dataset.name, name);
            for item in &dataset.files {
                assert!(item.local.split('/').all(is_plain), "{}", item.local);
                for url in dataset.urls(item, &[]) {
                    assert!(url.starts_with("https://") && !url.contains(['{', '}', ' ']), "{url}");
                }
            }
        }
        let known: Vec<String> = names().flat_map(|name| find(name).unwrap().files).map(|item| item.local).collect();
        for (file, hash) in &TABLE.sha256 {
            assert!(known.contains(file) && hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{file}");
        }
    }

    #[test]
    fn given_mirrors_take_the_place_of_the_tables() {
        let dataset = find("D4RL/pen/human-v2").unwrap();
        let urls = dataset.urls(&dataset.files[1], &["http://a/b/".into(), "https://hub/{first}/main/{rest}".into()]);
        assert_eq!(
            urls,
            ["http://a/b/D4RL/pen/human-v2/data/metadata.json", "https://hub/D4RL/main/pen/human-v2/data/metadata.json"]
        );
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for name in [
            "../cube-single-play-v0",
            "D4RL/../../pen-v1",
            "D4RL//pen-v1",
            "/etc/passwd-v1",
            "D4RL\\pen/x-v1",
            "D4RL/pen/human-v",
            "https://host",
            "https://host/",
            "https://host/a/..",
            "https://host/.npz",
            "https://host/a%2f..%2fb.npz",
            "https://host/a\\b.npz",
            "file:///etc/passwd",
            "",
        ] {
            assert!(find(name).is_err(), "{name}");
        }
        let url = find("https://host/a.npz?x=/../b").unwrap();
        assert!(url.files[0].local.ends_with("/a.npz"), "{url:?}");
    }

    #[test]
    fn a_wrong_name_gives_the_nearest() {
        let nearest_of = |name: &str| find(name).unwrap_err().to_string();
        assert!(nearest_of("cube-singel-play-v0").contains("the nearest are `cube-single-play-v0`"));
        assert!(nearest_of("hopper-medum-v2").contains("`hopper-medium-v2`"));
        assert!(nearest_of("cube-single-play-singletask-task6-v0").contains("`cube-single-play-v0`"));
        assert!(nearest_of("D4RL/pen/humann").contains("`D4RL/pen/human-v2`"));
    }
}
