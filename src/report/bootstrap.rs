//! The stratified bootstrap: seeds are drawn anew within each task, with replacement; percentile intervals.
//!
//! Follows Agarwal et al. 2021 (rliable): the unit is a run, never an episode, and every task keeps its number of runs.
//! The draws are SplitMix64 of a fixed seed, so a report gives the same numbers every time, and a test can repeat them:
//! draw `i` of a statistic is `mix(SEED + (i + 1) * 0x9e3779b97f4a7c15)`, of which the upper 32 bits, times the number of
//! runs of the task, shifted down by 32, are the run's place.

use super::statistics::{quantile, trimmed};

/// The seed of every statistic's draws.
pub const SEED: u64 = 20_211;
/// Share that an interval covers.
pub const CONFIDENCE: f64 = 0.95;

/// Draws from a fixed seed.
#[derive(Debug)]
struct Draws(u64);

impl Draws {
    const fn new() -> Self {
        Self(SEED)
    }

    /// SplitMix64 (Steele, Lea & Flood 2014), scaled to `0..count`. The scaling favours no place by more than count / 2^32.
    const fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (((z >> 32) * count as u64) >> 32) as usize
    }
}

/// The scores of several tasks, ready to be drawn from.
#[derive(Clone, Debug)]
pub struct Strata {
    /// Every score, in rising order.
    sorted: Vec<f64>,
    /// For each task, the places of its runs' scores in `sorted`, in the order of the runs.
    ranks: Vec<Vec<usize>>,
}

impl Strata {
    /// From one list of scores a task.
    pub fn new(tasks: &[Vec<f64>]) -> Self {
        let mut all: Vec<(f64, usize, usize)> = Vec::new();
        for (task, scores) in tasks.iter().enumerate() {
            all.extend(scores.iter().enumerate().map(|(run, score)| (*score, task, run)));
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ranks: Vec<Vec<usize>> = tasks.iter().map(|scores| vec![0; scores.len()]).collect();
        for (rank, (_, task, run)) in all.iter().enumerate() {
            ranks[*task][*run] = rank;
        }
        Self { sorted: all.into_iter().map(|(score, ..)| score).collect(), ranks }
    }

    /// Whether every task has runs to draw from: with a single run, a bootstrap would show no spread at all.
    pub fn has_spread(&self) -> bool {
        !self.ranks.is_empty() && self.ranks.iter().all(|runs| runs.len() > 1)
    }

    /// The interquartile mean of the scores as they are.
    pub fn interquartile_mean(&self) -> Option<f64> {
        (!self.sorted.is_empty()).then(|| self.trimmed_mean(&vec![1; self.sorted.len()]))
    }

    /// The share of scores above each of `thresholds`, as they are.
    pub fn shares_above(&self, thresholds: &[f64]) -> Vec<f64> {
        self.shares(&vec![1; self.sorted.len()], &self.cuts(thresholds))
    }

    /// The interval of the interquartile mean; `None` where a task has a single run.
    pub fn interquartile_interval(&self, resamples: u32) -> Option<[f64; 2]> {
        self.has_spread().then(|| {
            let mut means = Vec::with_capacity(resamples as usize);
            self.resample(resamples, |counts| means.push(self.trimmed_mean(counts)));
            interval(means)
        })
    }

    /// The interval at each of `thresholds` of the share of scores above it; `None` where a task has a single run.
    pub fn share_intervals(&self, thresholds: &[f64], resamples: u32) -> Option<Vec<[f64; 2]>> {
        self.has_spread().then(|| {
            let cuts = self.cuts(thresholds);
            let mut shares = vec![Vec::with_capacity(resamples as usize); thresholds.len()];
            self.resample(resamples, |counts| {
                for (of_threshold, share) in shares.iter_mut().zip(self.shares(counts, &cuts)) {
                    of_threshold.push(share);
                }
            });
            shares.into_iter().map(interval).collect()
        })
    }

    /// Calls `visit` with how often each score of `sorted` was drawn: counting spares sorting every resample.
    fn resample(&self, resamples: u32, mut visit: impl FnMut(&[u32])) {
        let mut draws = Draws::new();
        let mut counts = vec![0; self.sorted.len()];
        for _ in 0..resamples {
            counts.fill(0);
            for runs in &self.ranks {
                for _ in runs {
                    counts[runs[draws.below(runs.len())]] += 1;
                }
            }
            visit(&counts);
        }
    }

    /// Mean of the drawn scores without the lowest and the highest quarter.
    fn trimmed_mean(&self, counts: &[u32]) -> f64 {
        let cut = trimmed(self.sorted.len());
        let kept = self.sorted.len() - 2 * cut;
        let (mut skip, mut left, mut sum) = (cut, kept, 0.0);
        for (score, count) in self.sorted.iter().zip(counts) {
            let skipped = skip.min(*count as usize);
            let taken = left.min(*count as usize - skipped);
            (skip, left) = (skip - skipped, left - taken);
            sum += score * taken as f64;
        }
        sum / kept as f64
    }

    /// For each threshold, how many of `sorted` are not above it.
    fn cuts(&self, thresholds: &[f64]) -> Vec<usize> {
        thresholds.iter().map(|threshold| self.sorted.partition_point(|score| score <= threshold)).collect()
    }

    fn shares(&self, counts: &[u32], cuts: &[usize]) -> Vec<f64> {
        let mut below = vec![0; counts.len() + 1];
        for (index, count) in counts.iter().enumerate() {
            below[index + 1] = below[index] + count;
        }
        let all = below[counts.len()];
        cuts.iter().map(|cut| f64::from(all - below[*cut]) / f64::from(all.max(1))).collect()
    }
}

/// The probability that a run of one method beats a run of another one on the same task, averaged over tasks (rliable's
/// probability of improvement; a draw counts a half), and its interval.
pub fn improvement(pairs: &[[Vec<f64>; 2]], resamples: u32) -> (f64, Option<[f64; 2]>) {
    let beats = |x: f64, y: f64| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 };
    // wins[task][x * of_y + y]
    let wins = |[xs, ys]: &[Vec<f64>; 2]| xs.iter().flat_map(|x| ys.iter().map(|y| beats(*x, *y))).collect::<Vec<f64>>();
    let wins: Vec<Vec<f64>> = pairs.iter().map(wins).collect();
    let mean = |tasks: &[f64]| tasks.iter().sum::<f64>() / tasks.len() as f64;
    let point = mean(&wins.iter().map(|wins| mean(wins)).collect::<Vec<f64>>());
    if pairs.iter().any(|[xs, ys]| xs.len() < 2 || ys.len() < 2) {
        return (point, None);
    }
    let mut draws = Draws::new();
    let mut drawn = Vec::with_capacity(resamples as usize);
    for _ in 0..resamples {
        let mut sum = 0.0;
        for ([xs, ys], wins) in pairs.iter().zip(&wins) {
            let [xs, ys] = [xs.len(), ys.len()].map(|count| (0..count).map(|_| draws.below(count)).collect::<Vec<usize>>());
            let width = ys.len();
            let of_task: f64 = xs.iter().flat_map(|x| ys.iter().map(move |y| wins[x * width + y])).sum();
            sum += of_task / (xs.len() * width) as f64;
        }
        drawn.push(sum / pairs.len() as f64);
    }
    (point, Some(interval(drawn)))
}

/// The middle [`CONFIDENCE`] of what was drawn.
fn interval(mut drawn: Vec<f64>) -> [f64; 2] {
    drawn.sort_by(f64::total_cmp);
    [(1.0 - CONFIDENCE) / 2.0, f64::midpoint(1.0, CONFIDENCE)].map(|q| quantile(&drawn, q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_splitmix64() {
        // The first outputs of the published generator for seed 1234567, scaled to 2^32 places.
        let mut draws = Draws(1_234_567);
        let upper = [0x599e_d017_fb08_fc85_u64, 0x2c73_f084_5854_0fa5, 0x883e_bce5_a3f2_7c77].map(|word| (word >> 32) as usize);
        assert_eq!([(); 3].map(|()| draws.below(1 << 32)), upper);
        assert!((0..1000).all(|_| draws.below(3) < 3));
    }

    #[test]
    fn the_interquartile_mean_cuts_a_quarter_rounded_down() {
        let of = |scores: &[f64]| Strata::new(&[scores.to_vec()]).interquartile_mean();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1.0, 2.0, 9.0]), Some(4.0), "nothing is cut of three");
        assert_eq!(of(&[100.0, 1.0, 2.0, 4.0, -50.0]), Some(7.0 / 3.0), "one at each end of five");
    }

    #[test]
    fn a_single_run_has_no_interval() {
        let strata = Strata::new(&[vec![1.0, 2.0], vec![3.0]]);
        assert_eq!((strata.interquartile_interval(100), strata.share_intervals(&[0.0], 100)), (None, None));
        assert_eq!(improvement(&[[vec![1.0], vec![1.0]]], 100), (0.5, None));
    }

    #[test]
    fn shares_count_what_is_strictly_above() {
        let strata = Strata::new(&[vec![0.0, 50.0], vec![50.0, 100.0]]);
        assert_eq!(strata.shares_above(&[-1.0, 0.0, 49.0, 50.0, 100.0]), [1.0, 0.75, 0.75, 0.25, 0.0]);
    }

    #[test]
    fn tasks_keep_their_number_of_runs() {
        let strata = Strata::new(&[vec![0.0, 0.0, 0.0], vec![100.0, 100.0]]);
        assert_eq!(strata.share_intervals(&[50.0], 200), Some(vec![[0.4, 0.4]]), "no draw crosses tasks");
    }
}
