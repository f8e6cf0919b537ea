// `matmul_nn` for software adapters with subgroups of 16 invocations or more: no barriers and no workgroup memory, as in
// matmul_nn_rows.wgsl, and what all invocations need is loaded by one of them.
//   out = epilogue(a b + bias)
// Shapes as in matmul_nn.wgsl. A workgroup of 16 invocations, all of one subgroup, makes 64 rows of 64 columns: each a quad of
// all rows. Sixteen rows of a are one load, a row an invocation, and 16 broadcasts; 8 loads feed 256 products of vectors.
//
// On llvmpipe (Mesa 22.3, see matmul_nn_rows.wgsl) a load costs about 33 instructions and five jumps for each invocation, a
// broadcast one or two for all. ARCHITECTURE.md tells which tiles were tried. The depth goes by eight, since llvmpipe blends
// every sum with its old value at the end of every turn.

struct Problem {
    first_group: u32,
    a: u32,
    a_stride: u32,
    b: u32,
    b_stride: u32,
    bias: u32,
    out: u32,
    out_stride: u32,
    second: u32,
    second_stride: u32,
    x: u32,
    x_stride: u32,
    shift: u32,
    rows: u32,
    depth: u32,
    cols: u32,
    epilogue: u32,
    steps: u32,
}

// A quad of the columns, of the four rows of b that quad `k_quad` of the depth meets; `at` is the quad in row 0.
fn load_b(p: Problem, at: u32, k_quad: u32) -> mat4x4<f32> {
    let step = p.b_stride / 4u;
    let first = at + 4u * k_quad * step;
    return mat4x4<f32>(weights[first], weights[first + step], weights[first + 2u * step], weights[first + 3u * step]);
}

// Four rows of results.
fn finish_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    let bias = bias_of(p, lane, quad);
    for (var i = 0u; i < 4u && row + i < p.rows; i += 1u) {
        finish(p, lane, row + i, quad, pick(sums, i) + bias);
    }
}

@compute @workgroup_size(16)
fn matmul_nn_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let tile = number - p.first_group;
    let across_tiles = (p.cols + 63u) / 64u;
    let row = tile / across_tiles * 64u;
    let quad = tile % across_tiles * 16u + local;
    let quads = quads_of(p.cols);
    // Every invocation has rows to load, even if its columns lie beyond the edge. There, and below the last row, the last
    // quad stands in; what comes of it is not stored.
    if (row >= p.rows) {
        return;
    }
    let at_b = weights_at(lane, p.b) + min(quad, quads - 1u);
    let sums = tile_sums(p, lane, row, local, at_b);
    if (quad < quads) {
        finish_tile(p, lane, row, quad, sums);
    }
}
