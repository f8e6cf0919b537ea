//! The tables of published settings and scores: whole, consistent, and as `wgflow presets` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use wgflow::train::presets;
use wgflow::train::published::{self, Name};

fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    keys.fold(BTreeMap::new(), |mut counts, key| {
        *counts.entry(key).or_default() += 1;
        counts
    })
}

#[test]
fn the_official_tables_are_there_in_full() {
    let (official, recalled): (Vec<_>, Vec<_>) = presets::all().iter().partition(|preset| preset.verified);
    assert_eq!(official.len(), 160);
    let series = [("fql", 34), ("gfp", 64), ("gfp-advantage", 13), ("iql", 10), ("rebrac", 39)];
    assert_eq!(count(official.iter().map(|p| p.series.as_str())), series.into());
    let tasks: usize = official.iter().filter(|p| p.series == "gfp").map(|p| p.tasks.len().max(1)).sum();
    assert_eq!(tasks, 144);
    assert!(recalled.iter().all(|p| p.series.ends_with("-paper") && p.status() == "unverified (recalled)"));
    assert!(official.iter().all(|p| p.status() == "verified" && p.source.contains("49f6b17")));

    assert_eq!(published::all().filter(|score| score.verified).count(), 746);
    assert!(published::all().all(|score| score.verified != (score.policy == "fql-paper")));
    let distinct: BTreeSet<_> = published::all().map(|score| (&score.policy, &score.task)).collect();
    assert_eq!(distinct.len(), published::all().count());
}

#[test]
fn every_name_is_its_preset_s_own() {
    let names: BTreeSet<&str> = presets::all().iter().map(|preset| preset.name.as_str()).collect();
    assert_eq!(names.len(), presets::all().len());
    for preset in presets::all() {
        assert!(std::ptr::eq(presets::find(&preset.name).unwrap(), preset), "{}", preset.name);
        let full = format!("{}/{}", preset.series, preset.dataset);
        assert!(std::ptr::eq(presets::find(&full).unwrap(), preset), "{full}");
        for &task in &preset.tasks {
            let (found, found_task) = presets::resolve(&format!("{}/{task}", preset.name)).unwrap();
            assert!(std::ptr::eq(found, preset) && found_task == Some(task), "{} {task}", preset.name);
        }
        assert_eq!(preset.default_task().is_some(), preset.benchmark == "OGBench", "{}", preset.name);
    }
}

#[test]
fn every_preset_is_a_valid_configuration_of_its_agent() {
    let mut checked = 0;
    for preset in presets::all() {
        let config = preset.config().unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        assert_eq!(config.name(), preset.agent, "{}", preset.name);
        checked += 1;
    }
    assert_eq!(checked, 245);
}

#[test]
fn what_the_release_fixes_for_a_whole_table_is_in_every_preset() {
    let fixed = [
        ("gfp", "guidance_fn", "softmax"),
        ("gfp-advantage", "guidance_fn", "advantage"),
        ("gfp", "target_use_next", "false"),
        ("iql", "hidden", "256,256,256,256"),
    ];
    for (series, name, value) in fixed {
        for preset in presets::all().iter().filter(|preset| preset.series == series) {
            assert!(preset.settings.contains(&(name.to_owned(), value.to_owned())), "{}: {name}", preset.name);
        }
    }
}

/// The largest error of a seed that is printed with six significant digits.
fn rounding(seed: f64) -> f64 {
    if seed == 0.0 { 0.0 } else { 0.5 * 10_f64.powf(seed.abs().log10().floor() - 5.0) }
}

#[test]
fn means_and_deviations_are_those_of_the_seeds() {
    for score in published::all().filter(|score| score.verified) {
        let what = format!("{} {}", score.policy, score.task);
        assert_eq!(score.seeds.len(), score.n_seeds, "{what}");
        assert_eq!(score.n_seeds, if score.task.starts_with("visual") { 4 } else { 8 }, "{what}");
        let count = score.seeds.len() as f64;
        let mean = score.seeds.iter().sum::<f64>() / count;
        let std = (score.seeds.iter().map(|seed| (seed - mean).powi(2)).sum::<f64>() / count).sqrt();
        // Errors of the seeds shift mean and deviation by their largest at most; both are printed with four decimals.
        let slack = score.seeds.iter().map(|&seed| rounding(seed)).fold(0.0, f64::max) + 0.5e-4 + 1e-9;
        assert!((mean - score.mean).abs() <= slack, "{what}: mean {mean}, published {}", score.mean);
        assert!((std - score.std).abs() <= slack, "{what}: deviation {std}, published {}", score.std);
    }
}

#[test]
fn official_presets_have_every_score() {
    for preset in presets::all().iter().filter(|preset| preset.verified) {
        let tasks: Vec<Option<u32>> =
            if preset.tasks.is_empty() { vec![None] } else { preset.tasks.iter().copied().map(Some).collect() };
        let with_flow = ["gfp", "gfp-advantage", "fql"].contains(&preset.series.as_str()) && !preset.has_pixels();
        for task in tasks {
            assert!(preset.score("actor", task).is_some(), "{} {task:?}", preset.name);
            assert_eq!(preset.score("flow", task).is_some(), with_flow, "{} {task:?}", preset.name);
        }
        let (expected, tasks) = (preset.expected("actor").unwrap(), preset.tasks.len().max(1));
        assert!(expected.tasks == tasks && expected.std.is_some() && expected.verified, "{}", preset.name);
    }
    // And every score has its preset.
    for score in published::all() {
        let name = Name::parse(&score.task);
        let series = score.policy.trim_end_matches("-flow");
        let owner = presets::all().iter().find(|p| p.series == series && Name::parse(&p.dataset).family == name.family);
        let owner = owner.unwrap_or_else(|| panic!("{} {}", score.policy, score.task));
        assert!(owner.benchmark == score.benchmark && name.task.is_none_or(|task| owner.tasks.contains(&task)));
    }
}

#[test]
fn a_family_s_deviation_is_that_of_its_seeds_means() {
    let tasks: Vec<_> = (1..=5).map(|t| published::scores("gfp", &format!("antmaze-giant-navigate/{t}")).unwrap()).collect();
    let means: Vec<f64> = (0..8).map(|seed| tasks.iter().map(|score| score.seeds[seed]).sum::<f64>() / 5.0).collect();
    let mean = means.iter().sum::<f64>() / 8.0;
    let std = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 8.0).sqrt();
    let family = published::family("gfp", "antmaze_giant_navigate").unwrap();
    assert!((family.mean - mean).abs() < 1e-3 && (family.std.unwrap() - std).abs() < 1e-9, "{family:?} {mean} {std}");
    assert_eq!(published::family("fql-paper", "cube-single-play").unwrap().std, None);
    assert!(published::scores("gfp", "cube-single-play").is_none(), "five tasks, none named");
    assert!(published::scores("gfp", "pointmaze-medium-navigate/1").is_none());
}

/// The inputs that a table's head names, with their content's hash.
fn inputs(table: &str) -> BTreeMap<String, String> {
    let lines = table.lines().filter_map(|line| line.strip_prefix("# ")?.rsplit_once(" sha256 "));
    lines.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect()
}

#[test]
fn the_tables_are_younger_than_what_they_were_written_from() {
    let read = |name: &str| std::fs::read_to_string(format!("data/published/{name}")).unwrap().replace("\r\n", "\n");
    let head = inputs(&read("presets.csv"));
    assert_eq!(inputs(&read("scores.csv")), head);
    let official: Vec<&str> = head.keys().filter_map(|name| name.strip_prefix("official ")).collect();
    assert_eq!(official, ["hyperparameters.csv", "scores.csv"]);
    let own: Vec<&String> = head.keys().filter(|name| !name.starts_with("official")).collect();
    assert_eq!(own, ["fixed.csv", "recalled_presets.csv", "recalled_scores.csv"]);
    for name in own {
        let hash: String = Sha256::digest(read(name)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, head[name], "data/published/{name} was changed: run `cargo xtask published FOLDER`");
    }
}

fn wgflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).arg("presets").args(arguments).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let output = wgflow(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 120 && !line.chars().any(char::is_control), "{arguments:?}: {line}");
    }
    text
}

#[test]
fn the_list_shows_every_preset_and_what_is_unverified() {
    let list = text(&[]);
    for preset in presets::all() {
        let mut lines = list.lines().filter(|line| line.split_whitespace().next() == Some(&preset.name));
        let line = lines.next().unwrap_or_else(|| panic!("{} is not listed", preset.name));
        assert!(lines.next().is_none() && line.ends_with(&format!("  {}", preset.status())), "{line}");
    }
    let antmaze = text(&["ANTMAZE-GIANT"]);
    let expected = presets::all().iter().filter(|preset| preset.name.contains("antmaze-giant")).count();
    assert_eq!(antmaze.lines().filter(|line| line.ends_with(')') || line.ends_with("  verified")).count(), expected, "{antmaze}");
    assert!(!antmaze.contains("cube"), "{antmaze}");
    let minari = text(&["minari"]);
    assert_eq!(minari.lines().filter(|line| line.ends_with("  verified")).count(), 3 * 21, "{minari}");
}

#[test]
fn one_preset_is_shown_whole() {
    for preset in presets::all() {
        let shown = text(&[&preset.name]);
        assert!(shown.starts_with(&preset.name) && shown.contains(preset.status()), "{shown}");
        for (name, value) in &preset.settings {
            assert!(shown.lines().any(|line| line.split_whitespace().eq([name.as_str(), value])), "{name}: {shown}");
        }
    }
    let cube = text(&["gfp/cube-single-play"]);
    assert!(cube.contains("\n  wgflow train --preset gfp/cube-single-play --task 2 --data cube-single-play-v0.npz\n"), "{cube}");
    assert!((1..=5).all(|task| cube.contains(&format!("\n  task {task}  "))), "{cube}");
    let task = text(&["gfp/cube-single-play/3"]);
    assert!(task.contains("--task 3 ") && !task.contains("task 2"), "{task}");
}

#[test]
fn json_says_the_same() {
    let parsed: serde_json::Value = serde_json::from_slice(&wgflow(&["--json"]).stdout).unwrap();
    let entries = parsed.as_array().unwrap();
    assert_eq!(entries.len(), presets::all().len());
    for (entry, preset) in entries.iter().zip(presets::all()) {
        assert_eq!(entry["name"], preset.name.as_str());
        assert_eq!(entry["verified"], preset.verified);
        assert!(preset.settings.iter().all(|(name, value)| entry["settings"][name] == value.as_str()), "{entry}");
        // The parser is off by a last digit now and then.
        let means = (entry["expected"]["actor"]["mean"].as_f64(), preset.expected("actor").map(|score| score.mean));
        assert!(means == (None, None) || (means.0.unwrap() - means.1.unwrap()).abs() < 1e-9, "{means:?} {entry}");
    }
}

#[test]
fn an_unknown_preset_is_wrong_usage_and_names_its_neighbours() {
    let output = wgflow(&["gfp/cube-singel-play"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("nearest: gfp/cube-single-play,") && error.lines().count() == 1, "{error}");
}
