//! The engines behind one face: [`Engine`] is where to run, [`Machine`] is a run's state there.

use std::sync::Arc;

use super::bf16;
use super::cpu::{CpuMemory, Ordered, Twinned};
use super::gpu::{Gpu, GpuMachine};
use super::memory::{Memory, Region};
use super::plan::Plan;
use super::precision::Precision;
use super::profile::Profile;
use crate::error::{Error, Result};

/// Where plans run.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The shaders, on a device. See [`Engine::gpu`], [`Engine::auto`] and [`Engine::from_device`].
    Gpu(Arc<Gpu>),
    /// The CPU twins at f32, on so many threads.
    Cpu {
        /// Threads that share out the blocks of a dispatch.
        threads: usize,
        /// How large products are computed; see [`Engine::at`].
        precision: Precision,
    },
    /// The CPU twins at f64: the oracle of the tests.
    Oracle,
}

/// A dataset as an engine holds it: records of equal length, [obs | action | next obs | reward, mask], each segment
/// padded to 4 columns.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The values, record after record.
    pub values: Arc<Vec<f32>>,
    /// Elements of a record; a multiple of 4.
    pub record: u32,
}

impl Records {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.values.len() / self.record.max(1) as usize
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The dataset cut into (first record, records) that fit `bytes` each.
    pub fn chunks(&self, bytes: u64) -> Vec<(u32, u32)> {
        let (total, most) = (self.len() as u64, (bytes / (u64::from(self.record) * 4)).max(1));
        (0..total.div_ceil(most)).map(|i| ((i * most) as u32, most.min(total - i * most) as u32)).collect()
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Engine {
    /// The CPU engine on `threads` threads, or on as many as the machine has cores.
    pub fn cpu(threads: Option<usize>) -> Self {
        Self::Cpu { threads: threads.unwrap_or_else(cores), precision: Precision::F32 }
    }

    /// The same engine at another precision.
    ///
    /// # Errors
    /// [`Error::Setting`] where it does not have that precision.
    pub fn at(self, precision: Precision) -> Result<Self> {
        let refused = |reason: &str, remedy| Err(Error::setting("precision", "f32", format!("mixed, which {reason}"), remedy));
        match self {
            Self::Cpu { threads, .. } if precision != Precision::Mixed || bf16::available() => {
                Ok(Self::Cpu { threads, precision })
            }
            Self::Cpu { .. } => refused("needs a processor with AVX512-BF16", "leave --precision out"),
            Self::Gpu(_) | Self::Oracle if precision == Precision::Mixed => {
                refused("only the CPU engine has", "add --engine cpu, or leave --precision out")
            }
            same => Ok(same),
        }
    }

    /// The precision it computes at.
    pub const fn precision(&self) -> Precision {
        match self {
            Self::Cpu { precision, .. } => *precision,
            Self::Gpu(_) | Self::Oracle => Precision::F32,
        }
    }

    /// Bytes of a dataset that one binding holds.
    pub fn max_chunk_bytes(&self) -> u64 {
        match self {
            Self::Gpu(gpu) => gpu.binding_bytes(),
            Self::Cpu { .. } | Self::Oracle => u64::MAX,
        }
    }

    /// What it is, for the first line of a log.
    pub fn describe(&self) -> String {
        match self {
            Self::Gpu(gpu) => gpu.describe(),
            Self::Cpu { threads, precision } => {
                format!("CPU, {}, {threads} thread{}", precision.name(), if *threads == 1 { "" } else { "s" })
            }
            Self::Oracle => "CPU oracle, f64".to_owned(),
        }
    }

    /// Allocates the state of a run: `lanes` times what `memory` says. `scalars` is the table of scalars, lane after lane.
    ///
    /// # Errors
    /// On a GPU, [`Error::Limit`], [`Error::OutOfMemory`], [`Error::DeviceLost`] and [`Error::Timeout`].
    pub fn machine(&self, memory: &Memory, lanes: usize, scalars: &[f64], datasets: Vec<Records>) -> Result<Machine> {
        Ok(match self {
            Self::Gpu(gpu) => Machine::Gpu(GpuMachine::new(gpu, memory, lanes, scalars, &datasets)?),
            Self::Cpu { threads, precision } => {
                Machine::Cpu(CpuMachine::new((memory, lanes, scalars), datasets, *threads, *precision))
            }
            Self::Oracle => Machine::Oracle(CpuMachine::new((memory, lanes, scalars), datasets, 1, Precision::Plain)),
        })
    }
}

/// Which of a machine's plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanId(pub(super) usize);

/// The state of a run, and the plans that work on it.
#[derive(Debug)]
pub enum Machine {
    /// On a device, at f32.
    Gpu(GpuMachine),
    /// In main memory, at f32.
    Cpu(CpuMachine<f32>),
    /// In main memory, at f64.
    Oracle(CpuMachine<f64>),
}

macro_rules! on_each {
    ($self:expr, $machine:ident => $call:expr) => {
        match $self {
            Machine::Gpu($machine) => $call,
            Machine::Cpu($machine) => $call,
            Machine::Oracle($machine) => $call,
        }
    };
}

impl Machine {
    /// Prepares `plan`, which gathers from dataset number `dataset`, for replay.
    ///
    /// # Errors
    /// On a GPU: a shader or a pipeline that the device refuses, or a lost device.
    pub fn load(&mut self, plan: &Plan, dataset: usize) -> Result<PlanId> {
        on_each!(self, m => m.load(plan, dataset))
    }

    /// Replays a plan `updates` times. On a GPU this returns as soon as the work is queued (at most three submissions
    /// wait in the queue).
    ///
    /// # Errors
    /// On a GPU: a lost device, no memory, or a timeout.
    pub fn submit(&mut self, plan: PlanId, updates: u32) -> Result<()> {
        on_each!(self, m => m.submit(plan, updates))
    }

    /// Replays a plan as [`Machine::submit`] does, waits for it, and tells where the time went.
    ///
    /// # Errors
    /// As [`Machine::submit`]; [`Error::Adapter`] for a GPU without timestamp queries.
    pub fn profile(&mut self, plan: PlanId, updates: u32) -> Result<Profile> {
        on_each!(self, m => m.profile(plan, updates))
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// As [`Machine::submit`].
    pub fn wait(&mut self) -> Result<()> {
        on_each!(self, m => m.wait())
    }

    /// A region's values in row-major order, padding left out.
    ///
    /// # Errors
    /// As [`Machine::submit`].
    pub fn read(&mut self, region: Region, lane: usize) -> Result<Vec<f64>> {
        on_each!(self, m => m.read(region, lane))
    }

    /// Fills a region, row-major; padding keeps its zeros.
    ///
    /// # Errors
    /// As [`Machine::submit`]; [`Error::Plan`] if the number of values is not the region's.
    pub fn write(&mut self, region: Region, lane: usize, values: &[f64]) -> Result<()> {
        check_len(region, values.len())?;
        on_each!(self, m => m.write(region, lane, values))
    }

    /// The words of a region of one row.
    ///
    /// # Errors
    /// As [`Machine::submit`].
    pub fn read_words(&mut self, region: Region, lane: usize) -> Result<Vec<u32>> {
        on_each!(self, m => m.read_words(region, lane))
    }

    /// Fills a region of words of one row.
    ///
    /// # Errors
    /// As [`Machine::write`].
    pub fn write_words(&mut self, region: Region, lane: usize, values: &[u32]) -> Result<()> {
        check_len(region, values.len())?;
        on_each!(self, m => m.write_words(region, lane, values))
    }

    /// Computes at another precision from now on.
    ///
    /// # Errors
    /// As [`Engine::at`].
    pub fn set_precision(&mut self, precision: Precision) -> Result<()> {
        match self {
            Self::Cpu(machine) => {
                Engine::cpu(None).at(precision)?;
                machine.memory.set_precision(precision);
            }
            Self::Gpu(machine) => drop(Engine::Gpu(Arc::clone(machine.gpu())).at(precision)?),
            Self::Oracle(_) => drop(Engine::Oracle.at(precision)?),
        }
        Ok(())
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        on_each!(self, m => m.lanes())
    }

    /// CPU threads that work of this run may use while nothing is submitted: those it was given, or all beside a GPU.
    pub fn cpu_threads(&self) -> usize {
        match self {
            Self::Gpu(_) => cores(),
            Self::Cpu(machine) => machine.threads,
            Self::Oracle(machine) => machine.threads,
        }
    }
}

fn check_len(region: Region, found: usize) -> Result<()> {
    if found == region.len() {
        return Ok(());
    }
    Err(Error::Plan { label: "write".to_owned(), problem: format!("{found} values for {region:?}") })
}

/// A run in main memory. Its calls never fail; they return `Result` to match the GPU's.
#[derive(Debug)]
pub struct CpuMachine<R> {
    /// The arenas.
    pub memory: CpuMemory<R>,
    plans: Vec<(Ordered, usize)>,
    datasets: Vec<Records>,
    threads: usize,
}

#[allow(clippy::unnecessary_wraps, reason = "the same face as the GPU's, where each of these can fail")]
impl<R: Twinned> CpuMachine<R> {
    fn new(
        (memory, lanes, scalars): (&Memory, usize, &[f64]),
        datasets: Vec<Records>,
        threads: usize,
        precision: Precision,
    ) -> Self {
        let mut memory = CpuMemory::new(memory, lanes, precision);
        memory.set_scalars(scalars);
        Self { memory, plans: Vec::new(), datasets, threads }
    }

    fn load(&mut self, plan: &Plan, dataset: usize) -> Result<PlanId> {
        self.plans.push((Ordered::new(plan, self.memory.lanes(), self.threads), dataset));
        Ok(PlanId(self.plans.len() - 1))
    }

    fn submit(&mut self, plan: PlanId, updates: u32) -> Result<()> {
        self.take_dataset(plan);
        self.memory.run(&self.plans[plan.0].0, updates, self.threads);
        Ok(())
    }

    fn profile(&mut self, plan: PlanId, updates: u32) -> Result<Profile> {
        self.take_dataset(plan);
        Ok(self.memory.profile(&self.plans[plan.0].0, updates, self.threads))
    }

    fn take_dataset(&mut self, plan: PlanId) {
        let dataset = self.datasets.get(self.plans[plan.0].1);
        self.memory.records = dataset.map(|d| Arc::clone(&d.values)).unwrap_or_default();
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn read(&mut self, region: Region, lane: usize) -> Result<Vec<f64>> {
        Ok(self.memory.read(region, lane))
    }

    fn write(&mut self, region: Region, lane: usize, values: &[f64]) -> Result<()> {
        self.memory.write(region, lane, values);
        Ok(())
    }

    fn read_words(&mut self, region: Region, lane: usize) -> Result<Vec<u32>> {
        Ok(self.memory.read_words(region, lane))
    }

    fn write_words(&mut self, region: Region, lane: usize, values: &[u32]) -> Result<()> {
        self.memory.write_words(region, lane, values);
        Ok(())
    }

    const fn lanes(&self) -> usize {
        self.memory.lanes()
    }
}
