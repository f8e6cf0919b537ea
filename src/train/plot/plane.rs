//! A square of the plane: a function as colours, points as a density or as dots.

use super::{
    axis::{self, Axis, Plot, drawable},
    density,
    field::ScalarGrid,
    field_panel::heat_image,
    scene::{Anchor, Image, Paint, Point, Rect, Scene, Shape, Stroke},
    style::{self, Class},
};

/// Diameter of a dot, in pixels.
const DOT: f64 = 3.2;
/// Height of the colour scale above a tile.
const SCALE: f64 = 10.0;

/// A square of the plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// The square reaches from minus this to this along both axes.
    pub reach: f64,
    /// Half the edge of a dashed square around the origin; none if 0.
    pub limit: f64,
    /// Whether the axes have ticks.
    pub ticks: bool,
    /// A function, as colours with a scale in place of the tile's note.
    pub heat: Option<ScalarGrid>,
    /// Points shown as a density, smoothed and scaled to its maximum; where classes mix, so do their colours.
    pub density: Vec<Class<[f64; 2]>>,
    /// Points shown as dots.
    pub dots: Vec<Class<[f64; 2]>>,
    /// Words centred at places.
    pub words: Vec<([f64; 2], String)>,
}

/// Draws the square into `area`, whose edges are whole pixels.
pub(super) fn draw(scene: &mut Scene, plane: &Plane, area: Rect) {
    let axis = || Axis::exact([-plane.reach, plane.reach], 3.0);
    let plot = Plot { area, x: axis(), y: axis() };
    let at = [area.x as u32, area.y as u32];
    if let Some(grid) = &plane.heat {
        // One value everywhere has no range, and shows in the middle of one.
        let heat = Axis::exact(axis::span(grid.values.iter().copied(), false).unwrap_or([0.0, 1.0]), 2.0);
        scene.add(Shape::Image { at, image: heat_image(grid, &heat, &plot) });
        draw_scale(scene, grid, area);
    }
    if plane.density.iter().any(|class| !class.values.is_empty()) {
        scene.add(Shape::Image { at, image: density::image(&plane.density, &plot) });
    }
    scene.clipped(area, |scene| {
        if plane.limit > 0.0 {
            let corner = |x: f64, y: f64| plot.place([x * plane.limit, y * plane.limit]);
            let square = vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
            scene.polygons(vec![square], Paint::stroke(Stroke { colour: style::FRAME, width: 1.0, dash: Some([3.0, 3.0]) }));
        }
        plane.dots.iter().for_each(|class| draw_dots(scene, class, &plot));
    });
    for (place, words) in &plane.words {
        let [x, y] = plot.place(*place);
        // A light ground keeps words readable on dots and colours.
        let half = style::LABEL.width(words) / 2.0 + 4.0;
        let ground = Rect { x: x - half, y: y - 9.5, width: 2.0 * half, height: 19.0 };
        scene.polygons(vec![ground.corners()], Paint::fill(style::WHITE.fade(0.7)));
        scene.text([x, y + style::LABEL.size * 0.35], words, style::LABEL, Anchor::Middle);
    }
    if plane.ticks {
        plot.draw_frame(scene);
    } else {
        scene.polygons(vec![area.grown(0.5).corners()], Paint::stroke(Stroke::solid(style::FRAME, 1.0)));
    }
}

/// Dots as the round ends of lines without length: one shape for all keeps the files small.
fn draw_dots(scene: &mut Scene, class: &Class<[f64; 2]>, plot: &Plot) {
    let finite = |place: &&[f64; 2]| place.iter().all(|value| drawable(*value, false));
    let dot = |[x, y]: Point| vec![[x, y], [x + 0.01, y]];
    let parts = class.values.iter().filter(finite).map(|place| dot(plot.place(*place))).collect();
    let stroke = Stroke::solid(style::series(class.colour).fade(0.75), DOT);
    scene.add(Shape::Lines { parts, closed: false, paint: Paint::stroke(stroke) });
}

/// What the colours of `grid` mean, above `area`: the lowest value, all colours, the highest.
fn draw_scale(scene: &mut Scene, grid: &ScalarGrid, area: Rect) {
    let Some([lo, hi]) = axis::span(grid.values.iter().copied(), false) else { return };
    let labels = [lo, hi].map(|value| format!("{value:.1}").replace('-', "\u{2212}"));
    let [left, right] = [0, 1].map(|end| style::TICK.width(&labels[end]) + 8.0);
    let baseline = area.y - 9.0;
    scene.text([area.x, baseline], &labels[0], style::TICK, Anchor::Start);
    scene.text([area.right(), baseline], &labels[1], style::TICK, Anchor::End);
    let [from, to] = [(area.x + left).round(), (area.right() - right).round()];
    let bar = Rect { x: from, y: (baseline - SCALE).round(), width: (to - from).max(1.0), height: SCALE };
    let (width, height) = (bar.width as u32, bar.height as u32);
    let row = (0..width).flat_map(|col| {
        let [red, green, blue] = style::heat((f64::from(col) + 0.5) / f64::from(width));
        [red, green, blue, 255]
    });
    let rgba = row.collect::<Vec<u8>>().repeat(height as usize);
    scene.add(Shape::Image { at: [bar.x as u32, bar.y as u32], image: Image { width, height, rgba } });
}
