//! The statistics of a report: small functions of slices, as numpy and scipy define them.

use crate::train::statistics;
pub use crate::train::statistics::{mean, population_std};

/// Values cut at each end by the interquartile mean: a quarter, rounded down, as `scipy.stats.trim_mean(values, 0.25)`
/// (which rliable takes) does it. No value is cut in part.
pub const fn trimmed(count: usize) -> usize {
    count / 4
}

/// Quantile `q` in 0..=1 of sorted values, interpolated linearly between neighbours (numpy's default method).
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(low), Some(high)) => low + share * (high - low),
        (Some(last), None) => *last,
        _ => f64::NAN,
    }
}

/// Wilson's 95 % interval of a share that was found as `share` in `trials` trials.
pub fn wilson(share: f64, trials: usize) -> Option<[f64; 2]> {
    (0.0..=1.0).contains(&share).then(|| statistics::wilson(share * trials as f64, trials)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_end_at_the_extremes() {
        let values = [1.0, 2.0, 4.0];
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&values, q)), [1.0, 1.5, 2.0, 3.0, 4.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn wilson_stays_inside_even_where_every_episode_succeeds() {
        let [low, high] = wilson(1.0, 50).unwrap();
        assert!((low - 0.928_65).abs() < 1e-5 && high == 1.0, "{low} {high}");
        assert_eq!((wilson(0.5, 0), wilson(1.5, 10)), (None, None));
    }
}
