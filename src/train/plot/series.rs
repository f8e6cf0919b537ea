//! One line of a panel: its stretches without gaps, its band, its smoothed form.

use std::ops::Range;

use super::{
    axis::{Plot, drawable},
    marks,
    scene::{Colour, Paint, Point, Scene},
};

/// One line of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend; none if empty.
    pub label: String,
    /// Update and value, in drawing order. A value that is not finite is a gap.
    pub points: Vec<[f64; 2]>,
    /// Lower and upper end of a band around each point (minimum and maximum, or a deviation, over lanes); none if empty.
    pub band: Vec<[f64; 2]>,
    /// Whether each point gets a disc: for values that are measured now and then.
    pub markers: bool,
    /// Number of points over which a bold line averages, with the points themselves drawn thin; as they are if below 2.
    pub smooth: usize,
    /// Number of its colour, so that one thing has one colour in all panels; its place in the panel if `None`.
    pub colour: Option<usize>,
    /// Whether the line is dashed: for a value that was not measured here.
    pub dashed: bool,
}

impl Series {
    /// A plain line.
    pub fn new(label: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self { label: label.into(), points, ..Self::default() }
    }

    /// The same with a disc at each point.
    #[must_use]
    pub fn with_markers(self) -> Self {
        Self { markers: true, ..self }
    }

    /// The same with a band: lower and upper end for each point.
    #[must_use]
    pub fn with_band(self, band: Vec<[f64; 2]>) -> Self {
        Self { band, ..self }
    }

    /// The same as a dashed line, for a value that others report.
    #[must_use]
    pub fn with_dashes(self) -> Self {
        Self { dashed: true, ..self }
    }

    /// The same with a bold line of the mean over `window` points around each one; geometric on a logarithmic axis.
    #[must_use]
    pub fn with_smoothing(self, window: usize) -> Self {
        Self { smooth: window, ..self }
    }

    /// The same in colour number `slot`: 0 blue, 1 vermilion, 2 green, 3 rose, 4 orange, 5 sky, 6 grey, 7 dark yellow.
    #[must_use]
    pub fn with_colour(self, slot: usize) -> Self {
        Self { colour: Some(slot), ..self }
    }
}

/// Draws the area between the ends of a series' band.
pub(super) fn draw_band(scene: &mut Scene, series: &Series, plot: &Plot, log: bool, colour: Colour) {
    let x_and_ends: Vec<_> = series.points.iter().zip(&series.band).map(|([x, _], [lo, hi])| [*x, *lo, *hi]).collect();
    let whole = |[x, lo, hi]: &[f64; 3]| drawable(*x, false) && drawable(*lo, log) && drawable(*hi, log);
    let outline = |stretch: Range<usize>| {
        let upper = x_and_ends[stretch.clone()].iter().map(|[x, _, hi]| plot.place([*x, *hi]));
        let lower = x_and_ends[stretch].iter().rev().map(|[x, lo, _]| plot.place([*x, *lo]));
        upper.chain(lower).collect()
    };
    let outlines = stretches(&x_and_ends, whole).into_iter().map(outline).collect();
    scene.polygons(outlines, Paint::fill(colour.fade(0.17)));
}

/// Draws a series' line, with a gap where values are missing.
pub(super) fn draw_series(scene: &mut Scene, series: &Series, plot: &Plot, log: bool, colour: Colour) {
    let whole = |[x, y]: &[f64; 2]| drawable(*x, false) && drawable(*y, log);
    for stretch in stretches(&series.points, whole) {
        let points: Vec<Point> = series.points[stretch].iter().map(|point| plot.place(*point)).collect();
        let (discs, smooth) = (series.markers || points.len() == 1, series.smooth > 1);
        if smooth {
            scene.line(condensed(&points), marks::raw_stroke(colour));
        }
        let points = if smooth { smoothed(&points, series.smooth) } else { points };
        let stroke = if series.dashed { marks::dashed_stroke(colour) } else { marks::series_stroke(colour) };
        scene.line(condensed(&points), stroke);
        if discs {
            points.iter().for_each(|point| marks::disc(scene, *point, colour));
        }
    }
}

/// The stretches of `values` without a gap, as indices.
fn stretches<T>(values: &[T], drawable: impl Fn(&T) -> bool) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for (index, _) in values.iter().enumerate().filter(|(_, value)| drawable(value)) {
        match stretches.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => stretches.push(index..index + 1),
        }
    }
    stretches
}

/// Each point's height replaced by the mean of the `window` around it, of fewer at the ends. In pixels, so that a
/// logarithmic axis gives the geometric mean of the values.
fn smoothed(points: &[Point], window: usize) -> Vec<Point> {
    let mut sums = vec![0.0];
    for (index, [_, y]) in points.iter().enumerate() {
        sums.push(sums[index] + y);
    }
    let mean = |(index, [x, _]): (usize, &Point)| {
        let (from, to) = (index.saturating_sub(window / 2), (index + window.div_ceil(2)).min(points.len()));
        [*x, (sums[to] - sums[from]) / (to - from) as f64]
    };
    points.iter().enumerate().map(mean).collect()
}

/// At most four points per half pixel across: the first, the lowest, the highest, and the last. A line through them
/// looks the same, and the file stays small however often a run measures.
fn condensed(points: &[Point]) -> Vec<Point> {
    let mut kept = Vec::new();
    for column in points.chunk_by(|[left, _], [right, _]| (left * 2.0).floor() == (right * 2.0).floor()) {
        let height = |a: &usize, b: &usize| column[*a][1].total_cmp(&column[*b][1]);
        let ends = [(0..column.len()).min_by(height), (0..column.len()).max_by(height)].map(Option::unwrap_or_default);
        let mut places = [0, ends[0], ends[1], column.len() - 1];
        places.sort_unstable();
        kept.extend(places.chunk_by(|a, b| a == b).map(|same| column[same[0]]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_split_a_line() {
        let values = [f64::NAN, 1.0, 2.0, f64::INFINITY, 3.0];
        assert_eq!(stretches(&values, |value| value.is_finite()), [1..3, 4..5]);
        assert_eq!(stretches(&[f64::NAN], |value| value.is_finite()), Vec::<Range<usize>>::new());
    }

    #[test]
    fn smoothing_keeps_lines_and_averages_noise() {
        let flat: Vec<Point> = (0..9).map(|x| [f64::from(x), 2.0]).collect();
        assert_eq!(smoothed(&flat, 4), flat);
        let means: Vec<f64> = smoothed(&[[0.0, 0.0], [1.0, 3.0], [2.0, 6.0]], 3).iter().map(|[_, y]| *y).collect();
        assert_eq!(means, [1.5, 3.0, 4.5]);
        assert_eq!(smoothed(&[[0.0, 5.0]], 100), [[0.0, 5.0]]);
    }

    #[test]
    fn condensing_keeps_ends_and_extremes_of_each_column() {
        let points = [[0.0, 5.0], [0.1, 9.0], [0.2, 6.0], [0.3, 1.0], [0.4, 4.0], [1.0, 2.0]];
        assert_eq!(condensed(&points), [[0.0, 5.0], [0.1, 9.0], [0.3, 1.0], [0.4, 4.0], [1.0, 2.0]]);
        assert_eq!(condensed(&[]), Vec::<Point>::new());
    }
}
