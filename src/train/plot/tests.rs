//! Whole pictures: both files exist, agree in size, are well-formed, and say what they should, for odd input too.

use std::{fs, path::PathBuf};

use tiny_skia::Pixmap;

use super::*;
use crate::error::Error;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wgflow-plot-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        Self(folder)
    }

    fn stem(&self) -> PathBuf {
        self.0.join("picture-v0.5")
    }

    /// The PNG, and the SVG's text, after checking that both are whole and have one size.
    fn pictures(&self) -> (Pixmap, String) {
        let png = fs::read(with_suffix(&self.stem(), ".png")).expect("the PNG was written");
        let png = Pixmap::decode_png(&png).expect("the PNG decodes");
        let svg = fs::read_to_string(with_suffix(&self.stem(), ".svg")).expect("the SVG was written");
        let document = roxmltree::Document::parse(&svg).expect("the SVG is well-formed");
        let root = document.root_element();
        let size = ["width", "height"].map(|name| root.attribute(name).and_then(|size| size.parse().ok()));
        assert_eq!(size, [Some(png.width()), Some(png.height())]);
        for used in document.descendants().filter_map(|node| node.attribute(("http://www.w3.org/1999/xlink", "href"))) {
            let known = |id: &str| document.descendants().any(|node| node.attribute("id") == Some(id));
            assert!(used.strip_prefix('#').is_none_or(known), "{used} is not defined");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "a coordinate is not a number");
        assert_eq!(fs::read_dir(&self.0).expect("the folder exists").count(), 2, "a temporary file was left");
        (png, svg)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether any pixel has nearly this colour.
fn shows(png: &Pixmap, [red, green, blue]: [u8; 3]) -> bool {
    let near = |a: u8, b: u8| a.abs_diff(b) < 6;
    png.pixels().iter().any(|pixel| near(pixel.red(), red) && near(pixel.green(), green) && near(pixel.blue(), blue))
}

fn says(svg: &str, text: &str) -> bool {
    svg.contains(&format!("aria-label=\"{text}\""))
}

fn curve(values: &[f64]) -> Vec<[f64; 2]> {
    values.iter().enumerate().map(|(index, value)| [index as f64 * 10_000.0, *value]).collect()
}

#[test]
fn curves_show_lines_labels_and_ticks() {
    let folder = Folder::new("curves");
    let success = Series::new("actor", curve(&[0.0, 40.0, 80.0])).with_markers().with_band(vec![[0.0, 9.0]; 3]);
    let loss = Series::new("a < b & \"c\"", curve(&[1.0, f64::NAN, 0.01, 0.1])).with_colour(2).with_smoothing(2);
    let panels = [
        Panel { title: "success".into(), y_range: Some([0.0, 100.0]), series: vec![success], ..Panel::default() },
        Panel { title: "loss".into(), log_y: true, series: vec![loss], ..Panel::default() },
    ];
    learning_curves(folder.stem(), "a run", &panels).expect("the curves are drawn");
    let (png, svg) = folder.pictures();
    assert_eq!(png.width(), 1400);
    assert!(shows(&png, [0x00, 0x72, 0xb2]) && shows(&png, [0x00, 0x9e, 0x73]));
    for text in ["a run", "success", "actor", "a &lt; b &amp; &quot;c&quot;", "10k", "30k", "100", "0.01", "update"] {
        assert!(says(&svg, text), "{text}");
    }
}

#[test]
fn a_dashed_line_is_dashed_in_the_plot_and_in_the_legend() {
    let folder = Folder::new("dashes");
    let series = vec![Series::new("measured", curve(&[0.0, 1.0])), Series::new("published", curve(&[0.5, 0.5])).with_dashes()];
    learning_curves(folder.stem(), "t", &[Panel { series, ..Panel::default() }]).expect("the curves are drawn");
    let (png, svg) = folder.pictures();
    assert_eq!(svg.matches("stroke-dasharray").count(), 2);
    assert!(shows(&png, [0x00, 0x72, 0xb2]) && shows(&png, [0xd5, 0x5e, 0x00]));
}

#[test]
fn curves_of_odd_data_are_drawn_and_say_so() {
    let odd = [
        vec![],
        curve(&[f64::NAN]),
        curve(&[5.0]),
        curve(&[0.0; 4]),
        curve(&[-1.0, 0.0]),
        curve(&[1e308, -1e308, 3.0]),
        curve(&[f64::INFINITY, 1e-300, 1e99]),
        vec![[f64::NAN, 1.0], [3.0, 1.0], [3.0, 2.0]],
    ];
    for log_y in [false, true] {
        for (index, points) in odd.iter().enumerate() {
            let folder = Folder::new(&format!("odd-{log_y}-{index}"));
            let series = Series::new("\u{1}強", points.clone()).with_smoothing(3);
            let banded = series.clone().with_markers().with_band(vec![[f64::NAN, 1.0]; points.len()]);
            let panels = [Panel { log_y, y_range: Some([1.0, 1.0]), series: vec![series, banded], ..Panel::default() }];
            learning_curves(folder.stem(), "", &panels).expect("odd data is no error");
            let (_, svg) = folder.pictures();
            let empty = points.iter().all(|[_, y]| !y.is_finite() || (log_y && *y <= 0.0));
            assert_eq!(says(&svg, "no values") || says(&svg, "no positive values"), empty, "{points:?}, {log_y}");
        }
    }
}

#[test]
fn values_far_beyond_the_axis_leave_the_others_visible() {
    let folder = Folder::new("far");
    let series = vec![Series::new("", curve(&[0.2, 0.4, 1e90, 0.6, -1e50, 0.5]))];
    let panel = Panel { y_range: Some([0.0, 1.0]), series, ..Panel::default() };
    learning_curves(folder.stem(), "t", &[panel]).expect("outliers are no error");
    assert!(shows(&folder.pictures().0, [0x00, 0x72, 0xb2]));
}

#[test]
fn any_number_of_panels_fits_up_to_a_limit() {
    for count in [0, 1, 2, 3, 4, 5, 7] {
        let folder = Folder::new(&format!("count-{count}"));
        learning_curves(folder.stem(), "t", &vec![Panel::default(); count]).expect("a few panels fit");
        folder.pictures();
    }
    let folder = Folder::new("too-many");
    let problem = learning_curves(folder.stem(), "t", &vec![Panel::default(); 1000]);
    assert!(matches!(problem, Err(Error::Setting { .. })), "{problem:?}");
    assert_eq!(fs::read_dir(&folder.0).expect("the folder exists").count(), 0);
}

#[test]
fn a_band_of_another_length_is_refused() {
    let series = Series::new("x", curve(&[1.0, 2.0])).with_band(vec![[0.0, 1.0]]);
    let problem = learning_curves("never-written", "t", &[Panel { series: vec![series], ..Panel::default() }]);
    assert!(problem.is_err_and(|problem| problem.to_string().contains("band of `x`")));
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new("missing");
    let problem = learning_curves(folder.0.join("nowhere").join("picture"), "t", &[]);
    assert!(problem.is_err_and(|problem| problem.to_string().contains("nowhere")));
}

/// A room of 2 x 3 free cells within walls.
fn room() -> Maze {
    let wall = |index: usize| matches!(index / 5, 0 | 3) || matches!(index % 5, 0 | 4);
    Maze { rows: 4, cols: 5, walls: (0..20).map(wall).collect(), cell: 4.0, origin: [-6.0, -6.0] }
}

fn field() -> Field {
    let values = (0..16).map(|index| if index == 5 { f64::NAN } else { f64::from(index) }).collect();
    let scalar = Some(ScalarGrid { rows: 4, cols: 4, origin: [-1.0, -1.0], step: [3.0, 2.0], values });
    let arrow = |x: f64| Arrow { at: [x, 0.0], vector: [0.5, 1.0] };
    let arrows = vec![arrow(0.0), arrow(2.0), Arrow { at: [f64::NAN, 0.0], vector: [1.0, 0.0] }];
    let episode = |success, end| Rollout { points: vec![[0.0, 0.0], [4.0, 1.0], [end, 4.0]], success };
    let rollouts = vec![episode(true, 7.0), episode(false, f64::NAN)];
    let panel = FieldPanel { title: "actor".into(), scalar, samples: arrows.clone(), arrows, rollouts };
    let goal = Some(Goal { at: [7.0, 4.0], tolerance: 1.0 });
    let panels = vec![panel.clone(), FieldPanel { title: "flow".into(), ..panel }];
    Field { maze: room(), scalar_label: "Q".into(), start: Some([0.0, 0.0]), goal, arrow_length: None, panels }
}

#[test]
fn fields_show_walls_episodes_and_legend() {
    let folder = Folder::new("field");
    vector_field(folder.stem(), "task 1", &field()).expect("the field is drawn");
    let (png, svg) = folder.pictures();
    let red = marks::FAILURE.rgb;
    assert!(shows(&png, style::WALL.rgb) && shows(&png, marks::GOAL.rgb) && shows(&png, red));
    for text in ["actor", "flow", "Q", "1 of 2 episodes reach the goal", "mean action", "goal and its tolerance"] {
        assert!(says(&svg, text), "{text}");
    }
}

#[test]
fn fields_with_nothing_or_odd_things_to_show_are_drawn() {
    let mut odd = [Field { maze: room(), ..Field::default() }, field(), field(), field(), field()];
    odd[1].maze.walls.fill(true);
    odd[2].panels[0].scalar =
        Some(ScalarGrid { values: vec![f64::NAN; 16], ..field().panels[0].scalar.clone().unwrap_or_default() });
    odd[2].panels[1].scalar =
        Some(ScalarGrid { values: vec![], rows: 0, cols: 0, ..field().panels[0].scalar.clone().unwrap_or_default() });
    odd[3].panels[1].scalar = Some(ScalarGrid { values: vec![2.0; 16], ..field().panels[0].scalar.clone().unwrap_or_default() });
    odd[3].panels[0].scalar = None;
    odd[3].arrow_length = Some(1e200);
    odd[4].goal = Some(Goal { at: [f64::NAN, 0.0], tolerance: f64::INFINITY });
    odd[4].start = Some([1e90, 0.0]);
    odd[4].panels[0].rollouts.push(Rollout { points: vec![[1e80, -1e80]], success: true });
    for (index, field) in odd.iter().enumerate() {
        let folder = Folder::new(&format!("odd-field-{index}"));
        vector_field(folder.stem(), "t", field).expect("odd data is no error");
        folder.pictures();
    }
}

#[test]
fn grids_of_the_wrong_size_are_refused() {
    let refused = |change: &dyn Fn(&mut Field), setting: &str| {
        let mut field = field();
        change(&mut field);
        let problem = vector_field("never-written", "t", &field);
        assert!(problem.is_err_and(|problem| problem.to_string().starts_with(setting)), "{setting}");
    };
    refused(&|field| field.maze.walls.truncate(7), "maze.walls");
    refused(&|field| field.maze = Maze::default(), "maze.walls");
    refused(&|field| field.maze.cell = 0.0, "maze.cell");
    refused(&|field| field.maze.origin[1] = f64::NAN, "maze.cell");
    let scalar = |change: fn(&mut ScalarGrid)| move |field: &mut Field| field.panels[0].scalar.iter_mut().for_each(change);
    refused(&scalar(|grid| grid.rows = 3), "scalar.values");
    refused(&scalar(|grid| grid.step[0] = -1.0), "scalar.step");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bytes = ["once", "twice"].map(|test| {
        let folder = Folder::new(test);
        vector_field(folder.stem(), "t", &field()).expect("the field is drawn");
        [".svg", ".png"].map(|suffix| fs::read(with_suffix(&folder.stem(), suffix)).expect("the file was written"))
    });
    assert_eq!(bytes[0], bytes[1]);
}
