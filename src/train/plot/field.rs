//! The learned vector field on its maze: what goes in, and how the picture is laid out.

use std::path::Path;

use super::{
    axis::{self, Axis, Plot},
    field_panel::{Ground, draw_panel},
    legend::Legend,
    marks::{self, Mark},
    scene::{Anchor, Image, Paint, Rect, Scene, Shape, Stroke},
    style, write_both,
};
use crate::error::{Error, Result};

/// Width and largest height of one plot area, in pixels, if it is alone and if it is not.
const PLOT: [[f64; 2]; 2] = [[860.0, 860.0], [560.0, 860.0]];
/// Width of the walls shown around the free cells, in cells.
const RIM: f64 = 0.3;
/// Space between two panels.
const GAP: f64 = 44.0;
/// Room for the tick labels and the name below a plot area; and on its left, beside the labels' own width.
const FEET: f64 = 56.0;
const LEFT: f64 = 36.0;
/// Width of the colour bar, and its distance from the last panel.
const BAR: [f64; 2] = [20.0, 26.0];

/// A picture of one or more policies on one maze. World coordinates: x to the right, y up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The walls.
    pub maze: Maze,
    /// What the colours show, such as "Q(s, μ(s))".
    pub scalar_label: String,
    /// Where episodes begin.
    pub start: Option<[f64; 2]>,
    /// Where they should end.
    pub goal: Option<Goal>,
    /// World length of an arrow whose vector has length 1; from the distance between arrows if `None`.
    pub arrow_length: Option<f64>,
    /// What is drawn on the maze, side by side, in the same colours: actor and flow, say.
    pub panels: Vec<FieldPanel>,
}

/// A maze of square cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maze {
    /// Number of rows; row 0 is the lowest, as world y grows with the row.
    pub rows: usize,
    /// Number of columns; column 0 is the leftmost.
    pub cols: usize,
    /// Whether a cell is a wall. `[rows, cols]`, row-major.
    pub walls: Vec<bool>,
    /// Edge of a cell, in world units.
    pub cell: f64,
    /// The lower left *corner* of cell (0, 0), in world units.
    pub origin: [f64; 2],
}

/// A place to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goal {
    /// Its centre.
    pub at: [f64; 2],
    /// Distance at which it counts as reached, in world units.
    pub tolerance: f64,
}

/// One policy on the maze.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldPanel {
    /// Whose field it is, such as "actor".
    pub title: String,
    /// Shown as colours below everything.
    pub scalar: Option<ScalarGrid>,
    /// One arrow per place, such as the mean action.
    pub arrows: Vec<Arrow>,
    /// Thin arrows below those, such as several samples of a flow per place.
    pub samples: Vec<Arrow>,
    /// Episodes that were rolled out.
    pub rollouts: Vec<Rollout>,
}

/// A function of the place, sampled on a regular grid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalarGrid {
    /// Number of rows; row 0 is the lowest.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// World place of the sample in row 0, column 0.
    pub origin: [f64; 2],
    /// World distance between samples along x and y.
    pub step: [f64; 2],
    /// The samples; NaN where there is none (in walls). `[rows, cols]`, row-major.
    pub values: Vec<f64>,
}

/// A vector at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrow {
    /// Where its tail lies, in world units.
    pub at: [f64; 2],
    /// Direction and length; [`Field::arrow_length`] tells what length 1 is in the world.
    pub vector: [f64; 2],
}

/// One episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// The places it went through, in world units.
    pub points: Vec<[f64; 2]>,
    /// Whether it reached the goal.
    pub success: bool,
}

/// Draws the field as `<path_stem>.svg` and `<path_stem>.png`.
///
/// # Errors
/// If the maze or a scalar grid does not have the number of entries that its rows and columns promise, or no extent, if
/// the picture would be too large, or if a file cannot be written. Places and values that are not finite are left out.
pub fn vector_field(path_stem: impl AsRef<Path>, title: &str, field: &Field) -> Result<()> {
    check(field)?;
    write_both(path_stem.as_ref(), &scene(title, field))
}

fn check(field: &Field) -> Result<()> {
    let Maze { rows, cols, walls, cell, origin } = &field.maze;
    let cells = format!("{rows} x {cols} cells, at least one");
    expect(!walls.is_empty() && rows.checked_mul(*cols) == Some(walls.len()), "maze.walls", cells, walls.len().to_string())?;
    let sound = (1e-9..1e9).contains(cell) && origin.iter().all(|place| place.abs() < 1e9);
    expect(sound, "maze.cell", "a positive length, and a finite origin".into(), format!("{cell}, {origin:?}"))?;
    field.panels.iter().filter_map(|panel| panel.scalar.as_ref()).try_for_each(ScalarGrid::check)
}

fn expect(holds: bool, setting: &str, expected: String, found: String) -> Result<()> {
    let remedy = "pass the grid as [rows, cols], row-major, with finite steps";
    if holds { Ok(()) } else { Err(Error::setting(setting, expected, found, remedy)) }
}

impl ScalarGrid {
    /// Whether it has the size that it promises.
    pub(super) fn check(&self) -> Result<()> {
        let expected = format!("{} x {} values", self.rows, self.cols);
        let found = self.values.len();
        expect(self.rows.checked_mul(self.cols) == Some(found), "scalar.values", expected, found.to_string())?;
        let sound = self.step.iter().all(|step| (1e-9..1e9).contains(step)) && self.origin.iter().all(|at| at.is_finite());
        expect(sound, "scalar.step", "positive steps, and a finite origin".into(), format!("{:?}", self.step))
    }
}

/// The part of the world that is shown: all free cells and a rim around them. Mazes come with a border of wall cells,
/// which would take a third of the picture.
struct View {
    /// Lower left corner of the free cells, in world units.
    corner: [f64; 2],
    /// Their columns and rows.
    cells: [f64; 2],
    /// Edge of a cell, in world units and in pixels: whole ones, so that all walls are equally wide and sharp.
    cell: f64,
    pixels: f64,
    /// Width of the rim, in pixels.
    rim: f64,
}

impl View {
    fn new(maze: &Maze, [widest, highest]: [f64; 2]) -> Self {
        let free = |index: &usize| !maze.walls[*index];
        // A maze without a free cell is shown whole.
        let all = maze.walls.iter().all(|wall| *wall);
        let shown = || (0..maze.walls.len()).filter(|index| all || free(index));
        let bounds = |place: &dyn Fn(usize) -> usize| {
            let [lo, hi] = [shown().map(place).min(), shown().map(place).max()].map(Option::unwrap_or_default);
            (lo as f64, (hi + 1 - lo) as f64)
        };
        let [(left, cols), (low, rows)] = [bounds(&|index| index % maze.cols), bounds(&|index| index / maze.cols)];
        let pixels = (widest / (cols + 2.0 * RIM)).min(highest / (rows + 2.0 * RIM));
        let pixels = if pixels > 4.0 { pixels.floor() } else { pixels };
        let corner = [maze.origin[0] + left * maze.cell, maze.origin[1] + low * maze.cell];
        Self { corner, cells: [cols, rows], cell: maze.cell, pixels, rim: (RIM * pixels).round() }
    }

    /// Width and height of the plot area, in pixels.
    fn size(&self) -> [f64; 2] {
        self.cells.map(|cells| (cells * self.pixels + 2.0 * self.rim).ceil())
    }

    /// The plot area at a place, with axes of equal scale in world units.
    fn plot(&self, x: f64, y: f64) -> Plot {
        let [width, height] = self.size();
        let rim = self.rim / self.pixels * self.cell;
        let axis = |along: usize, pixels: f64| {
            let lo = self.corner[along] - rim;
            Axis::exact([lo, lo + pixels / self.pixels * self.cell], (pixels / 110.0).clamp(2.0, 12.0))
        };
        Plot { area: Rect { x, y, width, height }, x: axis(0, width), y: axis(1, height) }
    }
}

fn scene(title: &str, field: &Field) -> Scene {
    let (maze, count) = (&field.maze, field.panels.len().max(1));
    let view = View::new(maze, PLOT[usize::from(count > 1)]);
    let [width, height] = view.size();
    let labels = LEFT + view.plot(0.0, 0.0).y.label_width();
    let scalars = field.panels.iter().filter_map(|panel| panel.scalar.as_ref()).flat_map(|grid| &grid.values);
    let span = axis::span(scalars.copied(), false);
    let heat = span.map(|span| Axis::exact(span, 7.0));
    let bar_room = heat.as_ref().map_or(0.0, |heat| BAR[0] + BAR[1] + heat.label_width() + 46.0);
    let panels_width = count as f64 * (labels + width + GAP) - GAP;
    let titles = style::TITLE.width(title) + 2.0 * style::MARGIN;
    let scene_width = (2.0 * style::MARGIN + panels_width + bar_room).max(titles);
    let legend = Legend::new(entries(field), scene_width - 2.0 * style::MARGIN);
    let top = style::MARGIN + style::TITLE.size + 24.0;
    let plot_y = (top + 30.0).round();
    let feet = plot_y + height + FEET + 12.0;
    let mut scene = Scene::new(title, scene_width, feet + legend.height() + style::MARGIN - 8.0);
    scene.text([style::MARGIN, style::MARGIN + style::TITLE.size * 0.8], title, style::TITLE, Anchor::Start);
    let ground = Ground::new(field, heat.as_ref());
    let left = |index: usize| (style::MARGIN + labels + index as f64 * (labels + width + GAP)).round();
    let nothing = FieldPanel::default();
    for index in 0..count {
        let panel = field.panels.get(index).unwrap_or(&nothing);
        draw_panel(&mut scene, &ground, panel, &view.plot(left(index), plot_y));
    }
    if let (Some(heat), Some(span)) = (heat, span) {
        let x = left(count - 1) + width + BAR[1];
        draw_bar(&mut scene, &heat, span, Rect { x, y: plot_y, width: BAR[0], height }, &field.scalar_label);
    }
    legend.draw_centred(&mut scene, scene_width / 2.0, feet);
    scene
}

/// What the legend explains: only what the picture shows.
fn entries(field: &Field) -> Vec<(Mark, String)> {
    let any = |shows: &dyn Fn(&FieldPanel) -> bool| field.panels.iter().any(shows);
    let rolled = |success: bool| any(&|panel| panel.rollouts.iter().any(|rollout| rollout.success == success));
    let all = [
        (any(&|panel| !panel.arrows.is_empty()), Mark::Arrow, "mean action"),
        (any(&|panel| !panel.samples.is_empty()), Mark::Sample, "sampled actions"),
        (rolled(true), Mark::Path(marks::SUCCESS), "episode, goal reached"),
        (rolled(false), Mark::Path(marks::FAILURE), "episode, goal missed"),
        (field.start.is_some(), Mark::Start, "start"),
        (field.goal.is_some(), Mark::Goal, "goal and its tolerance"),
    ];
    all.into_iter().filter(|(shown, ..)| *shown).map(|(_, mark, name)| (mark, name.into())).collect()
}

/// The colour bar: colours, ticks on its right, and what it shows.
fn draw_bar(scene: &mut Scene, heat: &Axis, [lo, hi]: [f64; 2], bar: Rect, label: &str) {
    let (width, height) = (bar.width as u32, bar.height as u32);
    let rows = (0..height).map(|row| 1.0 - (f64::from(row) + 0.5) / f64::from(height));
    let rgba = rows.flat_map(|share| {
        let [red, green, blue] = style::heat(share);
        [red, green, blue, 255].repeat(width as usize)
    });
    scene.add(Shape::Image { at: [bar.x as u32, bar.y as u32], image: Image { width, height, rgba: rgba.collect() } });
    let stroke = Stroke::solid(style::FRAME, 1.0);
    scene.polygons(vec![bar.grown(0.5).corners()], Paint::stroke(stroke));
    for tick in &heat.ticks {
        let y = bar.bottom() - heat.share(tick.value) * bar.height;
        scene.line(vec![[bar.right(), y], [bar.right() + 5.0, y]], stroke);
        scene.text([bar.right() + 9.0, y + style::TICK.size * 0.35], &tick.label, style::TICK, Anchor::Start);
    }
    let x = bar.right() + 9.0 + heat.label_width() + 10.0 + style::LABEL.size;
    // One value everywhere has no range: the bar then shows it in its middle.
    let label = if lo < hi { label.to_owned() } else { format!("{label} (constant)") };
    scene.text_upwards([x, bar.y + bar.height / 2.0], &label, style::LABEL);
}
