//! The letters: outlines and widths from a table that is part of the library.
//!
//! A table of outlines rather than a font file: it needs no font parser (the common small one has been without a
//! maintainer since June 2026, RUSTSEC-2026-0192), and SVG viewers need no font either. The price is that there is no
//! kerning, and that characters other than ASCII, small Greek letters and a few signs show as a box.

use std::{collections::BTreeMap, sync::LazyLock};

/// The table; `assets/plot-font/extract.py` tells its format and its origin.
const TABLE: &str = include_str!("../../../assets/plot-font/glyphs.txt");
/// Shown where the table has no outline: a box, in the same units as the rest (2048 per em).
const UNKNOWN: Glyph = Glyph { advance: 1200.0, outline: "M150 0L150 1400L1050 1400L1050 0ZM270 120L930 120L930 1280L270 1280Z" };

/// Weight of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// For everything that is read at length.
    Regular,
    /// For titles.
    Medium,
}

/// One letter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    /// Distance to the next letter, in font units.
    pub advance: f64,
    /// SVG path data in font units, y up; only `M`, `L` and `Q` with absolute coordinates, and `Z`.
    pub outline: &'static str,
}

/// One weight of the font.
struct Face {
    units_per_em: f64,
    glyphs: BTreeMap<char, Glyph>,
}

static FACES: LazyLock<[Face; 2]> = LazyLock::new(|| [face("regular"), face("medium")]);

/// Reads one face of the table. The table is ours, so a line that does not parse is a bug: `every_line_of_the_table_parses`
/// guards it, and here such a line is skipped.
fn face(name: &str) -> Face {
    let mut face = Face { units_per_em: 2048.0, glyphs: BTreeMap::new() };
    let mut inside = false;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix("face ") {
            let (found, units) = header.split_once(' ').unwrap_or((header, "2048"));
            inside = found == name;
            if inside {
                face.units_per_em = units.parse().unwrap_or(2048.0);
            }
        } else if inside && let Some((character, glyph)) = glyph_line(line) {
            face.glyphs.insert(character, glyph);
        }
    }
    face
}

/// One line of the table: code point, advance, outline (none for a space).
fn glyph_line(line: &'static str) -> Option<(char, Glyph)> {
    let mut words = line.splitn(3, ' ');
    let character = char::from_u32(u32::from_str_radix(words.next()?, 16).ok()?)?;
    let advance = words.next()?.parse().ok()?;
    Some((character, Glyph { advance, outline: words.next().unwrap_or("") }))
}

fn of(weight: Weight) -> &'static Face {
    &FACES[weight as usize]
}

/// Pixels per font unit at a text size.
pub(super) fn scale(size: f64, weight: Weight) -> f64 {
    size / of(weight).units_per_em
}

/// The outline of `character`.
pub(super) fn glyph(character: char, weight: Weight) -> Glyph {
    of(weight).glyphs.get(&character).copied().unwrap_or(UNKNOWN)
}

/// Width of a line of text in pixels.
pub(super) fn width(content: &str, size: f64, weight: Weight) -> f64 {
    content.chars().map(|character| glyph(character, weight).advance).sum::<f64>() * scale(size, weight)
}

/// `content`, or as much of its beginning as fits into `room` pixels with an ellipsis.
pub(super) fn shortened(content: &str, size: f64, weight: Weight, room: f64) -> String {
    if width(content, size, weight) <= room {
        return content.to_owned();
    }
    let with_dots = |end: usize| format!("{}…", content[..end].trim_end());
    let ends = content.char_indices().map(|(end, _)| end).rev();
    ends.map(with_dots).find(|text| width(text, size, weight) <= room).unwrap_or_else(|| "…".into())
}

/// The verbs and coordinates of an outline.
pub(super) fn verbs(outline: &str) -> impl Iterator<Item = (char, Vec<f64>)> {
    let starts = outline.char_indices().filter(|(_, symbol)| symbol.is_ascii_alphabetic());
    starts.map(|(at, verb)| {
        let rest = &outline[at + 1..];
        let numbers = &rest[..rest.find(|symbol: char| symbol.is_ascii_alphabetic()).unwrap_or(rest.len())];
        (verb, numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_parses() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("face "));
        for line in lines {
            let (character, glyph) = glyph_line(line).unwrap_or_else(|| panic!("{line}"));
            for (verb, numbers) in verbs(glyph.outline) {
                let expected = match verb {
                    'M' | 'L' => 2,
                    'Q' => 4,
                    'Z' => 0,
                    _ => panic!("{character}: verb {verb}"),
                };
                assert_eq!(numbers.len(), expected, "{character}: {verb}");
            }
        }
    }

    #[test]
    fn both_weights_have_what_labels_need() {
        for weight in [Weight::Regular, Weight::Medium] {
            for character in ('!'..='~').chain("αηλμπστ±−×·°…⁰¹²³⁴⁵⁶⁷⁸⁹⁻".chars()) {
                assert!(of(weight).glyphs.contains_key(&character), "{character}");
            }
        }
    }

    #[test]
    fn long_texts_are_shortened_to_their_room() {
        assert_eq!(shortened("flow", 15.0, Weight::Regular, 100.0), "flow");
        let short = shortened("a long name λ of a series", 15.0, Weight::Regular, 90.0);
        assert!(short.ends_with('…') && width(&short, 15.0, Weight::Regular) <= 90.0, "{short}");
        assert_eq!(shortened("flow", 15.0, Weight::Regular, 0.0), "…");
    }

    #[test]
    fn width_is_the_sum_of_advances() {
        assert!((width("AA", 2048.0, Weight::Regular) - 2.0 * glyph('A', Weight::Regular).advance).abs() < 1e-9);
        assert_eq!(width("", 14.0, Weight::Medium), 0.0);
    }
}
