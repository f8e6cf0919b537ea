//! The state of a run on a GPU.

mod profile;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::Gpu;
use super::arenas::{Arenas, Chunks};
use super::flights::{Flights, Landing};
use super::replay::Replay;
use crate::engine::kernel::Variant;
use crate::engine::machine::{PlanId, Records};
use crate::engine::memory::{Arena, Memory, Region};
use crate::engine::plan::Plan;
use crate::engine::readback::{self, Span, Staging, Waiting};
use crate::error::{Error, Result};

/// A run on a GPU: its arenas, datasets and plans.
///
/// [`submit`](Self::submit) queues work and returns; the reads wait. After [`Error::DeviceLost`] every call fails with
/// it, and dropping the machine frees what is left.
#[derive(Debug)]
pub struct GpuMachine {
    pub(super) gpu: Arc<Gpu>,
    pub(super) arenas: Arenas,
    datasets: Vec<Chunks>,
    pub(super) plans: Vec<Replay>,
    /// The variant of kernels that have several, once that is settled.
    variant: Option<Variant>,
    flights: Flights,
    staging: Staging,
}

impl GpuMachine {
    /// Allocates `lanes` times what `memory` says, and uploads the datasets. `scalars` is the table of scalars, lane after
    /// lane. Lanes that do not fit one binding form groups; datasets are cut as [`Records::chunks`] says for
    /// [`Gpu::binding_bytes`].
    ///
    /// # Errors
    /// [`Error::Limit`] if a single lane or record is too large for the device, before anything is allocated;
    /// [`Error::OutOfMemory`]; [`Error::DeviceLost`]; [`Error::Timeout`].
    pub fn new(gpu: &Arc<Gpu>, memory: &Memory, lanes: usize, scalars: &[f64], datasets: &[Records]) -> Result<Self> {
        gpu.probe_now("allocating a run")?;
        let arenas = pollster::block_on(Arenas::new(gpu, memory, lanes, scalars))?;
        let mut machine = Self {
            gpu: Arc::clone(gpu),
            arenas,
            datasets: Vec::new(),
            plans: Vec::new(),
            variant: gpu.variant(),
            flights: Flights::default(),
            staging: Staging::default(),
        };
        for records in datasets {
            let chunks = pollster::block_on(Chunks::new(gpu, records))?;
            for (first, count, buffer) in &chunks.parts {
                let values = bytemuck::cast_slice(&records.values[*first..first + count]);
                send(&machine.gpu, &mut machine.flights, buffer, values, &[Span::whole(*count)])?;
            }
            machine.datasets.push(chunks);
        }
        Ok(machine)
    }

    /// Prepares `plan`, which gathers from dataset number `dataset`: compiles its shaders and makes every binding. The first
    /// plan settles the variant of the kernels that have several ([`GpuOptions::tune`](super::GpuOptions::tune)).
    ///
    /// # Errors
    /// [`Error::Device`] if the device refuses a shader, [`Error::Plan`] if the plan reads a chunk that is not there,
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn load(&mut self, plan: &Plan, dataset: usize) -> Result<PlanId> {
        self.gpu.probe_now("loading a plan")?;
        let variant = match self.variant {
            Some(settled) => settled,
            None => self.fastest(plan)?,
        };
        self.variant = Some(variant);
        let replay = pollster::block_on(Replay::new(&self.gpu, &self.arenas, plan, self.datasets.get(dataset), variant))?;
        self.plans.push(replay);
        Ok(PlanId(self.plans.len() - 1))
    }

    /// Queues `updates` replays of a plan, in submissions that keep the GPU busy for the [budget](Gpu::submission_budget)
    /// each. Returns as soon as at most three of them wait in the queue.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`], [`Error::Timeout`].
    pub fn submit(&mut self, plan: PlanId, updates: u32) -> Result<()> {
        let end = self.plans[plan.0].len() as u64 * u64::from(updates);
        let mut next = 0;
        while next < end {
            let landings = self.flights.make_room(&self.gpu)?;
            self.learn(&landings);
            let count = u64::from(self.plans[plan.0].pace.next()).min(end - next);
            self.submit_part(plan, next..next + count)?;
            next += count;
        }
        Ok(())
    }

    fn submit_part(&mut self, plan: PlanId, range: Range<u64>) -> Result<()> {
        const DURING: &str = "submitting updates";
        self.gpu.probe_now(DURING)?;
        let dispatches = (range.end - range.start) as u32;
        let record = || {
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgflow") });
            self.plans[plan.0].encode(&mut encoder, &self.arenas.groups, range);
            let commands = encoder.finish();
            let leaving = Instant::now();
            (self.gpu.send(commands), leaving)
        };
        let (index, leaving) = self.gpu.scoped_now(DURING, record)?;
        self.flights.add(index, Some((plan.0, dispatches)), leaving);
        Ok(())
    }

    /// Lets the plans' paces learn from what has landed.
    fn learn(&mut self, landings: &[Landing]) {
        for landing in landings {
            let pace = &mut self.plans[landing.plan].pace;
            pace.observe(landing.dispatches, landing.took, landing.exact, self.gpu.submission_budget());
        }
    }

    /// Records `updates` replays of a plan as one compute pass of a host's own encoder. They run, in order with everything
    /// else, when the host submits it.
    pub fn encode_updates(&self, encoder: &mut wgpu::CommandEncoder, plan: PlanId, updates: u32) {
        let replay = &self.plans[plan.0];
        replay.encode(encoder, &self.arenas.groups, 0..replay.len() as u64 * u64::from(updates));
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// As [`GpuMachine::submit`].
    pub fn wait(&mut self) -> Result<()> {
        const DURING: &str = "waiting for updates";
        self.gpu.probe_now(DURING)?;
        let landings = self.flights.drain(&self.gpu, DURING)?;
        self.learn(&landings);
        // What the GPU was doing when it was lost counts as finished: ask again.
        self.gpu.probe_now(DURING)
    }

    /// A region's values in row-major order, padding left out. Blocks until everything submitted before has run.
    ///
    /// # Errors
    /// As [`GpuMachine::submit`]; [`Error::Plan`] if the region or the lane is not there.
    pub fn read(&mut self, region: Region, lane: usize) -> Result<Vec<f64>> {
        pollster::block_on(self.read_floats(region, lane, Waiting::Block))
    }

    /// As [`GpuMachine::read`], without blocking the thread.
    ///
    /// # Errors
    /// As [`GpuMachine::read`].
    pub async fn read_async(&mut self, region: Region, lane: usize) -> Result<Vec<f64>> {
        self.read_floats(region, lane, Waiting::Yield).await
    }

    /// The words of a region. Blocks until everything submitted before has run.
    ///
    /// # Errors
    /// As [`GpuMachine::read`].
    pub fn read_words(&mut self, region: Region, lane: usize) -> Result<Vec<u32>> {
        pollster::block_on(self.fetch(region, lane, Waiting::Block))
    }

    /// As [`GpuMachine::read_words`], without blocking the thread.
    ///
    /// # Errors
    /// As [`GpuMachine::read`].
    pub async fn read_words_async(&mut self, region: Region, lane: usize) -> Result<Vec<u32>> {
        self.fetch(region, lane, Waiting::Yield).await
    }

    async fn read_floats(&mut self, region: Region, lane: usize, waiting: Waiting) -> Result<Vec<f64>> {
        expect(region.arena != Arena::Words, region)?;
        let words = self.fetch(region, lane, waiting).await?;
        Ok(words.into_iter().map(|bits| f64::from(f32::from_bits(bits))).collect())
    }

    async fn fetch(&mut self, region: Region, lane: usize, waiting: Waiting) -> Result<Vec<u32>> {
        // What is not there is refused before any waiting.
        self.arenas.locate(region, lane)?;
        if region.is_empty() {
            return Ok(Vec::new());
        }
        if waiting == Waiting::Block {
            // One by one, so that each submission has the whole time limit.
            let landings = self.flights.drain(&self.gpu, "waiting for updates")?;
            self.learn(&landings);
        }
        let (buffer, base) = self.arenas.locate(region, lane)?;
        let words = self.staging.read(&self.gpu, buffer, base, readback::extent(region), waiting).await?;
        Ok(readback::pick(region, &words).collect())
    }

    /// Fills a region, row-major; its padding stays zero, and what lies beside a view of columns stays as it is. Takes
    /// effect after everything submitted before.
    ///
    /// # Errors
    /// As [`GpuMachine::read`]; [`Error::Plan`] if the number of values is not the region's.
    pub fn write(&mut self, region: Region, lane: usize, values: &[f64]) -> Result<()> {
        expect(region.arena != Arena::Words, region)?;
        self.store(region, lane, values.iter().map(|&value| (value as f32).to_bits()).collect())
    }

    /// Fills a region of words. Takes effect after everything submitted before.
    ///
    /// # Errors
    /// As [`GpuMachine::write`].
    pub fn write_words(&mut self, region: Region, lane: usize, values: &[u32]) -> Result<()> {
        expect(region.arena == Arena::Words, region)?;
        self.store(region, lane, values.to_vec())
    }

    fn store(&mut self, region: Region, lane: usize, values: Vec<u32>) -> Result<()> {
        expect(values.len() == region.len(), region)?;
        let (buffer, base) = self.arenas.locate(region, lane)?;
        if region.is_empty() {
            return Ok(());
        }
        let (values, spans) = readback::spans(region, base, values);
        send(&self.gpu, &mut self.flights, buffer, &values, &spans)
    }

    /// The buffer that holds `region` of `lane`, and the byte at which it starts there: for hosts that read or write it on
    /// the device. Rows lie [`Region::stride`] elements of 4 bytes apart.
    ///
    /// # Errors
    /// [`Error::Plan`] if the region or the lane is not there.
    pub fn buffer_of(&self, region: Region, lane: usize) -> Result<(&wgpu::Buffer, u64)> {
        self.arenas.locate(region, lane).map(|(buffer, first)| (buffer, first * 4))
    }

    /// The variant of kernels that have several; `None` before the first plan is loaded.
    pub const fn variant(&self) -> Option<Variant> {
        self.variant
    }

    /// The device it runs on.
    pub const fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Number of lanes.
    pub const fn lanes(&self) -> usize {
        self.arenas.lanes()
    }

    /// Groups that the lanes form, each with bindings of its own.
    pub const fn lane_groups(&self) -> usize {
        self.arenas.groups.len()
    }

    /// Submissions that have not been seen to finish: three at most.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Dispatches that the next submission of a plan would hold. An update has as many as the plan.
    pub fn submission_dispatches(&self, plan: PlanId) -> u32 {
        self.plans[plan.0].pace.next()
    }
}

/// Uploads, with no more submissions in flight than replays have.
fn send(gpu: &Gpu, flights: &mut Flights, target: &wgpu::Buffer, values: &[u32], spans: &[Span]) -> Result<()> {
    for part in readback::parts(spans) {
        flights.make_room(gpu)?;
        let index = readback::write(gpu, target, values, &part)?;
        flights.add(index, None, Instant::now());
    }
    Ok(())
}

/// Fails if a region is asked for what it does not hold.
fn expect(fits: bool, region: Region) -> Result<()> {
    if fits {
        return Ok(());
    }
    let problem = format!("{region:?} holds other values, or another number of them");
    Err(Error::Plan { label: "memory".to_owned(), problem })
}
