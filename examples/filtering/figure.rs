//! The picture: what each agent learned, side by side.

use std::path::Path;

use wgflow::Error;
use wgflow::train::plot::{self, Class, Content, Group, Plane, ScalarGrid, Sheet, Tile};

use super::bandit::{self, Action, CENTRES, REWARDS};
use super::study::{Learned, mean, shares};

/// Colours of the modes, from worst to best: grey, orange, blue.
const COLOURS: [usize; 3] = [6, 4, 0];
/// What the large tiles show: the square of actions.
const REACH: f64 = 1.0;
/// What the tiles of noise show.
const NOISE_REACH: f64 = 2.6;
/// Dots of a tile.
const DOTS: usize = 1_000;
/// Samples of Q along an edge of the square.
pub const CELLS: usize = 60;

/// Everything that is drawn.
#[derive(Debug)]
pub struct Figure {
    /// FQL.
    pub fql: Learned,
    /// GFP, by temperature.
    pub gfp: Vec<(f64, Learned)>,
    /// The critic's values at [`places`].
    pub q: Vec<f64>,
    /// The data's actions.
    pub data: Vec<Action>,
    /// Updates of training.
    pub steps: u64,
}

/// The places whose values are drawn: a grid over the square, row after row, then the modes' centres.
pub fn places() -> Vec<Action> {
    let along = |index: usize| REACH * (2.0 * index as f64 / (CELLS - 1) as f64 - 1.0);
    (0..CELLS * CELLS).map(|index| [along(index % CELLS), along(index / CELLS)]).chain(CENTRES).collect()
}

/// A temperature as text: powers of ten as such.
pub fn eta_text(eta: f64) -> String {
    let power = eta.log10().round();
    if eta > 0.0 && (eta / 10f64.powf(power) - 1.0).abs() < 1e-9 && !(-0.5..0.5).contains(&power) {
        let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
        let raised = |sign: char| sign.to_digit(10).map_or('⁻', |digit| digits[digit as usize]);
        return format!("10{}", power.to_string().chars().map(raised).collect::<String>());
    }
    eta.to_string()
}

/// How hard a temperature filters.
fn strength(eta: f64) -> &'static str {
    match eta {
        0.0 => "no filter",
        eta if eta > 1e-2 => "soft filter",
        eta if eta > 1e-4 => "moderate filter",
        _ => "strong filter",
    }
}

impl Figure {
    /// Writes `<stem>.svg` and `<stem>.png`.
    pub fn draw(&self, stem: &Path) -> Result<(), Error> {
        let row = |tiles| vec![Group { title: String::new(), tiles }];
        let rows = vec![row(self.flows()), row(self.actors()), row(self.weights()), self.paths()];
        let names = ["worst mode", "middle mode", "best mode"];
        let legend =
            [2, 1, 0].map(|mode| (COLOURS[mode], format!("{}, mean reward {}", names[mode], minus(&REWARDS[mode].to_string()))));
        plot::sheet(
            stem,
            &Sheet {
                title: "What GFP's flow learns as η filters the data harder".to_owned(),
                remark: format!(
                    "A bandit with one state: FQL's flow copies all data; GFP's VaBC weights them with g = sigmoid(λ/η (Q(data) − \
                     Q(actor))). {} updates.",
                    self.steps
                ),
                rows,
                legend: legend.to_vec(),
                foot: "Shades are scaled to each picture's densest place, histograms to each mode's highest bin; dashed: the \
                       square of actions."
                    .to_owned(),
            },
        )
    }

    fn flows(&self) -> Vec<Tile> {
        let words = |mode: usize| (beside(mode), format!("r = {}", minus(&REWARDS[mode].to_string())));
        let dots = &self.data[..self.data.len().min(DOTS)];
        let plane = Plane { ticks: true, dots: by_mode(dots), words: [0, 1, 2].map(words).to_vec(), ..square() };
        let note = format!("{} of {} actions, equal modes", dots.len(), self.data.len());
        let data = tile("Data", &note, Content::Plane(plane));
        let flow = |title: String, filter: &str, learned: &Learned| {
            let plane = Plane { density: by_mode(learned.flow()), words: percentages(learned.flow()), ..square() };
            tile(&title, &format!("{filter}, {} samples", learned.flow().len()), Content::Plane(plane))
        };
        let bc = flow("BC flow (FQL)".to_owned(), strength(0.0), &self.fql);
        let guided = self.gfp.iter().map(|(eta, learned)| flow(format!("VaBC, η = {}", eta_text(*eta)), strength(*eta), learned));
        [data, bc].into_iter().chain(guided).collect()
    }

    fn actors(&self) -> Vec<Tile> {
        let step = 2.0 * REACH / (CELLS - 1) as f64;
        let (grid, centres) = self.q.split_at(CELLS * CELLS);
        let grid = ScalarGrid { rows: CELLS, cols: CELLS, origin: [-REACH; 2], step: [step; 2], values: grid.to_vec() };
        let words = CENTRES.into_iter().zip(centres).map(|(centre, q)| (centre, minus(&format!("{q:.1}")))).collect();
        let plane = Plane { ticks: true, heat: Some(grid), words, ..square() };
        let q = tile("Learned Q", "", Content::Plane(plane));
        let actor = |title: String, learned: &Learned| {
            let dots = &learned.actor[..learned.actor.len().min(DOTS)];
            let plane = Plane { dots: by_mode(dots), words: percentages(&learned.actor), ..square() };
            tile(&title, &format!("{} samples", dots.len()), Content::Plane(plane))
        };
        let guided = self.gfp.iter().map(|(eta, learned)| actor(format!("GFP actor, η = {}", eta_text(*eta)), learned));
        [q, actor("FQL actor".to_owned(), &self.fql)].into_iter().chain(guided).collect()
    }

    fn weights(&self) -> Vec<Tile> {
        let bar = |name: String, actions: &[Action]| {
            let shares = shares(actions);
            (name, [2, 1, 0].map(|mode| Class { colour: COLOURS[mode], values: vec![shares[mode]] }).to_vec())
        };
        let plain = [bar("data".to_owned(), &self.data), bar("BC flow (FQL)".to_owned(), self.fql.flow())];
        let guided = self.gfp.iter().map(|(eta, learned)| bar(format!("VaBC, η = {}", eta_text(*eta)), learned.flow()));
        let bars = Content::Bars(plain.into_iter().chain(guided).collect());
        let mass = tile("Mass of the flow", "share nearest to each mode", bars);
        let weight = |title: String, learned: &Learned| {
            let ridge = |mode: usize| Class { colour: COLOURS[mode], values: learned.weights[mode].clone() };
            let best = mean(learned.weights[2].iter().copied());
            let note = format!("mean {:.2}, best mode {best:.2}", learned.mean_weight());
            tile(&title, &note, Content::Ridges([0, 1, 2].map(ridge).to_vec()))
        };
        let guided = self.gfp.iter().map(|(eta, learned)| weight(format!("Weight g, η = {}", eta_text(*eta)), learned));
        [mass, weight("Weight in BC: always 1".to_owned(), &self.fql)].into_iter().chain(guided).collect()
    }

    /// BC and the middle temperature at quarters of the way. Colours tell where a sample ends.
    fn paths(&self) -> Vec<Group> {
        let group = |title: String, learned: &Learned| {
            let ends: Vec<usize> = learned.flow().iter().map(|action| bandit::nearest(*action)).collect();
            let tiles = (0..=4).map(|quarter| {
                let points = &learned.path[quarter * (learned.path.len() - 1) / 4];
                let density = classes(points.iter().copied().zip(ends.iter().copied()));
                let plane = Plane { reach: NOISE_REACH, limit: 1.0, density, ..Plane::default() };
                tile(&format!("t = {}", quarter as f64 / 4.0), "", Content::Plane(plane))
            });
            Group { title, tiles: tiles.collect() }
        };
        let middle = self
            .gfp
            .get(self.gfp.len() / 2)
            .map(|(eta, learned)| group(format!("VaBC, η = {}: the same noise ends elsewhere", eta_text(*eta)), learned));
        [group("BC flow: noise on its way, coloured by where it ends".to_owned(), &self.fql)].into_iter().chain(middle).collect()
    }
}

fn tile(title: &str, note: &str, content: Content) -> Tile {
    Tile { title: title.to_owned(), note: note.to_owned(), content }
}

fn square() -> Plane {
    Plane { reach: REACH, ..Plane::default() }
}

/// Points in the colour of their class.
fn classes(points: impl Iterator<Item = (Action, usize)>) -> Vec<Class<Action>> {
    let mut classes = COLOURS.map(|colour| Class { colour, values: Vec::new() });
    points.for_each(|(point, mode)| classes[mode].values.push(point));
    classes.to_vec()
}

fn by_mode(actions: &[Action]) -> Vec<Class<Action>> {
    classes(actions.iter().map(|action| (*action, bandit::nearest(*action))))
}

/// The share of each mode, beside it.
fn percentages(actions: &[Action]) -> Vec<(Action, String)> {
    let shares = shares(actions);
    [0, 1, 2].map(|mode| (beside(mode), format!("{:.0} %", 100.0 * shares[mode]))).to_vec()
}

/// Where words about a mode stand: on its outer side.
fn beside(mode: usize) -> Action {
    let [x, y] = CENTRES[mode];
    [x, y + 0.46 * y.signum()]
}

/// With a real minus sign.
fn minus(number: &str) -> String {
    number.replace('-', "−")
}
