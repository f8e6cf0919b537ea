//! Axes: from values to a range, from a range to ticks with readable labels, and the frame around a plot.

use super::{
    scene::{Anchor, Paint, Point, Rect, Scene, Stroke},
    style,
};

/// Values beyond this are treated as missing, like NaN: differences of larger ones may overflow.
const LARGEST: f64 = 1e100;
/// Largest coordinate of a pixel.
const FARTHEST: f64 = 1e5;
/// Distance between a frame and its tick labels, in pixels.
const TICK_GAP: f64 = 9.0;

/// Whether a value can be drawn.
pub(super) fn drawable(value: f64, log: bool) -> bool {
    value.abs() < LARGEST && (!log || value > 1.0 / LARGEST)
}

/// Smallest and largest drawable value.
pub(super) fn span(values: impl Iterator<Item = f64>, log: bool) -> Option<[f64; 2]> {
    let drawable = values.filter(|value| drawable(*value, log));
    drawable.fold(None, |span, value| match span {
        None => Some([value, value]),
        Some([lo, hi]) => Some([value.min(lo), value.max(hi)]),
    })
}

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// The value.
    pub value: f64,
    /// How it is written.
    pub label: String,
}

/// One axis: a range of values and its ticks.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    lo: f64,
    hi: f64,
    log: bool,
    /// The labelled values, all inside the range.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// A linear axis over exactly `[lo, hi]` with about `count` ticks. A range without extent gets some.
    pub(super) fn exact([lo, hi]: [f64; 2], count: f64) -> Self {
        let size = lo.abs().max(hi.abs());
        // Below 1e-9 of the values, a difference is rounding noise and no label could tell it.
        let [lo, hi] = if hi - lo > size * 1e-9 { [lo, hi] } else { [lo - room(size), hi + room(size)] };
        Self { lo, hi, log: false, ticks: linear_ticks(lo, hi, count) }
    }

    /// A linear axis with `share` of the range added at both ends, so that marks do not touch the frame.
    pub(super) fn padded(span: [f64; 2], share: f64, count: f64) -> Self {
        let Self { lo, hi, .. } = Self::exact(span, count);
        let pad = (hi - lo) * share;
        Self::exact([lo - pad, hi + pad], count)
    }

    /// A logarithmic axis over a positive range, with some room at both ends.
    pub(super) fn log([lo, hi]: [f64; 2], count: f64) -> Self {
        let pad = ((hi / lo).ln() * 0.06).max(0.05);
        let [lo, hi] = [(lo.ln() - pad).exp(), (hi.ln() + pad).exp()];
        Self { lo, hi, log: true, ticks: log_ticks(lo, hi, count) }
    }

    /// Where a drawable value lies: 0 at the axis' beginning, 1 at its end, and beyond outside of its range.
    pub(super) fn share(&self, value: f64) -> f64 {
        let [value, lo, hi] = [value, self.lo, self.hi].map(|value| if self.log { value.ln() } else { value });
        (value - lo) / (hi - lo)
    }

    /// The value at a share, the inverse of [`Self::share`].
    fn value(&self, share: f64) -> f64 {
        if self.log { (self.lo.ln() + share * (self.hi / self.lo).ln()).exp() } else { self.lo + share * (self.hi - self.lo) }
    }

    /// Width of the widest label in pixels.
    pub(super) fn label_width(&self) -> f64 {
        self.ticks.iter().map(|tick| style::TICK.width(&tick.label)).fold(0.0, f64::max)
    }
}

/// Half the range that a single value gets.
fn room(size: f64) -> f64 {
    if size > 0.0 { size * 0.1 } else { 1.0 }
}

/// The step of 1, 2, 2.5 or 5 times a power of ten that gives at most `count` intervals.
fn nice_step(extent: f64, count: f64) -> f64 {
    let raw = extent / count.max(1.0);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw * (1.0 - 1e-9));
    step.unwrap_or(10.0 * power)
}

fn linear_ticks(lo: f64, hi: f64, count: f64) -> Vec<Tick> {
    let step = nice_step(hi - lo, count);
    // Multiples of the step, with room for rounding at both ends; at most a few, whatever the range.
    let [first, last] = [(lo / step - 1e-6).ceil(), (hi / step + 1e-6).floor()];
    let values = (0..=(last - first).clamp(0.0, 64.0) as u32).map(|index| (first + f64::from(index)) * step);
    let largest = lo.abs().max(hi.abs());
    values.map(|value| Tick { value, label: label(value, step, largest) }).collect()
}

fn log_ticks(lo: f64, hi: f64, count: f64) -> Vec<Tick> {
    let [first, last] = [lo.log10().ceil() as i32, hi.log10().floor() as i32];
    let tick = |mantissa: f64, power: i32| {
        let value = mantissa * 10f64.powi(power);
        Tick { value, label: label(value, value, value) }
    };
    if last > first {
        let every = (f64::from(last - first + 1) / count.max(1.0)).ceil() as usize;
        return (first..=last).step_by(every.max(1)).map(|power| tick(1.0, power)).collect();
    }
    let fine = (first - 1..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|mantissa| tick(mantissa, power)));
    let fine: Vec<_> = fine.filter(|tick| (lo..=hi).contains(&tick.value)).collect();
    // Less than two ticks tell no scale: then round numbers do, though they are not evenly spaced.
    if fine.len() < 2 { linear_ticks(lo, hi, count) } else { fine }
}

/// A value as text: as many decimals as `step` needs, `k` and `M` for thousands and millions, powers of ten beyond.
fn label(value: f64, step: f64, largest: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".into();
    }
    let text = if !(1e-3 * (1.0 - 1e-9)..1e9).contains(&largest) {
        scientific(value, step, largest)
    } else if largest >= 1e4 {
        let (unit, suffix) = if value.abs() >= 1e6 { (1e6, "M") } else { (1e3, "k") };
        let digits = format!("{:.*}", decimals(step / unit), value / unit);
        let short = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
        format!("{short}{suffix}")
    } else {
        format!("{value:.*}", decimals(step))
    };
    text.replace('-', "\u{2212}")
}

/// `2×10⁻⁵`, and `10⁻⁵` for the power itself.
fn scientific(value: f64, step: f64, largest: f64) -> String {
    let power = (largest.abs().log10() + 1e-9).floor() as i32;
    let unit = 10f64.powi(power);
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |digit: char| digit.to_digit(10).map_or('⁻', |digit| digits[digit as usize]);
    let raised: String = power.to_string().chars().map(raise).collect();
    let mantissa = format!("{:.*}", decimals(step / unit), value / unit);
    if mantissa == "1" { format!("10{raised}") } else { format!("{mantissa}×10{raised}") }
}

/// Fewest decimals that write multiples of `step` exactly enough.
fn decimals(step: f64) -> usize {
    let exact = |places: &usize| {
        let scaled = step * 10f64.powi(*places as i32);
        scaled >= 1.0 - 1e-6 && (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    (0..12).find(exact).unwrap_or(12)
}

/// A plot's rectangle with its two axes.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// Where the data is drawn; whole pixels, so that frames are sharp.
    pub area: Rect,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis, upwards.
    pub y: Axis,
}

impl Plot {
    /// The pixel of a value pair. Far outside of the picture it is moved nearer: the PNG's coordinates are `f32`.
    pub(super) fn place(&self, [x, y]: [f64; 2]) -> Point {
        let area = self.area;
        let place = [area.x + self.x.share(x) * area.width, area.bottom() - self.y.share(y) * area.height];
        place.map(|pixels| pixels.clamp(-FARTHEST, FARTHEST))
    }

    /// The value pair of a pixel.
    pub(super) fn world(&self, [x, y]: Point) -> [f64; 2] {
        let area = self.area;
        [self.x.value((x - area.x) / area.width), self.y.value((area.bottom() - y) / area.height)]
    }

    /// Light lines at all ticks.
    pub(super) fn draw_grid(&self, scene: &mut Scene) {
        let (area, stroke) = (self.area, Stroke::solid(style::GRID, 1.0));
        for x in self.tick_columns() {
            scene.line(vec![[x, area.y], [x, area.bottom()]], stroke);
        }
        for y in self.tick_rows() {
            scene.line(vec![[area.x, y], [area.right(), y]], stroke);
        }
    }

    /// Frame, tick marks and tick labels.
    pub(super) fn draw_frame(&self, scene: &mut Scene) {
        let (area, stroke) = (self.area, Stroke::solid(style::FRAME, 1.0));
        for (x, tick) in self.tick_columns().into_iter().zip(&self.x.ticks) {
            scene.line(vec![[x, area.bottom()], [x, area.bottom() + 5.0]], stroke);
            let at = [x, area.bottom() + TICK_GAP + style::TICK.size * 0.75];
            scene.text(at, &tick.label, style::TICK, Anchor::Middle);
        }
        for (y, tick) in self.tick_rows().into_iter().zip(&self.y.ticks) {
            scene.line(vec![[area.x - 5.0, y], [area.x, y]], stroke);
            // A third of the size centres digits on the tick.
            let at = [area.x - TICK_GAP, y + style::TICK.size * 0.35];
            scene.text(at, &tick.label, style::TICK, Anchor::End);
        }
        scene.polygons(vec![area.grown(0.5).corners()], Paint::stroke(stroke));
    }

    fn tick_columns(&self) -> Vec<f64> {
        self.x.ticks.iter().map(|tick| sharp(self.area.x + self.x.share(tick.value) * self.area.width)).collect()
    }

    fn tick_rows(&self) -> Vec<f64> {
        self.y.ticks.iter().map(|tick| sharp(self.area.bottom() - self.y.share(tick.value) * self.area.height)).collect()
    }
}

/// The nearest place where a line of one pixel covers exactly one pixel.
fn sharp(place: f64) -> f64 {
    (place - 0.5).round() + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn updates_are_labelled_in_thousands_and_millions() {
        assert_eq!(labels(&Axis::exact([0.0, 1e6], 5.0)), ["0", "200k", "400k", "600k", "800k", "1M"]);
        assert_eq!(labels(&Axis::exact([0.0, 30_000.0], 5.0)), ["0", "10k", "20k", "30k"]);
        assert_eq!(labels(&Axis::exact([0.0, 10_000.0], 4.0)), ["0", "2.5k", "5k", "7.5k", "10k"]);
    }

    #[test]
    fn small_steps_get_their_decimals() {
        assert_eq!(labels(&Axis::exact([-0.5, 0.5], 4.0)), ["−0.50", "−0.25", "0", "0.25", "0.50"]);
        assert_eq!(labels(&Axis::exact([0.0, 4e-5], 2.0)), ["0", "2×10⁻⁵", "4×10⁻⁵"]);
    }

    #[test]
    fn log_axes_are_labelled_at_decades_or_finer() {
        assert_eq!(labels(&Axis::log([0.001, 20.0], 6.0)), ["0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels(&Axis::log([1e-7, 2e-6], 6.0)), ["10⁻⁷", "10⁻⁶"]);
        assert_eq!(labels(&Axis::log([1.1, 8.0], 6.0)), ["1", "2", "5"]);
        assert!(Axis::log([1.0, 1.0], 6.0).ticks.len() >= 2);
    }

    #[test]
    fn ranges_without_extent_still_have_an_axis() {
        for value in [0.0, 1.0, -3e-9, 7e8, -1e99] {
            let axis = Axis::exact([value, value], 5.0);
            assert!((0.3..0.7).contains(&axis.share(value)), "{value}");
            assert!((2..12).contains(&axis.ticks.len()), "{value}: {:?}", axis.ticks);
        }
    }

    #[test]
    fn values_that_cannot_be_drawn_do_not_widen_a_span() {
        let values = [f64::NAN, 1.0, f64::INFINITY, -2.0, -1e200];
        assert_eq!(span(values.into_iter(), false), Some([-2.0, 1.0]));
        assert_eq!(span(values.into_iter(), true), Some([1.0, 1.0]));
        assert_eq!(span(std::iter::once(f64::NAN), false), None);
    }
}
