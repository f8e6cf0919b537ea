//! The curves as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Curve, Results};
use crate::compare::figures::Spread;
use crate::compare::text::short;

/// Writing to a string does not fail.
pub fn markdown(results: &Results<'_>) -> String {
    let machine = results.machine;
    let mut text = format!("# What an update costs, {}\n\n`{}`\n\n", machine.date, results.command);
    for line in machine.lines(&BTreeMap::new()) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(
        text,
        "\nOne update of GFP on {}: observations of 28, actions of 5, 4x512 nets, batch 256, 10 Euler steps, one lane, 10,000\n\
         transitions, and one of these numbers changed at a time. Median, and the least and the largest, of all rounds.",
        results.device
    );
    for curve in results.curves {
        section(&mut text, curve);
    }
    text
}

fn section(text: &mut String, curve: &Curve) {
    let reference = curve.reference();
    let _ = writeln!(text, "\n## {}\n", curve.name);
    let _ = writeln!(text, "| {} | ms | least to largest | times the published | GFLOP | GFLOP/s | of the peak |", curve.name);
    let _ = writeln!(text, "|---|---|---|---|---|---|---|");
    for point in &curve.points {
        let (ms, times) = (point.ms(), point.ms().median / reference.ms().median);
        let share =
            if point.shares.is_empty() { String::new() } else { format!("{:.0} %", 100.0 * Spread::of(&point.shares).median) };
        let range = format!("{} to {}", short(ms.min), short(ms.max));
        let _ = writeln!(
            text,
            "| {} | {} | {range} | {times:.3} | {} | {:.0} | {share} |",
            point.value,
            short(ms.median),
            short(point.gflop),
            point.rate()
        );
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::Point;
    use super::*;

    /// A batch of twice the published one takes three times as long.
    pub fn curve() -> Curve {
        let point = |value, gflop, rounds_ms: [f64; 2]| Point { value, gflop, rounds_ms: rounds_ms.to_vec(), shares: vec![0.5] };
        Curve { name: "batch", published: 256, points: vec![point(256, 20.0, [90.0, 110.0]), point(512, 40.0, [300.0, 300.0])] }
    }

    #[test]
    fn a_row_tells_the_cost_beside_the_published_one() {
        let mut text = String::new();
        section(&mut text, &curve());
        for expected in
            ["| 256 | 100 | 90.0 to 110 | 1.000 | 20.0 | 200 | 50 % |", "| 512 | 300 | 300 to 300 | 3.000 | 40.0 | 133 | 50 % |"]
        {
            assert!(text.contains(expected), "{expected}\n---\n{text}");
        }
    }
}
