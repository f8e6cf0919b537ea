//! Points as a smooth density: binned to pixels, blurred with a Gaussian, drawn in steps like a filled contour plot.

use super::{
    axis::Plot,
    scene::{Colour, Image},
    style::{self, Class},
};

/// Standard deviation of the blur, as a share of the picture's width.
const BANDWIDTH: f64 = 0.021;
/// Number of shades between nothing and the maximum: bands are readable, and compress well.
const SHADES: f64 = 9.0;
/// Exponent from density to shade: below 1, so that thin places show.
const GAMMA: f64 = 0.6;

/// The density of all classes together in `plot`. Its opacity is the density, scaled to its maximum; its colour is the
/// classes' colours, mixed by their shares.
pub(super) fn image(classes: &[Class<[f64; 2]>], plot: &Plot) -> Image {
    let (width, height) = (plot.area.width as usize, plot.area.height as usize);
    let maps: Vec<Vec<f64>> = classes.iter().map(|class| smooth(class, plot, [width, height])).collect();
    let colours: Vec<Colour> = classes.iter().map(|class| style::series(class.colour)).collect();
    let total: Vec<f64> = (0..width * height).map(|pixel| maps.iter().map(|map| map[pixel]).sum()).collect();
    let highest = total.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut rgba = Vec::with_capacity(4 * total.len());
    for (pixel, density) in total.iter().enumerate() {
        let shade = ((density / highest).powf(GAMMA) * SHADES).round() / SHADES;
        let mixed = |channel: usize| {
            let sum: f64 = maps.iter().zip(&colours).map(|(map, colour)| map[pixel] * f64::from(colour.rgb[channel])).sum();
            (sum / density.max(f64::MIN_POSITIVE)).round() as u8
        };
        rgba.extend(if shade > 0.0 { [mixed(0), mixed(1), mixed(2), (shade * 235.0) as u8] } else { [0; 4] });
    }
    Image { width: width as u32, height: height as u32, rgba }
}

/// A class's points per pixel, blurred along both axes. `[height, width]`
fn smooth(class: &Class<[f64; 2]>, plot: &Plot, [width, height]: [usize; 2]) -> Vec<f64> {
    let mut map = vec![0.0; width * height];
    for place in class.values.iter().filter(|place| place.iter().all(|value| value.is_finite())) {
        let [x, y] = plot.place(*place);
        let [col, row] = [(x - plot.area.x).floor(), (y - plot.area.y).floor()];
        if (0.0..width as f64).contains(&col) && (0.0..height as f64).contains(&row) {
            map[row as usize * width + col as usize] += 1.0;
        }
    }
    let kernel = kernel(BANDWIDTH * width as f64);
    let across = blurred(&map, &kernel, [width, height], 1);
    blurred(&across, &kernel, [width, height], width)
}

/// Weights of a Gaussian from its middle outwards, up to three standard deviations.
fn kernel(deviation: f64) -> Vec<f64> {
    (0..=(3.0 * deviation).ceil() as usize).map(|at| (-0.5 * (at as f64 / deviation).powi(2)).exp()).collect()
}

/// `map` blurred along one axis, whose neighbours lie `step` apart. Nothing comes in from outside.
fn blurred(map: &[f64], kernel: &[f64], [width, height]: [usize; 2], step: usize) -> Vec<f64> {
    let (length, along_row) = if step == 1 { (width, true) } else { (height, false) };
    let mut out = vec![0.0; map.len()];
    for (index, value) in map.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let place = if along_row { index % width } else { index / width };
        let start = index - place * step;
        for (distance, weight) in kernel.iter().enumerate() {
            if place + distance < length {
                out[start + (place + distance) * step] += value * weight;
            }
            if distance > 0 && place >= distance {
                out[start + (place - distance) * step] += value * weight;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{axis::Axis, scene::Rect};
    use super::*;

    fn plot() -> Plot {
        let axis = || Axis::exact([-1.0, 1.0], 3.0);
        Plot { area: Rect { x: 10.0, y: 20.0, width: 101.0, height: 101.0 }, x: axis(), y: axis() }
    }

    fn class(colour: usize, place: [f64; 2], count: usize) -> Class<[f64; 2]> {
        Class { colour, values: vec![place; count] }
    }

    fn pixel(image: &Image, col: usize, row: usize) -> [u8; 4] {
        image.rgba.as_chunks().0[row * image.width as usize + col]
    }

    #[test]
    fn a_point_is_a_round_spot_at_its_place() {
        let image = image(&[class(0, [0.0, 0.0], 5)], &plot());
        assert_eq!(pixel(&image, 50, 50), [0x00, 0x72, 0xb2, 235]);
        assert_eq!(pixel(&image, 50, 47), pixel(&image, 53, 50), "as wide as high");
        assert_eq!(pixel(&image, 50, 47), pixel(&image, 50, 53), "the same on both sides");
        assert!((1..235).contains(&pixel(&image, 50, 47)[3]));
        assert_eq!(pixel(&image, 50, 20)[3], 0);
    }

    #[test]
    fn classes_mix_where_they_meet_and_the_densest_place_is_darkest() {
        let image = image(&[class(0, [0.0, 0.0], 4), class(4, [0.0, 0.0], 4), class(4, [0.8, 0.8], 2)], &plot());
        assert_eq!(pixel(&image, 50, 50)[..3], [115, 137, 89], "half blue, half orange");
        assert_eq!(pixel(&image, 90, 10)[..3], [0xe6, 0x9f, 0x00]);
        assert!(pixel(&image, 90, 10)[3] < pixel(&image, 50, 50)[3]);
    }

    #[test]
    fn points_outside_or_without_a_place_are_left_out() {
        let odd = Class { colour: 0, values: vec![[f64::NAN, 0.0], [1e300, 0.0], [0.0, -1.5]] };
        assert!(image(&[odd], &plot()).rgba.iter().all(|byte| *byte == 0));
    }
}
