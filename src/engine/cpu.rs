//! Replays a plan on the processor by calling each operation's twin.
//!
//! Every thread walks through the whole plan, section by section; in each the threads share out the blocks of all operations
//! and lanes. A thread that finds no block left goes on to the next section that need not wait for others' blocks. Blocks are cut
//! by shape, so the bits do not depend on the number of threads.

mod order;
mod profile;
mod section;

use super::aligned::Aligned;
use super::kernel::{Context, Kernel, Twin};
use super::memory::{Arena, Memory, Region};
use super::packed::Packed;
use super::plan::Plan;
use super::precision::Precision;
use super::real::Real;
pub use order::Ordered;
use order::sections;
use profile::{Turn, Watch};
use section::{Section, Task};

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

    /// Runs a plan `updates` times on `threads` threads.
    pub fn run(&mut self, ordered: &Ordered, updates: u32, threads: usize) {
        self.run_watched(ordered, updates, &mut vec![(); threads]);
    }

    /// The same on a thread for each of `watches`, which is told what its thread does.
    fn run_watched<W: Watch>(&mut self, ordered: &Ordered, updates: u32, watches: &mut [W]) {
        self.packed.make_room(&ordered.plan.ops);
        let sections = sections(ordered, &self.packed, self.lanes, watches.len());
        let shared = self.shared();
        std::thread::scope(|scope| {
            let mut threads = watches.iter_mut().enumerate();
            let first = threads.next();
            for (thread, watch) in threads {
                let (shared, sections) = (&shared, &sections);
                scope.spawn(move || replay(shared, sections, updates, (thread, watch)));
            }
            if let Some(first) = first {
                replay(&shared, &sections, updates, first);
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
                let part = |regions: &[Region]| -> Vec<Region> { regions.iter().map(|region| op.part(*region, block)).collect() };
                let (reads, writes) = (part(&op.reads), part(&op.writes));
                R::twin(op.kernel)(&op.problem, &shared.plain_context(lane).checked(&reads, &writes), block);
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

// SAFETY: whatever two threads do at the same time, neither writes what the other touches (the contract of `Context`): blocks of a
// section, and sections of which neither waits for the other, have no hazards.
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

impl<R: Twinned> Shared<'_, R> {
    fn run_block(&self, section: &Section<'_, R>, index: u32) {
        let (lane, task, block) = section.blocks[index as usize];
        match &section.tasks[task] {
            Task::Run { twin, problem, spoils, .. } => {
                twin(problem, &self.context(lane), block);
                if block == 0 {
                    spoils.iter().for_each(|matrix| self.packed.spoil(*matrix, lane));
                }
            }
            Task::Pack(matrix) => {
                let weights = self.floats[Arena::Weights.index()].wrapping_add(lane * self.strides[Arena::Weights.index()]);
                // SAFETY: blocks are panels, each claimed once; nobody writes the weights meanwhile, since packing waits for who
                // wrote them before, and is waited for by who reads the panels, and so by who writes the weights after.
                unsafe { self.packed.fill(self.panels, (*matrix, block as usize), lane, weights) };
            }
        }
    }
}

/// How many sections beyond the first with blocks left a thread looks at for one that it may start: what it would find further
/// on, it would make long before it is needed.
const AHEAD: usize = 16;

/// What one thread does: blocks as long as there are any that may start, of the first section that has one; else a wait for the
/// others. The first thread prefers what streams through memory, the others what does not: two that stream share the memory's
/// pace, and one that streams beside one that computes has it alone.
fn replay<R: Twinned, W: Watch>(
    shared: &Shared<'_, R>,
    sections: &[Section<'_, R>],
    updates: u32,
    (thread, watch): (usize, &mut W),
) {
    for update in 0..updates {
        // Sections before `left` have no block left, those before `done` are done.
        let (mut left, mut done) = (0, 0);
        let (mut tries, mut waits) = (0u32, false);
        while done < sections.len() {
            let is_done = |needed: usize| needed < done || sections[needed].is_done(update);
            let near = (left..sections.len().min(left + AHEAD)).filter(|&number| sections[number].may_start(is_done));
            let claim = |streams: bool| {
                let mut alike = near.clone().filter(|&number| sections[number].streams == streams);
                alike.find_map(|number| Some((number, sections[number].claim(update, thread)?)))
            };
            if let Some((number, (part, block))) = claim(thread == 0).or_else(|| claim(thread != 0)) {
                watch.turn(Turn::Block(number, block));
                shared.run_block(&sections[number], block);
                part.finish();
                (tries, waits) = (0, false);
            } else {
                if !waits {
                    watch.turn(Turn::Wait);
                    waits = true;
                }
                rest(&mut tries);
            }
            left += sections[left..].iter().take_while(|section| section.is_claimed(update)).count();
            done += sections[done..].iter().take_while(|section| section.is_done(update)).count();
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
