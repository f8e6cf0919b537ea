//! A scene as a PNG, drawn with tiny-skia: the CPU part of Skia in safe Rust, antialiased, the same bits everywhere.

use std::io;

use tiny_skia::{
    Color, FillRule, FilterQuality, LineCap, LineJoin, Mask, Path, PathBuilder, Pixmap, PixmapPaint, StrokeDash, Transform,
};

use super::{
    font,
    scene::{Colour, Image, Paint, Point, Rect, Scene, Shape, Stroke, Text},
};
use crate::error::{Error, Result};

/// Largest width or height, in pixels: some viewers refuse more, and a square of it already takes 1 GiB.
const LARGEST: u32 = 16_384;

/// The whole picture as the bytes of a PNG file.
pub(super) fn png(scene: &Scene) -> Result<Vec<u8>> {
    let fits = scene.width <= LARGEST && scene.height <= LARGEST;
    let Some(pixmap) = Pixmap::new(scene.width, scene.height).filter(|_| fits) else {
        return Err(Error::setting(
            "picture",
            format!("1 to {LARGEST} pixels in width and height"),
            format!("{} x {}", scene.width, scene.height),
            "draw fewer panels",
        ));
    };
    let mut canvas = Canvas { pixmap, mask: None };
    canvas.pixmap.fill(Color::WHITE);
    for item in &scene.items {
        canvas.clip(item.clip);
        canvas.shape(&item.shape);
    }
    canvas.pixmap.encode_png().map_err(|problem| Error::Io {
        path: scene.title.clone().into(),
        action: "encode the picture",
        source: io::Error::other(problem),
    })
}

/// An image alone as the bytes of a PNG file; empty if it has no pixels.
pub(super) fn image_png(image: &Image) -> Vec<u8> {
    // Encoding into memory fails only where there is nothing to encode.
    pixmap(image).and_then(|pixmap| pixmap.encode_png().ok()).unwrap_or_default()
}

fn pixmap(image: &Image) -> Option<Pixmap> {
    let mut pixmap = Pixmap::new(image.width, image.height)?;
    for (pixel, rgba) in pixmap.pixels_mut().iter_mut().zip(image.rgba.as_chunks().0) {
        let [red, green, blue, alpha] = *rgba;
        *pixel = tiny_skia::ColorU8::from_rgba(red, green, blue, alpha).premultiply();
    }
    Some(pixmap)
}

/// What is drawn on, and the mask of the current clip rectangle.
struct Canvas {
    pixmap: Pixmap,
    mask: Option<(Rect, Mask)>,
}

impl Canvas {
    /// Makes `clip` the clip rectangle of what follows.
    fn clip(&mut self, clip: Option<Rect>) {
        if self.mask.as_ref().map(|(rect, _)| *rect) == clip {
            return;
        }
        self.mask = clip.and_then(|rect| {
            let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())?;
            let path = lines(&[rect.corners()], true)?;
            mask.fill_path(&path, FillRule::Winding, true, Transform::identity());
            Some((rect, mask))
        });
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Lines { parts, closed, paint } => self.paint(lines(parts, *closed), paint),
            Shape::Circle { centre: [x, y], radius, paint } => {
                self.paint(PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32), paint);
            }
            Shape::Text { at, text } => self.paint(letters(*at, text), &Paint::fill(text.colour)),
            Shape::Image { at: [x, y], image } => {
                if let Some(source) = pixmap(image) {
                    let paint = PixmapPaint { quality: FilterQuality::Nearest, ..PixmapPaint::default() };
                    let mask = self.mask.as_ref().map(|(_, mask)| mask);
                    self.pixmap.draw_pixmap(*x as i32, *y as i32, source.as_ref(), &paint, Transform::identity(), mask);
                }
            }
        }
    }

    /// Fills and outlines a path; one without area or length (`None`) leaves nothing, as in SVG.
    fn paint(&mut self, path: Option<Path>, paint: &Paint) {
        let Some(path) = path else { return };
        let mask = self.mask.as_ref().map(|(_, mask)| mask);
        if let Some(colour) = paint.fill {
            self.pixmap.fill_path(&path, &ink(colour), FillRule::Winding, Transform::identity(), mask);
        }
        if let Some(stroke) = paint.stroke {
            self.pixmap.stroke_path(&path, &ink(stroke.colour), &pen(stroke), Transform::identity(), mask);
        }
    }
}

fn ink(Colour { rgb: [red, green, blue], alpha }: Colour) -> tiny_skia::Paint<'static> {
    let mut paint = tiny_skia::Paint { anti_alias: true, ..tiny_skia::Paint::default() };
    paint.set_color_rgba8(red, green, blue, (alpha.clamp(0.0, 1.0) * 255.0).round() as u8);
    paint
}

fn pen(stroke: Stroke) -> tiny_skia::Stroke {
    tiny_skia::Stroke {
        width: stroke.width as f32,
        line_cap: if stroke.dash.is_some() { LineCap::Butt } else { LineCap::Round },
        line_join: LineJoin::Round,
        dash: stroke.dash.and_then(|[dash, gap]| StrokeDash::new(vec![dash as f32, gap as f32], 0.0)),
        ..tiny_skia::Stroke::default()
    }
}

fn lines(parts: &[Vec<Point>], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for part in parts {
        for (index, [x, y]) in part.iter().enumerate() {
            match index {
                0 => path.move_to(*x as f32, *y as f32),
                _ => path.line_to(*x as f32, *y as f32),
            }
        }
        if closed && !part.is_empty() {
            path.close();
        }
    }
    path.finish()
}

/// The outlines of a line of text, in pixels.
fn letters([x, y]: Point, text: &Text) -> Option<Path> {
    let scale = font::scale(text.size, text.weight);
    let mut pen = -text.lead();
    let mut path = PathBuilder::new();
    for character in text.content.chars() {
        let glyph = font::glyph(character, text.weight);
        // From font units (y up) to the page, turned by a quarter for text that reads upwards.
        let place = |across: f64, up: f64| {
            let (along, up) = (pen + across * scale, up * scale);
            let [x, y] = if text.upwards { [x - up, y - along] } else { [x + along, y - up] };
            (x as f32, y as f32)
        };
        for (verb, numbers) in font::verbs(glyph.outline) {
            match (verb, numbers.as_slice()) {
                ('M', &[x, y]) => {
                    let (x, y) = place(x, y);
                    path.move_to(x, y);
                }
                ('L', &[x, y]) => {
                    let (x, y) = place(x, y);
                    path.line_to(x, y);
                }
                ('Q', &[x1, y1, x, y]) => {
                    let ((x1, y1), (x, y)) = (place(x1, y1), place(x, y));
                    path.quad_to(x1, y1, x, y);
                }
                _ => path.close(),
            }
        }
        pen += glyph.advance * scale;
    }
    path.finish()
}
