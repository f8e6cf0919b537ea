//! One panel of a vector field, layer by layer: colours, walls, trajectories, arrows, start and goal.

use super::{
    axis::{Axis, Plot, drawable},
    field::{Arrow, Field, FieldPanel, Maze, Rollout, ScalarGrid},
    marks,
    scene::{Anchor, Image, Paint, Point, Scene, Shape},
    style,
};

/// Length of an arrow of length 1, as a share of the distance between arrows: full actions of a square action space
/// have up to √2, and still must not touch the next arrow.
const ARROW_SHARE: f64 = 0.66;

/// What all panels of a picture share.
pub(super) struct Ground<'a> {
    field: &'a Field,
    heat: Option<&'a Axis>,
    /// World length of an arrow of length 1.
    unit: f64,
}

impl<'a> Ground<'a> {
    /// `heat` is the common range of all scalar grids.
    pub(super) fn new(field: &'a Field, heat: Option<&'a Axis>) -> Self {
        let given = field.arrow_length.filter(|length| length.is_finite());
        Self { field, heat, unit: given.unwrap_or_else(|| ARROW_SHARE * spacing(field)) }
    }
}

/// The distance between neighbouring arrows: the smallest one to the first arrow of a panel (the others are taken to
/// stand on the same grid); half a cell if there is no second one.
fn spacing(field: &Field) -> f64 {
    let distances = field.panels.iter().flat_map(|panel| {
        let arrows = if panel.arrows.is_empty() { &panel.samples } else { &panel.arrows };
        let first = arrows.iter().map(|arrow| arrow.at).find(|at| at.iter().all(|place| place.is_finite()));
        let from = move |first: [f64; 2]| arrows.iter().map(move |arrow| (arrow.at[0] - first[0]).hypot(arrow.at[1] - first[1]));
        first.map(from).into_iter().flatten()
    });
    let least = distances.filter(|distance| *distance > 1e-6 * field.maze.cell).fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { field.maze.cell / 2.0 }
}

/// Draws a panel with its axes and its title.
pub(super) fn draw_panel(scene: &mut Scene, ground: &Ground<'_>, panel: &FieldPanel, plot: &Plot) {
    let (field, area) = (ground.field, plot.area);
    scene.polygons(vec![area.corners()], Paint::fill(style::FLOOR));
    if let (Some(heat), Some(grid)) = (ground.heat, &panel.scalar) {
        let at = [area.x as u32, area.y as u32];
        scene.add(Shape::Image { at, image: heat_image(grid, heat, plot) });
    }
    scene.clipped(area, |scene| {
        scene.polygons(wall_outlines(&field.maze, plot), Paint::fill(style::WALL));
        marks::samples(scene, &in_pixels(&panel.samples, ground.unit, plot));
        marks::arrows(scene, &in_pixels(&panel.arrows, ground.unit, plot));
        // Failures first: they are usually the longer ones, and hide the others.
        for success in [false, true] {
            for rollout in panel.rollouts.iter().filter(|rollout| rollout.success == success) {
                draw_rollout(scene, rollout, plot);
            }
        }
        let finite = |place: &[f64; 2]| place.iter().all(|value| drawable(*value, false));
        if let Some(goal) = field.goal.filter(|goal| finite(&goal.at)) {
            let [centre, rim] = [[0.0, 0.0], [goal.tolerance, 0.0]].map(|by| plot.place([goal.at[0] + by[0], goal.at[1]]));
            let radius = rim[0] - centre[0];
            marks::goal(scene, centre, if radius < 1e4 { radius } else { 0.0 });
        }
        if let Some(start) = field.start.filter(finite) {
            marks::start(scene, plot.place(start));
        }
    });
    plot.draw_frame(scene);
    draw_names(scene, panel, plot);
}

/// Title, count of successes, and names of the axes.
fn draw_names(scene: &mut Scene, panel: &FieldPanel, plot: &Plot) {
    let area = plot.area;
    let reached = panel.rollouts.iter().filter(|rollout| rollout.success).count();
    let count = match panel.rollouts.len() {
        0 => String::new(),
        all => format!("{reached} of {all} episodes reach the goal"),
    };
    scene.text([area.right(), area.y - 13.0], &count, style::LABEL, Anchor::End);
    let title = style::PANEL_TITLE.shortened(&panel.title, area.width - style::LABEL.width(&count) - 16.0);
    scene.text([area.x, area.y - 13.0], &title, style::PANEL_TITLE, Anchor::Start);
    scene.text([area.x + area.width / 2.0, area.bottom() + 46.0], "x", style::LABEL, Anchor::Middle);
    scene.text_upwards([area.x - 21.0 - plot.y.label_width(), area.y + area.height / 2.0], "y", style::LABEL);
}

/// The walls, one rectangle per run of wall cells in a row; painted as one shape, so that no seams show.
fn wall_outlines(maze: &Maze, plot: &Plot) -> Vec<Vec<Point>> {
    let mut outlines = Vec::new();
    for (row, cells) in maze.walls.chunks(maze.cols).enumerate() {
        let mut col = 0;
        for run in cells.chunk_by(|left, right| left == right) {
            if run[0] {
                let corner = |col: usize, row: usize| {
                    let world = [col, row].map(|index| index as f64 * maze.cell);
                    plot.place([maze.origin[0] + world[0], maze.origin[1] + world[1]])
                };
                let end = col + run.len();
                outlines.push(vec![corner(col, row), corner(end, row), corner(end, row + 1), corner(col, row + 1)]);
            }
            col += run.len();
        }
    }
    outlines
}

/// The grid as colours, one per pixel of the plot's area.
pub(super) fn heat_image(grid: &ScalarGrid, heat: &Axis, plot: &Plot) -> Image {
    let (width, height) = (plot.area.width as u32, plot.area.height as u32);
    let mut rgba = Vec::with_capacity(4 * width as usize * height as usize);
    for row in 0..height {
        for col in 0..width {
            let centre = [plot.area.x + f64::from(col) + 0.5, plot.area.y + f64::from(row) + 0.5];
            rgba.extend(match value_at(grid, plot.world(centre)) {
                Some(value) => {
                    let [red, green, blue] = style::heat(heat.share(value));
                    [red, green, blue, 255]
                }
                None => [0; 4],
            });
        }
    }
    Image { width, height, rgba }
}

/// The grid's value between its samples, weighted by nearness over those of the four around that exist; up to one step
/// beyond its edge, so that the colours reach the walls.
fn value_at(grid: &ScalarGrid, place: [f64; 2]) -> Option<f64> {
    let [col, row] = [0, 1].map(|axis| (place[axis] - grid.origin[axis]) / grid.step[axis]);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (r, c) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
        let [c, r] = [col.floor() + c, row.floor() + r];
        let weight = (1.0 - (col - c).abs()) * (1.0 - (row - r).abs());
        let inside = r >= 0.0 && c >= 0.0 && r < grid.rows as f64 && c < grid.cols as f64;
        let value = if inside { grid.values[r as usize * grid.cols + c as usize] } else { f64::NAN };
        if drawable(value, false) && weight > 0.0 {
            sum += weight * value;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| sum / weights)
}

fn draw_rollout(scene: &mut Scene, rollout: &Rollout, plot: &Plot) {
    let colour = if rollout.success { marks::SUCCESS } else { marks::FAILURE };
    let finite = |place: &&[f64; 2]| place.iter().all(|value| drawable(*value, false));
    let points: Vec<Point> = rollout.points.iter().filter(finite).map(|place| plot.place(*place)).collect();
    if let Some(last) = points.last().copied() {
        marks::path(scene, thinned(points, 0.5), colour);
        marks::path_end(scene, last, colour);
    }
}

/// Leaves out points nearer than `least` pixels to the one kept before: what cannot be seen need not be in the file.
/// The last point always stays.
fn thinned(points: Vec<Point>, least: f64) -> Vec<Point> {
    let last = points.len().saturating_sub(1);
    let mut kept: Vec<Point> = Vec::new();
    for (index, [x, y]) in points.into_iter().enumerate() {
        let near = kept.last().is_some_and(|[kept_x, kept_y]| (x - kept_x).hypot(y - kept_y) < least);
        if !near || index == last {
            kept.push([x, y]);
        }
    }
    kept
}

fn in_pixels(arrows: &[Arrow], unit: f64, plot: &Plot) -> Vec<(Point, Point)> {
    let whole = |arrow: &&Arrow| arrow.at.iter().chain(&arrow.vector).all(|value| drawable(*value, false));
    let place = |Arrow { at: [x, y], vector: [across, up] }: &Arrow| {
        let (tail, tip) = (plot.place([*x, *y]), plot.place([x + across * unit, y + up * unit]));
        (tail, [tip[0] - tail[0], tip[1] - tail[1]])
    };
    arrows.iter().filter(whole).map(place).collect()
}
