//! Colours, sizes and text styles that all pictures share.

use super::{
    font::Weight,
    scene::{Colour, TextStyle},
};

/// Space around every picture, in pixels.
pub(super) const MARGIN: f64 = 30.0;
/// Text and axes.
pub(super) const INK: Colour = Colour::hex(0x22_26_2b);
/// Tick labels and remarks.
pub(super) const SOFT_INK: Colour = Colour::hex(0x5b_62_6a);
/// Grid lines.
pub(super) const GRID: Colour = Colour::hex(0xe6_e8_eb);
/// Frames of axes.
pub(super) const FRAME: Colour = Colour::hex(0x9a_a1_a9);
/// The ground.
pub(super) const WHITE: Colour = Colour::hex(0xff_ff_ff);
/// Free cells of a maze without a colour map: dark enough for white marks.
pub(super) const FLOOR: Colour = Colour::hex(0x8f_a3_b5);
/// Walls of a maze.
pub(super) const WALL: Colour = Colour::hex(0x3d_43_4b);

/// Title of a picture.
pub(super) const TITLE: TextStyle = TextStyle { size: 25.0, weight: Weight::Medium, colour: INK };
/// Title of a panel.
pub(super) const PANEL_TITLE: TextStyle = TextStyle { size: 18.0, weight: Weight::Medium, colour: INK };
/// Legends and names of axes.
pub(super) const LABEL: TextStyle = TextStyle { size: 15.5, weight: Weight::Regular, colour: INK };
/// Numbers along axes.
pub(super) const TICK: TextStyle = TextStyle { size: 14.0, weight: Weight::Regular, colour: SOFT_INK };

/// Colours of series. Okabe & Ito's set for all kinds of colour vision, its yellow darkened to be seen on white.
const SERIES: [Colour; 8] = [
    Colour::hex(0x00_72_b2), // blue
    Colour::hex(0xd5_5e_00), // vermilion
    Colour::hex(0x00_9e_73), // green
    Colour::hex(0xcc_79_a7), // rose
    Colour::hex(0xe6_9f_00), // orange
    Colour::hex(0x56_b4_e9), // sky
    Colour::hex(0x6b_6f_76), // grey
    Colour::hex(0x8c_6d_1f), // dark yellow
];

/// Values with one colour. In [`super::Content::Bars`] the one value is the share.
#[derive(Clone, Debug, PartialEq)]
pub struct Class<T> {
    /// Number of the colour (see [`super::Series::with_colour`]).
    pub colour: usize,
    /// The values.
    pub values: Vec<T>,
}

/// Colour number `slot`; they repeat after eight.
pub(super) fn series(slot: usize) -> Colour {
    SERIES[slot % SERIES.len()]
}

/// Every sixteenth colour of matplotlib's viridis (Smith & van der Walt, released as CC0).
const VIRIDIS: [[u8; 3]; 17] = [
    [68, 1, 84],
    [72, 24, 106],
    [71, 45, 123],
    [66, 64, 134],
    [59, 82, 139],
    [51, 99, 141],
    [44, 114, 142],
    [38, 130, 142],
    [33, 145, 140],
    [31, 160, 136],
    [40, 174, 128],
    [63, 188, 115],
    [94, 201, 98],
    [132, 212, 75],
    [173, 220, 48],
    [216, 226, 25],
    [253, 231, 37],
];
/// Share of white mixed into the colour map, so that arrows and paths stand out on its dark end.
const LIGHTEN: f64 = 0.30;

/// Colour of a value's position in its range, 0..=1. Equal steps look equally large.
pub(super) fn heat(position: f64) -> [u8; 3] {
    let last = VIRIDIS.len() - 1;
    let place = position.clamp(0.0, 1.0) * last as f64;
    let below = (place.floor() as usize).min(last - 1);
    let share = place - below as f64;
    std::array::from_fn(|channel| {
        let [from, to] = [VIRIDIS[below][channel], VIRIDIS[below + 1][channel]].map(f64::from);
        let colour = from + share * (to - from);
        (colour + LIGHTEN * (255.0 - colour)).round() as u8
    })
}
