//! In which order the processor runs a plan, and what waits for what.
//!
//! The dispatches, and the packing of weights, are *sections*. One may start as soon as those are done that it needs, so threads
//! seldom wait for each other.
//!
//! Most operations of an update work row by row: a layer's product reads the rows that the layer before made, and nothing else
//! that changes. Such dispatches, one after the other, are the *stages* of one section. A *part* of it, 64 rows of a lane, goes
//! through them at its own pace: its blocks of a stage may start as soon as its blocks of the stage before are done, whatever
//! the other parts do. What a part writes is then read soon, and mostly by the same thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Twinned;
use super::section::{Section, Task};
use crate::engine::packed::Packed;
use crate::engine::plan::{Dispatch, Op, Plan};
use crate::engine::product::Element;

/// A plan in the order in which threads go through it, and what must come before what.
#[derive(Debug)]
pub struct Ordered {
    /// Its operations and dispatches in that order.
    pub plan: Plan,
    /// For each dispatch the numbers of those that it must come after.
    before: Vec<Vec<usize>>,
}

impl Ordered {
    /// The order that suits `threads` threads and so many lanes: depth first, if each operation has at least two parts for each of
    /// them. Otherwise as it is, with independent operations side by side.
    pub fn new(plan: &Plan, lanes: usize, threads: usize) -> Self {
        let deep = threads == 1 || lanes >= busy(plan, threads);
        let plan = if deep { plan.depth_first() } else { plan.clone() };
        Self { before: plan.hazards(), plan }
    }
}

/// The sections of a plan, lane by lane or some lanes together; before one that reads packed weights, the packing of those that
/// an update has not packed yet, or has changed since.
pub(super) fn sections<'a, R: Twinned>(
    ordered: &'a Ordered,
    packed: &Packed<R>,
    lanes: usize,
    threads: usize,
) -> Vec<Section<'a, R>> {
    let together = together(&ordered.plan, packed.lane_bytes(), threads);
    let chains = chains(ordered, packed);
    let mut all = Vec::new();
    for first in (0..lanes).step_by(together) {
        of_lanes(&mut all, (&ordered.plan, packed), &chains, first..lanes.min(first + together), threads);
    }
    all
}

/// Bytes of packed weights that the caches of any processor hold for a few threads.
const CACHED: u64 = 8 << 20;

/// How many lanes go through an update together: as many as keep all threads busy, and as have their packed weights in the
/// caches. With more, each section would find the weights gone that the one before packed or read.
fn together(plan: &Plan, lane_bytes: u64, threads: usize) -> usize {
    busy(plan, threads).max((CACHED / lane_bytes.max(1)) as usize).max(1)
}

/// How many lanes it takes until the largest operation, cut along its rows, has two parts for each thread.
fn busy(plan: &Plan, threads: usize) -> usize {
    let parts = plan.ops.iter().filter(|op| op.parted_rows().is_some()).map(Op::blocks).max().unwrap_or(1);
    (2 * threads).div_ceil(parts as usize)
}

/// Appends the sections of some lanes.
fn of_lanes<'a, R: Twinned>(
    all: &mut Vec<Section<'a, R>>,
    (plan, packed): (&'a Plan, &Packed<R>),
    chains: &[Chain],
    lanes: Range<usize>,
    threads: usize,
) {
    // The sections of each chain: of its packing, if it packs anything, and of its stages.
    let (mut packing, mut stages) = (Vec::new(), Vec::new());
    for chain in chains {
        packing.push(all.len());
        if !chain.packs.is_empty() {
            let panels = chain.packs.iter().map(|&matrix| (Task::Pack(matrix), packed.count(matrix) as u32));
            let needs = chain.packs_need.iter().map(|&writer| stages[writer]).collect();
            all.push(Section::shared_out(panels, lanes.clone(), threads).needing(needs));
        }
        let run = |op: usize| {
            let spoils = plan.ops[op].writes.iter().flat_map(|region| packed.overlapping(*region)).collect();
            let task = Task::Run { op, twin: R::twin(plan.ops[op].kernel), problem: &plan.ops[op].problem, spoils };
            (task, plan.ops[op].blocks())
        };
        let dispatches = &plan.dispatches[chain.stages.clone()];
        let section = match dispatches {
            [dispatch] => Section::shared_out(dispatch.ops.clone().map(run), lanes.clone(), threads),
            stages => Section::of_stages(stages.iter().map(|dispatch| dispatch.ops.clone().map(run)), lanes.clone(), threads),
        };
        let needed = chain.needs.iter().map(|&earlier| stages[earlier]);
        let needs = needed.chain(chain.reads_packed.iter().map(|&packer| packing[packer])).collect();
        stages.push(all.len());
        all.push(section.needing(needs).streaming(dispatches.iter().all(|dispatch| dispatch.kernel.streams)));
    }
}

/// Dispatches that are the stages of one section, and the matrices to be packed before it.
#[derive(Debug)]
struct Chain {
    stages: Range<usize>,
    packs: Vec<usize>,
    /// Chains whose stages must be done before its own.
    needs: BTreeSet<usize>,
    /// Chains whose packing must be done before, its own among them.
    reads_packed: BTreeSet<usize>,
    /// Chains whose stages must be done before its packing: those that wrote the matrices last.
    packs_need: BTreeSet<usize>,
}

/// The plan's dispatches in chains. Where a matrix has to be packed a section begins, so that it is packed just then: packed
/// earlier it would have left the caches.
fn chains<R: Element>(Ordered { plan, before }: &Ordered, packed: &Packed<R>) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    // The chain that packed each matrix as it is now, and the last that wrote it.
    let (mut packer, mut writer) = (BTreeMap::new(), BTreeMap::new());
    // The chain of each dispatch.
    let mut chain_of: Vec<usize> = Vec::with_capacity(plan.dispatches.len());
    for (number, dispatch) in plan.dispatches.iter().enumerate() {
        let ops = &plan.ops[dispatch.ops.clone()];
        let wanted: BTreeSet<usize> = ops.iter().filter_map(|op| packed.wanted(op)).collect();
        let packs: Vec<usize> = wanted.iter().copied().filter(|matrix| !packer.contains_key(matrix)).collect();
        let goes_on = |chain: &Chain| packs.is_empty() && follows(plan, &plan.dispatches[chain.stages.clone()], dispatch);
        if !chains.last().is_some_and(goes_on) {
            packer.extend(packs.iter().map(|&matrix| (matrix, chains.len())));
            let packs_need = packs.iter().filter_map(|matrix| writer.get(matrix)).copied().collect();
            let stages = number..number;
            chains.push(Chain { stages, packs, needs: BTreeSet::new(), reads_packed: BTreeSet::new(), packs_need });
        }
        let last = chains.len() - 1;
        let chain = &mut chains[last];
        chain.stages.end += 1;
        chain.needs.extend(before[number].iter().map(|&earlier| chain_of[earlier]).filter(|&earlier| earlier < last));
        chain.reads_packed.extend(wanted.iter().map(|matrix| packer[matrix]));
        chain_of.push(last);
        for matrix in ops.iter().flat_map(|op| &op.writes).flat_map(|region| packed.overlapping(*region)) {
            packer.remove(&matrix);
            writer.insert(matrix, last);
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

    fn as_is(plan: Plan) -> Ordered {
        Ordered { before: plan.hazards(), plan }
    }

    /// The sections of operations that read and write these regions, one after the other.
    fn sections_of(ops: &[(&'static Kernel, Region, Region)], memory: Memory) -> Vec<Chain> {
        let mut plan = PlanBuilder::new(memory);
        for (kernel, read, write) in ops {
            plan.push("op", kernel, &RowsProblem { rows: write.rows, ..Default::default() }, &[*read], &[*write]);
        }
        chains(&as_is(plan.finish().unwrap()), &Packed::<f32>::new(1, Precision::F32))
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
        let plan = as_is(plan.finish().unwrap());
        let mut packed = Packed::<f32>::new(1, Precision::F32);
        packed.lay_out(&plan.plan.ops);
        let stages: Vec<_> = chains(&plan, &packed).into_iter().map(|chain| chain.stages).collect();
        assert_eq!(stages, [0..2, 2..3]);
    }

    #[test]
    fn a_section_waits_for_those_it_needs_and_packing_for_whoever_writes_weights() {
        static PRODUCT: Kernel =
            Kernel { packed_read: Some(PackedRead { index: 1, transposed: false }), ..Kernel::of::<Work<true>>() };
        let mut plan = PlanBuilder::new(Memory::new());
        let [a, b, c, d, e, f] = [0; 6].map(|_| plan.activations(ROWS, 8));
        let weights = [0; 2].map(|_| plan.memory.alloc(Arena::Weights, 8, 8));
        let problem = RowsProblem { rows: ROWS, ..Default::default() };
        plan.push("first", &PRODUCT, &problem, &[a, weights[0]], &[b]);
        plan.push("second", &PRODUCT, &problem, &[b, weights[1]], &[c]);
        plan.push("sums", &WHOLE, &problem, &[b], &[d]);
        plan.push("step", &WHOLE, &problem, &[d], &[weights[0]]);
        plan.push("again", &PRODUCT, &problem, &[d, weights[0]], &[e]);
        plan.push("beside", &PRODUCT, &problem, &[a, weights[1]], &[f]);
        let ordered = Ordered::new(&plan.finish().unwrap(), 2, 2);
        let labels: Vec<_> = ordered.plan.ops.iter().map(|op| op.label.as_str()).collect();
        assert_eq!(labels, ["beside", "first", "second", "sums", "step", "again"]);
        let mut packed = Packed::<f32>::new(2, Precision::F32);
        packed.lay_out(&ordered.plan.ops);
        let chains = chains(&ordered, &packed);
        let stages: Vec<_> = chains.iter().map(|chain| chain.stages.clone()).collect();
        assert_eq!(
            stages,
            [0..1, 1..3, 3..4, 4..5, 5..6],
            "the second goes on where the first ends, with panels made before both"
        );

        // One lane after the other: the second packs at once, and waits for nothing but its own.
        let mut all = Vec::new();
        (0..2).for_each(|lane| of_lanes(&mut all, (&ordered.plan, &packed), &chains, lane..lane + 1, 2));
        let needs: Vec<&[usize]> = all.iter().map(|section| section.needs.as_slice()).collect();
        // Packing and product of "beside"; packing and products of "first" and "second"; "sums"; "step"; packing and product.
        let first: [&[usize]; 8] = [&[], &[0], &[], &[2, 0], &[3], &[4, 3], &[5], &[6, 5, 4]];
        let second: [&[usize]; 8] = [&[], &[8], &[], &[10, 8], &[11], &[12, 11], &[13], &[14, 13, 12]];
        assert_eq!(needs, [first, second].concat());
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
}
