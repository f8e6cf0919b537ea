//! Makes small HDF5 files that can be wrong in any way. Written by `hdf5-writer`, not by the library under test.

use std::path::{Path, PathBuf};

use hdf5_writer::{AttributeBuilder, DatasetBuilder, Hdf5Builder, WriteOptions};

/// An array: its shape and elements.
#[derive(Clone, Debug)]
pub enum Array {
    F4(Vec<u64>, Vec<f32>),
    U1(Vec<u64>, Vec<u8>),
    I8(Vec<u64>, Vec<i64>),
    Text(Vec<String>),
}

pub type Entries = Vec<(&'static str, Array)>;

pub fn f4(shape: &[u64], values: &[f32]) -> Array {
    Array::F4(shape.to_vec(), values.to_vec())
}

pub fn flags(values: &[u8]) -> Array {
    Array::U1(vec![values.len() as u64], values.to_vec())
}

pub fn text(values: &[&str]) -> Array {
    Array::Text(values.iter().map(|&value| value.to_owned()).collect())
}

pub fn file(entries: &[(&str, Array)]) -> Vec<u8> {
    let mut builder = Hdf5Builder::new();
    for (name, array) in entries {
        let dataset = match array {
            Array::F4(shape, values) => DatasetBuilder::typed_data(*name, shape.clone(), values),
            Array::U1(shape, values) => DatasetBuilder::typed_data(*name, shape.clone(), values),
            Array::I8(shape, values) => DatasetBuilder::typed_data(*name, shape.clone(), values),
            Array::Text(values) => DatasetBuilder::vlen_string_data(*name, vec![values.len() as u64], values),
        };
        builder = builder.dataset(dataset.unwrap());
    }
    if entries.iter().any(|(name, _)| name.starts_with("data/")) {
        builder = builder.group_attribute("data", AttributeBuilder::fixed_string("env_args", r#"{"env_name": "Can"}"#));
    }
    builder.into_plan().unwrap().encode(WriteOptions::default()).unwrap()
}

/// D4RL: five rows, a terminal in row 1 and a timeout in row 3, so three transitions (rows 0, 1, 2).
pub fn good() -> Entries {
    vec![
        ("observations", f4(&[5, 2], &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5])),
        ("actions", f4(&[5, 1], &[0.1, 0.2, 0.3, 0.4, 0.5])),
        ("rewards", f4(&[5], &[0.0, 1.0, 2.0, 3.0, 4.0])),
        ("terminals", flags(&[0, 1, 0, 0, 0])),
        ("timeouts", flags(&[0, 0, 0, 1, 0])),
    ]
}

/// Minari: episodes of two steps and of one, the first terminated.
pub fn episodes() -> Entries {
    vec![
        ("episode_0/observations", f4(&[3, 2], &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5])),
        ("episode_0/actions", f4(&[2, 1], &[0.1, 0.2])),
        ("episode_0/rewards", f4(&[2], &[0.0, 1.0])),
        ("episode_0/terminations", flags(&[0, 1])),
        ("episode_1/observations", f4(&[2, 2], &[3.0, 3.5, 4.0, 4.5])),
        ("episode_1/actions", f4(&[1, 1], &[0.3])),
        ("episode_1/rewards", f4(&[1], &[2.0])),
        ("episode_1/terminations", flags(&[0])),
    ]
}

/// RoboMimic: a demonstration of two steps that succeeds.
pub fn demos() -> Entries {
    let mut entries = vec![
        ("data/demo_0/actions", f4(&[2, 1], &[0.1, 0.2])),
        ("data/demo_0/rewards", f4(&[2], &[0.0, 1.0])),
        ("mask/train", text(&["demo_0"])),
        ("mask/lost", text(&["demo_0", "demo_7"])),
    ];
    for group in ["obs", "next_obs"] {
        for key in ["robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object"] {
            // The names live as long as the tests do.
            entries.push((format!("data/demo_0/{group}/{key}").leak(), f4(&[2, 2], &[0.0, 0.5, 1.0, 1.5])));
        }
    }
    entries
}

/// The file with one array in place of another, or beside them where the name is new.
pub fn replaced(mut entries: Entries, name: &'static str, array: Array) -> Vec<u8> {
    entries.retain(|entry| entry.0 != name);
    entries.push((name, array));
    file(&entries)
}

/// [`replaced`] in the D4RL file.
pub fn with(name: &'static str, array: Array) -> Vec<u8> {
    replaced(good(), name, array)
}

pub fn without(entries: Entries, name: &str) -> Vec<u8> {
    file(&entries.into_iter().filter(|entry| !entry.0.starts_with(name)).collect::<Vec<_>>())
}

/// A good file of every layout.
#[cfg_attr(not(feature = "libhdf5"), expect(dead_code, reason = "compares the readers"))]
pub fn all_good() -> Vec<(&'static str, Vec<u8>)> {
    vec![("d4rl.hdf5", file(&good())), ("minari.hdf5", file(&episodes())), ("robomimic.hdf5", file(&demos()))]
}

/// Writes a file into this test run's own folder.
pub fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hdf5").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}
