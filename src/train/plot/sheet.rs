//! A sheet of small square pictures in rows: what goes in, and how it is laid out.

use std::path::Path;

use super::{
    field::ScalarGrid,
    legend::Legend,
    marks::Mark,
    plane::{self, Plane},
    scene::{Anchor, Rect, Scene},
    shares,
    style::{self, Class},
    write_both,
};
use crate::error::{Error, Result};

/// Width of the picture, in pixels.
const WIDTH: f64 = 1440.0;
/// Room for the tick labels on the left of every row, and below it.
const LEFT: f64 = 26.0;
const FEET: f64 = 26.0;
/// Space between two tiles of an untitled group, of a titled one, and between two groups and rows.
const GAPS: [f64; 3] = [28.0, 8.0, 36.0];
/// Largest edge of a tile, in pixels.
const LARGEST: f64 = 262.0;
/// Heights of a group's title, of a tile's title, and of a tile's note.
const LINES: [f64; 3] = [27.0, 24.0, 20.0];

/// A picture of rows of tiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// What the picture shows.
    pub title: String,
    /// A sentence below the title; none if empty.
    pub remark: String,
    /// The rows from the top, each of one or more groups side by side.
    pub rows: Vec<Vec<Group>>,
    /// Number of a colour (see [`super::Series::with_colour`]), and what has it.
    pub legend: Vec<(usize, String)>,
    /// A sentence below everything; none if empty.
    pub foot: String,
}

/// Tiles that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// What they show; where it is empty, the titles of the tiles are large instead.
    pub title: String,
    /// The tiles, side by side; all tiles of a row are equally large.
    pub tiles: Vec<Tile>,
}

/// A square picture with a title.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// What it shows.
    pub title: String,
    /// A sentence below the title; none if empty.
    pub note: String,
    /// The picture.
    pub content: Content,
}

/// A tile's picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Points, a density or a function in a square of the plane.
    Plane(Plane),
    /// A histogram for each class, one above the other, over [0, 1].
    Ridges(Vec<Class<f64>>),
    /// Shares that add up to one as bars, named.
    Bars(Vec<(String, Vec<Class<f64>>)>),
}

/// Draws the sheet as `<path_stem>.svg` and `<path_stem>.png`.
///
/// # Errors
/// If a function does not have the number of values that its rows and columns promise, if the picture would be too large,
/// or if a file cannot be written. Values that are not finite are left out.
pub fn sheet(path_stem: impl AsRef<Path>, sheet: &Sheet) -> Result<()> {
    for tile in sheet.rows.iter().flatten().flat_map(|group| &group.tiles) {
        if let Content::Plane(plane) = &tile.content {
            if !(1e-9..1e9).contains(&plane.reach) {
                let found = plane.reach.to_string();
                return Err(Error::setting("plane.reach", "a positive length", found, "give half the edge of the square"));
            }
            plane.heat.as_ref().map_or(Ok(()), ScalarGrid::check)?;
        }
    }
    write_both(path_stem.as_ref(), &scene(sheet))
}

/// Where a row's parts lie.
struct Row<'a> {
    groups: &'a [Group],
    /// Heights of the three lines above the tiles; 0 for one that is not there.
    lines: [f64; 3],
    /// Edge of a tile.
    edge: f64,
}

impl<'a> Row<'a> {
    fn new(groups: &'a [Group]) -> Self {
        let tiles = || groups.iter().flat_map(|group| &group.tiles);
        let titled = groups.iter().any(|group| !group.title.is_empty());
        let noted = tiles().any(|tile| !tile.note.is_empty());
        let lines = [titled, true, noted];
        let lines = [0, 1, 2].map(|line| if lines[line] { LINES[line] } else { 0.0 });
        let inner: f64 = groups.iter().map(|group| gap_within(group) * (group.tiles.len().max(1) - 1) as f64).sum();
        let outer = GAPS[2] * (groups.len().max(1) - 1) as f64;
        let room = WIDTH - 2.0 * style::MARGIN - LEFT - inner - outer;
        let edge = (room / tiles().count().max(1) as f64).floor().clamp(1.0, LARGEST);
        Self { groups, lines, edge }
    }

    fn height(&self) -> f64 {
        self.lines.iter().sum::<f64>() + self.edge + FEET
    }

    fn draw(&self, scene: &mut Scene, top: f64) {
        let mut x = style::MARGIN + LEFT;
        let y = (top + self.lines.iter().sum::<f64>()).round();
        for group in self.groups {
            let baseline = top + style::PANEL_TITLE.size * 0.8;
            let width = group.tiles.len() as f64 * (self.edge + gap_within(group));
            scene.text([x, baseline], &style::PANEL_TITLE.shortened(&group.title, width), style::PANEL_TITLE, Anchor::Start);
            for tile in &group.tiles {
                let area = Rect { x, y, width: self.edge, height: self.edge };
                self.draw_tile(scene, tile, !group.title.is_empty(), area);
                x += self.edge + gap_within(group);
            }
            x += GAPS[2] - gap_within(group);
        }
    }

    fn draw_tile(&self, scene: &mut Scene, tile: &Tile, in_titled: bool, area: Rect) {
        let look = if in_titled { style::TICK } else { style::PANEL_TITLE };
        let title = look.shortened(&tile.title, area.width);
        scene.text([area.x, area.y - self.lines[2] - 9.0], &title, look, Anchor::Start);
        let note = style::TICK.shortened(&tile.note, area.width);
        scene.text([area.x, area.y - 9.0], &note, style::TICK, Anchor::Start);
        match &tile.content {
            Content::Plane(plane) => plane::draw(scene, plane, area),
            Content::Ridges(classes) => shares::draw_ridges(scene, classes, area),
            Content::Bars(bars) => shares::draw_bars(scene, bars, area),
        }
    }
}

fn gap_within(group: &Group) -> f64 {
    GAPS[usize::from(!group.title.is_empty())]
}

fn scene(sheet: &Sheet) -> Scene {
    let rows: Vec<Row<'_>> = sheet.rows.iter().map(|groups| Row::new(groups)).collect();
    let entries = sheet.legend.iter().map(|(colour, name)| (Mark::Dot(style::series(*colour)), name.clone()));
    let room = WIDTH - 2.0 * style::MARGIN;
    let legend = Legend::new(entries, room);
    let remark = if sheet.remark.is_empty() { 0.0 } else { 26.0 };
    let mut top = style::MARGIN + style::TITLE.size + remark + 18.0;
    let foot = if sheet.foot.is_empty() { 0.0 } else { 26.0 };
    let rows_height: f64 = rows.iter().map(|row| row.height() + 10.0).sum();
    let mut scene = Scene::new(&sheet.title, WIDTH, top + rows_height + legend.height() + foot + style::MARGIN);
    let baseline = style::MARGIN + style::TITLE.size * 0.8;
    scene.text([style::MARGIN, baseline], &style::TITLE.shortened(&sheet.title, room), style::TITLE, Anchor::Start);
    scene.text([style::MARGIN, baseline + remark], &style::LABEL.shortened(&sheet.remark, room), style::LABEL, Anchor::Start);
    for row in &rows {
        row.draw(&mut scene, top);
        top += row.height() + 10.0;
    }
    legend.draw_centred(&mut scene, WIDTH / 2.0, top);
    let at = [WIDTH / 2.0, top + legend.height() + foot];
    scene.text(at, &style::TICK.shortened(&sheet.foot, room), style::TICK, Anchor::Middle);
    scene
}

#[cfg(test)]
mod tests {
    use tiny_skia::{Pixmap, PremultipliedColorU8};

    use super::super::{raster, svg};
    use super::*;

    fn tile(content: Content) -> Tile {
        Tile { title: "a tile".into(), note: "a note".into(), content }
    }

    fn plane(values: Vec<[f64; 2]>) -> Plane {
        // The dots lie where the density is not.
        let mirrored = values.iter().map(|[x, y]| [-x, -y]).collect();
        let [density, dots] = [(0, values), (3, mirrored)].map(|(colour, values)| vec![Class { colour, values }]);
        let words = vec![([0.0, 0.0], "33 %".into())];
        Plane { reach: 1.0, limit: 0.5, ticks: true, density, dots, words, heat: None }
    }

    fn heat(values: Vec<f64>) -> Plane {
        let heat = Some(ScalarGrid { rows: 2, cols: 2, origin: [-1.0; 2], step: [2.0; 2], values });
        Plane { heat, density: Vec::new(), ..plane(Vec::new()) }
    }

    fn whole() -> Sheet {
        let ridges = Content::Ridges(vec![Class { colour: 4, values: vec![0.5, 0.6] }]);
        let bars = Content::Bars(vec![("mass".into(), vec![Class { colour: 2, values: vec![0.7] }])]);
        let planes = [plane(vec![[0.3, 0.3], [-0.3, 0.1], [0.2, -0.6], [0.7, 0.7]]), heat(vec![-11.0, -10.0, -9.5, -9.0])]
            .map(|p| tile(Content::Plane(p)));
        let group = |title: &str, tiles: &[Tile]| Group { title: title.into(), tiles: tiles.to_vec() };
        Sheet {
            title: "a sheet".into(),
            remark: "a remark".into(),
            rows: vec![vec![group("", &[tile(ridges), tile(bars)])], vec![group("one", &planes), group("two", &planes)]],
            legend: vec![(6, "a class".into())],
            foot: "a foot".into(),
        }
    }

    /// Both forms of the picture, after checking that they are whole.
    fn drawn(sheet: &Sheet) -> (Pixmap, String) {
        let scene = scene(sheet);
        let svg = svg::document(&scene);
        roxmltree::Document::parse(&svg).expect("the SVG is well-formed");
        // Images are base64, which may spell anything.
        let bad = |line: &&str| !line.contains("base64") && (line.contains("NaN") || line.contains("inf"));
        assert_eq!(svg.lines().find(bad), None, "a coordinate is not a number");
        let png = raster::png(&scene).expect("the picture has a size");
        (Pixmap::decode_png(&png).expect("the PNG decodes"), svg)
    }

    #[test]
    fn every_kind_of_tile_shows_its_colours_and_words() {
        let (png, svg) = drawn(&whole());
        let near = |a: u8, b: u8| a.abs_diff(b) < 40;
        // Dots let a quarter of the white ground through, and are four, of a few pixels each.
        let over_white = |c: u8| 191 * u32::from(c) / 255 + 64;
        for (slot, least) in [(0, 20), (2, 20), (3, 5), (4, 20), (6, 20)] {
            let rgb = style::series(slot).rgb;
            let [red, green, blue] = if slot == 3 { rgb.map(|c| over_white(c) as u8) } else { rgb };
            let shows = |p: &&PremultipliedColorU8| near(p.red(), red) && near(p.green(), green) && near(p.blue(), blue);
            let shows = png.pixels().iter().filter(shows).count();
            assert!(shows >= least, "colour {slot}: {shows}");
        }
        for text in
            ["a sheet", "a remark", "a tile", "a note", "one", "two", "a class", "a foot", "33 %", "mass", "−11.0", "−9.0"]
        {
            assert!(svg.contains(&format!("aria-label=\"{text}\"")), "{text}");
        }
    }

    #[test]
    fn odd_sheets_are_drawn() {
        drawn(&Sheet::default());
        let odd = [
            Content::Plane(plane(vec![[f64::NAN, 0.0], [1e300, -1e300], [f64::INFINITY, 2.0]])),
            Content::Plane(heat(vec![f64::NAN; 4])),
            Content::Plane(heat(vec![3.0; 4])),
            Content::Ridges(Vec::new()),
            Content::Ridges(vec![Class { colour: 99, values: vec![f64::NAN, -1.0, 7.0] }]),
            Content::Bars(Vec::new()),
            Content::Bars(vec![(
                String::new(),
                vec![Class { colour: 0, values: vec![] }, Class { colour: 0, values: vec![f64::NAN] }],
            )]),
        ];
        let crowded = Group { title: String::new(), tiles: vec![tile(odd[0].clone()); 60] };
        drawn(&Sheet { rows: vec![vec![Group { title: "odd".into(), tiles: odd.map(tile).to_vec() }]], ..whole() });
        drawn(&Sheet { rows: vec![vec![], vec![Group::default()], vec![crowded]], ..Sheet::default() });
    }

    #[test]
    fn functions_and_squares_of_the_wrong_size_are_refused() {
        let wrong = [heat(vec![1.0; 3]), Plane { reach: 0.0, ..Plane::default() }, Plane { reach: f64::NAN, ..Plane::default() }];
        for plane in wrong {
            let group = Group { title: String::new(), tiles: vec![tile(Content::Plane(plane))] };
            let problem = super::sheet("never-written", &Sheet { rows: vec![vec![group]], ..Sheet::default() });
            assert!(matches!(problem, Err(Error::Setting { .. })), "{problem:?}");
        }
    }
}
