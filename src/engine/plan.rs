//! Operations, their hazards, and their schedule.
//!
//! An agent records its update in the paper's order; nothing in that order says what may run together. The builder
//! derives the hazards from the regions each operation reads and writes, and merges independent operations of one kernel
//! into one dispatch over a table of problems: at batch 256 a dispatch costs a GPU more than its arithmetic, and wgpu
//! puts a barrier before each. Scheduling uses slack: an operation waits until its kernel runs anyway, unless the
//! critical path is waiting for it.

mod hazards;

use std::fmt;

use super::kernel::{Kernel, PART, Problem};
use super::memory::{Arena, Memory, Region};
use crate::error::{Error, Result};
use hazards::Hazards;

/// One operation of a plan: a kernel, one problem, and what it touches.
#[derive(Clone, Debug)]
pub struct Op {
    /// Path of what it is: `critic.0/target/layer 2`.
    pub label: String,
    /// The kernel that runs it.
    pub kernel: &'static Kernel,
    /// The kernel's problem, as words.
    pub problem: Vec<u32>,
    /// Regions it reads.
    pub reads: Vec<Region>,
    /// Regions it writes. It writes every element of them that is not padding.
    pub writes: Vec<Region>,
    /// Whether it samples: tests replace these operations by uploads.
    pub sampling: bool,
    /// The chunk of the dataset it reads; operations on different chunks need different bindings.
    pub chunk: u32,
    /// Longest chain of hazards that ends here, itself included.
    pub level: u32,
}

impl Op {
    /// Number of blocks of its twin.
    pub fn blocks(&self) -> u32 {
        (self.kernel.blocks)(&self.problem)
    }

    /// The number of rows that its twin's blocks share out between them, if they do; see [`BY_ROWS`](super::kernel::Operation::BY_ROWS).
    pub(super) fn parted_rows(&self) -> Option<u32> {
        let rows = self.writes.first()?.rows;
        (self.kernel.by_rows && self.blocks() == rows.div_ceil(PART)).then_some(rows)
    }

    /// Whether a block keeps to its part of the region's rows.
    fn parts(&self, region: Region) -> bool {
        region.arena == Arena::Activations && Some(region.rows) == self.parted_rows()
    }

    /// What a block of its twin may touch of a region that it reads or writes.
    pub(super) fn part(&self, region: Region, block: u32) -> Region {
        if self.parts(region) { region.rows(block * PART, PART.min(region.rows - block * PART)) } else { region }
    }

    /// Whether block b of `later`, which shares out as many rows as `self`, has to wait for block b of `self` at most.
    pub(super) fn meets_in_parts(&self, later: &Self) -> bool {
        self.hazards(later).all(|(x, y)| {
            let apart = i64::from(y.offset) - i64::from(x.offset);
            let same_rows = -i64::from(y.padded_cols()) < apart && apart < i64::from(x.padded_cols());
            self.parts(x) && self.parts(y) && x.stride == y.stride && same_rows
        })
    }

    /// Floating-point operations, padding counted, if it is a matrix product, for one lane: 2 * rows * depth * columns.
    pub fn product_flops(&self) -> u64 {
        if !self.kernel.name.starts_with("matmul") {
            return 0;
        }
        let size = |r: &Region| f64::from(r.rows) * f64::from(r.cols);
        // out = a b: the three sizes multiply to (rows * depth * cols)^2.
        2 * (size(&self.reads[0]) * size(&self.reads[1]) * size(&self.writes[0])).sqrt().round() as u64
    }

    /// The regions of `self`, recorded before `later`, and of `later` for which it must run before it.
    fn hazards<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = (Region, Region)> + 'a {
        let pairs = |a: &'a [Region], b: &'a [Region]| a.iter().flat_map(move |x| b.iter().map(move |y| (*x, *y)));
        let all = pairs(&self.writes, &later.reads).chain(pairs(&self.reads, &later.writes));
        all.chain(pairs(&self.writes, &later.writes)).filter(|(x, y)| x.overlaps(*y))
    }

    /// Whether `self`, recorded before `later`, must run before it.
    fn precedes(&self, later: &Self) -> bool {
        self.hazards(later).next().is_some()
    }

    /// Whether `later` reads what `self` writes.
    fn feeds(&self, later: &Self) -> bool {
        self.writes.iter().any(|x| later.reads.iter().any(|y| x.overlaps(*y)))
    }
}

/// Receives operations in the order of the algorithm.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    /// Where the operations' regions come from.
    pub memory: Memory,
    ops: Vec<Op>,
    scalars: Vec<&'static str>,
    sampling: bool,
    chunk: u32,
    error: Option<Error>,
}

impl PlanBuilder {
    /// An empty plan over `memory`.
    pub fn new(memory: Memory) -> Self {
        Self { memory, ..Self::default() }
    }

    /// A new region of activations.
    pub fn activations(&mut self, rows: u32, cols: u32) -> Region {
        self.memory.alloc(Arena::Activations, rows, cols)
    }

    /// The slot of the scalar `name` in every lane's table; a new name gets a new slot.
    pub fn scalar(&mut self, name: &'static str) -> u32 {
        let slot = self.scalars.iter().position(|&known| known == name).unwrap_or_else(|| {
            self.scalars.push(name);
            self.scalars.len() - 1
        });
        slot as u32
    }

    /// Names of the scalars in the order of their slots.
    pub fn scalars(&self) -> &[&'static str] {
        &self.scalars
    }

    /// Appends an operation.
    pub fn push<P: Problem>(
        &mut self,
        label: impl Into<String>,
        kernel: &'static Kernel,
        problem: &P,
        reads: &[Region],
        writes: &[Region],
    ) {
        self.ops.push(Op {
            label: label.into(),
            kernel,
            problem: bytemuck::cast_slice(bytemuck::bytes_of(problem)).to_vec(),
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            sampling: self.sampling,
            chunk: self.chunk,
            level: 0,
        });
    }

    /// Everything recorded by `record` is sampling: tests replace it by uploads.
    pub fn sampling(&mut self, record: impl FnOnce(&mut Self)) {
        self.sampling = true;
        record(self);
        self.sampling = false;
    }

    /// Everything recorded by `record` reads chunk `chunk` of the dataset.
    pub fn on_chunk(&mut self, chunk: u32, record: impl FnOnce(&mut Self)) {
        self.chunk = chunk;
        record(self);
        self.chunk = 0;
    }

    /// Remembers the first `problem` for which `fits` is false; [`PlanBuilder::finish`] then fails with it.
    pub fn check(&mut self, label: &str, fits: bool, problem: impl FnOnce() -> String) {
        if !fits && self.error.is_none() {
            self.error = Some(Error::Plan { label: label.to_owned(), problem: problem() });
        }
    }

    /// Drops every operation that no operation chosen by `wanted` depends on: what is left computes just those.
    pub fn keep_only(&mut self, wanted: impl Fn(&Op) -> bool) {
        let mut keep: Vec<bool> = self.ops.iter().map(wanted).collect();
        for later in (0..self.ops.len()).rev() {
            for earlier in 0..later {
                keep[earlier] |= keep[later] && self.ops[earlier].feeds(&self.ops[later]);
            }
        }
        let mut kept = keep.into_iter();
        self.ops.retain(|_| kept.next().unwrap_or(false));
    }

    /// Schedules what was recorded since the last call.
    ///
    /// # Errors
    /// [`Error::Plan`]: the first operation whose shapes did not fit.
    pub fn finish(&mut self) -> Result<Plan> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        Ok(Plan::schedule(std::mem::take(&mut self.ops), Hazards::groups))
    }
}

/// Operations of one kernel that run together.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The operations, as a range of [`Plan::ops`].
    pub ops: std::ops::Range<usize>,
    /// The dataset chunk they read.
    pub chunk: u32,
}

/// A schedule, ready to be replayed.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Operations in the order of execution.
    pub ops: Vec<Op>,
    /// Which of them run together, in order.
    pub dispatches: Vec<Dispatch>,
    /// Length of the longest chain of hazards: no schedule has fewer dispatches.
    pub levels: u32,
}

impl Plan {
    /// Operations in an order that `ordered` finds for them: the groups that run together.
    fn schedule(mut ops: Vec<Op>, ordered: impl Fn(&Hazards, &[Op]) -> Vec<Vec<usize>>) -> Self {
        let hazards = Hazards::of(&ops);
        for (op, level) in ops.iter_mut().zip(&hazards.level) {
            op.level = *level;
        }
        let order = ordered(&hazards, &ops);
        let mut slots: Vec<Option<Op>> = ops.into_iter().map(Some).collect();
        let mut plan = Self { levels: hazards.level.iter().copied().max().unwrap_or(0), ..Self::default() };
        for group in order {
            let start = plan.ops.len();
            plan.ops.extend(group.iter().filter_map(|&i| slots[i].take()));
            let first = &plan.ops[start];
            plan.dispatches.push(Dispatch { kernel: first.kernel, chunk: first.chunk, ops: start..plan.ops.len() });
        }
        plan
    }

    /// The same plan without the operations that sample; their results are uploaded instead.
    #[must_use]
    pub fn without_sampling(&self) -> Self {
        // The order of execution respects every hazard, so it is as good to schedule from as the recorded one.
        Self::schedule(self.ops.iter().filter(|op| !op.sampling).cloned().collect(), Hazards::groups)
    }

    /// The same operations one by one, in the order that a processor's caches like best: what was made last is read first.
    #[must_use]
    pub(super) fn depth_first(&self) -> Self {
        let dispatched = self.dispatches.iter().flat_map(|dispatch| &self.ops[dispatch.ops.clone()]);
        Self::schedule(dispatched.cloned().collect(), Hazards::depth_first)
    }

    /// For each dispatch the numbers of those before it that it must come after.
    pub(super) fn hazards(&self) -> Vec<Vec<usize>> {
        let ops = |number: usize| self.ops[self.dispatches[number].ops.clone()].iter();
        let precedes = |earlier, later| ops(later).any(|later| ops(earlier).any(|earlier| earlier.precedes(later)));
        (0..self.dispatches.len()).map(|later| (0..later).filter(|&earlier| precedes(earlier, later)).collect()).collect()
    }

    /// The dispatches of some kernels alone, in their order.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Kernel) -> bool) -> Self {
        let mut plan = Self { levels: self.levels, ..Self::default() };
        for dispatch in self.dispatches.iter().filter(|dispatch| wanted(dispatch.kernel)) {
            let start = plan.ops.len();
            plan.ops.extend_from_slice(&self.ops[dispatch.ops.clone()]);
            plan.dispatches.push(Dispatch { ops: start..plan.ops.len(), ..dispatch.clone() });
        }
        plan
    }

    /// Floating-point operations of its matrix products, for one lane.
    pub fn product_flops(&self) -> u64 {
        self.ops.iter().map(Op::product_flops).sum()
    }
}

fn shape(region: &Region) -> String {
    if region.rows == 1 { format!("[{}]", region.cols) } else { format!("[{},{}]", region.rows, region.cols) }
}

/// Consecutive equal shapes are written once, with their number.
fn shapes(regions: &[Region]) -> String {
    let mut parts: Vec<(String, usize)> = Vec::new();
    for region in regions {
        let text = shape(region);
        match parts.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => parts.push((text, 1)),
        }
    }
    let parts = parts.into_iter().map(|(text, count)| if count == 1 { text } else { format!("{count}x{text}") });
    parts.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Plan {
    /// One line a dispatch, one line an operation, then `N levels, M dispatches`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, dispatch) in self.dispatches.iter().enumerate() {
            let ops = &self.ops[dispatch.ops.clone()];
            let groups: u32 = ops.iter().map(|op| (dispatch.kernel.shaders[0].groups)(&op.problem)).sum();
            let plural = if ops.len() == 1 { "" } else { "s" };
            writeln!(f, "{:>4}  {:<20} {:>3} problem{plural}, grid {groups}", number + 1, dispatch.kernel.name, ops.len())?;
            for op in ops {
                let (reads, writes) = (shapes(&op.reads), shapes(&op.writes));
                writeln!(f, "        level {:>3}  {:<34} {reads} -> {writes}", op.level, op.label)?;
            }
        }
        writeln!(f, "{} levels, {} dispatches", self.levels, self.dispatches.len())
    }
}
