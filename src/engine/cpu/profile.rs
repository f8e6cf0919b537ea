//! What each thread of a replay does, and when.

use std::time::Instant;

use super::{CpuMemory, Ordered, Task, Twinned, sections};
use crate::engine::profile::{Doing, Profile, Span};

/// What a thread turns to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// A block of a section.
    Block(usize, u32),
    /// Waiting for the others, or nothing any more.
    Wait,
}

/// Is told what a thread of a replay turns to. Of the one that nobody watches, nothing is left in the compiled code.
pub(super) trait Watch: Send {
    /// The thread turns to `to` now.
    fn turn(&mut self, to: Turn);
}

impl Watch for () {
    #[inline(always)]
    fn turn(&mut self, _: Turn) {}
}

/// Notes every turn with its time.
#[derive(Debug)]
pub(super) struct Notes {
    begin: Instant,
    turns: Vec<(f64, Turn)>,
}

impl Watch for Notes {
    fn turn(&mut self, to: Turn) {
        self.turns.push((self.begin.elapsed().as_secs_f64() * 1e6, to));
    }
}

impl<R: Twinned> CpuMemory<R> {
    /// Runs `plan` as [`CpuMemory::run`] does, and tells where the time went.
    pub fn profile(&mut self, ordered: &Ordered, updates: u32, threads: usize) -> Profile {
        let (plan, begin) = (&ordered.plan, Instant::now());
        // Room for an update's turns at once, so that noting them seldom allocates.
        let turns = (plan.ops.iter().map(|op| op.blocks() as usize).sum::<usize>() + 4 * plan.dispatches.len()) * self.lanes;
        let mut notes: Vec<Notes> =
            (0..threads).map(|_| Notes { begin, turns: Vec::with_capacity(turns * updates as usize) }).collect();
        self.run_watched(ordered, updates, &mut notes);
        let sections = sections(ordered, &self.packed, self.lanes, threads);
        let doing = |turn: Turn| match turn {
            Turn::Wait => Doing::Waiting,
            Turn::Block(place, block) => {
                let (lane, task, block) = sections[place].blocks[block as usize];
                match sections[place].tasks[task] {
                    Task::Run { op, .. } => Doing::Block { op, lane, block },
                    Task::Pack(_) => Doing::Packing,
                }
            }
        };
        let spans = notes.iter().enumerate().flat_map(|(track, notes)| {
            let pairs = notes.turns.windows(2);
            pairs.map(move |pair| Span { track, start: pair[0].0, length: pair[1].0 - pair[0].0, doing: doing(pair[0].1) })
        });
        let tracks = (0..threads).map(|thread| format!("thread {thread}")).collect();
        Profile { spans: spans.collect(), plan: plan.clone(), updates, lanes: self.lanes, tracks }
    }
}
