//! Histograms above one another, and bars that add up to one.

use super::{
    axis::{Axis, Plot, drawable},
    scene::{Anchor, Paint, Point, Rect, Scene, Stroke},
    style::{self, Class},
};

/// Bins of a histogram over [0, 1].
const BINS: usize = 25;
/// Share of a histogram's height that its highest bin takes.
const HEIGHT: f64 = 0.8;
/// Height of a bar, and its largest distance to the next, in pixels.
const BAR: [f64; 2] = [22.0, 58.0];

/// Histograms of the classes' values over [0, 1], the first at the bottom, each scaled to its highest bin.
pub(super) fn draw_ridges(scene: &mut Scene, classes: &[Class<f64>], area: Rect) {
    let mut plot = Plot { area, x: Axis::exact([0.0, 1.0], 2.0), y: Axis::exact([0.0, 1.0], 1.0) };
    plot.y.ticks.clear();
    let height = area.height / classes.len().max(1) as f64;
    for (index, class) in classes.iter().enumerate() {
        let base = area.bottom() - index as f64 * height;
        scene.line(vec![[area.x, base], [area.right(), base]], Stroke::solid(style::GRID, 1.0));
        let counts = histogram(&class.values);
        let highest = counts.iter().copied().max().unwrap_or_default().max(1);
        let bin = |(number, count): (usize, &usize)| {
            let [left, right] = [number, number + 1].map(|edge| area.x + area.width * edge as f64 / BINS as f64);
            let top = base - HEIGHT * height * *count as f64 / highest as f64;
            (*count > 0).then(|| vec![[left, base], [left, top], [right, top], [right, base]])
        };
        let bins: Vec<Vec<Point>> = counts.iter().enumerate().filter_map(bin).collect();
        scene.polygons(bins, Paint::fill(style::series(class.colour).fade(0.85)));
    }
    plot.draw_frame(scene);
}

/// Number of values in each bin of [0, 1]; 1 itself belongs to the last one.
fn histogram(values: &[f64]) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for value in values.iter().filter(|value| (0.0..=1.0).contains(*value)) {
        counts[((value * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}

/// Bars from the top, each of its classes' shares side by side, under its name.
pub(super) fn draw_bars(scene: &mut Scene, bars: &[(String, Vec<Class<f64>>)], area: Rect) {
    let distance = (area.height / bars.len().max(1) as f64).min(BAR[1]);
    let height = BAR[0].min(distance * 0.45);
    for (index, (name, classes)) in bars.iter().enumerate() {
        let bottom = area.y + (index + 1) as f64 * distance - 0.12 * distance;
        let label = style::TICK.shortened(name, area.width);
        scene.text([area.x, bottom - height - 6.0], &label, style::TICK, Anchor::Start);
        let mut x = area.x;
        for class in classes {
            let share = class.values.first().copied().filter(|share| drawable(*share, false)).unwrap_or_default().clamp(0.0, 1.0);
            let part = Rect { x, y: bottom - height, width: share * area.width, height };
            scene.polygons(vec![part.corners()], Paint::fill(style::series(class.colour).fade(0.85)));
            x += part.width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_falls_into_its_bin_and_odd_ones_into_none() {
        let counts = histogram(&[0.0, 0.01, 0.5, 1.0, f64::NAN, -0.1, 1.1, f64::INFINITY]);
        assert_eq!((counts[0], counts[BINS / 2], counts[BINS - 1]), (2, 1, 1));
        assert_eq!(counts.iter().sum::<usize>(), 4);
    }
}
