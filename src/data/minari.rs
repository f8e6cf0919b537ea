//! Minari data sets: a folder `<dataset id>/data` with `main_data.hdf5` and `metadata.json`.
//!
//! Layout (minari 0.5.4): a group `episode_K` for each episode, with `observations [steps + 1, ...]`, `actions
//! [steps, ...]`, `rewards`, `terminations` and `truncations` `[steps]`. Observations and actions of Dict and Tuple spaces
//! are groups of arrays. Episodes are taken by number, and columns in the order in which gymnasium flattens a space. The
//! mask is 0 where an episode terminates; a truncated one goes on. Rewards are left as they are.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::columns::{Columns, Layout, numbered};
use super::dataset::{Parts, check_finite};
use super::hdf5::Hdf5;
use super::{LoadOptions, Start};
use crate::error::{Error, Result};

const DATA: &str = "main_data.hdf5";
const METADATA: &str = "metadata.json";
/// Bytes of metadata we are willing to read; real files have a few KiB.
const METADATA_LIMIT: u64 = 16 << 20;

/// Whether an HDF5 file has Minari's groups.
pub(super) fn sniff(start: &Start) -> bool {
    start.any(|name| name.strip_prefix("episode_").is_some_and(|number| number.parse::<u64>().is_ok()))
}

/// The file of the data set in a folder: the data set's own, or the `data` in it.
pub(super) fn data_file(folder: &Path) -> Result<PathBuf> {
    for inside in [folder.to_path_buf(), folder.join("data")] {
        if inside.join(DATA).is_file() {
            return Ok(inside.join(DATA));
        }
        if inside.join(METADATA).is_file() {
            // Names its data format, which is not HDF5; or the data is gone.
            Metadata::read(&inside)?;
        }
    }
    let remedy = "pass a data set's file, or the folder of a Minari data set";
    Err(Error::content(folder, "format", format!("a folder with {DATA}"), "a folder without it", remedy))
}

/// Reads a file into transitions. NaN and infinities are refused where `strict`.
pub(super) fn read(path: &Path, options: &LoadOptions, strict: bool) -> Result<Parts> {
    let metadata = Metadata::read(path.parent().unwrap_or(Path::new("")))?;
    let file = Hdf5::open(path, options)?;
    let episodes = numbered(file.names("")?, "episode_");
    let layout = layout(&file, &episodes)?;
    let steps = layout.steps.iter().sum::<usize>();
    let mut notes = Vec::new();
    if let Some(expected) = metadata.total_steps.filter(|&expected| expected != steps as u64) {
        notes.push(format!("{METADATA}: it says {expected} steps, the file has {steps}: it may be incomplete"));
    }
    let (obs_dim, action_dim) = (layout.observations.width(), layout.actions.width());
    let mut parts = Parts {
        name: metadata.dataset_id.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        source: path.to_path_buf(),
        env: options.env.clone().or(metadata.env),
        score_range: metadata.score_range,
        obs_dim,
        action_dim,
        notes,
        ..Parts::default()
    };
    for (episode, &steps) in episodes.iter().zip(&layout.steps).filter(|(_, steps)| **steps > 0) {
        let observations = layout.observations.read(&file, episode, strict)?;
        parts.observations.extend(observations.get(..steps * obs_dim).unwrap_or_default());
        parts.next_observations.extend(observations.get(obs_dim..).unwrap_or_default());
        parts.actions.extend(layout.actions.read(&file, episode, strict)?);
        let key = format!("{episode}/rewards");
        let rewards = file.f32(&key)?;
        if strict {
            check_finite(path, &key, &rewards, 1, &[])?;
        }
        parts.rewards.extend(rewards);
        let ended = file.bools(&format!("{episode}/terminations"))?;
        parts.masks.extend(ended.into_iter().map(|ended| if ended { 0.0 } else { 1.0 }));
        parts.terminals.extend((1..=steps).map(|step| step == steps));
    }
    Ok(parts)
}

/// Finds the arrays of the first episode in every other one, and their sizes.
fn layout(file: &Hdf5, episodes: &[String]) -> Result<Layout> {
    let first = episodes.first().map_or("", String::as_str);
    let observations = Columns::flattened(file, first, "observations")?;
    let actions = Columns::flattened(file, first, "actions")?;
    let mut steps = Vec::new();
    for episode in episodes {
        let rows = file.array(&format!("{episode}/rewards"))?.shape.first().copied().unwrap_or(0);
        observations.check(file, episode, rows.saturating_add(1))?;
        actions.check(file, episode, rows)?;
        file.check_column(&format!("{episode}/rewards"), rows)?;
        file.check_column(&format!("{episode}/terminations"), rows)?;
        steps.push(rows);
    }
    let layout = Layout { observations, actions, steps };
    layout.check_memory(file)?;
    Ok(layout)
}

/// What `metadata.json` says, as far as it is of use. A file alone is enough: everything may be missing.
#[derive(Debug, Default, PartialEq)]
struct Metadata {
    dataset_id: Option<String>,
    env: Option<String>,
    score_range: Option<[f64; 2]>,
    total_steps: Option<u64>,
}

impl Metadata {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(METADATA);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(&path, "open")(error)),
        };
        let mut text = String::new();
        file.take(METADATA_LIMIT).read_to_string(&mut text).map_err(Error::io(&path, "read"))?;
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let metadata = json(path, "metadata", text)?;
        let text_of = |key: &str| metadata.get(key).and_then(Value::as_str);
        if let Some(format) = text_of("data_format").filter(|format| *format != "hdf5") {
            let remedy = "create the data set again with data_format=\"hdf5\"";
            return Err(Error::content(path, "data_format", "hdf5", format, remedy));
        }
        for key in ["observation_space", "action_space"] {
            // JSON inside JSON.
            if let Some(space) = text_of(key) {
                check_space(path, key, &json(path, key, space)?)?;
            }
        }
        let spec = text_of("env_spec").map(|spec| json(path, "env_spec", spec)).transpose()?;
        let score = |key: &str| metadata.get(key).and_then(Value::as_f64);
        Ok(Self {
            dataset_id: text_of("dataset_id").map(str::to_owned),
            env: spec.and_then(|spec| Some(spec.get("id")?.as_str()?.to_owned())),
            score_range: score("ref_min_score").zip(score("ref_max_score")).map(<[f64; 2]>::from),
            total_steps: metadata.get("total_steps").and_then(Value::as_u64),
        })
    }
}

/// Refuses spaces that are not made of boxes of numbers.
fn check_space(path: &Path, key: &str, space: &Value) -> Result<()> {
    let inside = |space: &Value| -> Result<()> {
        match space.get("subspaces") {
            Some(Value::Object(spaces)) => {
                spaces.iter().try_for_each(|(name, space)| check_space(path, &format!("{key}/{name}"), space))
            }
            Some(Value::Array(spaces)) => spaces.iter().try_for_each(|space| check_space(path, key, space)),
            _ => Ok(()),
        }
    };
    let found = match space.get("type").and_then(Value::as_str) {
        Some("Dict" | "Tuple") => return inside(space),
        Some("Box") if space.get("dtype").and_then(Value::as_str) == Some("uint8") => "a Box of uint8, which are images",
        Some("Box") => return Ok(()),
        Some(other) => other,
        None => "a space without type",
    };
    let remedy = "only low-dimensional, continuous spaces can be trained on: use another data set";
    Err(Error::content(path, key, "a Box of numbers, or a Dict or Tuple of such", found, remedy))
}

/// Parses JSON in which, as Python writes it, numbers may be NaN or Infinity; they become null.
fn json(path: &Path, key: &str, text: &str) -> Result<Value> {
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(next) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        // A backslash takes the character behind it along.
        let escaped = if next == '\\' { rest.chars().nth(1).map_or(0, char::len_utf8) } else { 0 };
        let length = word.map_or(next.len_utf8() + escaped, str::len);
        let (taken, left) = rest.split_at(length);
        plain.push_str(if word.is_some() { "null" } else { taken });
        quoted ^= next == '"';
        rest = left;
    }
    serde_json::from_str(&plain).map_err(|error| {
        let remedy = "the file is damaged: copy or download the data set again, or delete it";
        Error::content(path, key, "JSON as Minari writes it", error.to_string(), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_s_json_is_read_also_inside_strings() {
        let path = Path::new("metadata.json");
        let text = r#"{"low": [-Infinity, NaN, 1.5, Infinity], "a \"NaN\" \\": "-Infinity", "deep": {"NaN": NaN}}"#;
        let value = json(path, "metadata", text).unwrap();
        assert_eq!(value["low"], serde_json::json!([null, null, 1.5, null]));
        assert_eq!((&value["a \"NaN\" \\"], &value["deep"]["NaN"]), (&Value::from("-Infinity"), &Value::Null));
        let text = json(path, "env_spec", "{\"a\": \"\\").unwrap_err().to_string();
        assert!(text.starts_with("metadata.json: `env_spec`: expected JSON as Minari writes it, found EOF"), "{text}");
    }

    #[test]
    fn metadata_names_the_environment_and_refuses_what_cannot_be_trained_on() {
        let metadata = |change: &[(&str, Value)]| {
            let mut all = serde_json::json!({
                "data_format": "hdf5", "total_steps": 7, "dataset_id": "a/b-v0", "ref_min_score": -1, "ref_max_score": 2.5,
                "env_spec": "{\"id\": \"Hopper-v5\", \"kwargs\": {\"x\": Infinity}}",
                "observation_space": "{\"type\": \"Dict\", \"subspaces\": {\"a\": {\"type\": \"Box\", \"low\": [-Infinity]}}}",
            });
            for (key, value) in change {
                all[key] = value.clone();
            }
            Metadata::parse(Path::new("metadata.json"), &all.to_string()).map_err(|error| error.to_string())
        };
        let good = metadata(&[]).unwrap();
        assert_eq!((good.env.as_deref(), good.dataset_id.as_deref()), (Some("Hopper-v5"), Some("a/b-v0")));
        assert_eq!((good.score_range, good.total_steps), (Some([-1.0, 2.5]), Some(7)));
        assert_eq!(metadata(&[("env_spec", Value::Null), ("ref_min_score", Value::Null)]).unwrap().env, None);
        for (key, value, expected) in [
            ("data_format", "arrow", "`data_format`: expected hdf5, found arrow"),
            ("action_space", r#"{"type": "Discrete", "n": 3}"#, "`action_space`: expected a Box of numbers"),
            ("observation_space", r#"{"type": "Box", "dtype": "uint8"}"#, "found a Box of uint8, which are images"),
            (
                "observation_space",
                r#"{"type": "Tuple", "subspaces": [{"type": "Dict", "subspaces": {"k": {"type": "Text"}}}]}"#,
                "`observation_space/k`: expected a Box of numbers, or a Dict or Tuple of such, found Text",
            ),
        ] {
            let text = metadata(&[(key, value.into())]).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }
}
