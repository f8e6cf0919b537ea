//! Observations that exports are checked on.

use std::path::Path;

use crate::agents::policy::act_noise;
use crate::data;
use crate::error::{Error, Result};
use crate::train::Saved;

/// Observations that every export is checked on.
pub const OBSERVATIONS: usize = 1000;

/// Seed of observations that no dataset gave.
const SEED: u64 = 0x6f62_7365_7276;

/// [`OBSERVATIONS`] observations.
#[derive(Clone, Debug)]
pub struct Observations {
    /// [rows, obs_dim].
    pub values: Vec<f32>,
    /// Where they came from, for people.
    pub source: String,
}

impl Observations {
    /// For the run `saved`: from the dataset `file` where given, else from the run's own dataset if it is still there,
    /// else standard normal numbers.
    ///
    /// # Errors
    /// Whatever loading a dataset returns; [`Error::Content`] if its observations have other columns than the run's.
    pub fn of(saved: &Saved, file: Option<&Path>) -> Result<Self> {
        let own = Some(saved.config.data.as_path()).filter(|own| own.is_file());
        match file.or(own) {
            Some(file) => Self::stored(saved, file),
            None => Ok(Self::standard_normal(saved)),
        }
    }

    /// Spread evenly over a dataset.
    fn stored(saved: &Saved, file: &Path) -> Result<Self> {
        let dataset = data::load(file, &saved.config.load_options())?;
        let columns = saved.dims().obs as usize;
        if dataset.obs_dim != columns {
            let remedy = "give the run's own dataset with --data";
            return Err(Error::content(file, "observations", format!("{columns} columns"), dataset.obs_dim.to_string(), remedy));
        }
        let row = |i: usize| &dataset.observations[i * dataset.len() / OBSERVATIONS * columns..][..columns];
        let values = (0..OBSERVATIONS).flat_map(row).copied().collect();
        Ok(Self { values, source: format!("{OBSERVATIONS} observations of {}", dataset.name) })
    }

    fn standard_normal(saved: &Saved) -> Self {
        let row = |i: usize| act_noise(SEED, 0, i as u32, saved.dims().obs as usize);
        let values = (0..OBSERVATIONS).flat_map(row).map(|x| x as f32).collect();
        let missing = saved.config.data.display();
        Self { values, source: format!("{OBSERVATIONS} standard normal observations, since {missing} is not there (see --data)") }
    }
}

/// Rows to act on.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// How many.
    pub rows: usize,
    /// [rows, obs_dim].
    pub observations: &'a [f32],
    /// [rows, columns of noise], which may be none.
    pub noise: &'a [f32],
}

impl<'a> Batch<'a> {
    /// The observation of row `row`.
    pub fn observation(&self, row: usize) -> &'a [f32] {
        part(self.observations, self.rows, row, 1)
    }

    /// The noise of row `row`.
    pub fn noise(&self, row: usize) -> &'a [f32] {
        part(self.noise, self.rows, row, 1)
    }

    /// `rows` rows from `first`.
    pub(super) fn block(&self, first: usize, rows: usize) -> Self {
        let part = |values| part(values, self.rows, first, rows);
        Batch { rows, observations: part(self.observations), noise: part(self.noise) }
    }
}

/// `count` rows from `first` of a table of `rows`.
fn part(values: &[f32], rows: usize, first: usize, count: usize) -> &[f32] {
    let columns = values.len() / rows;
    &values[first * columns..][..count * columns]
}
