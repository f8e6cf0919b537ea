//! Means, deviations, and 95 % confidence intervals.

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Half of what lies outside a 95 % interval.
const TAIL: f64 = 0.025;

/// The arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The population standard deviation (`numpy.std`, ddof 0), as the papers report it; `None` below two values, since one
/// value says nothing about spread.
pub fn population_std(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
    self::mean(&squares).map(f64::sqrt)
}

/// Wilson's interval for a rate of `successes` (which may be a mean over evaluations, hence a fraction) among `count`
/// trials: unlike mean ± 2 standard errors it has a width where all succeed or all fail. `None` without trials.
pub fn wilson(successes: f64, count: usize) -> Option<[f64; 2]> {
    if count == 0 {
        return None;
    }
    let n = count as f64;
    let rate = successes / n;
    let centre = rate + Z * Z / (2.0 * n);
    let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).max(0.0).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some([((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)])
}

/// Student's t interval for the mean of `values`; `None` for fewer than two.
pub fn student(values: &[f64]) -> Option<[f64; 2]> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let n = values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = quantile(values.len() - 1) * (variance / n).sqrt();
    Some([mean - half, mean + half])
}

/// The t for which Student's distribution with `degrees` degrees of freedom leaves [`TAIL`] above it, by bisection.
fn quantile(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 16.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if (1.0 - inside(middle, degrees)) / 2.0 > TAIL { low = middle } else { high = middle }
    }
    low
}

/// P(|T| < t): the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4, exact for whole degrees of freedom.
fn inside(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    // Each term is the one before times cos² k/(k + 1), from cos (odd) or 1 (even) on.
    let odd = !degrees.is_multiple_of(2);
    let (mut term, mut sum, mut k) = if odd { (cos, 0.0, 2) } else { (1.0, 0.0, 1) };
    while k < degrees {
        sum += term;
        term *= cos * cos * k as f64 / (k + 1) as f64;
        k += 2;
    }
    if odd { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: [f64; 2], expected: [f64; 2]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5), "{found:?} {expected:?}");
    }

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        assert_eq!((mean(&[]), mean(&[4.0])), (None, Some(4.0)));
        assert_eq!((population_std(&[4.0]), population_std(&[1.0, 3.0])), (None, Some(1.0)));
    }

    #[test]
    fn wilson_gives_the_textbook_intervals() {
        // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        close(wilson(81.0, 263).unwrap(), [0.2553, 0.3662]);
        close(wilson(15.0, 148).unwrap(), [0.0624, 0.1605]);
        close(wilson(0.0, 20).unwrap(), [0.0, 0.1611]);
        close(wilson(1.0, 29).unwrap(), [0.0061, 0.1718]);
        close(wilson(20.0, 20).unwrap(), [0.8389, 1.0]);
        assert_eq!(wilson(0.0, 0), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, t) in
            [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (49, 2.010), (99, 1.984), (10_000, 1.960)]
        {
            assert!((quantile(degrees) - t).abs() < 6e-4, "{degrees}: {}", quantile(degrees));
        }
    }

    #[test]
    fn the_mean_of_a_sample() {
        // Mean 5, standard deviation 2.582, four values: half width 3.182 * 2.582 / 2.
        close(student(&[2.0, 4.0, 6.0, 8.0]).unwrap(), [0.891_48, 9.108_52]);
        close(student(&[3.0; 10]).unwrap(), [3.0, 3.0]);
        assert_eq!(student(&[1.0]), None);
    }
}
