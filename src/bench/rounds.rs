//! Rounds of work: a figure comes with its spread, and programs can be timed in turn.

use std::time::{Duration, Instant};

use crate::error::Result;

/// A call that does work many times lasts at least so long before its number is settled: a GPU's queue is filled and drained
/// once a call.
const BURST: Duration = Duration::from_millis(500);

/// Work that is warm, timed in rounds of equal length.
#[derive(Debug)]
pub struct Rounds<F> {
    work: F,
    /// Times that one call does it.
    burst: u32,
    length: Duration,
}

impl<F: FnMut(u32) -> Result<()>> Rounds<F> {
    /// Does `work`, as often as a call says, until it is warm and it is known how often makes a good part of a round of
    /// `length`. A clock read after each time would count in what takes microseconds.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn warm(mut work: F, length: Duration) -> Result<Self> {
        work(1)?;
        let mut burst = 1;
        loop {
            let start = Instant::now();
            work(burst)?;
            if start.elapsed() >= BURST.min(length / 4) || burst >= 1 << 30 {
                return Ok(Self { work, burst, length });
            }
            burst *= 2;
        }
    }

    /// One round, at least one call: milliseconds of doing the work once.
    ///
    /// # Errors
    /// Those of the work.
    pub fn round(&mut self) -> Result<f64> {
        let start = Instant::now();
        let mut done = 0u64;
        loop {
            (self.work)(self.burst)?;
            done += u64::from(self.burst);
            if start.elapsed() >= self.length {
                return Ok(start.elapsed().as_secs_f64() * 1e3 / done as f64);
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
