//! `metrics.jsonl`: one JSON object a line, always written, the run's source of truth.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files;
use crate::files::point;

/// One line: numbers about a lane at an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Updates finished.
    pub step: u64,
    /// The lane.
    pub lane: usize,
    /// Names and values, such as `train/critic_loss` or `eval/actor/success`.
    pub values: Vec<(String, f64)>,
}

impl Line {
    fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("step".to_owned(), self.step.into());
        object.insert("lane".to_owned(), self.lane.into());
        // JSON knows no NaN: it becomes null.
        object.extend(self.values.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
        Value::Object(object).to_string()
    }

    fn of_json(text: &str) -> Option<Self> {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else { return None };
        let number = |key: &str| object.get(key).and_then(Value::as_u64);
        let rest = object.iter().filter(|(key, _)| *key != "step" && *key != "lane");
        let values = rest.map(|(key, value)| (key.clone(), value.as_f64().unwrap_or(f64::NAN))).collect();
        Some(Self { step: number("step")?, lane: number("lane")? as usize, values })
    }

    /// Whether both say the same, in whatever order: lines that were read back are sorted.
    pub fn same(&self, other: &Self) -> bool {
        let known =
            |(name, value): &(String, f64)| other.get(name).is_some_and(|v| v == *value || (v.is_nan() && value.is_nan()));
        (self.step, self.lane, self.values.len()) == (other.step, other.lane, other.values.len()) && self.values.iter().all(known)
    }

    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The file, and what it holds.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    lines: Vec<Line>,
}

impl Metrics {
    /// Opens `path` for a run that goes on after update `step`: later lines, and a line that a crash cut short, go.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let lines = if path.exists() { read(path)? } else { Vec::new() };
        let lines: Vec<Line> = lines.into_iter().filter(|line| line.step <= step).collect();
        let text: String = lines.iter().map(|line| line.to_json() + "\n").collect();
        files::replace(path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path, "open"))?;
        Ok(Self { path: path.to_path_buf(), file, lines })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, line: Line) -> Result<()> {
        let text = line.to_json() + "\n";
        let (first, rest) = text.as_bytes().split_at(text.len() / 2);
        self.file.write_all(first).map_err(Error::io(&self.path, "append"))?;
        point("append more", &self.path)?;
        self.file.write_all(rest).map_err(Error::io(&self.path, "append"))?;
        self.lines.push(line);
        Ok(())
    }

    /// Waits until what was appended is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path, "sync"))
    }

    /// Every line so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// (step, value) of `name` in lane `lane`.
    pub fn series(&self, lane: usize, name: &str) -> Vec<[f64; 2]> {
        let of_lane = self.lines.iter().filter(|line| line.lane == lane);
        of_lane.filter_map(|line| line.get(name).map(|value| [line.step as f64, value])).collect()
    }
}

/// The lines of a file; one that is not whole is left out.
fn read(path: &Path) -> Result<Vec<Line>> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut lines = Vec::new();
    for text in BufReader::new(file).lines() {
        lines.extend(Line::of_json(&text.map_err(Error::io(path, "read"))?));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_file_forgets_what_came_after_the_checkpoint_and_a_torn_line() {
        let path = std::env::temp_dir().join(format!("wgflow-metrics-{}.jsonl", std::process::id()));
        let line = |step, value| Line { step, lane: 0, values: vec![("a".to_owned(), value)] };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        for step in 1..=3 {
            metrics.append(line(step, step as f64)).unwrap();
        }
        metrics.append(line(4, f64::NAN)).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":2,\"la").unwrap();
        let resumed = Metrics::open(&path, 2).unwrap();
        assert_eq!(resumed.series(0, "a"), [[1.0, 1.0], [2.0, 2.0]]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        std::fs::remove_file(&path).unwrap();
    }
}
