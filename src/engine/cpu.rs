//! Replays a plan on the processor by calling each operation's twin.
//!
//! Every thread walks through the whole plan; in each dispatch the threads share out the blocks of all operations and
//! lanes through a counter, and meet before the next. Blocks are cut by shape, so the bits do not depend on the number
//! of threads.

mod profile;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::aligned::Aligned;
use super::kernel::{Context, Kernel, Twin};
use super::memory::{Arena, Memory, Region};
use super::packed::{Packed, packed_read};
use super::plan::{Op, Plan};
use super::precision::Precision;
use super::real::Real;
use profile::{Turn, Watch};

/// A number type that has twins.
pub trait Twinned: Real {
    /// The kernel's twin at this precision.
    fn twin(kernel: &'static Kernel) -> Twin<Self>;
}

impl Twinned for f32 {
    fn twin(kernel: &'static Kernel) -> Twin<Self> {
        kernel.twin_f32
    }
}

impl Twinned for f64 {
    fn twin(kernel: &'static Kernel) -> Twin<Self> {
        kernel.twin_f64
    }
}

/// The state of a run in main memory: every arena, once per lane.
#[derive(Debug)]
pub struct CpuMemory<R> {
    lanes: usize,
    floats: [Aligned<R>; 3],
    words: Vec<u32>,
    strides: [usize; 4],
    scalars: Vec<R>,
    packed: Packed<R>,
    precision: Precision,
    /// The dataset's records, for `gather`.
    pub records: std::sync::Arc<Vec<f32>>,
}

impl<R: Twinned> CpuMemory<R> {
    /// Zeroed arenas of the sizes `memory` says, for `lanes` lanes.
    pub fn new(memory: &Memory, lanes: usize, precision: Precision) -> Self {
        // A lane starts at the same alignment as any other, so that its products run the same code.
        let strides = memory.used().map(|elements| (elements as usize).next_multiple_of(64));
        Self {
            lanes,
            floats: [0, 1, 2].map(|arena| Aligned::zeroed(strides[arena] * lanes)),
            words: vec![0; strides[3] * lanes],
            strides,
            scalars: Vec::new(),
            packed: Packed::new(lanes, precision),
            precision,
            records: std::sync::Arc::default(),
        }
    }

    /// Computes at another precision from now on, which the processor has.
    pub(super) fn set_precision(&mut self, precision: Precision) {
        (self.precision, self.packed) = (precision, Packed::new(self.lanes, precision));
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
        self.packed.written(region, lane);
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
        (0..self.lanes).for_each(|lane| self.packed.spoil_all(arena, lane));
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
            panels: self.packed.address(),
            packed: &self.packed,
            precision: self.precision,
        }
    }

    /// Runs `plan` `updates` times on `threads` threads.
    pub fn run(&mut self, plan: &Plan, updates: u32, threads: usize) {
        self.run_watched(plan, updates, &mut vec![(); threads]);
    }

    /// The same on a thread for each of `watches`, which is told what its thread does.
    fn run_watched<W: Watch>(&mut self, plan: &Plan, updates: u32, watches: &mut [W]) {
        self.packed.make_room(&plan.ops);
        let work = work(plan, &self.packed, self.lanes, watches.len());
        let shared = self.shared();
        std::thread::scope(|scope| {
            let mut threads = watches.iter_mut().enumerate();
            let first = threads.next();
            for (thread, watch) in threads {
                let (shared, work) = (&shared, &work);
                scope.spawn(move || replay(shared, work, updates, (thread, watch)));
            }
            if let Some(first) = first {
                replay(&shared, &work, updates, first);
            }
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
                R::twin(op.kernel)(&op.problem, &shared.plain_context(lane).checked(&op.reads, &op.writes), block);
            }
        }
        (0..lanes).for_each(|lane| shared.packed.spoil_all(Arena::Weights, lane));
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
    panels: *mut R,
    packed: &'a Packed<R>,
    precision: Precision,
}

// SAFETY: the threads of a replay write disjoint elements between two meetings (the contract of `Context`).
unsafe impl<R: Sync> Sync for Shared<'_, R> {}

impl<R: Real> Shared<'_, R> {
    /// What a twin sees of a lane.
    fn context(&self, lane: usize) -> Context<'_, R> {
        self.plain_context(lane).with_packed(self.packed.of_lane(self.panels, lane))
    }

    /// The same without packed weights.
    fn plain_context(&self, lane: usize) -> Context<'_, R> {
        let floats = [0, 1, 2].map(|i| (self.floats[i].wrapping_add(lane * self.strides[i]), self.strides[i]));
        let words = (self.words.wrapping_add(lane * self.strides[3]), self.strides[3]);
        // SAFETY: each lane's share lies inside the arenas, which outlive the replay that borrows them mutably.
        let context = unsafe { Context::new(floats, words, self.records, &self.scalars[lane * self.slots..][..self.slots]) };
        context.at(self.precision)
    }
}

/// A dispatch, or the packing of weights before one, as blocks to share out.
///
/// Each thread begins with a share of its own and then helps the others. The shares are cut along the lanes and, within a lane,
/// along the rows of the batch, in every dispatch alike: what a thread reads is then mostly what it wrote, and lies in its
/// own caches. That matters where cores do not share one.
struct Work<'a, R> {
    tasks: Vec<Task<'a, R>>,
    /// Lane, task and block, share after share.
    blocks: Vec<(usize, usize, u32)>,
    shares: Vec<Share>,
    /// Blocks done in all updates so far.
    finished: AtomicU32,
}

/// The blocks that one thread begins with.
struct Share {
    range: Range<u32>,
    /// The latest update that reached this share (high half), and how many of its blocks are claimed (low half).
    claimed: AtomicU64,
}

/// What the blocks of a dispatch do.
enum Task<'a, R> {
    /// Run an operation, which spoils these packed matrices.
    Run { twin: Twin<R>, problem: &'a [u32], spoils: Vec<usize> },
    /// Pack a matrix, a panel a block.
    Pack(usize),
}

/// The dispatches of a plan; before one that reads packed weights, the packing of those that an update has not packed yet, or
/// has changed since.
fn work<'a, R: Twinned>(plan: &'a Plan, packed: &Packed<R>, lanes: usize, threads: usize) -> Vec<Work<'a, R>> {
    let mut ready = BTreeSet::new();
    let mut all = Vec::new();
    for dispatch in &plan.dispatches {
        let ops = &plan.ops[dispatch.ops.clone()];
        let wanted = ops.iter().filter_map(packed_read).filter_map(|(region, transposed)| packed.find(region, transposed));
        let missing: Vec<_> = wanted.filter(|matrix| ready.insert(*matrix)).collect();
        if !missing.is_empty() {
            let packing = missing.into_iter().map(|matrix| (Task::Pack(matrix), packed.count(matrix) as u32));
            all.push(Work::of(packing, lanes, threads));
        }
        let run = |op: &'a Op| {
            let spoils = op.writes.iter().flat_map(|region| packed.overlapping(*region)).collect();
            (Task::Run { twin: R::twin(dispatch.kernel), problem: &op.problem, spoils }, op.blocks())
        };
        all.push(Work::of(ops.iter().map(run), lanes, threads));
        for matrix in ops.iter().flat_map(|op| &op.writes).flat_map(|region| packed.overlapping(*region)) {
            ready.remove(&matrix);
        }
    }
    all
}

impl<'a, R: Twinned> Work<'a, R> {
    fn of(tasks: impl Iterator<Item = (Task<'a, R>, u32)>, lanes: usize, threads: usize) -> Self {
        let (tasks, counts): (Vec<_>, Vec<u32>) = tasks.unzip();
        let of_lane =
            |lane| counts.iter().enumerate().flat_map(move |(task, count)| (0..*count).map(move |block| (lane, task, block)));
        let mut blocks: Vec<_> = (0..lanes).flat_map(of_lane).collect();
        // Sorting keeps the tasks' order where two blocks lie at the same height.
        let height = |task: usize, block: u32| u64::from(block) * (1 << 20) / u64::from(counts[task]);
        blocks.sort_by_key(|&(lane, task, block)| (lane, height(task, block)));
        let cut = |share: usize| (blocks.len() * share / threads) as u32;
        let share = |share| Share { range: cut(share)..cut(share + 1), claimed: AtomicU64::new(0) };
        let shares = (0..threads).map(share).collect();
        Self { tasks, blocks, shares, finished: AtomicU32::new(0) }
    }

    /// A block of update `update` that nobody has, of the thread's own share if there is one; `None` if there is none left.
    fn claim(&self, update: u32, thread: usize) -> Option<u32> {
        let shares = self.shares[thread..].iter().chain(&self.shares[..thread]);
        shares.into_iter().find_map(|share| share.claim(update))
    }

    fn run_block(&self, shared: &Shared<'_, R>, index: u32) {
        let (lane, task, block) = self.blocks[index as usize];
        match &self.tasks[task] {
            Task::Run { twin, problem, spoils } => {
                twin(problem, &shared.context(lane), block);
                if block == 0 {
                    spoils.iter().for_each(|matrix| shared.packed.spoil(*matrix, lane));
                }
            }
            Task::Pack(matrix) => {
                let weights = shared.floats[Arena::Weights.index()].wrapping_add(lane * shared.strides[Arena::Weights.index()]);
                // SAFETY: blocks are panels, each claimed once; nobody writes weights meanwhile, since packing has its own dispatch.
                unsafe { shared.packed.fill(shared.panels, (*matrix, block as usize), lane, weights) };
            }
        }
    }
}

impl Share {
    /// A block of update `update` that nobody has. A thread may lag behind the others by any number of updates: then they have
    /// done its part.
    fn claim(&self, update: u32) -> Option<u32> {
        let mut now = self.claimed.load(Ordering::Relaxed);
        loop {
            let taken = match ((now >> 32) as u32).cmp(&update) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => now as u32,
                std::cmp::Ordering::Greater => return None,
            };
            if taken >= self.range.len() as u32 {
                return None;
            }
            let next = u64::from(update) << 32 | u64::from(taken + 1);
            match self.claimed.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(self.range.start + taken),
                Err(seen) => now = seen,
            }
        }
    }
}

/// What one thread does: in every dispatch of every update, blocks as long as there are any, then a wait for the others'.
fn replay<R: Twinned, W: Watch>(shared: &Shared<'_, R>, work: &[Work<'_, R>], updates: u32, (thread, watch): (usize, &mut W)) {
    for update in 0..updates {
        for (number, dispatch) in work.iter().enumerate() {
            while let Some(block) = dispatch.claim(update, thread) {
                watch.turn(Turn::Block(number, block));
                dispatch.run_block(shared, block);
                dispatch.finished.fetch_add(1, Ordering::Release);
            }
            watch.turn(Turn::Wait);
            let all = (update + 1).wrapping_mul(dispatch.blocks.len() as u32);
            let mut tries = 0u32;
            while (dispatch.finished.load(Ordering::Acquire).wrapping_sub(all) as i32) < 0 {
                rest(&mut tries);
            }
        }
    }
    watch.turn(Turn::Wait);
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
