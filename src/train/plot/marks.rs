//! The marks that stand for data, drawn the same way in a plot and in its legend.

use super::{
    scene::{Colour, Paint, Point, Rect, Scene, Stroke},
    style,
};

/// Trajectories that reached the goal.
pub(super) const SUCCESS: Colour = style::WHITE;
/// Trajectories that did not.
pub(super) const FAILURE: Colour = Colour::hex(0xe0_34_2b);
/// Arrows of the mean action.
pub(super) const ARROW: Colour = Colour::hex(0x1d_21_33);
/// The goal.
pub(super) const GOAL: Colour = Colour::hex(0xff_a6_00);

/// A kind of mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    /// A line of a series; with discs at its points, or without.
    Series(Colour, bool),
    /// A dashed line.
    Dashes(Colour),
    /// Points of this colour.
    Dot(Colour),
    /// A rolled-out trajectory in this colour.
    Path(Colour),
    /// An arrow of the mean action.
    Arrow,
    /// An arrow of one sample.
    Sample,
    /// Where episodes begin.
    Start,
    /// Where they should end.
    Goal,
}

impl Mark {
    /// Draws the mark for a legend: `width` pixels to the right of a place, and centred on its height.
    pub(super) fn draw_swatch(self, scene: &mut Scene, [x, y]: Point, width: f64) {
        let middle = [x + width / 2.0, y];
        match self {
            Self::Series(colour, discs) => {
                scene.line(vec![[x + 2.0, y], [x + width - 2.0, y]], series_stroke(colour));
                if discs {
                    disc(scene, middle, colour);
                }
            }
            Self::Dashes(colour) => scene.line(vec![[x + 2.0, y], [x + width - 2.0, y]], dashed_stroke(colour)),
            Self::Dot(colour) => scene.circle([x + width - 7.0, y], 6.0, Paint::fill(colour)),
            Self::Path(colour) => {
                let end = [x + width - 4.0, y - 4.0];
                path(scene, vec![[x + 2.0, y + 4.0], [x + 0.4 * width, y - 3.0], [x + 0.6 * width, y + 2.0], end], colour);
                path_end(scene, end, colour);
            }
            Self::Arrow => arrows(scene, &[([x + 2.0, y], [width - 4.0, 0.0])]),
            Self::Sample => {
                // White needs a ground.
                let patch = Rect { x, y: y - 9.0, width, height: 18.0 };
                scene.polygons(vec![patch.corners()], Paint::fill(style::FLOOR));
                let fan = [-6.0, 0.5, 6.0].map(|down: f64| ([x + 4.0, y], [width - 7.0 - down.abs() / 2.0, down]));
                samples(scene, &fan);
            }
            Self::Start => start(scene, middle),
            Self::Goal => goal(scene, middle, 11.0),
        }
    }
}

/// Look of a series' line.
pub(super) fn series_stroke(colour: Colour) -> Stroke {
    Stroke::solid(colour, 2.0)
}

/// Look of a dashed series' line: three dashes on a legend's swatch.
pub(super) fn dashed_stroke(colour: Colour) -> Stroke {
    Stroke { colour, width: 2.0, dash: Some([6.0, 3.0]) }
}

/// Look of the points under a smoothed line.
pub(super) fn raw_stroke(colour: Colour) -> Stroke {
    Stroke::solid(colour.fade(0.3), 1.0)
}

/// A point of a series.
pub(super) fn disc(scene: &mut Scene, centre: Point, colour: Colour) {
    let paint = Paint { fill: Some(colour), stroke: Some(Stroke::solid(style::WHITE, 1.2)) };
    scene.circle(centre, 4.2, paint);
}

/// A trajectory, with a dark rim that keeps it visible on every colour of the map.
pub(super) fn path(scene: &mut Scene, points: Vec<Point>, colour: Colour) {
    scene.line(points.clone(), Stroke::solid(style::INK.fade(0.6), 3.4));
    scene.line(points, Stroke::solid(colour.fade(0.92), 1.9));
}

/// Arrows of mean actions: from a place by a vector, in pixels.
pub(super) fn arrows(scene: &mut Scene, arrows: &[(Point, Point)]) {
    let outlines = arrows.iter().filter_map(|arrow| arrow_outline(*arrow, 1.0)).collect();
    scene.polygons(outlines, Paint::fill(ARROW.fade(0.88)));
}

/// The same for samples: thinner and lighter. With small heads, as bare lines from one place look like a head that
/// points backwards.
pub(super) fn samples(scene: &mut Scene, samples: &[(Point, Point)]) {
    let outlines = samples.iter().filter_map(|sample| arrow_outline(*sample, 0.42)).collect();
    scene.polygons(outlines, Paint::fill(style::WHITE.fade(0.72)));
}

/// A filled arrow, shaft and head as one polygon. Shorter ones are smaller all over, and `weight` 1 is bold.
fn arrow_outline(([x, y], [across, down]): (Point, Point), weight: f64) -> Option<Vec<Point>> {
    let length = across.hypot(down);
    // Below two pixels there is no direction to see.
    if !(2.0..1e6).contains(&length) {
        return None;
    }
    let head = (0.45 * length).min(9.0) * weight.sqrt();
    let (shaft, wing) = ((0.085 * length).clamp(0.45, 1.0) * weight, 0.46 * head);
    let neck = length - head;
    let outline = [[0.0, shaft], [neck, shaft], [neck, wing], [length, 0.0], [neck, -wing], [neck, -shaft], [0.0, -shaft]];
    let [cosine, sine] = [across / length, down / length];
    Some(outline.map(|[along, beside]| [x + along * cosine - beside * sine, y + along * sine + beside * cosine]).to_vec())
}

/// Where a trajectory ended.
pub(super) fn path_end(scene: &mut Scene, at: Point, colour: Colour) {
    scene.circle(at, 4.0, Paint { fill: Some(colour), stroke: Some(Stroke::solid(style::INK, 1.2)) });
}

/// A polygon around a centre, its first corner above.
fn polygon([x, y]: Point, corners: u32, radius: impl Fn(u32) -> f64) -> Vec<Point> {
    let corner = |index: u32| {
        let angle = std::f64::consts::TAU * (f64::from(index) / f64::from(corners) - 0.25);
        [x + radius(index) * angle.cos(), y + radius(index) * angle.sin()]
    };
    (0..corners).map(corner).collect()
}

/// Where episodes begin: a white square.
pub(super) fn start(scene: &mut Scene, [x, y]: Point) {
    let square = Rect { x, y, width: 0.0, height: 0.0 }.grown(6.5);
    let paint = Paint { fill: Some(style::WHITE), stroke: Some(Stroke::solid(style::INK, 2.0)) };
    scene.polygons(vec![square.corners()], paint);
}

/// The goal: a star, and the circle inside of which it counts as reached, `tolerance` pixels in radius.
pub(super) fn goal(scene: &mut Scene, [x, y]: Point, tolerance: f64) {
    if tolerance > 0.0 {
        scene.circle([x, y], tolerance, Paint { fill: Some(GOAL.fade(0.25)), stroke: None });
        scene.circle([x, y], tolerance, Paint::stroke(Stroke { colour: style::INK, width: 1.4, dash: Some([4.0, 3.0]) }));
    }
    let star = polygon([x, y], 10, |index| if index % 2 == 0 { 8.0 } else { 3.4 });
    scene.polygons(vec![star], Paint { fill: Some(GOAL), stroke: Some(Stroke::solid(style::INK, 1.2)) });
}
