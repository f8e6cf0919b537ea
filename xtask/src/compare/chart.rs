//! The medians as bars, one panel for each kind of work.

use std::fmt::Write as _;

use super::figures::Comparison;
use super::machine::Machine;
use super::text::{label, short};

const WIDTH: f64 = 860.0;
/// Where the bars begin, and how long the longest is.
const LEFT: f64 = 250.0;
const LENGTH: f64 = 420.0;
const ROW: f64 = 22.0;
const MARGIN: f64 = 16.0;

/// A picture of its own: no fonts but the reader's, white behind it.
pub fn svg(machine: &Machine, comparisons: &[Comparison]) -> String {
    let rows: usize = comparisons.iter().map(|comparison| comparison.rows.len()).sum();
    let height = MARGIN * 2.0 + 24.0 + rows as f64 * ROW + comparisons.len() as f64 * 44.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut y = MARGIN + 14.0;
    let head = format!("Milliseconds, median and range; {}, {} cores, {}", machine.processor, machine.cores, machine.date);
    label(&mut text, MARGIN, y, "font-size=\"14\"", &head);
    y += 10.0;
    for comparison in comparisons {
        y += 34.0;
        label(&mut text, MARGIN, y, "font-weight=\"bold\"", &comparison.about);
        y += 10.0;
        panel(&mut text, comparison, &mut y);
    }
    text + "</svg>\n"
}

/// The bars of one kind of work, to one scale, from zero. Writing to a string does not fail.
fn panel(text: &mut String, comparison: &Comparison, y: &mut f64) {
    let longest = comparison.rows.iter().map(|row| row.ms().max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = |ms: f64| LENGTH * ms / longest;
    for row in &comparison.rows {
        let (ms, own) = (row.ms(), row.family == "wgflow");
        let colour = if own { "#d95f02" } else { "#8da0b6" };
        let (middle, width) = (*y + ROW / 2.0, scale(ms.median));
        label(text, LEFT - 8.0, middle + 4.0, "text-anchor=\"end\"", &row.program);
        let _ = writeln!(
            text,
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            *y + 3.0,
            ROW - 6.0
        );
        let _ = writeln!(
            text,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>",
            LEFT + scale(ms.min),
            LEFT + scale(ms.max)
        );
        let ratio = if own { String::new() } else { format!(" (x{:.2})", row.ratio(comparison.reference()).median) };
        label(text, LEFT + scale(ms.max) + 8.0, middle + 4.0, "", &format!("{}{ratio}", short(ms.median)));
        *y += ROW;
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::comparison;
    use super::*;

    #[test]
    fn bars_are_to_scale_and_text_is_escaped() {
        let mut comparison = comparison();
        comparison.about = "<33> -> 512 & more".to_owned();
        let machine = Machine {
            date: "2026-11-28".to_owned(),
            processor: "Some CPU".to_owned(),
            cores: 2,
            gpus: Vec::new(),
            system: String::new(),
            commit: String::new(),
            rustc: String::new(),
            load: Vec::new(),
        };
        let picture = svg(&machine, &[comparison]);
        assert!(picture.contains("&lt;33&gt; -&gt; 512 &amp; more"));
        // The longest round is 40 ms; the medians are 10, 15 and 14 ms.
        let widths: Vec<&str> =
            picture.split("width=\"").filter_map(|part| part.split_once("\" height=\"16.0\"")).map(|p| p.0).collect();
        assert_eq!(widths, ["105.0", "157.5", "147.0"]);
    }
}
