//! Observations and actions that an HDF5 file keeps in several arrays, side by side in one row.

use super::dataset::check_finite;
use super::hdf5::{Array, Class, Hdf5, Object};
use crate::error::{Error, Result};

/// How deep groups may lie inside groups, and how many arrays they may hold together: far above any real data set, and a
/// bound for files whose groups contain themselves.
const MAX_DEPTH: usize = 8;
const MAX_ARRAYS: usize = 1024;

/// Arrays of equally many rows, in the order of their columns. Keys are relative to a group: an episode, a demo.
#[derive(Debug, PartialEq)]
pub(super) struct Columns {
    arrays: Vec<(String, usize)>,
}

impl Columns {
    /// The named arrays of `group`.
    pub fn named(file: &Hdf5, group: &str, keys: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut columns = Self { arrays: Vec::new() };
        for key in keys {
            let full = format!("{group}/{key}");
            let width = width(file, &full, &file.array(&full)?)?;
            columns.arrays.push((key, width));
        }
        Ok(columns)
    }

    /// The array `key` of `group`, or all arrays of the group of that name, in the order in which gymnasium flattens a
    /// space that Minari restored: keys of a Dict sorted, members of a Tuple (`_index_0`, `_index_1`, ...) by number.
    pub fn flattened(file: &Hdf5, group: &str, key: &str) -> Result<Self> {
        let mut keys = Vec::new();
        leaves(file, group, key, 0, &mut keys)?;
        Self::named(file, group, keys)
    }

    /// Columns of a row.
    pub fn width(&self) -> usize {
        self.arrays.iter().fold(0, |sum: usize, (_, width)| sum.saturating_add(*width))
    }

    /// Most columns that one of the arrays has.
    fn widest(&self) -> usize {
        self.arrays.iter().map(|(_, width)| *width).max().unwrap_or(0)
    }

    /// Checks that the arrays of `group` have `rows` rows and the widths known here.
    pub fn check(&self, file: &Hdf5, group: &str, rows: usize) -> Result<()> {
        for (key, expected) in &self.arrays {
            let full = format!("{group}/{key}");
            let array = file.array(&full)?;
            if array.shape.first() != Some(&rows) || width(file, &full, &array)? != *expected {
                let expected = format!("{rows} rows of {expected}");
                let remedy = "every trajectory needs the same arrays, one row per step (of observations one more in Minari)";
                return Err(Error::content(file.path(), full, expected, format!("shape {:?}", array.shape), remedy));
            }
        }
        Ok(())
    }

    /// Rows of all arrays of `group`, side by side. NaN and infinities are refused where `strict`.
    pub fn read(&self, file: &Hdf5, group: &str, strict: bool) -> Result<Vec<f32>> {
        let width = self.width();
        let (mut rows, mut first) = (Vec::new(), 0);
        for (key, part) in &self.arrays {
            let full = format!("{group}/{key}");
            let data = file.f32(&full)?;
            if strict {
                check_finite(file.path(), &full, &data, *part, &[])?;
            }
            if *part == width {
                return Ok(data);
            }
            rows.resize(data.len() / part * width, 0.0);
            for (row, values) in rows.chunks_exact_mut(width).zip(data.chunks_exact(*part)) {
                row[first..first + part].copy_from_slice(values);
            }
            first += part;
        }
        Ok(rows)
    }
}

/// What a file of trajectories holds, checked before any of it is read.
pub(super) struct Layout {
    pub observations: Columns,
    pub actions: Columns,
    /// Steps of each trajectory.
    pub steps: Vec<usize>,
}

impl Layout {
    /// Refuses a file whose transitions would take more than the caller's cap.
    pub fn check_memory(&self, file: &Hdf5) -> Result<()> {
        let [width, action_dim, widest] =
            [self.observations.width(), self.actions.width(), self.observations.widest().max(self.actions.widest())]
                .map(|columns| columns as u128);
        let total: u128 = self.steps.iter().map(|&steps| steps as u128).sum();
        let longest = self.steps.iter().max().map_or(0, |&steps| steps as u128);
        // Every transition; and of one trajectory its rows side by side, and one of their arrays as it stands in the file.
        let (transition, step) = (4 * (2 * width + action_dim + 2) + 1, 4 * width + (4 + 8) * widest);
        file.check_total("observations", total.saturating_mul(transition).saturating_add(longest.saturating_mul(step)))
    }
}

/// Columns of an array with one row per step, refusing what is no plain number.
fn width(file: &Hdf5, key: &str, array: &Array) -> Result<usize> {
    let found = match (&array.class, array.shape.as_slice()) {
        (Class::Float | Class::Integer | Class::Bool, [_, columns @ ..]) if !columns.contains(&0) => {
            // An overflow is refused as a size that no file can hold.
            return Ok(columns.iter().fold(1, |product: usize, &extent| product.saturating_mul(extent)));
        }
        (Class::Byte, _) => "unsigned 8-bit integers, which are images".to_owned(),
        (class, shape) => format!("{class} of shape {shape:?}"),
    };
    let remedy = "only low-dimensional numbers can be trained on: choose other keys, or store them as floats";
    Err(Error::content(file.path(), key, "one row of numbers per step", found, remedy))
}

fn leaves(file: &Hdf5, group: &str, key: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
    let full = format!("{group}/{key}");
    if file.object(&full)? != Some(Object::Group) {
        // An array, or nothing, which is refused when it is looked at.
        found.push(key.to_owned());
        return Ok(());
    }
    if depth == MAX_DEPTH || found.len() > MAX_ARRAYS {
        let expected = format!("at most {MAX_DEPTH} levels and {MAX_ARRAYS} arrays");
        return Err(Error::content(file.path(), full, expected, "more", "check that this is the file you mean"));
    }
    let mut names = file.names(&full)?;
    let index = |name: &String| name.strip_prefix("_index_").and_then(|number| number.parse::<usize>().ok());
    if names.iter().all(|name| index(name).is_some()) {
        names.sort_by_key(index);
    }
    for name in names {
        leaves(file, group, &format!("{key}/{name}"), depth + 1, found)?;
    }
    Ok(())
}

/// The names that are `prefix` and a number, in the order of the numbers.
pub(super) fn numbered(names: Vec<String>, prefix: &str) -> Vec<String> {
    let number = |name: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
    let mut found: Vec<_> = names.into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}
