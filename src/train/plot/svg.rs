//! A scene as an SVG document. Letters are outlines, each defined once and used by reference.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

use super::{
    font::{self, Weight},
    raster,
    scene::{Colour, Image, Item, Paint, Point, Rect, Scene, Shape, Text},
};

/// The whole document.
pub(super) fn document(scene: &Scene) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_document(&mut out, scene);
    out
}

fn write_document(out: &mut String, scene: &Scene) -> fmt::Result {
    let (width, height) = (scene.width, scene.height);
    write!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" "#)?;
    writeln!(out, r#"width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">"#)?;
    writeln!(out, "<title>{}</title>", escape(&scene.title))?;
    let clips = clips(scene);
    writeln!(out, "<defs>")?;
    write_glyphs(out, scene)?;
    for (index, Rect { x, y, width, height }) in clips.iter().enumerate() {
        let [x, y, width, height] = [*x, *y, *width, *height].map(Number);
        write!(out, r#"<clipPath id="clip{index}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/>"#)?;
        writeln!(out, "</clipPath>")?;
    }
    writeln!(out, "</defs>")?;
    writeln!(out, r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##)?;
    let mut open = None;
    for item in &scene.items {
        let clip = item.clip.and_then(|clip| clips.iter().position(|known| *known == clip));
        if clip != open {
            out.push_str(if open.is_some() { "</g>\n" } else { "" });
            if let Some(index) = clip {
                writeln!(out, r#"<g clip-path="url(#clip{index})">"#)?;
            }
            open = clip;
        }
        write_shape(out, &item.shape)?;
    }
    out.push_str(if open.is_some() { "</g>\n" } else { "" });
    writeln!(out, "</svg>")
}

/// The different clip rectangles, in order of first use.
fn clips(scene: &Scene) -> Vec<Rect> {
    let mut clips = Vec::new();
    for clip in scene.items.iter().filter_map(|item| item.clip) {
        if !clips.contains(&clip) {
            clips.push(clip);
        }
    }
    clips
}

/// Name of a letter's definition.
fn glyph_id(character: char, weight: Weight) -> String {
    let prefix = match weight {
        Weight::Regular => 'r',
        Weight::Medium => 'm',
    };
    format!("{prefix}{:x}", character as u32)
}

/// One definition per letter that the scene shows.
fn write_glyphs(out: &mut String, scene: &Scene) -> fmt::Result {
    let mut used = BTreeSet::new();
    for item in &scene.items {
        if let Item { shape: Shape::Text { text, .. }, .. } = item {
            used.extend(text.content.chars().map(|character| (text.weight, character)));
        }
    }
    for (weight, character) in used {
        let outline = font::glyph(character, weight).outline;
        if !outline.is_empty() {
            writeln!(out, r#"<path id="{}" d="{outline}"/>"#, glyph_id(character, weight))?;
        }
    }
    Ok(())
}

fn write_shape(out: &mut String, shape: &Shape) -> fmt::Result {
    match shape {
        Shape::Lines { parts, closed, paint } => {
            out.push_str(r#"<path d=""#);
            for part in parts {
                write_polyline(out, part, *closed)?;
            }
            out.push('"');
            write_paint(out, paint)?;
            writeln!(out, "/>")
        }
        Shape::Circle { centre: [x, y], radius, paint } => {
            write!(out, r#"<circle cx="{}" cy="{}" r="{}""#, Number(*x), Number(*y), Number(*radius))?;
            write_paint(out, paint)?;
            writeln!(out, "/>")
        }
        Shape::Text { at, text } => write_text(out, *at, text),
        Shape::Image { at: [x, y], image } => {
            let Image { width, height, .. } = image;
            write!(out, r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" "#)?;
            writeln!(out, r#"xlink:href="data:image/png;base64,{}"/>"#, base64(&raster::image_png(image)))
        }
    }
}

fn write_polyline(out: &mut String, points: &[Point], closed: bool) -> fmt::Result {
    for (index, [x, y]) in points.iter().enumerate() {
        let verb = if index == 0 { 'M' } else { 'L' };
        write!(out, "{verb}{} {}", Number(*x), Number(*y))?;
    }
    out.push_str(if closed && !points.is_empty() { "Z" } else { "" });
    Ok(())
}

fn write_paint(out: &mut String, paint: &Paint) -> fmt::Result {
    match paint.fill {
        Some(colour) => write_colour(out, "fill", colour)?,
        None => out.push_str(r#" fill="none""#),
    }
    if let Some(stroke) = paint.stroke {
        write_colour(out, "stroke", stroke.colour)?;
        write!(out, r#" stroke-width="{}" stroke-linejoin="round""#, Number(stroke.width))?;
        match stroke.dash {
            Some([dash, gap]) => write!(out, r#" stroke-dasharray="{} {}""#, Number(dash), Number(gap))?,
            None => out.push_str(r#" stroke-linecap="round""#),
        }
    }
    Ok(())
}

fn write_colour(out: &mut String, role: &str, Colour { rgb: [red, green, blue], alpha }: Colour) -> fmt::Result {
    write!(out, r##" {role}="#{red:02x}{green:02x}{blue:02x}""##)?;
    if alpha < 1.0 {
        write!(out, r#" {role}-opacity="{}""#, Number(alpha))?;
    }
    Ok(())
}

fn write_text(out: &mut String, [x, y]: Point, text: &Text) -> fmt::Result {
    let scale = font::scale(text.size, text.weight);
    write!(out, r#"<g aria-label="{}" transform="translate({} {})"#, escape(&text.content), Number(x), Number(y))?;
    // Letters are designed with y up, hence the minus.
    let turn = if text.upwards { " rotate(-90)" } else { "" };
    write!(out, r#"{turn} scale({scale:.6} -{scale:.6})""#)?;
    write_colour(out, "fill", text.colour)?;
    out.push('>');
    let mut pen = -text.lead() / scale;
    for character in text.content.chars() {
        let glyph = font::glyph(character, text.weight);
        if !glyph.outline.is_empty() {
            write!(out, r##"<use xlink:href="#{}" x="{}"/>"##, glyph_id(character, text.weight), Number(pen))?;
        }
        pen += glyph.advance;
    }
    writeln!(out, "</g>")
}

/// A coordinate with two decimals, without trailing zeros: finer than a screen shows, and short.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.2}", self.0);
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        out.write_str(if digits == "-0" { "0" } else { digits })
    }
}

/// Text as it may stand in an element or in a quoted attribute; characters that XML forbids become a space.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, index| word << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let symbol = SYMBOLS[(word >> (18 - 6 * index) & 63) as usize];
            out.push(if index > chunk.len() { '=' } else { symbol as char });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_vectors_of_rfc_4648() {
        let coded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [1.0, 0.5, -0.001, 12.345, 100.0].map(|value| Number(value).to_string());
        assert_eq!(shown, ["1", "0.5", "0", "12.35", "100"]);
    }
}
