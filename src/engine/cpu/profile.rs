//! What each thread of a replay does, and when.

use std::time::Instant;

use super::{CpuMemory, Task, Twinned, Work, work};
use crate::engine::plan::Plan;
use crate::engine::profile::{Doing, Profile, Span};

/// What a thread turns to; dispatches are counted with the packing between them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// A block of a dispatch.
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
    pub fn profile(&mut self, plan: &Plan, updates: u32, threads: usize) -> Profile {
        let begin = Instant::now();
        // Room for an update's turns at once, so that noting them seldom allocates.
        let turns = (plan.ops.iter().map(|op| op.blocks() as usize).sum::<usize>() + 4 * plan.dispatches.len()) * self.lanes;
        let mut notes: Vec<Notes> =
            (0..threads).map(|_| Notes { begin, turns: Vec::with_capacity(turns * updates as usize) }).collect();
        self.run_watched(plan, updates, &mut notes);
        let work = work(plan, &self.packed, self.lanes, threads);
        let numbers = dispatch_numbers(&work);
        let doing = |turn: Turn| match turn {
            Turn::Wait => Doing::Waiting,
            Turn::Block(place, block) => {
                let (lane, task, block) = work[place].blocks[block as usize];
                match numbers[place] {
                    Some(dispatch) => Doing::Block { op: plan.dispatches[dispatch].ops.start + task, lane, block },
                    None => Doing::Packing,
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

/// For each work the number of the plan's dispatch that it is; none for packing.
fn dispatch_numbers<R>(work: &[Work<'_, R>]) -> Vec<Option<usize>> {
    let mut dispatches = 0..;
    let packs = |work: &Work<'_, R>| matches!(work.tasks.first(), Some(Task::Pack(_)));
    work.iter().map(|work| if packs(work) { None } else { dispatches.next() }).collect()
}
