//! `metrics.csv`: the lines of `metrics.jsonl` as a table, for spreadsheets and pandas.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::metrics::Line;
use crate::error::{Error, Result};
use crate::files;

/// The file. Its columns are fixed when it is opened; a cell is empty where a line says nothing.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    file: File,
    columns: Vec<String>,
}

impl Csv {
    /// Writes the table of `lines` to `path` with `step`, `lane` and `columns`, and stays open for more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path, columns: Vec<String>, lines: &[Line]) -> Result<Self> {
        let header = format!("step,lane,{}\n", columns.join(","));
        let rows: String = lines.iter().map(|line| row(&columns, line)).collect();
        files::replace(path, (header + &rows).as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::io(path, "open"))?;
        Ok(Self { path: path.to_path_buf(), file, columns })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, line: &Line) -> Result<()> {
        self.file.write_all(row(&self.columns, line).as_bytes()).map_err(Error::io(&self.path, "append"))
    }
}

fn row(columns: &[String], line: &Line) -> String {
    let cells = columns.iter().map(|name| line.get(name).map_or_else(String::new, |value| value.to_string()));
    let cells: Vec<String> = [line.step.to_string(), line.lane.to_string()].into_iter().chain(cells).collect();
    cells.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rows_with_empty_cells_where_nothing_is_said() {
        let path = std::env::temp_dir().join(format!("wgflow-csv-{}.csv", std::process::id()));
        let line = |step, name: &str, value| Line { step, lane: 0, values: vec![(name.to_owned(), value)] };
        let mut csv = Csv::open(&path, vec!["a".to_owned(), "b".to_owned()], &[line(1, "a", 0.5)]).unwrap();
        csv.append(&line(2, "b", -3e-9)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step,lane,a,b\n1,0,0.5,\n2,0,,-0.000000003\n");
        std::fs::remove_file(&path).unwrap();
    }
}
