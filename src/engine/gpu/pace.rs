//! How much work one submission holds.

use std::time::Duration;

/// No submission holds more dispatches: recording them must stay short next to running them.
const MOST_DISPATCHES: u32 = 1 << 16;

/// The number of dispatches of one plan that keep the GPU busy for the submission budget. Whole updates where the budget
/// allows it, parts of one where an update takes longer: a driver's watchdog counts per submission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Dispatches of an update.
    update: u32,
    /// Dispatches of a submission.
    quota: u32,
}

impl Pace {
    /// Nothing is known yet, so the first submission holds an eighth of an update.
    pub fn new(update: u32) -> Self {
        Self { update, quota: update.div_ceil(8).max(1) }
    }

    /// Dispatches of the next submission: whole updates, or a part of one.
    pub const fn next(&self) -> u32 {
        if self.quota < self.update { self.quota } else { self.quota - self.quota % self.update }
    }

    /// Learns from a submission of `dispatches` that took `took`, or at most that long unless `exact`.
    ///
    /// Between 4/7 and 10/7 of the budget (20 and 50 ms by default) nothing changes, so that noise does not.
    pub fn observe(&mut self, dispatches: u32, took: Duration, exact: bool, budget: Duration) {
        let (took, budget) = (took.as_secs_f64().max(1e-6), budget.as_secs_f64());
        let fitting = (f64::from(dispatches) * budget / took) as u32;
        if took > budget * 10.0 / 7.0 {
            if exact {
                self.quota = self.quota.min(fitting).max(1);
            }
        } else if took < budget * 4.0 / 7.0 && dispatches >= self.next() {
            // At most fourfold at a time: the first runs of a kernel are not like the later ones.
            let grown = fitting.min(dispatches.saturating_mul(4)).min(MOST_DISPATCHES);
            self.quota = self.quota.max(grown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_millis(35);

    /// Runs `rounds` submissions of a plan of `update` dispatches that take `micros` each.
    fn settle(pace: &mut Pace, rounds: u32, micros: u64) -> Duration {
        let mut last = Duration::ZERO;
        for _ in 0..rounds {
            let dispatches = pace.next();
            last = Duration::from_micros(micros * u64::from(dispatches));
            pace.observe(dispatches, last, true, BUDGET);
        }
        last
    }

    #[test]
    fn a_submission_settles_between_20_and_50_ms() {
        for micros in [1, 5, 100, 3_000, 30_000] {
            let mut pace = Pace::new(90);
            let took = settle(&mut pace, 20, micros);
            let most = u64::from(MOST_DISPATCHES) * micros / 1000;
            assert!(took <= Duration::from_millis(50), "{micros}: {took:?}");
            assert!(took >= Duration::from_millis(20.min(most * 9 / 10)), "{micros}: {took:?}");
        }
    }

    #[test]
    fn whole_updates_are_submitted_where_they_fit_and_parts_where_they_do_not() {
        let mut pace = Pace::new(90);
        settle(&mut pace, 20, 100);
        assert_eq!(pace.next() % 90, 0);
        settle(&mut pace, 1, 10_000);
        assert!(pace.next() < 90, "an update of 900 ms is cut");
    }

    #[test]
    fn a_kernel_that_slows_down_a_hundredfold_costs_one_long_submission() {
        let mut pace = Pace::new(90);
        settle(&mut pace, 20, 5);
        settle(&mut pace, 1, 500);
        assert!(settle(&mut pace, 1, 500) <= Duration::from_millis(50));
    }

    #[test]
    fn a_late_look_never_shrinks_a_submission() {
        let mut pace = Pace::new(90);
        settle(&mut pace, 20, 100);
        let before = pace.next();
        pace.observe(before, Duration::from_secs(5), false, BUDGET);
        assert_eq!(pace.next(), before);
    }

    #[test]
    fn a_short_remainder_never_grows_a_submission() {
        let mut pace = Pace::new(90);
        settle(&mut pace, 20, 100);
        let before = pace.next();
        pace.observe(1, Duration::from_micros(1), true, BUDGET);
        assert_eq!(pace.next(), before);
    }
}
