//! The house as `ARCHITECTURE.md` draws it: each room uses only rooms below it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A room, and the rooms it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("files", &["error"]),
    ("engine", &["error"]),
    ("kernels", &["engine", "error"]),
    ("nets", &["kernels", "engine", "error"]),
    ("data", &["engine", "error"]),
    ("envs", &["error"]),
    ("fetch", &["files", "error"]),
    ("agents", &["nets", "kernels", "data", "engine", "error"]),
    ("train", &["agents", "envs", "data", "kernels", "engine", "files", "error"]),
    ("report", &["train", "agents", "data", "files", "error"]),
    ("export", &["train", "agents", "nets", "data", "kernels", "engine", "files", "error"]),
    ("bench", &["agents", "nets", "kernels", "data", "engine", "error"]),
    ("cli", &["train", "agents", "fetch", "engine", "files", "error"]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The rooms that a file's code (comments left out) names as `crate::room`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .flat_map(|rest| {
            let inside = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap_or_default().to_owned());
            let names = inside.unwrap_or(rest);
            let first = |part: &str| part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            names.split(", ").map(first).collect::<Vec<_>>()
        })
        .filter(|name| ALLOWED.iter().any(|(room, _)| room == name))
        .collect()
}

fn upward_arrows(room: &str, text: &str) -> Vec<String> {
    let (_, allowed) = ALLOWED.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("`{room}` is not drawn"));
    rooms_used(text).into_iter().filter(|used| used != room && !allowed.contains(&used.as_str())).collect()
}

#[test]
fn every_room_uses_only_rooms_below_it() {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    let mut checked = 0;
    for path in all.iter().filter(|p| p.extension().is_some_and(|e| e == "rs")) {
        let inside = path.strip_prefix("src").unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        if room == "lib" || room == "bin" {
            continue;
        }
        let upward = upward_arrows(room, &std::fs::read_to_string(path).unwrap());
        assert!(upward.is_empty(), "{} uses {upward:?}, which lie above `{room}`", path.display());
        checked += 1;
    }
    assert!(checked > 30, "{checked} files found");
}

#[test]
fn an_upward_arrow_is_seen() {
    assert_eq!(upward_arrows("kernels", "use crate::engine::Plan;\nuse crate::agents::Gfp;"), ["agents"]);
    assert_eq!(upward_arrows("engine", "fn f() { crate::train::run() }"), ["train"]);
    assert_eq!(upward_arrows("envs", "use crate::{error::Error, data::Dataset};"), ["data"]);
    assert!(upward_arrows("engine", "// as crate::train does").is_empty());
}
