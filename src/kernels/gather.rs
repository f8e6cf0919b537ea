//! `gather`: columns of sampled transitions, from the resident dataset to where the nets read them.

use super::prelude::*;

problem! {
    /// Which columns of which records go where.
    pub struct GatherProblem {
        /// Words: one index a row.
        pub indices: u32,
        /// Activations: first element of the destination.
        pub out: u32,
        /// Elements between rows of the destination.
        pub out_stride: u32,
        /// Rows of the batch.
        pub rows: u32,
        /// Columns to copy, padding included.
        pub cols: u32,
        /// Elements between records of the dataset.
        pub record: u32,
        /// First column inside a record.
        pub column: u32,
        /// First transition of this chunk of the dataset.
        pub chunk_start: u32,
        /// Transitions of this chunk.
        pub chunk_len: u32,
        /// Added to each index.
        pub shift: u32,
        /// The last transition of the dataset, which no index passes.
        pub last: u32,
    }
}

/// out\[row\] <- record\[min(indices\[row\] + shift, last)\]\[column ..\], for the rows whose index lies in the chunk.
#[derive(Debug)]
pub struct Gather;

impl Operation for Gather {
    type Problem = GatherProblem;
    const NAME: &'static str = "gather";
    const SHADERS: &'static [Shader] = &[shader!("gather", groups: |p: GatherProblem| per_64(p.rows * p.cols / 4))];

    fn blocks(p: &GatherProblem) -> u32 {
        p.rows.div_ceil(ROWS)
    }

    #[inline(always)]
    fn twin<R: Real>(p: &GatherProblem, cx: &Context<'_, R>, block: u32) {
        let (first, end) = block_rows(p.rows, block);
        for row in first..end {
            let index = (cx.words(p.indices + row, 1)[0] + p.shift).min(p.last).wrapping_sub(p.chunk_start);
            if index < p.chunk_len {
                let from = index as usize * p.record as usize + p.column as usize;
                let out = cx.row_mut(ACTIVATIONS, p.out + row * p.out_stride, p.cols);
                for (out, value) in out.iter_mut().zip(&cx.records()[from..from + p.cols as usize]) {
                    *out = R::of(f64::from(*value));
                }
            }
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel::of::<Gather>();

/// Where a segment of the dataset's records stands.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// First column inside a record; a multiple of 4.
    pub column: u32,
    /// Columns, padding not counted.
    pub cols: u32,
    /// Elements between records.
    pub record: u32,
    /// How many transitions after the sampled one; 0 for itself.
    pub shift: u32,
    /// The last transition of the dataset, from 0: it stands for those that would come after it.
    pub last: u32,
}

/// Copies `segment` of the sampled transitions to `out` ([batch, segment.cols]). `chunk` is (start, len) in transitions.
pub fn record(plan: &mut PlanBuilder, label: &str, indices: Region, segment: Segment, chunk: (u32, u32), out: Region) {
    plan.check(label, out.cols == segment.cols && out.rows == indices.cols, || {
        format!("gathers {} columns of {} rows into {out:?}", segment.cols, indices.cols)
    });
    let problem = GatherProblem {
        indices: indices.offset,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        cols: padded(out.cols),
        record: segment.record,
        column: segment.column,
        chunk_start: chunk.0,
        chunk_len: chunk.1,
        shift: segment.shift,
        last: segment.last,
        ..Default::default()
    };
    plan.push(label, &KERNEL, &problem, &[indices], &[out]);
}
