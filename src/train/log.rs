//! Everything that a run's numbers are written to: `metrics.jsonl`, `metrics.csv`, and TensorBoard where asked for.

use super::csv::Csv;
use super::metrics::{Line, Metrics};
use super::run::RunFolder;
use super::tensorboard::Events;
use crate::error::Result;

/// The open files.
#[derive(Debug)]
pub(super) struct Log {
    metrics: Metrics,
    csv: Csv,
    events: Option<Events>,
}

impl Log {
    /// Opens them for a run of `lanes` lanes that goes on after update `step`, with a CSV column for each of `columns`.
    pub(super) fn open(folder: &RunFolder, columns: Vec<String>, lanes: usize, step: u64, tensorboard: bool) -> Result<Self> {
        let metrics = Metrics::open(&folder.metrics_file(), step)?;
        let csv = Csv::open(&folder.path().join("metrics.csv"), columns, metrics.lines())?;
        let events = tensorboard.then(|| Events::open(&folder.path().join("tensorboard"), lanes, step)).transpose()?;
        Ok(Self { metrics, csv, events })
    }

    /// Appends a line. One that is there already, from the evaluation of a run that is finished once more, is not repeated.
    pub(super) fn append(&mut self, line: Line) -> Result<()> {
        if self.metrics.lines().iter().rev().take_while(|known| known.step == line.step).any(|known| known.same(&line)) {
            return Ok(());
        }
        self.csv.append(&line)?;
        if let Some(events) = &mut self.events {
            events.append(&line)?;
        }
        self.metrics.append(line)
    }

    /// Waits until the metrics are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.metrics.sync()
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
