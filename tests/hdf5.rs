//! HDF5 data from outside: samples against numbers that numpy restatements of the benchmarks' loaders gave, damaged files,
//! and `wgflow inspect`.
//!
//! `WGFLOW_SAMPLES` may name folders with more samples (separated as in `PATH`): in or above each lies an `expected.json`
//! with the numbers by file name, as `tests/fixtures/samples/make.py` writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use wgflow::Error;
#[cfg(feature = "libhdf5")]
use wgflow::data::Hdf5Backend;
use wgflow::data::inspect::inspect;
use wgflow::data::{LoadOptions, load, load_validation};

#[path = "hdf5/files.rs"]
mod files;
#[path = "hdf5/refusals.rs"]
mod refusals;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/samples");
const BUNDLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz");

fn sample(name: &str) -> PathBuf {
    Path::new(SAMPLES).join(name)
}

/// The file and its numbers for every entry of a folder's `expected.json`. Behind `#` stands which of several readings of
/// one file is meant.
fn expected(folder: &Path) -> Vec<(PathBuf, Value)> {
    let list = [folder, folder.parent().unwrap()].map(|place| place.join("expected.json")).into_iter().find(|list| list.exists());
    let text = std::fs::read_to_string(list.unwrap_or_else(|| panic!("{} has no expected.json", folder.display()))).unwrap();
    let entries: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let place = |name: &str| {
        let name = name.split('#').next().unwrap();
        let places = [folder.join(name), folder.join("minari").join(name)];
        places.into_iter().find(|place| place.exists()).unwrap_or_else(|| panic!("{name} is not in {}", folder.display()))
    };
    entries.into_iter().map(|(name, numbers)| (place(&name), numbers)).collect()
}

fn options(numbers: &Value) -> LoadOptions {
    let given = &numbers["options"];
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    let list = |keys: &Vec<Value>| keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    LoadOptions {
        env: text("env"),
        mask: text("mask"),
        obs_keys: given["obs_keys"].as_array().map(list),
        ..LoadOptions::default()
    }
}

/// Where a report differs from expected numbers: integers must be equal, sums within 1e-5 of themselves.
fn differences(place: &Path, report: &Value, numbers: &Value) -> Vec<String> {
    let close = |found: &Value, expected: &Value| {
        let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
        (found - expected).abs() <= 1e-5 * expected.abs()
    };
    let equal = |found: &Value, expected: &Value| match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| close(found, expected))
        }
        (_, Value::Number(number)) if number.is_u64() => found == expected,
        _ => close(found, expected),
    };
    let numbers = numbers.as_object().unwrap().iter().filter(|(key, _)| *key != "options");
    let differ = numbers.filter(|(key, expected)| !equal(&report[key.as_str()], expected));
    differ.map(|(key, expected)| format!("{}: {key} is {}, expected {expected}", place.display(), report[key])).collect()
}

fn check_folder(folder: &Path) {
    let entries = expected(folder);
    assert!(entries.len() >= 6, "{}: {} entries", folder.display(), entries.len());
    let mut found = Vec::new();
    for (place, numbers) in entries {
        let report = inspect(&place, &options(&numbers)).unwrap();
        found.extend(differences(&place, &serde_json::to_value(&report).unwrap(), &numbers));
        let dataset = load(&place, &options(&numbers)).unwrap();
        assert_eq!(Some(&dataset.hash), report.hash.as_ref(), "{}", place.display());
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn samples_hold_what_the_benchmarks_own_loaders_find() {
    check_folder(Path::new(SAMPLES));
}

#[test]
fn more_samples_hold_it_too_where_they_are_at_hand() {
    let folders = std::env::var_os("WGFLOW_SAMPLES").unwrap_or_default();
    std::env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()).for_each(|folder| check_folder(&folder));
}

fn wgflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).arg("inspect").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_prints_one_json_object_a_line() {
    let entries: Vec<_> = expected(Path::new(SAMPLES)).into_iter().filter(|(_, numbers)| numbers["options"].is_null()).collect();
    let mut arguments = vec!["--json"];
    arguments.extend(entries.iter().map(|(place, _)| place.to_str().unwrap()));
    let output = wgflow(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let reports: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), entries.len());
    for ((place, numbers), report) in entries.iter().zip(&reports) {
        assert_eq!(differences(place, report, numbers), Vec::<String>::new());
    }
    let masked = wgflow(&["--json", "--mask", "train", "--obs-keys", "object", sample("robomimic_masks.hdf5").to_str().unwrap()]);
    let report: Value = serde_json::from_str(&text(&masked.stdout)).unwrap();
    assert_eq!((&report["n"], &report["ob_dim"]), (&Value::from(9), &Value::from(5)));
}

#[test]
fn the_command_describes_a_file_and_counts_every_task_s_successes() {
    let output = wgflow(&[BUNDLED, "--task", "3"]);
    let table = text(&output.stdout);
    for line in [
        "format        OGBench npz",
        "environment   pointmaze-medium, task 3",
        "transitions   200000",
        "trajectories  200 of 1000 to 1000, mean 1000 transitions",
        "rewards       -1 to 0, mean -0.99247, sum -198494",
        "masks of 0    1506",
        "successes     task 1: 639, task 2: 585, task 3: 1506, task 4: 1358, task 5: 2079",
        "warnings      none",
    ] {
        assert!(table.contains(line), "{table}\nlacks: {line}");
    }
    assert!(output.status.success());
}

#[test]
fn a_command_on_data_that_training_refuses_reports_and_then_fails() {
    let place = files::write("nan.hdf5", &files::with("actions", files::f4(&[5, 1], &[0.5, f32::NAN, 0.5, f32::INFINITY, 0.5])));
    let output = wgflow(&[place.to_str().unwrap()]);
    let (table, error) = (text(&output.stdout), text(&output.stderr));
    assert!(
        table.contains("transitions   3\n") && table.contains("not finite    1\n") && table.contains("hash          none"),
        "{table}"
    );
    assert!(table.contains("actions: 1 values are NaN or infinite, the first in transition 1, column 0"), "{table}");
    assert!(error.contains("nan.hdf5: `actions`: expected finite numbers, found NaN in row 1, column 0"), "{error}");
    assert_eq!(output.status.code(), Some(65));
}

#[test]
fn what_hurts_training_is_warned_of() {
    let observations = files::f4(&[5, 2], &[0.0, 7.0, 1.0, 7.0, 2.0, 7.0, 3.0, 7.0, 4.0, 7.0]);
    let mut entries = files::good();
    entries[0] = ("observations", observations);
    entries[1] = ("actions", files::f4(&[5, 1], &[1.0, -1.5, 2.0, 0.0, 0.0]));
    entries[2] = ("rewards", files::f4(&[5], &[0.0; 5]));
    entries[3] = ("terminals", files::flags(&[0; 5]));
    let report = inspect(files::write("doubtful.hdf5", &files::file(&entries)), &LoadOptions::default()).unwrap();
    assert_eq!((report.actions_outside, report.constant_observations), (2, vec![1]));
    assert_eq!((report.actions.min, report.actions_sum, report.masks_zero), (-1.5, 1.5, 0));
    for (warning, expected) in report.warnings.iter().zip([
        "masks: no transition succeeds",
        "rewards: every reward is 0",
        "actions: 2 of 3 values lie outside [-1, 1]",
        "observations: 1 columns never change (1)",
    ]) {
        assert!(warning.starts_with(expected), "{:#?}", report.warnings);
    }
    assert_eq!(report.warnings.len(), 4);
    // Episodes that never end are no failure where rewards tell good from bad.
    let dense = inspect(sample("minari_flat.hdf5"), &LoadOptions::default()).unwrap();
    assert!(dense.masks_zero == 0 && !dense.warnings.iter().any(|warning| warning.starts_with("masks")), "{:?}", dense.warnings);
}

#[test]
fn a_mask_brings_its_validation_set_along() {
    let options = |mask: &str| LoadOptions { mask: Some(mask.into()), ..LoadOptions::default() };
    let place = sample("robomimic_masks.hdf5");
    let validation = load_validation(&place, &options("train")).unwrap().unwrap();
    assert_eq!((validation.len(), validation.trajectories(), validation.env.as_deref()), (3, 2, Some("Lift")));
    assert_eq!(validation.hash, load(&place, &options("valid")).unwrap().hash);
    assert!(load_validation(&place, &options("20_percent_train")).unwrap().is_none());
    assert!(load_validation(&place, &LoadOptions::default()).unwrap().is_none());
}

#[test]
fn a_minari_data_set_is_found_by_its_file_and_by_either_folder() {
    let folder = sample("minari/episodes-v0");
    let places = [folder.clone(), folder.join("data"), folder.join("data/main_data.hdf5")];
    let datasets = places.map(|place| load(place, &LoadOptions::default()).unwrap());
    assert!(datasets.iter().all(|dataset| dataset.hash == datasets[0].hash));
    assert_eq!((datasets[0].name.as_str(), datasets[0].env.as_deref()), ("local/tree-v0", Some("Tree-v0")));
    assert_eq!(datasets[0].score_range, None, "the upper one is infinite");
}

/// Every change of one to three places of a sample either gives data or one error that names the file, soon and without
/// a panic.
fn damage(name: &str, rounds: usize) {
    let good = std::fs::read(sample(name)).unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let place = files::write(&format!("damaged-{}", name.replace('/', "-")), &good);
    let mut refused = 0;
    for round in 0..rounds {
        let mut bytes = good.clone();
        let at = |random: &mut StdRng| random.random_range(0..good.len());
        match round % 4 {
            0 => bytes.truncate(at(&mut random)),
            // Structures, not data, fill the beginning.
            1 => (0..8).for_each(|_| bytes[random.random_range(0..good.len().min(4096))] ^= 1 << random.random_range(0..8)),
            2 => (0..8).for_each(|_| bytes[random.random_range(0..good.len())] ^= 1 << random.random_range(0..8)),
            _ => {
                let start = at(&mut random);
                let end = (start + random.random_range(1..9)).min(good.len());
                bytes[start..end].fill([0x00, 0xFF, 0x7F][random.random_range(0..3)]);
            }
        }
        std::fs::write(&place, &bytes).unwrap();
        let start = Instant::now();
        let options = LoadOptions { env: Some("hopper".into()), ..LoadOptions::default() };
        // The report looks at data that loading refuses, so it has its own ways to fail.
        let result = if round % 8 < 4 { load(&place, &options).map(|_| ()) } else { inspect(&place, &options).map(|_| ()) };
        if let Err(error) = result {
            refused += 1;
            let text = error.to_string();
            assert!(matches!(error, Error::Content { .. } | Error::Io { .. }), "{name} round {round}: {text}");
            assert!(text.starts_with(&place.display().to_string()) && !text.contains("panic"), "{name} round {round}: {text}");
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{name} round {round} took {:?}", start.elapsed());
    }
    assert!(refused > rounds / 5, "only {refused} of {rounds} damaged copies of {name} were refused");
}

#[test]
fn damaged_d4rl_files_give_data_or_one_error() {
    damage("d4rl_gzip.hdf5", 150);
    damage("d4rl_shuffle.hdf5", 150);
    damage("unordered.hdf5", 100);
}

#[test]
fn damaged_minari_files_give_data_or_one_error() {
    damage("minari/episodes-v0/data/main_data.hdf5", 200);
    damage("minari_flat.hdf5", 150);
}

#[test]
fn damaged_robomimic_files_give_data_or_one_error() {
    damage("robomimic_masks.hdf5", 200);
    damage("robomimic_two_robots.hdf5", 150);
}

/// Both readers give equal bits on every sample, and the C library also reads what the default refuses.
#[cfg(feature = "libhdf5")]
#[test]
fn the_c_library_agrees_with_the_default_reader() {
    let more = std::env::var_os("WGFLOW_SAMPLES").unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|folder| !folder.as_os_str().is_empty());
    let mut compared = 0;
    for (place, numbers) in [PathBuf::from(SAMPLES)].into_iter().chain(more).flat_map(|folder| expected(&folder)) {
        let rust = load(&place, &options(&numbers)).unwrap();
        let c = match load(&place, &LoadOptions { hdf5: Hdf5Backend::C, ..options(&numbers) }) {
            Ok(c) => c,
            // Written by a newer library than the one at hand.
            Err(error) if error.to_string().contains("bad version number") => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(
            (&rust.hash, &rust.name, &rust.env, &rust.warnings),
            (&c.hash, &c.name, &c.env, &c.warnings),
            "{}",
            place.display()
        );
        compared += 1;
    }
    assert!(compared >= 12, "{compared}");
    for (name, bytes) in files::all_good() {
        let place = files::write(&format!("c-{name}"), &bytes);
        let rust = load(&place, &LoadOptions::default()).unwrap();
        assert_eq!(
            rust.hash,
            load(&place, &LoadOptions { hdf5: Hdf5Backend::C, ..LoadOptions::default() }).unwrap().hash,
            "{name}"
        );
    }
}
