//! When each dispatch of an update ran, by the GPU's own clock.

use super::{GpuMachine, Replay};
use crate::engine::machine::PlanId;
use crate::engine::profile::{Doing, Profile, Span};
use crate::engine::readback::Waiting;
use crate::error::{Error, Result};

/// A timestamp: when a dispatch began, and when it ended.
const TIMESTAMPS: u32 = 2;

/// Dispatches of one query set, which holds 4096 timestamps at most; few enough that a slow adapter's watchdog stays calm.
const PART: usize = 64;

impl GpuMachine {
    /// Replays a plan `updates` times, each dispatch as a pass of its own between two timestamps, and waits for it. Dispatches
    /// that follow one another without a wait may overlap a little less than in [`GpuMachine::submit`].
    ///
    /// # Errors
    /// [`Error::Adapter`] if the device was created without `Features::TIMESTAMP_QUERY`; else as [`GpuMachine::submit`].
    pub fn profile(&mut self, plan: PlanId, updates: u32) -> Result<Profile> {
        if !self.gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Adapter {
                problem: format!("{} has no timestamp queries", self.gpu.info().name),
                remedy: "profile on another adapter or on the CPU engine".to_owned(),
            });
        }
        self.wait()?;
        let micros = f64::from(self.gpu.queue().get_timestamp_period()) / 1e3;
        let count = self.plans[plan.0].len();
        let mut spans: Vec<Span> = Vec::with_capacity(count * updates as usize);
        let mut begin = None;
        for _ in 0..updates {
            for first in (0..count).step_by(PART) {
                let range = first..count.min(first + PART);
                let times = self.timed(plan, range.clone())?;
                for (dispatch, times) in range.zip(times.chunks_exact(TIMESTAMPS as usize)) {
                    let zero = *begin.get_or_insert(times[0]);
                    let start = times[0].saturating_sub(zero) as f64 * micros;
                    let length = times[1].saturating_sub(times[0]) as f64 * micros;
                    spans.push(Span { track: 0, start, length, doing: Doing::Dispatch(dispatch) });
                }
            }
        }
        let tracks = vec![self.gpu.info().name.clone()];
        Ok(Profile { plan: self.plans[plan.0].plan.clone(), updates, lanes: self.lanes(), tracks, spans })
    }

    /// Runs dispatches and returns their timestamps, two each, in ticks.
    fn timed(&mut self, plan: PlanId, range: std::ops::Range<usize>) -> Result<Vec<u64>> {
        const DURING: &str = "profiling";
        let count = TIMESTAMPS * range.len() as u32;
        let bytes = u64::from(count) * 8;
        let replay: &Replay = &self.plans[plan.0];
        let record = || {
            let device = self.gpu.device();
            let descriptor = wgpu::QuerySetDescriptor { label: Some("profile"), ty: wgpu::QueryType::Timestamp, count };
            let queries = device.create_query_set(&descriptor);
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let resolved = self.gpu.buffer("profile", bytes, usage, false);
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("profile") });
            for (index, dispatch) in (0..).step_by(TIMESTAMPS as usize).zip(range) {
                let times = wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(index),
                    end_of_pass_write_index: Some(index + 1),
                };
                replay.encode_timed(&mut encoder, &self.arenas.groups, dispatch, times);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            (self.gpu.send(encoder.finish()), resolved)
        };
        let (index, resolved) = self.gpu.scoped_now(DURING, record)?;
        self.gpu.wait_for(&index, DURING)?;
        let reading = self.staging.read(&self.gpu, &resolved, 0, bytes as usize / 4, Waiting::Block);
        let words = pollster::block_on(reading)?;
        Ok(words.chunks_exact(2).map(|word| u64::from(word[0]) | u64::from(word[1]) << 32).collect())
    }
}
