//! `best_candidate`: of several actions for a state, the one that the critics value most.

use super::prelude::*;

problem! {
    /// out\[row\] = candidate\[row, argmax of Q\], the first of equals.
    pub struct BestCandidateProblem {
        /// Activations: critics at the candidates, one value a candidate, member after member.
        pub q: u32,
        /// Elements between rows of q.
        pub q_stride: u32,
        /// Critics in the ensemble.
        pub members: u32,
        /// Aggregate over the critics.
        pub over_members: u32,
        /// Activations: the candidates, [rows * count, cols], those of one state next to each other.
        pub candidates: u32,
        /// Elements between candidates.
        pub candidates_stride: u32,
        /// Candidates a state.
        pub count: u32,
        /// Activations: the chosen ones, [rows, cols].
        pub out: u32,
        /// Elements between rows of out.
        pub out_stride: u32,
        /// Rows: states.
        pub rows: u32,
        /// Columns, padding included.
        pub cols: u32,
    }
}

/// out <- the candidate with the largest aggregate over critics of Q, the first of equals as `jnp.argmax`. fql
/// `agents/ifql.py`, `sample_actions`.
#[derive(Debug)]
pub struct BestCandidate;

impl Operation for BestCandidate {
    type Problem = BestCandidateProblem;
    const NAME: &'static str = "best_candidate";
    const SHADERS: &'static [Shader] =
        &[shader!("best_candidate", "aggregate", groups: |p: BestCandidateProblem| per_64(p.rows))];

    fn blocks(p: &BestCandidateProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &BestCandidateProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        let all = p.rows * p.count;
        for row in first..end {
            let value = |candidate: u32| {
                aggregate(p.over_members, p.members, |member| {
                    cx.row(ACTIVATIONS, p.q + (member * all + candidate) * p.q_stride, 1)[0]
                })
            };
            let mut best = row * p.count;
            for candidate in best + 1..(row + 1) * p.count {
                if value(candidate) > value(best) {
                    best = candidate;
                }
            }
            let chosen = cx.row(ACTIVATIONS, p.candidates + best * p.candidates_stride, p.cols);
            cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, p.cols).copy_from_slice(chosen);
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<BestCandidate>();

/// `q` is [members * batch * count, 1], member after member; `candidates` [batch * count, action_dim], state after state;
/// `out` [batch, action_dim].
pub fn record(plan: &mut PlanBuilder, label: &str, q: Region, over_members: Aggregate, candidates: Region, out: Region) {
    let fits = candidates.rows.is_multiple_of(out.rows) && q.rows.is_multiple_of(candidates.rows);
    plan.check(label, fits && candidates.cols == out.cols, || format!("{candidates:?} by {q:?} -> {out:?}"));
    let problem = BestCandidateProblem {
        q: q.offset,
        q_stride: q.stride,
        members: q.rows / candidates.rows,
        over_members: over_members as u32,
        candidates: candidates.offset,
        candidates_stride: candidates.stride,
        count: candidates.rows / out.rows,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        cols: out.padded_cols(),
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[q, candidates], &[out]);
}
