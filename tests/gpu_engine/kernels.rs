//! Four small kernels of the tests' own, so that the engine is tested without the learning. All values are small whole
//! numbers, so no rounding hides a difference.

use wgflow::engine::{Arena, Context, Kernel, Operation, PlanBuilder, Real, Region, Shader, Variant, problem};

const MEMORY: &str = include_str!("../../shaders/shared/memory.wgsl");

problem! {
    /// Counts in a word.
    pub struct TickProblem {
        /// Words: the counter.
        pub counter: u32,
    }
}

/// counter <- counter + 1.
pub struct Tick;

impl Operation for Tick {
    type Problem = TickProblem;
    const NAME: &'static str = "tick";
    const SHADERS: &'static [Shader] = &[Shader {
        entry: "tick",
        source: &[
            MEMORY,
            "struct Problem { first_group: u32, counter: u32 }
            @compute @workgroup_size(1)
            fn tick(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
                let p = problems[problem_index(group_index(group, groups))];
                words[words_at(group.z, p.counter)] += 1u;
            }",
        ],
        groups: |_| 1,
        variant: Variant::Plain,
    }];

    fn blocks(_: &TickProblem) -> u32 {
        1
    }

    fn twin<R: Real>(p: &TickProblem, cx: &Context<'_, R>, _: u32) {
        cx.words_mut(p.counter, 1)[0] += 1;
    }
}

pub static TICK: Kernel = Kernel::of::<Tick>();

pub fn tick(plan: &mut PlanBuilder, counter: Region) {
    let problem = TickProblem { counter: counter.offset, ..Default::default() };
    plan.push("tick", &TICK, &problem, &[counter], &[counter]);
}

problem! {
    /// A sum of two matrices.
    pub struct BlendProblem {
        /// Activations: first summand.
        pub a: u32,
        /// Elements between its rows.
        pub a_stride: u32,
        /// Activations: second summand.
        pub b: u32,
        /// Elements between its rows.
        pub b_stride: u32,
        /// Activations: result.
        pub out: u32,
        /// Elements between its rows.
        pub out_stride: u32,
        /// Rows.
        pub rows: u32,
        /// Columns.
        pub cols: u32,
        /// Scalar slot of the factor.
        pub factor: u32,
    }
}

/// out <- factor * a + b.
pub struct Blend;

const fn quads(p: &BlendProblem) -> u32 {
    p.rows * p.cols.div_ceil(4)
}

impl Operation for Blend {
    type Problem = BlendProblem;
    const NAME: &'static str = "blend";
    const SHADERS: &'static [Shader] = &[Shader {
        entry: "blend",
        source: &[
            MEMORY,
            "struct Problem { first_group: u32, a: u32, a_stride: u32, b: u32, b_stride: u32, out: u32, out_stride: u32,
                rows: u32, cols: u32, factor: u32 }
            @compute @workgroup_size(64)
            fn blend(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                     @builtin(local_invocation_index) local: u32) {
                let index = group_index(group, groups);
                let p = problems[problem_index(index)];
                let i = (index - p.first_group) * 64u + local;
                let quads = (p.cols + 3u) / 4u;
                if (i >= p.rows * quads) { return; }
                let row = i / quads;
                let col = (i % quads) * 4u;
                let a = activations[activations_at(group.z, p.a + row * p.a_stride + col)];
                let b = activations[activations_at(group.z, p.b + row * p.b_stride + col)];
                activations[activations_at(group.z, p.out + row * p.out_stride + col)] = scalar(group.z, p.factor) * a + b;
            }",
        ],
        groups: |words| quads(&wgflow::engine::kernel::typed(words)).div_ceil(64),
        variant: Variant::Plain,
    }];

    fn blocks(_: &BlendProblem) -> u32 {
        1
    }

    fn twin<R: Real>(p: &BlendProblem, cx: &Context<'_, R>, _: u32) {
        let (factor, cols) = (cx.scalar(p.factor), p.cols.next_multiple_of(4));
        for row in 0..p.rows {
            let a = cx.row(Arena::Activations, p.a + row * p.a_stride, cols).to_vec();
            let b = cx.row(Arena::Activations, p.b + row * p.b_stride, cols).to_vec();
            let out = cx.row_mut(Arena::Activations, p.out + row * p.out_stride, cols);
            for (out, (a, b)) in out.iter_mut().zip(a.into_iter().zip(b)) {
                *out = factor * a + b;
            }
        }
    }
}

pub static BLEND: Kernel = Kernel::of::<Blend>();

pub fn blend(plan: &mut PlanBuilder, a: Region, b: Region, out: Region, factor: u32) {
    let problem = BlendProblem {
        a: a.offset,
        a_stride: a.stride,
        b: b.offset,
        b_stride: b.stride,
        out: out.offset,
        out_stride: out.stride,
        rows: out.rows,
        cols: out.cols,
        factor,
        ..Default::default()
    };
    plan.push("blend", &BLEND, &problem, &[a, b], &[out]);
}

problem! {
    /// Rows of a dataset.
    pub struct FetchProblem {
        /// Words: one index a row.
        pub indices: u32,
        /// Activations: result.
        pub out: u32,
        /// Elements between its rows, and of a record.
        pub record: u32,
        /// Rows.
        pub rows: u32,
        /// First record of the chunk.
        pub chunk_start: u32,
        /// Records of the chunk.
        pub chunk_len: u32,
    }
}

/// out\[row\] <- record\[indices\[row\]\].
pub struct Fetch;

impl Operation for Fetch {
    type Problem = FetchProblem;
    const NAME: &'static str = "fetch";
    const SHADERS: &'static [Shader] = &[Shader {
        entry: "fetch",
        source: &[
            MEMORY,
            "struct Problem { first_group: u32, indices: u32, out: u32, record: u32, rows: u32, chunk_start: u32, chunk_len: u32 }
            @compute @workgroup_size(1)
            fn fetch(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
                let index = group_index(group, groups);
                let p = problems[problem_index(index)];
                let row = index - p.first_group;
                if (row >= p.rows) { return; }
                let source = words[words_at(group.z, p.indices + row)] - p.chunk_start;
                if (source >= p.chunk_len) { return; }
                for (var i = 0u; i < p.record; i += 4u) {
                    activations[activations_at(group.z, p.out + row * p.record + i)] = records[(source * p.record + i) / 4u];
                }
            }",
        ],
        groups: |words| words[4],
        variant: Variant::Plain,
    }];

    fn blocks(_: &FetchProblem) -> u32 {
        1
    }

    fn twin<R: Real>(p: &FetchProblem, cx: &Context<'_, R>, _: u32) {
        for row in 0..p.rows {
            let from = (cx.words(p.indices + row, 1)[0] * p.record) as usize;
            let out = cx.row_mut(Arena::Activations, p.out + row * p.record, p.record);
            for (out, value) in out.iter_mut().zip(&cx.records()[from..]) {
                *out = R::of(f64::from(*value));
            }
        }
    }
}

pub static FETCH: Kernel = Kernel::of::<Fetch>();

pub fn fetch(plan: &mut PlanBuilder, indices: Region, out: Region, chunk: (u32, u32)) {
    let problem = FetchProblem {
        indices: indices.offset,
        out: out.offset,
        record: out.stride,
        rows: out.rows,
        chunk_start: chunk.0,
        chunk_len: chunk.1,
        ..Default::default()
    };
    plan.push("fetch", &FETCH, &problem, &[indices], &[out]);
}

problem! {
    /// A loop that takes time.
    pub struct SpinProblem {
        /// Words: the result.
        pub out: u32,
        /// Rounds.
        pub rounds: u32,
    }
}

/// out <- a linear congruential generator after 8 * `rounds` steps: no compiler can shorten it. Lavapipe ends every loop
/// after 65,535 rounds.
pub struct Spin;

impl Operation for Spin {
    type Problem = SpinProblem;
    const NAME: &'static str = "spin";
    const SHADERS: &'static [Shader] = &[Shader {
        entry: "spin",
        source: &[
            MEMORY,
            "struct Problem { first_group: u32, out: u32, rounds: u32 }
            @compute @workgroup_size(1)
            fn spin(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
                let p = problems[problem_index(group_index(group, groups))];
                var x = words[words_at(group.z, p.out)];
                for (var i = 0u; i < p.rounds; i += 1u) {
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                    x = (x ^ (x >> 15u)) * 1664525u + 1013904223u;
                }
                words[words_at(group.z, p.out)] = x;
            }",
        ],
        groups: |_| 1,
        variant: Variant::Plain,
    }];

    fn blocks(_: &SpinProblem) -> u32 {
        1
    }

    fn twin<R: Real>(p: &SpinProblem, cx: &Context<'_, R>, _: u32) {
        let word = &mut cx.words_mut(p.out, 1)[0];
        for _ in 0..8 * p.rounds {
            *word = (*word ^ (*word >> 15)).wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
    }
}

pub static SPIN: Kernel = Kernel::of::<Spin>();

pub fn spin(plan: &mut PlanBuilder, out: Region, rounds: u32) {
    let problem = SpinProblem { out: out.offset, rounds, ..Default::default() };
    plan.push("spin", &SPIN, &problem, &[out], &[out]);
}
