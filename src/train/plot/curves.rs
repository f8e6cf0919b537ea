//! Learning curves: what goes in, and how panels with their lines are laid out in a grid.

use std::{collections::BTreeSet, path::Path};

use super::{
    axis::{self, Axis, Plot},
    legend::Legend,
    marks::Mark,
    scene::{Anchor, Colour, Rect, Scene},
    series::{Series, draw_band, draw_series},
    style, write_both,
};
use crate::error::{Error, Result};

/// Width of the picture, in pixels.
const WIDTH: f64 = 1400.0;
/// Space between two panels, across and down.
const GAPS: [f64; 2] = [30.0, 18.0];
/// From the top of a panel to its legend.
const PANEL_HEAD: f64 = 30.0;
/// Room for the tick labels below a plot, and for the axis' name below those.
const FEET: [f64; 2] = [30.0, 24.0];

/// One diagram with its own vertical axis; the horizontal axis is shared by all panels of a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// What is shown, such as "critic loss".
    pub title: String,
    /// Name of the vertical axis, such as "success in %"; may be empty.
    pub y_label: String,
    /// Name of the horizontal axis; "update" if empty.
    pub x_label: String,
    /// Logarithmic vertical axis; values that are not positive become gaps.
    pub log_y: bool,
    /// Lowest and highest value of a linear vertical axis; from the data if `None`. What lies beyond is cut off.
    pub y_range: Option<[f64; 2]>,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
}

/// Draws the panels, from the upper left in reading order, as `<path_stem>.svg` and `<path_stem>.png`.
///
/// # Errors
/// If a band's length is not that of its points, if there are too many panels for one picture, or if a file cannot be
/// written. Missing data is no error: it shows as a gap, or as an empty diagram that says so.
pub fn learning_curves(path_stem: impl AsRef<Path>, title: &str, panels: &[Panel]) -> Result<()> {
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !series.band.is_empty() && series.band.len() != series.points.len() {
            return Err(Error::setting(
                format!("band of `{}`", series.label),
                format!("{} entries, one per point", series.points.len()),
                series.band.len().to_string(),
                "give both ends for each point, or no band",
            ));
        }
    }
    write_both(path_stem.as_ref(), &scene(title, panels))
}

/// Sizes that all panels of a picture share.
struct Layout {
    /// Width and height of a plot area.
    plot: [f64; 2],
    /// For each column, room on the left of its plot areas for labels.
    lefts: Vec<f64>,
}

impl Layout {
    fn new(panels: &[Panel], axes: &[(Axis, Axis)]) -> Self {
        let (columns, height) = match panels.len() {
            0 | 1 => (1, 520.0),
            2 | 4 => (2, 340.0),
            _ => (3, 250.0),
        };
        let left = |column: usize| {
            let in_column = panels.iter().zip(axes).skip(column).step_by(columns);
            let rooms = in_column.map(|(panel, (_, y))| y.label_width() + if panel.y_label.is_empty() { 14.0 } else { 42.0 });
            rooms.fold(0.0, f64::max).ceil()
        };
        let lefts: Vec<f64> = (0..columns).map(left).collect();
        let room = WIDTH - 2.0 * style::MARGIN - lefts.iter().sum::<f64>() - GAPS[0] * (columns - 1) as f64;
        Self { plot: [(room / columns as f64).floor(), height], lefts }
    }

    fn columns(&self) -> usize {
        self.lefts.len()
    }

    /// Left edge of the plot areas of a column.
    fn plot_x(&self, column: usize) -> f64 {
        let before = (self.plot[0] + GAPS[0]) * column as f64;
        style::MARGIN + before + self.lefts[..=column].iter().sum::<f64>()
    }
}

fn scene(title: &str, panels: &[Panel]) -> Scene {
    let x_span = axis::span(all_points(panels).map(|[x, _]| x), false).unwrap_or([0.0, 1.0]);
    let axes: Vec<_> = panels.iter().map(|panel| (x_axis(x_span, panels.len()), y_axis(panel))).collect();
    let layout = Layout::new(panels, &axes);
    let legends: Vec<_> = panels.iter().map(|panel| legend(panel, layout.plot[0])).collect();
    // Rows are as high as their highest legend asks, so that the plots of a row stand side by side.
    let heads = legends.chunks(layout.columns()).map(|row| row.iter().map(Legend::height).fold(0.0, f64::max) + PANEL_HEAD);
    let heads: Vec<f64> = heads.collect();
    let row_height = |head: &f64| head + layout.plot[1] + FEET[0] + FEET[1] + GAPS[1];
    let top = style::MARGIN + style::TITLE.size + 24.0;
    let height = top + heads.iter().map(row_height).sum::<f64>() - GAPS[1] + style::MARGIN - 8.0;
    let mut scene = Scene::new(title, WIDTH, height.max(top));
    draw_title(&mut scene, title, panels);
    for (index, ((panel, (x, y)), legend)) in panels.iter().zip(axes).zip(&legends).enumerate() {
        let (row, column) = (index / layout.columns(), index % layout.columns());
        let panel_top = top + heads[..row].iter().map(row_height).sum::<f64>();
        let [width, height] = layout.plot;
        let area = Rect { x: layout.plot_x(column), y: panel_top + heads[row], width, height };
        let name = style::PANEL_TITLE.shortened(&panel.title, width);
        scene.text([area.x, panel_top + style::PANEL_TITLE.size * 0.8], &name, style::PANEL_TITLE, Anchor::Start);
        legend.draw_from(&mut scene, area.x - 2.0, panel_top + PANEL_HEAD - 5.0);
        // Only the lowest panel of a column names the axis; it is the same for all.
        let name_x = index + layout.columns() >= panels.len();
        draw_panel(&mut scene, panel, &Plot { area, x, y }, layout.lefts[column], name_x);
    }
    scene
}

/// The picture's title, and on its right what thin and bold lines are.
fn draw_title(scene: &mut Scene, title: &str, panels: &[Panel]) {
    let windows = panels.iter().flat_map(|panel| &panel.series).map(|series| series.smooth).filter(|window| *window > 1);
    let windows: BTreeSet<usize> = windows.collect();
    let windows: Vec<String> = windows.into_iter().map(|window| window.to_string()).collect();
    let remark = match windows.as_slice() {
        [] => String::new(),
        windows => format!("thin: every point; bold: mean of {} points", windows.join(" or ")),
    };
    let baseline = style::MARGIN + style::TITLE.size * 0.8;
    scene.text([WIDTH - style::MARGIN, baseline], &remark, style::LABEL, Anchor::End);
    let room = WIDTH - 2.0 * style::MARGIN - style::LABEL.width(&remark) - 20.0;
    scene.text([style::MARGIN, baseline], &style::TITLE.shortened(title, room), style::TITLE, Anchor::Start);
}

fn all_points(panels: &[Panel]) -> impl Iterator<Item = [f64; 2]> {
    let series = panels.iter().flat_map(|panel| panel.series.iter().map(move |series| (series, panel.log_y)));
    series.flat_map(|(series, log)| series.points.iter().copied().filter(move |[_, y]| axis::drawable(*y, log)))
}

fn x_axis(span: [f64; 2], panels: usize) -> Axis {
    // Training begins at update 0, even where nothing was measured there.
    let span = if (0.0..0.25 * span[1]).contains(&span[0]) { [0.0, span[1]] } else { span };
    Axis::padded(span, 0.02, if panels > 2 { 5.0 } else { 8.0 })
}

fn y_axis(panel: &Panel) -> Axis {
    let values = panel.series.iter().flat_map(|series| {
        let ends = series.band.iter().flatten();
        series.points.iter().map(|[_, y]| *y).chain(ends.copied())
    });
    let span = axis::span(values, panel.log_y);
    match (panel.y_range, span) {
        (Some([lo, hi]), _) if !panel.log_y && lo < hi && axis::drawable(lo, false) && axis::drawable(hi, false) => {
            Axis::padded([lo, hi], 0.04, 5.0)
        }
        (_, Some(span)) if panel.log_y => Axis::log(span, 6.0),
        (_, Some(span)) => Axis::padded(span, 0.07, 5.0),
        _ => Axis::exact([0.0, 1.0], 5.0),
    }
}

fn colour(series: &Series, place: usize) -> Colour {
    style::series(series.colour.unwrap_or(place))
}

fn legend(panel: &Panel, width: f64) -> Legend {
    let named = panel.series.iter().enumerate().filter(|(_, series)| !series.label.is_empty());
    let mark = |place: usize, series: &Series| match (colour(series, place), series.dashed) {
        (colour, true) => Mark::Dashes(colour),
        (colour, false) => Mark::Series(colour, series.markers),
    };
    let entries = named.map(|(place, series)| (mark(place, series), series.label.clone()));
    Legend::new(entries, width)
}

fn draw_panel(scene: &mut Scene, panel: &Panel, plot: &Plot, left: f64, name_x: bool) {
    let area = plot.area;
    plot.draw_grid(scene);
    plot.draw_frame(scene);
    // Wide enough that a disc on the frame stays whole.
    scene.clipped(area.grown(6.0), |scene| {
        for (place, series) in panel.series.iter().enumerate() {
            draw_band(scene, series, plot, panel.log_y, colour(series, place));
        }
        for (place, series) in panel.series.iter().enumerate() {
            draw_series(scene, series, plot, panel.log_y, colour(series, place));
        }
    });
    let middle = [area.x + area.width / 2.0, area.y + area.height / 2.0];
    if all_points(std::slice::from_ref(panel)).next().is_none() {
        let reason = if panel.log_y { "no positive values" } else { "no values" };
        scene.text(middle, reason, style::LABEL, Anchor::Middle);
    }
    if name_x {
        let name = if panel.x_label.is_empty() { "update" } else { &panel.x_label };
        scene.text([middle[0], area.bottom() + FEET[0] + 17.0], name, style::LABEL, Anchor::Middle);
    }
    scene.text_upwards([area.x - left + style::LABEL.size, middle[1]], &panel.y_label, style::LABEL);
}
