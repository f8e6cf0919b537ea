//! The curves as panels: milliseconds against the number that is changed, both in powers of ten.
//!
//! Dashed: what the products would take at the rate of the published size. Where a curve leaves that line, something else
//! than products costs.

use std::fmt::Write as _;

use super::{Curve, Results};
use crate::compare::text::{label, short};

const PANEL: (f64, f64) = (270.0, 210.0);
/// Where the axes lie in a panel: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (52.0, 30.0, 258.0, 168.0);
const COLUMNS: usize = 3;

/// A picture of its own: no fonts but the reader's, white behind it.
pub fn svg(results: &Results<'_>) -> String {
    let rows = results.curves.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64 + 16.0, PANEL.1 * rows as f64 + 40.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let machine = results.machine;
    let head = format!("Milliseconds of a GFP update; {}, {} cores, {}", machine.processor, machine.cores, machine.date);
    label(&mut text, 16.0, 22.0, "font-size=\"14\"", &head);
    for (index, curve) in results.curves.iter().enumerate() {
        let corner = ((index % COLUMNS) as f64 * PANEL.0, 30.0 + (index / COLUMNS) as f64 * PANEL.1);
        panel(&mut text, curve, corner);
    }
    text + "</svg>\n"
}

/// A scale of powers of ten: where a value lies between two ends.
struct Scale {
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let part = (value / self.values.0).ln() / (self.values.1 / self.values.0).ln();
        self.places.0 + part * (self.places.1 - self.places.0)
    }
}

/// Writing to a string does not fail.
fn panel(text: &mut String, curve: &Curve, corner: (f64, f64)) {
    let reference = curve.reference();
    let products = |gflop: f64| gflop / reference.rate() * 1e3;
    let all = || curve.points.iter().flat_map(|point| [point.ms().min, point.ms().max, products(point.gflop)]);
    let (least, most) = (all().fold(f64::INFINITY, f64::min) / 1.3, all().fold(0.0, f64::max) * 1.3);
    let ends = (curve.points[0].value as f64, curve.points[curve.points.len() - 1].value as f64);
    let x = Scale { values: ends, places: (corner.0 + FRAME.0 + 8.0, corner.0 + FRAME.2 - 8.0) };
    let y = Scale { values: (least, most), places: (corner.1 + FRAME.3, corner.1 + FRAME.1) };
    let (left, top) = (corner.0 + FRAME.0, corner.1 + FRAME.1);
    let _ = writeln!(
        text,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#bbb\"/>",
        FRAME.2 - FRAME.0,
        FRAME.3 - FRAME.1
    );
    label(text, left, top - 6.0, "font-weight=\"bold\"", curve.name);
    for ms in steps(least, most) {
        let at = y.at(ms);
        let _ =
            writeln!(text, "<line x1=\"{left}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#eee\"/>", corner.0 + FRAME.2);
        label(text, left - 5.0, at + 4.0, "text-anchor=\"end\"", &ms.to_string());
    }
    for point in &curve.points {
        let name = if point.value >= 1_000_000 { format!("{}M", point.value / 1_000_000) } else { thousands(point.value) };
        label(text, x.at(point.value as f64), corner.1 + FRAME.3 + 15.0, "text-anchor=\"middle\"", &name);
    }
    let line = |of: &dyn Fn(&super::Point) -> f64| {
        let points = curve.points.iter().map(|point| format!("{:.1},{:.1}", x.at(point.value as f64), y.at(of(point))));
        points.collect::<Vec<_>>().join(" ")
    };
    let dashed = line(&|point| products(point.gflop));
    let _ = writeln!(text, "<polyline points=\"{dashed}\" fill=\"none\" stroke=\"#8da0b6\" stroke-dasharray=\"4 3\"/>");
    let measured = line(&|point| point.ms().median);
    let _ = writeln!(text, "<polyline points=\"{measured}\" fill=\"none\" stroke=\"#d95f02\" stroke-width=\"1.5\"/>");
    for point in &curve.points {
        let (ms, at) = (point.ms(), x.at(point.value as f64));
        let (middle, low, high) = (y.at(ms.median), y.at(ms.min), y.at(ms.max));
        let _ = writeln!(text, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\" stroke=\"#222\"/>");
        let _ = writeln!(
            text,
            "<circle cx=\"{at:.1}\" cy=\"{middle:.1}\" r=\"3\" fill=\"#d95f02\"><title>{} ms</title></circle>",
            short(ms.median)
        );
    }
}

fn thousands(value: u64) -> String {
    if value >= 10_000 { format!("{}k", value / 1_000) } else { value.to_string() }
}

/// Powers of ten between two values, or with less than two of them their doubles and fivefolds too.
fn steps(least: f64, most: f64) -> Vec<f64> {
    let within = |factors: &[f64]| {
        let all = (-3..7).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        all.filter(|value| (least..=most).contains(value)).collect::<Vec<_>>()
    };
    let tens = within(&[1.0]);
    if tens.len() < 2 { within(&[1.0, 2.0, 5.0]) } else { tens }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::curve;
    use super::*;

    #[test]
    fn the_curve_and_the_line_of_the_products_meet_at_the_published_size() {
        let mut text = String::new();
        panel(&mut text, &curve(), (0.0, 0.0));
        let lines: Vec<Vec<&str>> =
            text.split("points=\"").skip(1).map(|part| part.split('"').next().unwrap_or("").split(' ').collect()).collect();
        assert_eq!(lines[0][0], lines[1][0]);
        let height = |point: &str| point.split_once(',').unwrap().1.parse::<f64>().unwrap();
        // 300 ms lie above the 200 that the products would take.
        assert!(height(lines[1][1]) < height(lines[0][1]) - 5.0, "{lines:?}");
    }

    #[test]
    fn ticks() {
        assert_eq!(steps(0.7, 300.0), [1.0, 10.0, 100.0]);
        assert_eq!(steps(30.0, 300.0), [50.0, 100.0, 200.0]);
    }
}
