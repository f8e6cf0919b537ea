// `matmul_nt` for software adapters with subgroups of 16 invocations or more.
//   out = (a b^T) * factor, element by element
// Shapes as in matmul_nt.wgsl. Who does what is as in matmul_nn_subgroup.wgsl, which also says why.

struct Problem {
    first_group: u32,
    a: u32,
    a_stride: u32,
    b: u32,
    b_stride: u32,
    out: u32,
    out_stride: u32,
    factor: u32,
    factor_stride: u32,
    rows: u32,
    depth: u32,
    cols: u32,
}

// Quad `k_quad` of the depth, of four rows of b, transposed; `at` is the quad 0 of the first of them.
fn load_b(p: Problem, at: u32, k_quad: u32) -> mat4x4<f32> {
    let step = p.b_stride / 4u;
    let first = at + k_quad;
    return transpose(
        mat4x4<f32>(weights[first], weights[first + step], weights[first + 2u * step], weights[first + 3u * step])
    );
}

// Four rows of results.
fn finish_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    for (var i = 0u; i < 4u && row + i < p.rows; i += 1u) {
        var value = pick(sums, i);
        if (p.factor != NONE) {
            value *= activations[activations_at(lane, p.factor + (row + i) * p.factor_stride) + quad];
        }
        activations[activations_at(lane, p.out + (row + i) * p.out_stride) + quad] = value;
    }
}

@compute @workgroup_size(16)
fn matmul_nt_subgroup(
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
    if (row >= p.rows) {
        return;
    }
    let at_b = weights_at(lane, p.b) + min(quad, quads - 1u) * p.b_stride;
    let sums = tile_sums(p, lane, row, local, at_b);
    if (quad < quads) {
        finish_tile(p, lane, row, quad, sums);
    }
}
