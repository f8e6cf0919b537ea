//! Pictures of a run: learning curves, the learned vector field on its maze, and sheets of small pictures.
//!
//! Each picture is laid out once as a `Scene` and written twice, as `<stem>.svg` and `<stem>.png`. Letters are
//! drawn as outlines from a table inside the library, so both files show the same thing on every machine, and no font or
//! system library is needed. The same input gives the same bytes.

mod axis;
mod curves;
mod density;
mod field;
mod field_panel;
mod font;
mod legend;
mod marks;
mod plane;
mod raster;
mod scene;
mod series;
mod shares;
mod sheet;
mod style;
mod svg;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::error::Result;
use crate::files;
pub use curves::{Panel, learning_curves};
pub use field::{Arrow, Field, FieldPanel, Goal, Maze, Rollout, ScalarGrid, vector_field};
pub use plane::Plane;
use scene::Scene;
pub use series::Series;
pub use sheet::{Content, Group, Sheet, Tile, sheet};
pub use style::Class;

/// Writes `scene` as `<stem>.svg` and `<stem>.png`; the folder must exist.
fn write_both(stem: &Path, scene: &Scene) -> Result<()> {
    // Both are made before either is written: a picture that cannot be drawn leaves the old pair in place.
    let png = raster::png(scene)?;
    let svg = svg::document(scene);
    files::replace(&with_suffix(stem, ".svg"), svg.as_bytes())?;
    files::replace(&with_suffix(stem, ".png"), &png)
}

/// Appends to the file name; `Path::set_extension` would cut a stem such as `gfp-alpha0.5` at its dot.
fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(stem);
    name.push(suffix);
    PathBuf::from(name)
}
