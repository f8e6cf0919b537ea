//! A replay's work between two meetings of the threads, and who does what of it.
//!
//! Most operations of an update work row by row: a layer's product reads the rows that the layer before made, and nothing else
//! that changes. Such dispatches, one after the other, are the *stages* of one section. A *part* of it, 64 rows of a lane, goes
//! through them at its own pace: its blocks of a stage may start as soon as its blocks of the stage before are done, whatever
//! the other parts do. So threads seldom wait for each other, and what a part writes is read soon and mostly by the same thread.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::Twinned;
use crate::engine::kernel::Twin;
use crate::engine::packed::Packed;
use crate::engine::plan::{Dispatch, Op, Plan};
use crate::engine::product::Element;

/// Blocks to share out, of dispatches whose order the parts keep, or of the packing of weights.
///
/// Each thread begins with parts of its own and then helps the others. Parts are cut along the lanes and, within a lane, along
/// the rows of the batch, in every section alike: what a thread reads is then mostly what it wrote, and lies in its own
/// caches. That matters where cores do not share one.
pub(super) struct Section<'a, R> {
    pub tasks: Vec<Task<'a, R>>,
    /// Lane, task and block, part after part.
    pub blocks: Vec<(usize, usize, u32)>,
    parts: Vec<Part>,
    /// For each block of a part how many of the part's first must be done before it may start: those of the stages before. Empty
    /// where none waits for another.
    opens: Vec<u32>,
    /// The parts that each thread begins with.
    own: Vec<Range<usize>>,
}

/// What the blocks do.
pub(super) enum Task<'a, R> {
    /// Run the plan's operation of this number, which spoils these packed matrices.
    Run { op: usize, twin: Twin<R>, problem: &'a [u32], spoils: Vec<usize> },
    /// Pack a matrix, a panel a block.
    Pack(usize),
}

/// Blocks that are claimed in their order.
pub(super) struct Part {
    range: Range<u32>,
    /// The latest update that reached this part (high half), and how many of its blocks are claimed (low half).
    claimed: AtomicU64,
    /// Blocks done in all updates so far.
    done: AtomicU32,
}

/// A block that may be claimed: its place in its part, and what [`Part::claimed`] was.
struct Next {
    claimed: u64,
    taken: u32,
}

/// The sections of a plan, lane by lane or some lanes together; before one that reads packed weights, the packing of those that
/// an update has not packed yet, or has changed since.
pub(super) fn sections<'a, R: Twinned>(plan: &'a Plan, packed: &Packed<R>, lanes: usize, threads: usize) -> Vec<Section<'a, R>> {
    let together = together(plan, packed.lane_bytes(), threads);
    let chains = chains(plan, packed);
    let firsts = (0..lanes).step_by(together);
    firsts.flat_map(|first| of_lanes(plan, packed, &chains, first..lanes.min(first + together), threads)).collect()
}

/// Bytes of packed weights that the caches of any processor hold for a few threads.
const CACHED: u64 = 8 << 20;

/// How many lanes go through an update together: as many as keep all threads busy, and as have their packed weights in the
/// caches. With more, each section would find the weights gone that the one before packed or read.
fn together(plan: &Plan, lane_bytes: u64, threads: usize) -> usize {
    let parts = plan.ops.iter().filter(|op| op.parted_rows().is_some()).map(Op::blocks).max().unwrap_or(1);
    let busy = (2 * threads).div_ceil(parts as usize);
    busy.max((CACHED / lane_bytes.max(1)) as usize).max(1)
}

/// The sections of some lanes.
fn of_lanes<'a, R: Twinned>(
    plan: &'a Plan,
    packed: &Packed<R>,
    chains: &[Chain],
    lanes: Range<usize>,
    threads: usize,
) -> Vec<Section<'a, R>> {
    let mut all = Vec::new();
    for Chain { stages, packs } in chains {
        let dispatches = &plan.dispatches[stages.clone()];
        if !packs.is_empty() {
            let packing = packs.iter().map(|&matrix| (Task::Pack(matrix), packed.count(matrix) as u32));
            all.push(Section::shared_out(packing, lanes.clone(), threads));
        }
        let run = |op: usize| {
            let spoils = plan.ops[op].writes.iter().flat_map(|region| packed.overlapping(*region)).collect();
            let task = Task::Run { op, twin: R::twin(plan.ops[op].kernel), problem: &plan.ops[op].problem, spoils };
            (task, plan.ops[op].blocks())
        };
        all.push(match dispatches {
            [dispatch] => Section::shared_out(dispatch.ops.clone().map(run), lanes.clone(), threads),
            stages => Section::of_stages(stages.iter().map(|dispatch| dispatch.ops.clone().map(run)), lanes.clone(), threads),
        });
    }
    all
}

/// Dispatches that are the stages of one section, and the matrices to be packed before it.
struct Chain {
    stages: Range<usize>,
    packs: Vec<usize>,
}

/// The plan's dispatches in chains. Where a matrix has to be packed a section begins, so that it is packed just then: packed
/// earlier it would have left the caches.
fn chains<R: Element>(plan: &Plan, packed: &Packed<R>) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut ready = BTreeSet::new();
    for (number, dispatch) in plan.dispatches.iter().enumerate() {
        let ops = &plan.ops[dispatch.ops.clone()];
        let wanted = ops.iter().filter_map(|op| packed.wanted(op));
        let packs: Vec<_> = wanted.filter(|matrix| ready.insert(*matrix)).collect();
        match chains.last_mut() {
            Some(Chain { stages, .. }) if packs.is_empty() && follows(plan, &plan.dispatches[stages.clone()], dispatch) => {
                stages.end += 1;
            }
            _ => chains.push(Chain { stages: number..number + 1, packs }),
        }
        for matrix in ops.iter().flat_map(|op| &op.writes).flat_map(|region| packed.overlapping(*region)) {
            ready.remove(&matrix);
        }
    }
    chains
}

/// Whether every part of `next` needs of the stages before nothing but what the same part did there.
fn follows(plan: &Plan, stages: &[Dispatch], next: &Dispatch) -> bool {
    let ops = |dispatch: &Dispatch| plan.ops[dispatch.ops.clone()].iter();
    let rows = ops(next).next().and_then(Op::parted_rows);
    // A single part would only be one thread's.
    let several = rows.is_some_and(|_| ops(next).all(|op| op.blocks() > 1));
    several
        && ops(next).chain(stages.iter().flat_map(ops)).all(|op| op.parted_rows() == rows)
        && stages.iter().flat_map(ops).all(|before| ops(next).all(|op| before.meets_in_parts(op)))
}

impl<'a, R> Section<'a, R> {
    /// Tasks with their numbers of blocks, which may run in any order: a part for each thread.
    fn shared_out(tasks: impl Iterator<Item = (Task<'a, R>, u32)>, lanes: Range<usize>, threads: usize) -> Self {
        let (tasks, counts): (Vec<_>, Vec<u32>) = tasks.unzip();
        let of_lane =
            |lane| counts.iter().enumerate().flat_map(move |(task, count)| (0..*count).map(move |block| (lane, task, block)));
        let mut blocks: Vec<_> = lanes.flat_map(of_lane).collect();
        // Sorting keeps the tasks' order where two blocks lie at the same height.
        let height = |task: usize, block: u32| u64::from(block) * (1 << 20) / u64::from(counts[task]);
        blocks.sort_by_key(|&(lane, task, block)| (lane, height(task, block)));
        let cut = |part: usize| (blocks.len() * part / threads) as u32;
        let parts = (0..threads).map(|part| Part::of(cut(part)..cut(part + 1))).collect();
        Self { tasks, blocks, parts, opens: Vec::new(), own: (0..threads).map(|thread| thread..thread + 1).collect() }
    }

    /// The tasks of each stage with their numbers of blocks, which are all the same: a part for each block and lane.
    fn of_stages<T: Iterator<Item = (Task<'a, R>, u32)>>(
        stages: impl Iterator<Item = T>,
        lanes: Range<usize>,
        threads: usize,
    ) -> Self {
        let (mut tasks, mut opens, mut count) = (Vec::new(), Vec::new(), 0);
        for stage in stages {
            let open = tasks.len() as u32;
            for (task, blocks) in stage {
                tasks.push(task);
                opens.push(open);
                count = blocks;
            }
        }
        let number = lanes.len() * count as usize;
        let places = lanes.flat_map(|lane| (0..count).map(move |block| (lane, block)));
        let blocks = places.flat_map(|(lane, block)| (0..tasks.len()).map(move |task| (lane, task, block))).collect();
        let start = |part: usize| (part * tasks.len()) as u32;
        let parts = (0..number).map(|part| Part::of(start(part)..start(part + 1))).collect();
        let own = |thread| number * thread / threads..number * (thread + 1) / threads;
        Self { tasks, blocks, parts, opens, own: (0..threads).map(own).collect() }
    }

    /// A block of update `update` that nobody has and that may start, of the thread's own parts if there is one, and of the
    /// part that is furthest behind: parts that keep abreast read the same weights.
    pub fn claim(&self, update: u32, thread: usize) -> Option<(&Part, u32)> {
        let own = &self.parts[self.own[thread].clone()];
        [own, &self.parts].into_iter().find_map(|parts| {
            loop {
                let offers = parts.iter().filter_map(|part| Some((part, part.next(update, &self.opens)?)));
                let (part, next) = offers.min_by_key(|(_, next)| next.taken)?;
                if part.take(update, &next) {
                    break Some((part, part.range.start + next.taken));
                }
            }
        })
    }

    /// Whether all blocks of update `update` are done.
    pub fn is_done(&self, update: u32) -> bool {
        self.parts.iter().all(|part| part.has_done(update, part.range.len() as u32))
    }
}

impl Part {
    const fn of(range: Range<u32>) -> Self {
        Self { range, claimed: AtomicU64::new(0), done: AtomicU32::new(0) }
    }

    /// Notes that a block is done; who sees that sees what it wrote.
    pub fn finish(&self) {
        self.done.fetch_add(1, Ordering::Release);
    }

    /// Whether so many of the first blocks of update `update` are done. The number of blocks in all updates wraps around.
    fn has_done(&self, update: u32, count: u32) -> bool {
        let wanted = update.wrapping_mul(self.range.len() as u32).wrapping_add(count);
        self.done.load(Ordering::Acquire).wrapping_sub(wanted) as i32 >= 0
    }

    /// The next block of update `update`, if there is one left and it may start. A thread may lag behind the others by any number
    /// of updates: then they have done its work.
    fn next(&self, update: u32, opens: &[u32]) -> Option<Next> {
        let claimed = self.claimed.load(Ordering::Relaxed);
        let taken = match ((claimed >> 32) as u32).cmp(&update) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => claimed as u32,
            std::cmp::Ordering::Greater => return None,
        };
        // Blocks of a stage start only when all before it are done: if so many are done, they are just those.
        let open = opens.get(taken as usize).copied().unwrap_or(0);
        let is_open = taken < self.range.len() as u32 && self.has_done(update, open);
        is_open.then_some(Next { claimed, taken })
    }

    /// Claims what [`Part::next`] offered, unless somebody was faster.
    fn take(&self, update: u32, next: &Next) -> bool {
        let claimed = u64::from(update) << 32 | u64::from(next.taken + 1);
        self.claimed.compare_exchange(next.claimed, claimed, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::{Context, Kernel, Operation, PART, PackedRead, Shader};
    use crate::engine::memory::{Arena, Memory, Region};
    use crate::engine::plan::PlanBuilder;
    use crate::engine::precision::Precision;
    use crate::engine::{problem, real::Real};

    problem! {
        /// Some rows.
        pub struct RowsProblem {
            /// Rows.
            pub rows: u32,
        }
    }

    /// Works row by row, or on everything at once.
    struct Work<const BY_ROWS: bool>;
    impl<const BY_ROWS: bool> Operation for Work<BY_ROWS> {
        type Problem = RowsProblem;
        const NAME: &'static str = if BY_ROWS { "by rows" } else { "whole" };
        const SHADERS: &'static [Shader] = &[];
        const BY_ROWS: bool = BY_ROWS;
        fn blocks(p: &RowsProblem) -> u32 {
            if BY_ROWS { p.rows.div_ceil(PART) } else { 1 }
        }
        fn twin<R: Real>(_: &RowsProblem, _: &Context<'_, R>, _: u32) {}
    }
    static BY_ROWS: Kernel = Kernel::of::<Work<true>>();
    static WHOLE: Kernel = Kernel::of::<Work<false>>();

    const ROWS: u32 = 2 * PART + 2;

    /// The sections of operations that read and write these regions, one after the other.
    fn sections_of(ops: &[(&'static Kernel, Region, Region)], memory: Memory) -> Vec<Chain> {
        let mut plan = PlanBuilder::new(memory);
        for (kernel, read, write) in ops {
            plan.push("op", kernel, &RowsProblem { rows: write.rows, ..Default::default() }, &[*read], &[*write]);
        }
        chains(&plan.finish().unwrap(), &Packed::<f32>::new(1, Precision::F32))
    }

    #[test]
    fn operations_on_the_same_rows_share_a_section() {
        let mut memory = Memory::new();
        let mut region = |rows| memory.alloc(Arena::Activations, rows, 8);
        let [a, b, c, d] = [0; 4].map(|_| region(ROWS));
        let (longer, few, one) = (region(ROWS + 1), [region(PART), region(PART), region(PART)], region(1));
        let count = |ops: &[_]| sections_of(ops, memory.clone()).len();
        let by_rows = |read, write| (&BY_ROWS, read, write);
        assert_eq!(count(&[by_rows(a, b), by_rows(b, c), by_rows(c, d)]), 1);
        assert_eq!(count(&[by_rows(a, b), by_rows(b, a), by_rows(a, b)]), 1, "rows that are written again");
        assert_eq!(count(&[by_rows(a, b.columns(4, 4)), by_rows(b, c)]), 1, "some columns of the same rows");
        assert_eq!(count(&[by_rows(a, b), (&WHOLE, b, c), by_rows(c, d)]), 3, "an operation on everything");
        assert_eq!(count(&[by_rows(a, longer.rows(0, ROWS)), by_rows(longer.rows(1, ROWS), d)]), 2, "another block's row");
        assert_eq!(count(&[by_rows(longer, a), by_rows(b, longer.rows(0, ROWS))]), 2, "another number of rows");
        assert_eq!(count(&[by_rows(a, longer.rows(0, ROWS)), by_rows(longer, longer)]), 2, "other parts");
        assert_eq!(count(&[by_rows(a, b), (&WHOLE, b, one), by_rows(one, c)]), 3, "a row that all read");
        assert_eq!(count(&[by_rows(few[0], few[1]), by_rows(few[1], few[2])]), 2, "a single part");
    }

    #[test]
    fn a_section_begins_where_weights_are_packed() {
        static PRODUCT: Kernel =
            Kernel { packed_read: Some(PackedRead { index: 1, transposed: false }), ..Kernel::of::<Work<true>>() };
        let mut plan = PlanBuilder::new(Memory::new());
        let [a, b, c, d] = [0; 4].map(|_| plan.activations(ROWS, 8));
        let weights = [0; 2].map(|_| plan.memory.alloc(Arena::Weights, 8, 8));
        for (read, weights, write) in [(a, weights[0], b), (b, weights[0], c), (c, weights[1], d)] {
            plan.push("layer", &PRODUCT, &RowsProblem { rows: ROWS, ..Default::default() }, &[read, weights], &[write]);
        }
        let plan = plan.finish().unwrap();
        let mut packed = Packed::<f32>::new(1, Precision::F32);
        packed.lay_out(&plan.ops);
        let stages: Vec<_> = chains(&plan, &packed).into_iter().map(|chain| chain.stages).collect();
        assert_eq!(stages, [0..2, 2..3]);
    }

    #[test]
    fn lanes_go_together_where_threads_or_caches_have_room() {
        let mut plan = PlanBuilder::new(Memory::new());
        let [a, b] = [0; 2].map(|_| plan.activations(4 * PART, 8));
        plan.push("op", &BY_ROWS, &RowsProblem { rows: 4 * PART, ..Default::default() }, &[a], &[b]);
        let plan = plan.finish().unwrap();
        let large = 50 << 20;
        assert_eq!([1, 2, 3, 16].map(|threads| together(&plan, large, threads)), [1, 1, 2, 8]);
        assert_eq!(together(&plan, CACHED / 5, 2), 5, "five lanes' weights fit");
        assert_eq!(together(&Plan::default(), large, 1), 2, "nothing is cut into parts");
        assert!(together(&plan, 0, 2) >= 1 << 20, "nothing is packed");
    }

    #[test]
    fn a_stage_opens_when_the_one_before_is_done() {
        let part = Part::of(10..13);
        let claim = |update| part.next(update, &[0, 0, 2]).filter(|next| part.take(update, next)).map(|next| next.taken);
        for update in [0, 1, u32::MAX] {
            assert_eq!([claim(update), claim(update), claim(update)], [Some(0), Some(1), None]);
            part.finish();
            assert_eq!(claim(update), None);
            part.finish();
            assert_eq!([claim(update), claim(update)], [Some(2), None]);
            assert!(!part.has_done(update, 3));
            part.finish();
            assert!(part.has_done(update, 3));
            if update == 1 {
                // As if all updates up to the last had been made.
                part.done.store(u32::MAX.wrapping_mul(3), Ordering::Release);
            }
        }
        assert_eq!(claim(5), None, "a thread that lags behind finds nothing");
    }
}
