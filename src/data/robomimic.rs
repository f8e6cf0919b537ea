//! RoboMimic data sets: one HDF5 file of demonstrations.
//!
//! Layout (robomimic `docs/datasets/overview.md`): a group `data/demo_K` for each demonstration, with `actions`,
//! `rewards`, `dones` `[steps]`, and the groups `obs` and `next_obs` of arrays `[steps, ...]`; `mask/<name>` lists the
//! demonstrations of a split; `data` has the attribute `env_args`, a JSON text.
//!
//! Demonstrations are taken by number. An observation is the usual low-dimensional arrays side by side, or those that the
//! caller names. Rewards r(s') are left as they are; where one is earned the task is solved, so the mask is 0 there.

use std::path::Path;

use super::columns::{Columns, Layout, numbered};
use super::dataset::{Dataset, Parts, check_finite};
use super::hdf5::Hdf5;
use super::{LoadOptions, Start};
use crate::error::{Error, Result};

/// Arrays of a robot, and then the array of the objects, that make up the usual low-dimensional observation.
const ROBOT: [&str; 3] = ["eef_pos", "eef_quat", "gripper_qpos"];
const OBJECTS: &str = "object";

/// What turns the raw demonstrations into a data set, where something is missing.
const EXTRACT: &str = "extract observations with robomimic's dataset_states_to_obs.py (without --exclude-next-obs)";

/// Whether an HDF5 file has RoboMimic's group.
pub(super) fn sniff(start: &Start) -> bool {
    start.has("data")
}

/// Reads a file into transitions. NaN and infinities are refused where `strict`.
pub(super) fn read(path: &Path, options: &LoadOptions, strict: bool) -> Result<Parts> {
    let file = Hdf5::open(path, options)?;
    let demos = demos(&file, options.mask.as_deref())?;
    let layout = layout(&file, &demos, options.obs_keys.as_deref())?;
    let env_args = file.text_attribute("data", "env_args")?;
    let env = env_args
        .and_then(|text| Some(serde_json::from_str::<serde_json::Value>(&text).ok()?.get("env_name")?.as_str()?.to_owned()));
    let mut parts = Parts {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        source: path.to_path_buf(),
        env: options.env.clone().or(env),
        obs_dim: layout.observations.width(),
        action_dim: layout.actions.width(),
        ..Parts::default()
    };
    for (demo, &steps) in demos.iter().zip(&layout.steps).filter(|(_, steps)| **steps > 0) {
        parts.observations.extend(layout.observations.read(&file, &format!("{demo}/obs"), strict)?);
        parts.next_observations.extend(layout.observations.read(&file, &format!("{demo}/next_obs"), strict)?);
        parts.actions.extend(layout.actions.read(&file, demo, strict)?);
        let key = format!("{demo}/rewards");
        let rewards = file.f32(&key)?;
        if strict {
            check_finite(path, &key, &rewards, 1, &[])?;
        }
        parts.rewards.extend(rewards);
        parts.terminals.extend((1..=steps).map(|step| step == steps));
    }
    let (solved, note) = threshold(&parts.rewards);
    parts.masks = parts.rewards.iter().map(|&reward| if reward >= solved { 0.0 } else { 1.0 }).collect();
    parts.notes.extend(note);
    Ok(parts)
}

/// Loads the demonstrations kept for validation, if the file has a list of them: `valid` beside the mask `train`,
/// `20_percent_valid` beside `20_percent_train`.
pub(super) fn load_validation(path: &Path, options: &LoadOptions) -> Result<Option<Dataset>> {
    let Some(stem) = options.mask.as_deref().and_then(|mask| mask.strip_suffix("train")) else { return Ok(None) };
    let mask = format!("{stem}valid");
    if !Hdf5::open(path, options)?.contains(&format!("mask/{mask}"))? {
        return Ok(None);
    }
    let options = LoadOptions { mask: Some(mask), ..options.clone() };
    Dataset::from_parts(read(path, &options, true)?).map(Some)
}

/// Keys of the demonstrations, by number: all, or those in a mask.
fn demos(file: &Hdf5, mask: Option<&str>) -> Result<Vec<String>> {
    let all = numbered(file.names("data")?, "demo_");
    let mut chosen = all.clone();
    if let Some(mask) = mask {
        let masks = if file.contains("mask")? { file.names("mask")? } else { Vec::new() };
        if !masks.iter().any(|known| known == mask) {
            let expected = format!("one of the file's masks: {}", masks.join(", "));
            return Err(Error::setting("mask", expected, mask, "choose one of them, or leave it out to use every demonstration"));
        }
        let key = format!("mask/{mask}");
        let names = file.texts(&key)?;
        if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
            let remedy = "the file was cut or put together from parts: make its masks again";
            return Err(Error::content(file.path(), key, "names of demonstrations in `data`", unknown, remedy));
        }
        chosen.retain(|demo| names.contains(demo));
    }
    if chosen.is_empty() {
        let remedy = "check that this is a RoboMimic file and that the mask is not empty";
        return Err(Error::content(file.path(), "data", "demonstrations: demo_0, demo_1, ...", "none", remedy));
    }
    Ok(chosen.into_iter().map(|demo| format!("data/{demo}")).collect())
}

/// Finds the arrays to use in every demonstration, and their sizes.
fn layout(file: &Hdf5, demos: &[String], keys: Option<&[String]>) -> Result<Layout> {
    let first = demos.first().map_or("", String::as_str);
    for group in ["obs", "next_obs"] {
        let key = format!("{first}/{group}");
        if !file.contains(&key)? {
            return Err(Error::content(file.path(), key, "a group of observations", "nothing", EXTRACT));
        }
    }
    let known = file.names(&format!("{first}/obs"))?;
    let keys = keys.map_or_else(|| usual_keys(&known), <[String]>::to_vec);
    if let Some(unknown) = keys.iter().find(|key| !known.contains(key)) {
        let remedy = "name the arrays to use as `obs_keys`";
        let expected = format!("an array `{unknown}`");
        let found = format!("only [{}]", known.join(", "));
        return Err(Error::content(file.path(), format!("{first}/obs"), expected, found, remedy));
    }
    let observations = Columns::named(file, &format!("{first}/obs"), keys)?;
    let actions = Columns::flattened(file, first, "actions")?;
    let mut steps = Vec::new();
    for demo in demos {
        let rows = file.array(&format!("{demo}/actions"))?.shape.first().copied().unwrap_or(0);
        observations.check(file, &format!("{demo}/obs"), rows)?;
        observations.check(file, &format!("{demo}/next_obs"), rows)?;
        actions.check(file, demo, rows)?;
        file.check_column(&format!("{demo}/rewards"), rows)?;
        steps.push(rows);
    }
    let layout = Layout { observations, actions, steps };
    layout.check_memory(file)?;
    Ok(layout)
}

/// The usual low-dimensional arrays: of every robot, and of the objects.
fn usual_keys(known: &[String]) -> Vec<String> {
    let robot = |number: usize| ROBOT.map(|key| format!("robot{number}_{key}"));
    let others = (1..).map(robot).take_while(|keys| keys.iter().all(|key| known.contains(key)));
    robot(0).into_iter().chain(others.flatten()).chain([OBJECTS.to_owned()]).collect()
}

/// The least reward that says that the task is solved, and a remark where that is a guess.
fn threshold(rewards: &[f32]) -> (f32, Option<String>) {
    let best = rewards.iter().copied().fold(0.0, f32::max);
    if rewards.iter().all(|&reward| reward <= 0.0 || reward >= best) {
        return (f32::MIN_POSITIVE, None);
    }
    let note = "masks: rewards are shaped, so the task counts as solved where they reach 1, robosuite's scale of success";
    (1.0, Some(note.to_owned()))
}
