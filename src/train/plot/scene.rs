//! A picture as a list of shapes in pixels, y down: what both writers read.

use super::font::{self, Weight};

/// A place in the picture: x to the right, y down, in pixels of the PNG (which are the user units of the SVG).
pub(super) type Point = [f64; 2];

/// An sRGB colour with opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colour {
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// Opacity, 0..=1.
    pub alpha: f64,
}

impl Colour {
    /// An opaque colour, from its usual `0xRRGGBB` notation.
    pub(super) const fn hex(code: u32) -> Self {
        let [_, red, green, blue] = code.to_be_bytes();
        Self { rgb: [red, green, blue], alpha: 1.0 }
    }

    /// The same colour with another opacity.
    pub(super) const fn fade(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }
}

/// An axis-parallel rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Extent to the right.
    pub width: f64,
    /// Extent downwards.
    pub height: f64,
}

impl Rect {
    /// Right edge.
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    /// Lower edge.
    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    /// Its corners, clockwise from the upper left.
    pub(super) fn corners(&self) -> Vec<Point> {
        let (right, bottom) = (self.right(), self.bottom());
        vec![[self.x, self.y], [right, self.y], [right, bottom], [self.x, bottom]]
    }

    /// The rectangle moved outwards by `by` on each side.
    pub(super) fn grown(&self, by: f64) -> Self {
        Self { x: self.x - by, y: self.y - by, width: self.width + 2.0 * by, height: self.height + 2.0 * by }
    }
}

/// A line's look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    /// Its colour.
    pub colour: Colour,
    /// Its width in pixels.
    pub width: f64,
    /// Lengths of dash and gap in pixels; solid if `None`.
    pub dash: Option<[f64; 2]>,
}

impl Stroke {
    /// A solid line.
    pub(super) const fn solid(colour: Colour, width: f64) -> Self {
        Self { colour, width, dash: None }
    }
}

/// How a shape is filled and outlined.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Paint {
    /// Colour of the inside (non-zero winding rule).
    pub fill: Option<Colour>,
    /// Look of the outline.
    pub stroke: Option<Stroke>,
}

impl Paint {
    /// Inside only.
    pub(super) const fn fill(colour: Colour) -> Self {
        Self { fill: Some(colour), stroke: None }
    }

    /// Outline only.
    pub(super) const fn stroke(stroke: Stroke) -> Self {
        Self { fill: None, stroke: Some(stroke) }
    }
}

/// Which point of a text its position names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The beginning of the baseline.
    Start,
    /// The middle of the baseline.
    Middle,
    /// The end of the baseline.
    End,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    /// What it says.
    pub content: String,
    /// Height of an em in pixels.
    pub size: f64,
    /// Its weight.
    pub weight: Weight,
    /// Its colour.
    pub colour: Colour,
    /// Which of its points [`Shape::Text`] places.
    pub anchor: Anchor,
    /// Whether it reads upwards instead of to the right.
    pub upwards: bool,
}

impl Text {
    /// How far the text's beginning lies before its position, in pixels along the baseline.
    pub(super) fn lead(&self) -> f64 {
        let width = font::width(&self.content, self.size, self.weight);
        match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        }
    }
}

/// A picture made of pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    /// Pixels per row.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
    /// Red, green, blue, opacity per pixel, not premultiplied; rows from the top. `[height, width, 4]`.
    pub rgba: Vec<u8>,
}

/// One thing to draw.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Polylines, or polygons if `closed`, that are painted as one: where they overlap, nothing shows twice.
    Lines {
        /// The corners of each.
        parts: Vec<Vec<Point>>,
        /// Whether each returns to its beginning.
        closed: bool,
        /// Their look.
        paint: Paint,
    },
    /// A circle.
    Circle {
        /// Its centre.
        centre: Point,
        /// Its radius in pixels.
        radius: f64,
        /// Its look.
        paint: Paint,
    },
    /// A text at a place.
    Text {
        /// Where its anchor lies.
        at: Point,
        /// What it says and how.
        text: Text,
    },
    /// An image at its own size, one image pixel on one pixel of the PNG.
    Image {
        /// Upper left corner, in whole pixels.
        at: [u32; 2],
        /// The pixels.
        image: Image,
    },
}

/// A shape, and the rectangle outside of which it is cut off.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// What is drawn.
    pub shape: Shape,
    /// Where it may show; everywhere if `None`.
    pub clip: Option<Rect>,
}

/// A whole picture on white ground; later shapes lie on top.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What a screen reader says.
    pub title: String,
    /// Everything that is drawn, from the bottom up.
    pub items: Vec<Item>,
    clip: Option<Rect>,
}

impl Scene {
    /// A white picture. Sizes are rounded up to whole pixels.
    pub(super) fn new(title: &str, width: f64, height: f64) -> Self {
        // `as` saturates; the writer refuses sizes that are too large.
        Self { width: width.ceil() as u32, height: height.ceil() as u32, title: title.into(), items: Vec::new(), clip: None }
    }

    /// Draws on top of what is there.
    pub(super) fn add(&mut self, shape: Shape) {
        self.items.push(Item { shape, clip: self.clip });
    }

    /// Cuts off what `draw` adds at the edges of `clip`.
    pub(super) fn clipped(&mut self, clip: Rect, draw: impl FnOnce(&mut Self)) {
        let outer = self.clip.replace(clip);
        draw(self);
        self.clip = outer;
    }

    /// A polyline.
    pub(super) fn line(&mut self, points: Vec<Point>, stroke: Stroke) {
        self.add(Shape::Lines { parts: vec![points], closed: false, paint: Paint::stroke(stroke) });
    }

    /// Polygons painted as one.
    pub(super) fn polygons(&mut self, parts: Vec<Vec<Point>>, paint: Paint) {
        self.add(Shape::Lines { parts, closed: true, paint });
    }

    /// A circle.
    pub(super) fn circle(&mut self, centre: Point, radius: f64, paint: Paint) {
        self.add(Shape::Circle { centre, radius, paint });
    }

    /// A line of text that reads to the right.
    pub(super) fn text(&mut self, at: Point, content: &str, style: TextStyle, anchor: Anchor) {
        self.add(Shape::Text { at, text: style.of(content, anchor, false) });
    }

    /// A line of text that reads upwards, its middle at `at`.
    pub(super) fn text_upwards(&mut self, at: Point, content: &str, style: TextStyle) {
        self.add(Shape::Text { at, text: style.of(content, Anchor::Middle, true) });
    }
}

/// The look of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TextStyle {
    /// Height of an em in pixels.
    pub size: f64,
    /// Weight of the letters.
    pub weight: Weight,
    /// Their colour.
    pub colour: Colour,
}

impl TextStyle {
    /// A text in this style.
    fn of(self, content: &str, anchor: Anchor, upwards: bool) -> Text {
        Text { content: content.into(), size: self.size, weight: self.weight, colour: self.colour, anchor, upwards }
    }

    /// As much of `content` as fits into `room` pixels.
    pub(super) fn shortened(self, content: &str, room: f64) -> String {
        font::shortened(content, self.size, self.weight, room)
    }

    /// Width of `content` in pixels.
    pub(super) fn width(self, content: &str) -> f64 {
        font::width(content, self.size, self.weight)
    }
}
