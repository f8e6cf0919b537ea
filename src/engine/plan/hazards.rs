//! What must run before what, and in which order operations run.

use std::cmp::Reverse;

use super::Op;

/// The hazards of a list of operations.
pub(super) struct Hazards {
    /// Operations that must come before each.
    before: Vec<Vec<usize>>,
    /// Operations that must come after each.
    after: Vec<Vec<usize>>,
    /// Longest chain that ends at each.
    pub level: Vec<u32>,
    /// Longest chain that starts at each.
    height: Vec<u32>,
}

impl Hazards {
    pub fn of(ops: &[Op]) -> Self {
        let n = ops.len();
        let (mut before, mut after) = (vec![Vec::new(); n], vec![Vec::new(); n]);
        for later in 0..n {
            for earlier in 0..later {
                if ops[earlier].precedes(&ops[later]) {
                    before[later].push(earlier);
                    after[earlier].push(later);
                }
            }
        }
        let mut level = vec![1; n];
        for i in 0..n {
            level[i] = before[i].iter().map(|&b: &usize| level[b] + 1).max().unwrap_or(1);
        }
        let mut height = vec![1; n];
        for i in (0..n).rev() {
            height[i] = after[i].iter().map(|&a: &usize| height[a] + 1).max().unwrap_or(1);
        }
        Self { before, after, level, height }
    }

    /// Groups that run together, in order. A kernel whose every remaining operation is ready runs at once: waiting could
    /// merge nothing more. Otherwise it is the kernel of the most urgent ready operation, with everything of that kernel
    /// that is ready. Urgent is what has the longest chain behind it; among equals, what was recorded first.
    pub fn groups(&self, ops: &[Op]) -> Vec<Vec<usize>> {
        let together = |a: usize, b: usize| std::ptr::eq(ops[a].kernel, ops[b].kernel) && ops[a].chunk == ops[b].chunk;
        let mut queue = Queue::new(self);
        let mut groups = Vec::new();
        loop {
            let complete = |i: usize| (0..ops.len()).all(|j| queue.waiting[j] == 0 || !together(i, j));
            let urgency = |&i: &usize| (complete(i), self.height[i], Reverse(i));
            let Some(chosen) = queue.ready.iter().copied().max_by_key(urgency) else { break };
            let (mut group, rest): (Vec<_>, Vec<_>) = queue.ready.into_iter().partition(|&i| together(i, chosen));
            group.sort_unstable();
            queue.ready = rest;
            group.iter().for_each(|&done| queue.run(done));
            groups.push(group);
        }
        groups
    }

    /// One after the other, what was made last read first: each comes as soon as it can after what it reads, and a layer's
    /// gradients are made on the way back, while what they need is still in a processor's caches. Of those that read what is
    /// equally new the first is the one with the shortest chain behind it, so that nothing is left lying for the end. What only
    /// streams through memory comes when nothing else is ready: nobody waits for it, and made at once it would find half of a
    /// large gradient in another core's caches.
    pub fn depth_first(&self, ops: &[Op]) -> Vec<Vec<usize>> {
        let mut queue = Queue::new(self);
        // When the newest of what it reads was made.
        let mut newest = vec![0; ops.len()];
        let mut order = Vec::new();
        let key = |i: usize, newest: &[usize]| (!ops[i].kernel.streams, newest[i], Reverse((self.height[i], i)));
        while let Some(chosen) = queue.ready.iter().copied().max_by_key(|&i| key(i, &newest)) {
            order.push(vec![chosen]);
            queue.ready.retain(|&i| i != chosen);
            queue.run(chosen);
            for &next in self.after[chosen].iter().filter(|&&next| ops[chosen].feeds(&ops[next])) {
                newest[next] = order.len();
            }
        }
        order
    }
}

/// Which operations may run next.
struct Queue<'a> {
    hazards: &'a Hazards,
    /// How many operations each still waits for.
    waiting: Vec<usize>,
    /// Those that wait for none, and have not been chosen.
    ready: Vec<usize>,
}

impl<'a> Queue<'a> {
    fn new(hazards: &'a Hazards) -> Self {
        let waiting: Vec<usize> = hazards.before.iter().map(Vec::len).collect();
        let ready = (0..waiting.len()).filter(|&i| waiting[i] == 0).collect();
        Self { hazards, waiting, ready }
    }

    /// Notes that `done`, which was chosen, has run.
    fn run(&mut self, done: usize) {
        for &next in &self.hazards.after[done] {
            self.waiting[next] -= 1;
            if self.waiting[next] == 0 {
                self.ready.push(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Plan, PlanBuilder};
    use crate::engine::kernel::{Context, Kernel, Operation, Shader};
    use crate::engine::memory::{Arena, Memory, Region};
    use crate::engine::{problem, real::Real};

    problem! {
        /// Nothing.
        pub struct NoProblem {}
    }

    struct Work;
    impl Operation for Work {
        type Problem = NoProblem;
        const NAME: &'static str = "work";
        const SHADERS: &'static [Shader] = &[];
        fn blocks(_: &NoProblem) -> u32 {
            1
        }
        fn twin<R: Real>(_: &NoProblem, _: &Context<'_, R>, _: u32) {}
    }
    static WORK: Kernel = Kernel::of::<Work>();

    /// The labels of operations recorded so: what each reads and writes.
    fn order(ops: &[(&'static str, &[Region], Region)]) -> (Plan, Vec<String>) {
        let mut plan = PlanBuilder::new(Memory::new());
        for (label, reads, write) in ops {
            plan.push(*label, &WORK, &NoProblem::default(), reads, &[*write]);
        }
        let plan = plan.finish().unwrap().depth_first();
        let labels = plan.ops.iter().map(|op| op.label.clone()).collect();
        (plan, labels)
    }

    #[test]
    fn depth_first_reads_what_was_made_last() {
        let mut memory = Memory::new();
        let mut region = || memory.alloc(Arena::Activations, 1, 4);
        let [x, a1, a2, b1, b2, loss, da, ga2, ga1, db, gb] = [0; 11].map(|_| region());
        // Two nets side by side, a loss of both, their ways back with a gradient at each layer, and an average of weights.
        let [weights, average] = [0; 2].map(|_| region());
        let (plan, labels) = order(&[
            ("a1", &[x, weights], a1),
            ("b1", &[x, average], b1),
            ("average", &[weights, average], average),
            ("a2", &[a1], a2),
            ("b2", &[b1], b2),
            ("loss", &[a2, b2], loss),
            ("da", &[loss], da),
            ("db", &[loss], db),
            ("ga2", &[a1, loss], ga2),
            ("ga1", &[x, da], ga1),
            ("gb", &[x, db], gb),
            ("adam", &[ga2, ga1, gb], weights),
        ]);
        assert_eq!(labels, ["a1", "a2", "b1", "b2", "loss", "ga2", "da", "ga1", "db", "gb", "average", "adam"]);
        assert!(plan.dispatches.iter().enumerate().all(|(number, dispatch)| dispatch.ops == (number..number + 1)));
        let hazards = plan.hazards();
        let before = |label: &str| &hazards[labels.iter().position(|l| l == label).unwrap()];
        assert!(before("b1").is_empty());
        assert_eq!(*before("loss"), [1, 3]);
        assert_eq!(*before("average"), [2], "it overwrites what b1 reads");
        assert_eq!(*before("adam"), [0, 5, 7, 9, 10]);
    }

    #[test]
    fn what_streams_through_memory_comes_last() {
        static STREAMS: Kernel = Kernel { streams: true, ..Kernel::of::<Work>() };
        let mut memory = Memory::new();
        let [x, gradient, weights, a, b, c, d] = [0; 7].map(|_| memory.alloc(Arena::Activations, 1, 4));
        let order = |step: &'static Kernel| {
            let mut plan = PlanBuilder::new(Memory::new());
            plan.push("gradient", &WORK, &NoProblem::default(), &[x], &[gradient]);
            plan.push("step", step, &NoProblem::default(), &[gradient], &[weights]);
            for (label, read, write) in [("a", a, b), ("b", b, c), ("c", c, d)] {
                plan.push(label, &WORK, &NoProblem::default(), &[read], &[write]);
            }
            plan.finish().unwrap().depth_first().ops.into_iter().map(|op| op.label).collect::<Vec<_>>()
        };
        assert_eq!(order(&WORK), ["gradient", "step", "a", "b", "c"]);
        assert_eq!(order(&STREAMS), ["gradient", "a", "b", "c", "step"]);
    }

    #[test]
    fn depth_first_keeps_to_the_dispatches() {
        let mut memory = Memory::new();
        let [a, b] = [0; 2].map(|_| memory.alloc(Arena::Activations, 1, 4));
        let mut plan = PlanBuilder::new(memory);
        for (label, read, write) in [("write", b, a), ("read", a, b), ("left out", b, a)] {
            plan.push(label, &WORK, &NoProblem::default(), &[read], &[write]);
        }
        let mut plan = plan.finish().unwrap();
        plan.dispatches.pop();
        plan.dispatches.swap(0, 1);
        let labels: Vec<_> = plan.depth_first().ops.into_iter().map(|op| op.label).collect();
        assert_eq!(labels, ["read", "write"]);
    }
}
