//! Legends: rows of small drawings with their names, wrapped to a width.

use super::{
    marks::Mark,
    scene::{Anchor, Scene},
    style,
};

/// Width of the small drawing before a name, in pixels.
const SWATCH: f64 = 28.0;
/// Space between drawing and name, and between two entries.
const GAPS: [f64; 2] = [7.0, 20.0];
/// Height of a row.
const ROW: f64 = 25.0;

/// A legend's entries, broken into rows.
#[derive(Clone, Debug)]
pub(super) struct Legend {
    rows: Vec<Vec<(Mark, String)>>,
}

impl Legend {
    /// Breaks `entries` into rows of at most `width` pixels; a name that alone is wider is shortened.
    pub(super) fn new(entries: impl IntoIterator<Item = (Mark, String)>, width: f64) -> Self {
        let mut rows: Vec<Vec<(Mark, String)>> = Vec::new();
        let mut used = f64::INFINITY;
        for (mark, name) in entries {
            let entry = (mark, style::LABEL.shortened(&name, width - SWATCH - GAPS[0]));
            let needed = entry_width(&entry);
            used += GAPS[1] + needed;
            match rows.last_mut() {
                Some(row) if used <= width => row.push(entry),
                _ => {
                    rows.push(vec![entry]);
                    used = needed;
                }
            }
        }
        Self { rows }
    }

    /// Height in pixels.
    pub(super) fn height(&self) -> f64 {
        ROW * self.rows.len() as f64
    }

    /// Draws the rows downwards from `y`, each beginning at `x`.
    pub(super) fn draw_from(&self, scene: &mut Scene, x: f64, y: f64) {
        self.draw(scene, y, |_| x);
    }

    /// Draws the rows downwards from `y`, each centred on `x`.
    pub(super) fn draw_centred(&self, scene: &mut Scene, x: f64, y: f64) {
        self.draw(scene, y, |width| x - width / 2.0);
    }

    fn draw(&self, scene: &mut Scene, y: f64, begin: impl Fn(f64) -> f64) {
        for (index, row) in self.rows.iter().enumerate() {
            let width = row.iter().map(entry_width).sum::<f64>() + GAPS[1] * (row.len() - 1) as f64;
            let (mut x, middle) = (begin(width), y + ROW * (index as f64 + 0.5));
            for entry in row {
                let (mark, name) = entry;
                mark.draw_swatch(scene, [x, middle], SWATCH);
                let at = [x + SWATCH + GAPS[0], middle + style::LABEL.size * 0.34];
                scene.text(at, name, style::LABEL, Anchor::Start);
                x += entry_width(entry) + GAPS[1];
            }
        }
    }
}

fn entry_width((_, name): &(Mark, String)) -> f64 {
    SWATCH + GAPS[0] + style::LABEL.width(name)
}
