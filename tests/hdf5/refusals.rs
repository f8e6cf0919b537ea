//! HDF5 files that make no sense: each gives one clear error that names its place. And what is decided where a D4RL file
//! leaves a choice.

use std::path::Path;

use wgflow::data::{Dataset, LoadOptions, load};

use super::files::{Array, demos, episodes, f4, file, flags, good, replaced, text, with, without, write};
use super::sample;

/// Checks a list of bad files: each error must name the file and contain every one of its texts.
fn all_refused(group: &str, cases: Vec<(Vec<u8>, &[&str])>) {
    for (number, (bytes, texts)) in cases.into_iter().enumerate() {
        let path = write(&format!("{group}-{number}.hdf5"), &bytes);
        let text = load(&path, &LoadOptions::default()).map(|_| "loaded").unwrap_err().to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        for expected in texts {
            assert!(text.contains(expected), "{group} {number}: {text}\nlacks: {expected}");
        }
    }
}

#[test]
fn d4rl_files_that_make_no_sense_are_refused_at_their_place() {
    let nan = |shape: &[u64], at: usize| {
        let mut values = vec![0.5; shape.iter().product::<u64>() as usize];
        values[at] = f32::NAN;
        f4(shape, &values)
    };
    let i8 = |values: &[i64]| Array::I8(vec![values.len() as u64], values.to_vec());
    let mut renamed = good();
    renamed[1].0 = "action";
    let mut group = good();
    group[0].0 = "observations/x";
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (without(good(), "observations"), &["`observations`: expected an array of this name, found only [actions, rewards"]),
        (file(&renamed), &["`actions`", "found only [action, observations", "nearest is `action`"]),
        (without(good(), "rewards"), &["`rewards`: expected an array of this name"]),
        (without(good(), "terminals"), &["`terminals`: expected an array of this name"]),
        (without(good(), "timeouts"), &["`timeouts`: expected an array of this name, or a known environment", "`env`"]),
        (with("observations", f4(&[10], &[0.0; 10])), &["`observations`: expected shape [rows, columns], found shape [10]"]),
        (with("observations", f4(&[5, 1, 2], &[0.0; 10])), &["`observations`", "found shape [5, 1, 2]", "images"]),
        (with("observations", f4(&[4, 2], &[0.0; 8])), &["`actions`: expected 4 rows, found 5"]),
        (with("actions", f4(&[5, 0], &[])), &["`actions`: expected shape [rows, columns], found shape [5, 0]"]),
        (with("rewards", f4(&[4], &[0.0; 4])), &["`rewards`: expected shape [5], found shape [4]"]),
        (with("rewards", f4(&[5, 2], &[0.0; 10])), &["`rewards`: expected shape [5], found shape [5, 2]"]),
        (with("rewards", text(&["a", "b", "c", "d", "e"])), &["`rewards`: expected numbers in the range of f32, found text"]),
        (with("rewards", i8(&[0, 0, i64::MAX, 0, 0])), &["`rewards`", "found 9223372036854775807 at element 2, and 0 more"]),
        (with("terminals", flags(&[0, 0, 7, 0, 2])), &["`terminals`: expected only 0 and 1, found 7 at element 2, and 1 more"]),
        (with("timeouts", flags(&[0; 4])), &["`timeouts`: expected shape [5], found shape [4]"]),
        (with("next_observations", f4(&[5, 3], &[0.0; 15])), &["`next_observations`: expected shape [5, 2], as `obs"]),
        (with("observations", nan(&[5, 2], 7)), &["`observations`: expected finite numbers, found NaN in row 3, column 1"]),
        (with("actions", nan(&[5, 1], 1)), &["`actions`: expected finite numbers, found NaN in row 1, column 0"]),
        (with("rewards", nan(&[5], 0)), &["`rewards`: expected finite numbers, found NaN in row 0"]),
        (file(&[("observations", f4(&[1, 2], &[0.0; 2])), ("actions", f4(&[1, 1], &[0.0]))]), &["at least two rows, found 1"]),
        (with("timeouts", flags(&[1; 5])), &["`observations`: expected at least one transition, found none"]),
        (file(&group), &["`observations`: expected an array, found a group"]),
        (file(&[("weights", f4(&[1], &[0.0]))]), &["`format`", "found another HDF5 file, with [weights]", "`episode_0`"]),
        (file(&good())[..200].to_vec(), &["`/`: expected sound HDF5 structures", "copy or download it again"]),
    ];
    all_refused("d4rl", cases);
    // Values that no transition uses may be anything: the last row's action, and all of a row behind a time limit.
    for (name, array) in [("actions", nan(&[5, 1], 4)), ("rewards", nan(&[5], 3))] {
        assert_eq!(load(write("unused.hdf5", &with(name, array)), &LoadOptions::default()).unwrap().len(), 3, "{name}");
    }
}

#[test]
fn minari_files_that_make_no_sense_are_refused_at_their_place() {
    let change = |name: &'static str, array: Array| replaced(episodes(), name, array);
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (without(episodes(), "episode_0/actions"), &["`episode_0/actions`: expected an array of this name, found only [obs"]),
        (without(episodes(), "episode_1/observations"), &["`episode_1/observations`: expected an array of this name"]),
        (without(episodes(), "episode_1/terminations"), &["`episode_1/terminations`: expected an array of this name"]),
        (change("episode_1/observations", f4(&[1, 2], &[0.0; 2])), &["`episode_1/observations`: expected 2 rows of 2"]),
        (change("episode_1/observations", f4(&[2, 3], &[0.0; 6])), &["`episode_1/observations`: expected 2 rows of 2"]),
        (change("episode_1/actions", f4(&[2, 1], &[0.0; 2])), &["`episode_1/actions`: expected 1 rows of 1, found shape [2, 1]"]),
        (change("episode_0/terminations", flags(&[0, 1, 0])), &["`episode_0/terminations`: expected shape [2], found shape [3]"]),
        (change("episode_0/terminations", flags(&[0, 3])), &["`episode_0/terminations`: expected only 0 and 1, found 3"]),
        (
            change("episode_0/observations", Array::U1(vec![3, 2, 2, 3], vec![0; 36])),
            &["`episode_0/observations`: expected one row of numbers per step, found unsigned 8-bit integers, which are images"],
        ),
        (change("episode_0/observations", text(&["a", "b", "c"])), &["`episode_0/observations`", "found text of shape [3]"]),
        (
            change("episode_1/rewards", f4(&[1], &[f32::NEG_INFINITY])),
            &["`episode_1/rewards`: expected finite numbers, found -inf in row 0, column 0"],
        ),
        (
            change("episode_1/observations", f4(&[2, 2], &[0.0, 0.0, f32::NAN, 0.0])),
            &["`episode_1/observations`: expected finite numbers, found NaN in row 1, column 0"],
        ),
    ];
    all_refused("minari", cases);
}

#[test]
fn minari_folders_that_make_no_sense_are_refused() {
    let folder = |name: &str, metadata: &str| write(&format!("{name}/data/metadata.json"), metadata.as_bytes());
    let refusal = |path: &Path| load(path, &LoadOptions::default()).map(|_| "loaded").unwrap_err().to_string();
    let arrow = folder("arrow", r#"{"data_format": "arrow"}"#);
    let text = refusal(arrow.parent().unwrap().parent().unwrap());
    assert!(text.contains("metadata.json: `data_format`: expected hdf5, found arrow; create the data set again"), "{text}");
    let text = refusal(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(text.contains("`format`: expected a folder with main_data.hdf5, found a folder without it"), "{text}");
    folder("broken", r#"{"data_format": "hdf5", "#);
    let text = refusal(&write("broken/data/main_data.hdf5", &file(&episodes())));
    assert!(text.contains("metadata.json: `metadata`: expected JSON as Minari writes it"), "{text}");
    folder("short", r#"{"data_format": "hdf5", "total_steps": 9}"#);
    let dataset = load(write("short/data/main_data.hdf5", &file(&episodes())), &LoadOptions::default()).unwrap();
    assert!(dataset.warnings[0].contains("it says 9 steps, the file has 3"), "{:?}", dataset.warnings);
}

#[test]
fn robomimic_files_that_make_no_sense_are_refused_at_their_place() {
    let change = |name: &'static str, array: Array| replaced(demos(), name, array);
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (
            without(demos(), "data/demo_0/obs"),
            &["`data/demo_0/obs`: expected a group of observations", "dataset_states_to_obs.py"],
        ),
        (without(demos(), "data/demo_0/next_obs"), &["`data/demo_0/next_obs`: expected a group", "--exclude-next-obs"]),
        (without(demos(), "data/demo_0/next_obs/object"), &["`data/demo_0/next_obs/object`: expected an array of this name"]),
        (
            without(demos(), "data/demo_0/obs/object"),
            &["`data/demo_0/obs`: expected an array `object`, found only [robot0_eef_pos, robot0", "`obs_keys`"],
        ),
        (without(demos(), "data/demo_0/rewards"), &["`data/demo_0/rewards`: expected an array of this name"]),
        (without(demos(), "data/demo_0/actions"), &["`data/demo_0/actions`: expected an array of this name"]),
        (change("data/demo_0/rewards", f4(&[3], &[0.0; 3])), &["`data/demo_0/rewards`: expected shape [2], found shape [3]"]),
        (change("data/demo_0/next_obs/object", f4(&[3, 2], &[0.0; 6])), &["`data/demo_0/next_obs/object`: expected 2 rows of 2"]),
        (change("data/demo_0/obs/object", Array::U1(vec![2, 4, 4, 3], vec![0; 96])), &["`data/demo_0/obs/object`", "images"]),
        (change("data/demo_0/actions", f4(&[2, 1], &[0.0, f32::NAN])), &["`data/demo_0/actions`", "found NaN in row 1"]),
        (file(&[("data/x", f4(&[1], &[0.0]))]), &["`data`: expected demonstrations: demo_0, demo_1, ..., found none"]),
    ];
    all_refused("robomimic", cases);
    let path = write("demos.hdf5", &file(&demos()));
    let with = |mask: &str| LoadOptions { mask: Some(mask.into()), ..LoadOptions::default() };
    assert_eq!(load(&path, &with("train")).unwrap().env.as_deref(), Some("Can"));
    let text = load(&path, &with("valid")).unwrap_err().to_string();
    assert!(text.starts_with("mask: expected one of the file's masks: lost, train, found valid"), "{text}");
    let text = load(&path, &with("lost")).unwrap_err().to_string();
    assert!(text.contains("`mask/lost`: expected names of demonstrations in `data`, found demo_7"), "{text}");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let cases = [
        ("d4rl.hdf5", file(&good()), LoadOptions { task: Some(2), ..LoadOptions::default() }, "task: expected none for D4RL"),
        (
            "minari.hdf5",
            file(&episodes()),
            LoadOptions { task: Some(1), ..LoadOptions::default() },
            "task: expected none for Minari",
        ),
        ("mask.hdf5", file(&good()), LoadOptions { mask: Some("train".into()), ..LoadOptions::default() }, "mask: expected none"),
        (
            "keys.hdf5",
            file(&episodes()),
            LoadOptions { obs_keys: Some(vec!["a".into(), "b".into()]), ..LoadOptions::default() },
            "obs_keys: expected none for Minari HDF5 data, where it means nothing, found a,b",
        ),
    ];
    for (name, bytes, options, expected) in cases {
        let text = load(write(name, &bytes), &options).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn more_memory_than_allowed_or_possible_is_refused_before_it_is_taken() {
    let options = LoadOptions { max_bytes: 100, ..LoadOptions::default() };
    for (name, bytes) in [("d4rl", file(&good())), ("minari", file(&episodes())), ("robomimic", file(&demos()))] {
        let text = load(write(&format!("{name}-large.hdf5"), &bytes), &options).unwrap_err().to_string();
        assert!(text.contains("expected at most 100 bytes in all") && text.contains("raise `max_bytes`"), "{text}");
    }
    // A claim of 2^22 rows in a file of 25 KiB. The old format has no checksums that would give it away.
    let mut forged = std::fs::read(sample("d4rl_gzip.hdf5")).unwrap();
    for columns in [6_u64, 3, 1] {
        let shape = [52_u64.to_le_bytes(), columns.to_le_bytes()].concat();
        for at in (0..forged.len() - 16).filter(|&at| forged[at..at + 16] == shape).collect::<Vec<_>>() {
            forged[at..at + 8].copy_from_slice(&(1_u64 << 22).to_le_bytes());
        }
    }
    let text = load(write("claim.hdf5", &forged), &LoadOptions::default()).unwrap_err().to_string();
    assert!(text.contains("that a file of this length can hold, found 100663296 (shape [4194304, 6] of floats)"), "{text}");
}

#[test]
fn a_filter_that_is_not_supported_is_named() {
    let text = load(sample("d4rl_lzf.hdf5"), &LoadOptions::default()).unwrap_err().to_string();
    assert!(text.contains("`observations`: expected HDF5 features that are supported") && text.contains("32000"), "{text}");
    assert!(text.contains("h5repack"), "{text}");
}

/// An antmaze-like file of four rows.
fn antmaze(name: &str, rewards: &[f32; 4], columns: u64, env: Option<&str>) -> Dataset {
    let rows = |width: u64| f4(&[4, width], &(0..4 * width).map(|i| i as f32 / 256.0).collect::<Vec<_>>());
    let entries = [
        ("observations", rows(columns)),
        ("actions", rows(8)),
        ("rewards", f4(&[4], rewards)),
        ("terminals", flags(&[0, 1, 0, 0])),
        ("timeouts", flags(&[0, 0, 0, 1])),
    ];
    let options = LoadOptions { env: env.map(str::to_owned), ..LoadOptions::default() };
    load(write(name, &file(&entries)), &options).unwrap()
}

#[test]
fn antmaze_s_rewards_are_shifted_by_a_rule_that_is_told() {
    const SPARSE: &[f32; 4] = &[0.0, 1.0, 0.0, 0.0];
    const DONE: &[f32; 4] = &[-1.0, 0.0, -1.0, -1.0];
    const DENSE: &[f32; 4] = &[0.25, 1.0, 0.5, 0.0];
    // File name, rewards, columns, `env`; the first reward loaded, trajectories, and what the first warning says.
    for (name, rewards, columns, env, first, trajectories, warning) in [
        ("a.hdf5", SPARSE, 29, None, -1.0, 1, "29 observation columns, 8 action columns, sparse rewards"),
        ("a.hdf5", SPARSE, 29, Some("antmaze-large-play-v2"), -1.0, 1, "`env` says so"),
        ("a.hdf5", SPARSE, 29, Some("ant-v2"), 0.0, 2, "left as they are"),
        ("a.hdf5", SPARSE, 27, None, 0.0, 2, ""),
        ("Ant_maze_u-maze_sparse.hdf5", SPARSE, 27, None, -1.0, 1, "the file's name says so"),
        ("antmaze-x.hdf5", DENSE, 27, None, 0.25, 2, "left as they are"),
        ("a.hdf5", DENSE, 29, None, 0.25, 2, ""),
        ("a.hdf5", DENSE, 27, Some("AntMaze_Large-v5"), -0.75, 1, "but they are not 0 and 1"),
        ("a.hdf5", DONE, 29, None, -1.0, 1, "they are -1 and 0 already"),
        ("antmaze-y.hdf5", DONE, 27, None, -1.0, 1, "they are -1 and 0 already"),
    ] {
        let dataset = antmaze(name, rewards, columns, env);
        let said = dataset.warnings.iter().find(|warning| warning.starts_with("rewards:")).map_or("", String::as_str);
        assert!(said.contains(warning) && said.is_empty() == warning.is_empty(), "{name} {columns} {env:?}: {said}");
        assert_eq!((dataset.rewards[0], dataset.trajectories()), (first, trajectories), "{name} {columns} {env:?}");
    }
}

#[test]
fn environments_are_known_by_id_and_by_file_name() {
    for (name, env, expected) in [
        ("hopper_medium-v2.hdf5", None, Some("hopper")),
        ("maze2d-umaze-sparse-v1.hdf5", None, Some("maze2d-umaze")),
        ("opening.hdf5", None, None),
        ("hopper_medium-v2.hdf5", Some("mine"), Some("mine")),
    ] {
        let options = LoadOptions { env: env.map(str::to_owned), ..LoadOptions::default() };
        let dataset = load(write(name, &file(&good())), &options).unwrap();
        assert_eq!(dataset.env.as_deref(), expected, "{name}");
    }
}
