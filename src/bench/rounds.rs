//! Rounds of updates: a figure comes with its spread, and programs can be timed in turn.

use std::time::{Duration, Instant};

use super::Subject;
use crate::error::Result;

/// A call that makes many updates lasts at least so long before its number is settled: a GPU's queue is filled and drained
/// once a call.
const BURST: Duration = Duration::from_millis(500);

/// A subject that is warm, timed in rounds of equal length.
#[derive(Debug)]
pub struct Rounds<'a> {
    subject: &'a mut Subject,
    /// Updates of one call.
    burst: u32,
    length: Duration,
}

impl<'a> Rounds<'a> {
    /// Runs `subject` until it is warm and it is known how many updates make a good part of a round of `length`.
    ///
    /// # Errors
    /// As [`Subject::update`].
    pub fn warm(subject: &'a mut Subject, length: Duration) -> Result<Self> {
        subject.update(1)?;
        let mut burst = 1;
        loop {
            let start = Instant::now();
            subject.update(burst)?;
            if start.elapsed() >= BURST.min(length / 4) {
                return Ok(Self { subject, burst, length });
            }
            burst *= 2;
        }
    }

    /// One round, at least one call: milliseconds of an update of all lanes.
    ///
    /// # Errors
    /// As [`Subject::update`].
    pub fn round(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut done = 0;
        loop {
            self.subject.update(self.burst)?;
            done += self.burst;
            if start.elapsed() >= self.length {
                return Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(done));
            }
        }
    }
}

/// The middle value; of an even number the mean of the two. NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
