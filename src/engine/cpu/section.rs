//! Work that the threads of a replay share out, and who does what of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::engine::kernel::Twin;

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
    /// The sections that must be done before one of its blocks may start, the latest first.
    pub needs: Vec<usize>,
    /// Whether memory sets its pace.
    pub streams: bool,
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

impl<'a, R> Section<'a, R> {
    /// Tasks with their numbers of blocks, which may run in any order: a part for each thread.
    pub fn shared_out(tasks: impl Iterator<Item = (Task<'a, R>, u32)>, lanes: Range<usize>, threads: usize) -> Self {
        let (tasks, counts): (Vec<_>, Vec<u32>) = tasks.unzip();
        let of_lane =
            |lane| counts.iter().enumerate().flat_map(move |(task, count)| (0..*count).map(move |block| (lane, task, block)));
        let mut blocks: Vec<_> = lanes.flat_map(of_lane).collect();
        // Sorting keeps the tasks' order where two blocks lie at the same height.
        let height = |task: usize, block: u32| u64::from(block) * (1 << 20) / u64::from(counts[task]);
        blocks.sort_by_key(|&(lane, task, block)| (lane, height(task, block)));
        let cut = |part: usize| (blocks.len() * part / threads) as u32;
        let parts = (0..threads).map(|part| Part::of(cut(part)..cut(part + 1))).collect();
        let own = (0..threads).map(|thread| thread..thread + 1).collect();
        Self { tasks, blocks, parts, opens: Vec::new(), own, needs: Vec::new(), streams: false }
    }

    /// The tasks of each stage with their numbers of blocks, which are all the same: a part for each block and lane.
    pub fn of_stages<T: Iterator<Item = (Task<'a, R>, u32)>>(
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
        Self { tasks, blocks, parts, opens, own: (0..threads).map(own).collect(), needs: Vec::new(), streams: false }
    }

    /// The same section, whose blocks wait for these sections.
    pub fn needing(self, sections: BTreeSet<usize>) -> Self {
        Self { needs: sections.into_iter().rev().collect(), ..self }
    }

    /// The same, at the pace of memory or not.
    pub fn streaming(self, streams: bool) -> Self {
        Self { streams, ..self }
    }

    /// Whether all sections that it needs are `done`.
    pub fn may_start(&self, done: impl Fn(usize) -> bool) -> bool {
        self.needs.iter().all(|&section| done(section))
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

    /// Whether nobody has to claim a block of update `update` any more.
    pub fn is_claimed(&self, update: u32) -> bool {
        self.parts.iter().all(|part| part.taken(update).is_none_or(|(_, taken)| taken == part.range.len() as u32))
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

    /// What [`Part::claimed`] is, and how many blocks of update `update` are claimed. A thread may lag behind the others by any
    /// number of updates: then they have done its work, and there is nothing.
    fn taken(&self, update: u32) -> Option<(u64, u32)> {
        let claimed = self.claimed.load(Ordering::Relaxed);
        match ((claimed >> 32) as u32).cmp(&update) {
            std::cmp::Ordering::Less => Some((claimed, 0)),
            std::cmp::Ordering::Equal => Some((claimed, claimed as u32)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The next block of update `update`, if there is one left and it may start.
    fn next(&self, update: u32, opens: &[u32]) -> Option<Next> {
        let (claimed, taken) = self.taken(update)?;
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
            assert_eq!(part.taken(update).map(|(_, taken)| taken), Some(3));
            part.finish();
            assert!(part.has_done(update, 3));
            if update == 1 {
                // As if all updates up to the last had been made.
                part.done.store(u32::MAX.wrapping_mul(3), Ordering::Release);
            }
        }
        assert_eq!(claim(5), None, "a thread that lags behind finds nothing");
        assert!(part.taken(5).is_none());
    }
}
