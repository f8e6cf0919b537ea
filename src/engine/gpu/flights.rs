//! Submissions on their way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Gpu;
use crate::error::Result;

/// Submissions in flight at most: enough that the GPU never waits for the host, few enough that memory stays flat.
const MOST: usize = 3;

/// A submission that has not been seen to finish.
#[derive(Debug)]
struct Flight {
    index: wgpu::SubmissionIndex,
    /// The plan and the number of dispatches, for replays.
    work: Option<(usize, u32)>,
    submitted: Instant,
    /// Whether the queue was empty, so that it started at once.
    first: bool,
}

/// How long a replay took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landing {
    /// The plan.
    pub plan: usize,
    /// Its dispatches.
    pub dispatches: u32,
    /// Time it took on the GPU; at most that long unless `exact`.
    pub took: Duration,
    /// Whether start and end were both observed.
    pub exact: bool,
}

/// The submissions of a run that are under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flights {
    queue: VecDeque<Flight>,
    /// When the last one that was waited for ended; `None` if it had ended before anyone looked.
    ended: Option<Instant>,
}

impl Flights {
    /// A submission has left. `work` is the plan and the number of dispatches of a replay.
    pub fn add(&mut self, index: wgpu::SubmissionIndex, work: Option<(usize, u32)>, submitted: Instant) {
        let first = self.queue.is_empty();
        self.queue.push_back(Flight { index, work, submitted, first });
    }

    /// Makes room for one more, waiting for the oldest only if there is none.
    pub fn make_room(&mut self, gpu: &Gpu) -> Result<Vec<Landing>> {
        let mut landings = Vec::new();
        while let Some(oldest) = self.queue.front() {
            let done = gpu.done_within(&oldest.index, Duration::ZERO, "waiting for room in the queue")?;
            if !done && self.queue.len() < MOST {
                break;
            }
            if !done {
                gpu.wait_for(&oldest.index, "waiting for room in the queue")?;
            }
            landings.extend(self.land(!done));
        }
        Ok(landings)
    }

    /// Waits for all.
    pub fn drain(&mut self, gpu: &Gpu, during: &'static str) -> Result<Vec<Landing>> {
        let mut landings = Vec::new();
        while let Some(oldest) = self.queue.front() {
            let done = gpu.done_within(&oldest.index, Duration::ZERO, during)?;
            if !done {
                gpu.wait_for(&oldest.index, during)?;
            }
            landings.extend(self.land(!done));
        }
        Ok(landings)
    }

    /// Takes the oldest off the list. `watched`: its end was seen as it came.
    fn land(&mut self, watched: bool) -> Option<Landing> {
        let flight = self.queue.pop_front()?;
        let now = Instant::now();
        let began = if flight.first { Some(flight.submitted) } else { self.ended.map(|end| end.max(flight.submitted)) };
        self.ended = watched.then_some(now);
        let (plan, dispatches) = flight.work?;
        let exact = watched && began.is_some();
        let since = began.filter(|_| exact).unwrap_or(flight.submitted);
        Some(Landing { plan, dispatches, took: now - since, exact })
    }

    /// Number of submissions under way.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}
