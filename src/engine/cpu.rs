//! Replays a plan on the processor by calling each operation's twin.
//!
//! Every thread walks through the whole plan; in each dispatch the threads share out the blocks of all operations and
//! lanes through a counter, and meet before the next. Blocks are cut by shape, so the bits do not depend on the number
//! of threads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::kernel::{Context, Kernel, Twin};
use super::memory::{Arena, Memory, Region};
use super::plan::{Op, Plan};
use super::real::Real;

/// A number type that has twins.
pub trait Precision: Real {
    /// The kernel's twin at this precision.
    fn twin(kernel: &'static Kernel) -> Twin<Self>;
}

impl Precision for f32 {
    fn twin(kernel: &'static Kernel) -> Twin<Self> {
        kernel.twin_f32
    }
}

impl Precision for f64 {
    fn twin(kernel: &'static Kernel) -> Twin<Self> {
        kernel.twin_f64
    }
}

/// The state of a run in main memory: every arena, once per lane.
#[derive(Debug)]
pub struct CpuMemory<R> {
    lanes: usize,
    floats: [Vec<R>; 3],
    words: Vec<u32>,
    strides: [usize; 4],
    scalars: Vec<R>,
    /// The dataset's records, for `gather`.
    pub records: std::sync::Arc<Vec<f32>>,
}

impl<R: Precision> CpuMemory<R> {
    /// Zeroed arenas of the sizes `memory` says, for `lanes` lanes.
    pub fn new(memory: &Memory, lanes: usize) -> Self {
        // A lane starts at the same alignment as any other, so that its products run the same code.
        let strides = memory.used().map(|elements| (elements as usize).next_multiple_of(64));
        Self {
            lanes,
            floats: [0, 1, 2].map(|arena| vec![R::ZERO; strides[arena] * lanes]),
            words: vec![0; strides[3] * lanes],
            strides,
            scalars: Vec::new(),
            records: std::sync::Arc::default(),
        }
    }

    /// Number of lanes.
    pub const fn lanes(&self) -> usize {
        self.lanes
    }

    /// Replaces the table of scalars: as many a lane as fit, lane after lane.
    pub fn set_scalars(&mut self, scalars: &[f64]) {
        self.scalars = scalars.iter().map(|&s| R::of(s)).collect();
    }

    fn base(&self, region: Region, lane: usize) -> usize {
        lane * self.strides[region.arena.index()] + region.offset as usize
    }

    /// The region's values in row-major order, padding left out.
    pub fn read(&self, region: Region, lane: usize) -> Vec<f64> {
        let (base, arena) = (self.base(region, lane), &self.floats[region.arena.index()]);
        let row = |row: u32| base + (row * region.stride) as usize;
        (0..region.rows).flat_map(|r| arena[row(r)..][..region.cols as usize].iter().map(|x| x.to_f64())).collect()
    }

    /// Fills the region with `values`, in row-major order.
    pub fn write(&mut self, region: Region, lane: usize, values: &[f64]) {
        let base = self.base(region, lane);
        for (row, values) in values.chunks_exact(region.cols as usize).enumerate() {
            let start = base + row * region.stride as usize;
            let out = &mut self.floats[region.arena.index()][start..][..values.len()];
            for (out, value) in out.iter_mut().zip(values) {
                *out = R::of(*value);
            }
        }
    }

    /// The words of a region.
    pub fn read_words(&self, region: Region, lane: usize) -> Vec<u32> {
        self.words[self.base(region, lane)..][..region.cols as usize].to_vec()
    }

    /// Writes words.
    pub fn write_words(&mut self, region: Region, lane: usize, values: &[u32]) {
        let base = self.base(region, lane);
        self.words[base..][..values.len()].copy_from_slice(values);
    }

    /// Fills every float of every arena, padding included: tests poison memory with it.
    pub fn fill(&mut self, arena: Arena, value: f64) {
        self.floats[arena.index()].fill(R::of(value));
    }

    /// The arenas for one replay, which has them to itself.
    fn shared(&mut self) -> Shared<'_, R> {
        Shared {
            floats: [0, 1, 2].map(|arena| self.floats[arena].as_mut_ptr()),
            words: self.words.as_mut_ptr(),
            strides: self.strides,
            scalars: &self.scalars,
            slots: self.scalars.len() / self.lanes,
            records: &self.records,
        }
    }

    /// Runs `plan` `updates` times on `threads` threads.
    pub fn run(&mut self, plan: &Plan, updates: u32, threads: usize) {
        let work: Vec<Work<R>> =
            plan.dispatches.iter().map(|d| Work::of(&plan.ops[d.ops.clone()], d.kernel, self.lanes)).collect();
        let shared = self.shared();
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| replay(&shared, &work, updates));
            }
            replay(&shared, &work, updates);
        });
    }

    /// Runs `plan` once on one thread, refusing every access that an operation did not declare.
    ///
    /// # Panics
    /// If a twin touches anything else.
    pub fn run_checked(&mut self, plan: &Plan) {
        let lanes = self.lanes;
        let shared = self.shared();
        for op in &plan.ops {
            for (lane, block) in (0..lanes).flat_map(|lane| (0..op.blocks()).map(move |block| (lane, block))) {
                R::twin(op.kernel)(&op.problem, &shared.context(lane).checked(&op.reads, &op.writes), block);
            }
        }
    }
}

/// The arenas, as the threads of one replay share them.
struct Shared<'a, R> {
    floats: [*mut R; 3],
    words: *mut u32,
    strides: [usize; 4],
    scalars: &'a [R],
    slots: usize,
    records: &'a [f32],
}

// SAFETY: the threads of a replay write disjoint elements between two meetings (the contract of `Context`).
unsafe impl<R: Sync> Sync for Shared<'_, R> {}

impl<R: Real> Shared<'_, R> {
    fn context(&self, lane: usize) -> Context<'_, R> {
        let floats = [0, 1, 2].map(|i| (self.floats[i].wrapping_add(lane * self.strides[i]), self.strides[i]));
        let words = (self.words.wrapping_add(lane * self.strides[3]), self.strides[3]);
        // SAFETY: each lane's share lies inside the arenas, which outlive the replay that borrows them mutably.
        unsafe { Context::new(floats, words, self.records, &self.scalars[lane * self.slots..][..self.slots]) }
    }
}

/// A dispatch as a list of blocks to share out.
struct Work<'a, R> {
    twin: Twin<R>,
    /// Problem, and one past the last of its blocks, of one lane.
    problems: Vec<(&'a [u32], u32)>,
    /// Blocks of one lane.
    blocks: u32,
    /// Blocks of all lanes.
    total: u32,
    /// The latest update that reached this dispatch (high half), and its next unclaimed block (low half).
    claimed: AtomicU64,
    /// Blocks done in all updates so far.
    finished: AtomicU32,
}

impl<'a, R: Precision> Work<'a, R> {
    fn of(ops: &'a [Op], kernel: &'static Kernel, lanes: usize) -> Self {
        let mut blocks = 0;
        let mut problems = Vec::with_capacity(ops.len());
        for op in ops {
            blocks += op.blocks();
            problems.push((op.problem.as_slice(), blocks));
        }
        let total = blocks * lanes as u32;
        Self { twin: R::twin(kernel), problems, blocks, total, claimed: AtomicU64::new(0), finished: AtomicU32::new(0) }
    }

    /// A block of update `update` that nobody has; `None` if there is none left. A thread may lag behind the others by any
    /// number of updates: then they have done its part.
    fn claim(&self, update: u32) -> Option<u32> {
        let mut now = self.claimed.load(Ordering::Relaxed);
        loop {
            let block = match ((now >> 32) as u32).cmp(&update) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => now as u32,
                std::cmp::Ordering::Greater => return None,
            };
            if block >= self.total {
                return None;
            }
            let next = u64::from(update) << 32 | u64::from(block + 1);
            match self.claimed.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(block),
                Err(seen) => now = seen,
            }
        }
    }

    fn run_block(&self, shared: &Shared<'_, R>, index: u32) {
        let (lane, within) = (index / self.blocks, index % self.blocks);
        let problem = self.problems.partition_point(|&(_, end)| end <= within);
        let first = if problem == 0 { 0 } else { self.problems[problem - 1].1 };
        (self.twin)(self.problems[problem].0, &shared.context(lane as usize), within - first);
    }
}

/// What one thread does: in every dispatch of every update, blocks as long as there are any, then a wait for the others'.
fn replay<R: Precision>(shared: &Shared<'_, R>, work: &[Work<'_, R>], updates: u32) {
    for update in 0..updates {
        for dispatch in work {
            while let Some(block) = dispatch.claim(update) {
                dispatch.run_block(shared, block);
                dispatch.finished.fetch_add(1, Ordering::Release);
            }
            let all = (update + 1).wrapping_mul(dispatch.total);
            let mut tries = 0u32;
            while (dispatch.finished.load(Ordering::Acquire).wrapping_sub(all) as i32) < 0 {
                rest(&mut tries);
            }
        }
    }
}

/// Waits a little, longer with every try: a short spin costs less than a trip through the scheduler, and a long one steals
/// from whoever works when there are more threads than free cores.
fn rest(tries: &mut u32) {
    *tries += 1;
    match *tries {
        0..2_000 => std::hint::spin_loop(),
        2_000..2_100 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}
