//! Numbers and labels, as tables and pictures show them.

use std::fmt::Write as _;

/// Three significant digits.
pub fn short(ms: f64) -> String {
    let digits = (2 - ms.abs().max(1e-12).log10().floor() as i32).clamp(0, 9) as usize;
    format!("{ms:.digits$}")
}

/// Text in an SVG picture.
pub fn label(text: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn three_digits_that_count() {
        assert_eq!([83.27, 110.4, 4.806, 0.052_34, 1234.6].map(short), ["83.3", "110", "4.81", "0.0523", "1235"]);
    }
}
