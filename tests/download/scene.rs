//! Files to download, folders to download to, and a watch over what appears there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use wgflow::Result;
use wgflow::fetch::{self, Event, Fetched, Folders, Limits, Options};

pub const LENGTH: usize = 100_000;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..length).map(|_| random.random()).collect()
}

/// Looks like an npz file from outside: its first and last record.
pub fn npz(seed: u64) -> Vec<u8> {
    [b"PK\x03\x04", &noise(seed, LENGTH)[..], b"PK\x05\x06", &[0; 18]].concat()
}

/// Looks like an HDF5 file from outside: a superblock of version 0 that states the length.
pub fn hdf5(seed: u64) -> Vec<u8> {
    let mut bytes = noise(seed, LENGTH);
    bytes[..16].copy_from_slice(b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0");
    bytes[40..48].copy_from_slice(&(LENGTH as u64).to_le_bytes());
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Folders of one test, empty at first and removed at the end, and the only contents that may appear there under final names.
pub struct Scene {
    pub root: PathBuf,
    pub options: Options,
    good: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Scene {
    pub fn new(name: &str, mirrors: &[String]) -> Self {
        let root = std::env::temp_dir().join(format!("wgflow-download-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let folder = |name: &str| root.join(name);
        let folders =
            Folders { cache: folder("ours"), ogbench: folder("ogbench"), d4rl: folder("d4rl"), minari: folder("minari") };
        let second = Duration::from_secs(1);
        let limits = Limits { connect: 5 * second, stall: second / 4, tries: 3, progress: 1, pause: second / 1000, redirects: 5 };
        let options = Options { folders, to: None, mirrors: mirrors.to_vec(), sha256: None, offline: false, limits };
        Self { root, options, good: BTreeMap::new() }
    }

    /// Allows this content under this name.
    pub fn allow(&mut self, name: &str, bytes: &[u8]) {
        self.good.entry(name.to_owned()).or_default().push(bytes.to_vec());
    }

    /// Writes a file below the root, as another program would.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Fetches, and checks at every event and at the end that nothing bad stands under a final name.
    pub fn fetch(&self, name: &str) -> (Result<Fetched>, Vec<String>) {
        let mut events = Vec::new();
        let fetched = fetch::fetch(name, &self.options, |event| {
            self.nothing_bad();
            match event {
                Event::Progress { .. } => {}
                event => events.push(format!("{event:?}")),
            }
        });
        self.nothing_bad();
        (fetched, events)
    }

    pub fn nothing_bad(&self) {
        let mut files = Vec::new();
        walk(&self.root, &mut files);
        for file in files {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if [".part", ".part.json", ".lock", ".sha256", ".tmp"].iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let bytes = fs::read(&file).unwrap();
            let allowed = self.good.get(&name).is_some_and(|good| good.contains(&bytes));
            assert!(allowed, "{} stands under its final name with {} wrong bytes", file.display(), bytes.len());
        }
    }

    /// The bytes of the parts that are kept.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        walk(&self.root, &mut files);
        files.iter().filter(|f| f.extension().is_some_and(|e| e == "part")).map(|f| fs::read(f).unwrap()).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
