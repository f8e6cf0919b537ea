//! The data room from outside: real data against OGBench's own numbers, and files that lie.
//!
//! `WGFLOW_DATA` may name a folder with more OGBench files (cube-single, puzzle-3x3, scene); they are checked when there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wgflow::data::npz::{Array, Dtype, Npz};
use wgflow::data::{Dataset, LoadOptions, load, load_validation, ogbench};

#[path = "data/files.rs"]
mod files;
#[path = "data/refusals.rs"]
mod refusals;

use files::{archive, good, npy, write, zip64};

const BUNDLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz");

/// What the `ogbench` 1.2.2 package gives: file, transitions, and for tasks 1 to 5 the transitions with mask 0 and the
/// first 16 digits of the SHA-256 that `Dataset::hash` describes, computed with numpy from the official loader's arrays
/// (clipped as fql does). Equal digits mean: equal bits in all six arrays. For the slim cube file, whose `qpos` is gone,
/// numpy applied the loader's rule to the stored columns.
const OFFICIAL: &str = "\
pointmaze-medium-navigate-v0 200000 639:955b210cb1f399cf 585:b1e79f1bc44f2a72 1506:e115dbbe27c2b214 1358:381c6a575abfa25a 2079:b8d446fb19a8448a
pointmaze-medium-navigate-v0-val 20000 26:c258b6c6b9f610d9 55:b08c65d23f5f593e 93:dcdd3c4b4f784ddc 48:964a515c0ecda501 34:c26a1c825480af3a
puzzle-3x3-play-v0 50000 130:931e3ff9301ab459 123:6e285a071960c848 61:354fd76ce01a7fda 112:d5c66225ff121a5b 62:8283dc3e05c40b09
scene-play-v0 50000 181:1072781a869540a7 0:7ca9dd1bd4bb9241 145:1450ac121d839225 197:6f54450c251843df 30:2fe9d6e46da18454
cube-single-play-v0-val 20000 394:d39a992efe6ad2e6 228:cfe72809970406f1 473:6f17d51c3df2dcd2 386:acccb684073a22e1 409:337aab6bd7c6d3f5
cube-single-play-v0 200000 4707:b00bfafbc1e275cb 4296:640b255d448a8234 4136:22ad9aa0c82c8517 3942:43bdc32ac6ada26e 4584:8a82c49b5d3a13dd";

fn for_task(task: u32) -> LoadOptions {
    LoadOptions { task: Some(task), ..LoadOptions::default() }
}

/// Compares a file with its line of [`OFFICIAL`].
fn check_official(path: &Path, name: &str) {
    let line: Vec<&str> = OFFICIAL.lines().map(|line| line.split(' ').collect()).find(|line: &Vec<_>| line[0] == name).unwrap();
    let transitions: usize = line[1].parse().unwrap();
    for (task, (successes, hash)) in (1..).zip(line[2..].iter().map(|pair| pair.split_once(':').unwrap())) {
        let successes: usize = successes.parse().unwrap();
        let dataset = load(path, &for_task(task)).unwrap();
        assert_eq!((dataset.len(), dataset.trajectories()), (transitions, transitions / 1000), "{name} task {task}");
        assert_eq!((dataset.successes(), &dataset.hash[..16]), (successes, hash), "{name} task {task}");
        assert_eq!(dataset.warnings.is_empty(), successes > 0, "{name} task {task}: {:?}", dataset.warnings);
    }
}

#[test]
fn the_bundled_data_equals_ogbench_s_own_loader_in_every_task() {
    check_official(Path::new(BUNDLED), "pointmaze-medium-navigate-v0");
    let validation = Path::new(BUNDLED).with_file_name("pointmaze-medium-navigate-v0-val.npz");
    check_official(&validation, "pointmaze-medium-navigate-v0-val");
}

#[test]
fn larger_data_equals_ogbench_s_own_loader_where_it_is_at_hand() {
    let Some(folder) = std::env::var_os("WGFLOW_DATA").map(PathBuf::from) else {
        return;
    };
    let mut checked = 0;
    for name in OFFICIAL.lines().filter_map(|line| line.split(' ').next()) {
        for path in [folder.join(format!("{name}.npz")), folder.join(format!("{name}.slim.npz"))] {
            if path.exists() {
                check_official(&path, name);
                checked += 1;
            }
        }
    }
    assert!(checked > 0, "WGFLOW_DATA names {}, which holds none of the files known here", folder.display());
}

#[test]
fn rewards_from_observations_equal_the_columns_ogbench_exported() {
    let npz = Npz::open(BUNDLED).unwrap();
    let ends = npz.bools("terminals").unwrap().data;
    for task in 1..=5 {
        let dataset = load(BUNDLED, &for_task(task)).unwrap();
        for (key, values) in [("rewards", &dataset.rewards), ("masks", &dataset.masks)] {
            let stored = npz.f32(&format!("{key}_task{task}")).unwrap().data;
            let kept: Vec<f32> = stored.into_iter().zip(&ends).filter(|(_, end)| !**end).map(|(value, _)| value).collect();
            assert_eq!(&kept, values, "{key} of task {task}");
        }
    }
}

#[test]
fn the_validation_set_beside_the_bundled_data_is_found() {
    let training = load(BUNDLED, &LoadOptions::default()).unwrap();
    let validation = load_validation(BUNDLED, &LoadOptions::default()).unwrap().unwrap();
    assert_eq!((training.env.as_deref(), training.task), (Some("pointmaze-medium"), Some(1)));
    assert_eq!((training.len(), validation.len()), (200_000, 20_000));
    assert_eq!((validation.env, validation.task), (training.env, training.task));
    assert_eq!(
        (training.name, validation.name),
        ("pointmaze-medium-navigate-v0".into(), "pointmaze-medium-navigate-v0-val".into())
    );
}

#[test]
fn the_good_file_loads_also_in_zip64() {
    for (name, bytes) in [("pointmaze-medium-good.npz", archive(&good())), ("pointmaze-medium-64.npz", zip64())] {
        let dataset = load(write(name, &bytes), &for_task(4)).unwrap();
        assert_eq!(dataset.successes(), 0);
        assert_eq!(dataset.observations, [0.0, 2.0, 4.0, 6.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(dataset.next_observations, [4.0, 6.0, 8.0, 10.0, 16.0, 18.0, 20.0, 22.0]);
        assert_eq!(dataset.terminals, [false, true, false, true]);
    }
}

#[test]
fn a_damaged_file_either_fails_or_gives_the_same_data() {
    let good = archive(&good());
    let hash = load(write("pointmaze-medium-fuzz.npz", &good), &LoadOptions::default()).unwrap().hash;
    let mut state = 1_u64;
    // Knuth's MMIX generator; the high bits are the good ones.
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut refused = 0;
    for round in 0..1000 {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(random(good.len())),
            1 => (0..=random(8)).for_each(|_| bytes[random(good.len())] ^= 1 << random(8)),
            2 => bytes[random(good.len() - 8)..][..1 << random(4)].fill([0x00, 0xFF][random(2)]),
            _ => bytes[good.len() - 1 - random(250)] ^= 1 << random(8),
        }
        let path = write("pointmaze-medium-fuzz.npz", &bytes);
        let start = Instant::now();
        match load(&path, &LoadOptions::default()) {
            // Flips in times, attributes and versions change nothing that is used.
            Ok(Dataset { hash: found, .. }) => assert_eq!(found, hash, "round {round}"),
            Err(error) => {
                refused += 1;
                assert!(error.to_string().starts_with(&path.display().to_string()), "round {round}: {error}");
            }
        }
        assert!(start.elapsed() < Duration::from_secs(2), "round {round} took {:?}", start.elapsed());
    }
    assert!(refused > 700, "only {refused} of 1000 damaged files were refused");
}

#[test]
fn npz_gives_arrays_of_every_kind_with_their_shapes() {
    let entries = [
        ("param/actor/kernel.npy", npy("'<f8'", "(2, 3)", &[1.5_f64; 6].map(f64::to_le_bytes).concat())),
        ("config.npy", npy("'|u1'", "(2,)", b"{}")),
        ("count.npy", npy("'<i8'", "()", &(-7_i64).to_le_bytes())),
        ("small.npy", npy("'|i1'", "(2,)", &[0xFF, 1])),
        ("big.npy", npy("'<i8'", "(1,)", &i64::MAX.to_le_bytes())),
    ];
    let npz = Npz::open(write("kinds.npz", &archive(&entries))).unwrap();
    assert_eq!(npz.names().collect::<Vec<_>>(), ["big", "config", "count", "param/actor/kernel", "small"]);
    assert_eq!(npz.f64("param/actor/kernel").unwrap(), Array { shape: vec![2, 3], data: vec![1.5; 6] });
    assert_eq!(npz.f32("param/actor/kernel").unwrap(), Array { shape: vec![2, 3], data: vec![1.5; 6] });
    assert_eq!((npz.dtype("count").unwrap(), npz.shape("count").unwrap()), (Dtype::I64, vec![]));
    assert_eq!((npz.i64("count").unwrap().data, npz.bytes("config").unwrap().data), (vec![-7], b"{}".to_vec()));
    assert_eq!((npz.i64("small").unwrap().data, npz.f32("small").unwrap().data), (vec![-1, 1], vec![-1.0, 1.0]));
    for (text, expected) in [
        (npz.bools("small").unwrap_err(), "`small`: expected only 0 and 1, found -1 at element 0"),
        (npz.bytes("small").unwrap_err(), "`small`: expected integers from 0 to 255, found -1 at element 0"),
        (npz.f32("big").unwrap_err(), "`big`: expected numbers in the range of f32, found 9223372036854775807"),
        (npz.f64("big").unwrap_err(), "`big`: expected numbers in the range of f64"),
        (npz.i64("param/actor/kernel").unwrap_err(), "expected integers, found 1.5 at element 0, and 5 more"),
        (npz.f64("param/actor/kernal").unwrap_err(), "the nearest is `param/actor/kernel`"),
    ] {
        assert!(text.to_string().contains(expected), "{text}");
    }
    assert_eq!(ogbench::task("pointmaze-medium", Some(3)).unwrap().goal_xy(), Some([4.0, 12.0]));
}
