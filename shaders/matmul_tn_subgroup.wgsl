// `matmul_tn` for software adapters with subgroups of 16 invocations or more.
//   out = a^T b    sums = sum over the depth of b
// Shapes as in matmul_tn.wgsl. Who does what is as in matmul_nn_subgroup.wgsl, which also says why: 16 quads of a row of
// a, which are 64 rows of the result, are one load. The sums of a quad of columns fall to a workgroup each: to those along the
// diagonal, since a thread of llvmpipe takes workgroups that follow on each other.
//
// Four depths a turn, since llvmpipe blends every sum with what it was before at the end of each.

struct Problem {
    first_group: u32,
    a: u32,
    a_stride: u32,
    b: u32,
    b_stride: u32,
    out: u32,
    out_stride: u32,
    sums: u32,
    rows: u32,
    depth: u32,
    cols: u32,
}

// Four rows of results.
fn finish_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    if (row < p.rows) {
        let step = p.out_stride / 4u;
        let out = training_at(lane, p.out) + row * step + quad;
        training[out] = sums[0];
        training[out + step] = sums[1];
        training[out + 2u * step] = sums[2];
        training[out + 3u * step] = sums[3];
    }
}

// The sums of a quad of columns of b.
fn sum_column(p: Problem, lane: u32, quad: u32) {
    var sum = vec4<f32>();
    for (var k = 0u; k < p.depth; k += 1u) {
        sum += activations[activations_at(lane, p.b + k * p.b_stride) + quad];
    }
    training[training_at(lane, p.sums) + quad] = sum;
}

// Four rows of a quad of columns of a factor, from `k` on; `at` is the quad in row 0. Zeros beyond the depth.
fn load(p: Problem, at: u32, step: u32, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        load_row(p, at, step, k),
        load_row(p, at, step, k + 1u),
        load_row(p, at, step, k + 2u),
        load_row(p, at, step, k + 3u),
    );
}

fn load_row(p: Problem, at: u32, step: u32, k: u32) -> vec4<f32> {
    let row = activations[at + min(k, p.depth - 1u) * step];
    return select(vec4<f32>(), row, vec4<bool>(k < p.depth));
}

@compute @workgroup_size(16)
fn matmul_tn_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_invocation_id) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let tile = number - p.first_group;
    let across_tiles = (p.cols + 63u) / 64u;
    let down_tiles = (p.rows + 63u) / 64u;
    let row = tile / across_tiles * 64u;
    let quad = tile % across_tiles * 16u + local;
    if (row >= p.rows) {
        return;
    }
    // As in matmul_nn_subgroup.wgsl, the last quads stand in for those beyond the edges.
    let quads = p.cols / 4u;
    let at_b = activations_at(lane, p.b) + min(quad, quads - 1u);
    let at_a = activations_at(lane, p.a) + min(row / 4u + local, p.rows / 4u - 1u);
    var sums = Sums();
    for (var k = 0u; k < p.depth; k += 4u) {
        let b = load(p, at_b, p.b_stride / 4u, k);
        let mine = load(p, at_a, p.a_stride / 4u, k);
        sums[0] = add_products(sums[0], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 0u),
            subgroupBroadcast(mine[1], 0u),
            subgroupBroadcast(mine[2], 0u),
            subgroupBroadcast(mine[3], 0u),
        )), b);
        sums[1] = add_products(sums[1], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 1u),
            subgroupBroadcast(mine[1], 1u),
            subgroupBroadcast(mine[2], 1u),
            subgroupBroadcast(mine[3], 1u),
        )), b);
        sums[2] = add_products(sums[2], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 2u),
            subgroupBroadcast(mine[1], 2u),
            subgroupBroadcast(mine[2], 2u),
            subgroupBroadcast(mine[3], 2u),
        )), b);
        sums[3] = add_products(sums[3], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 3u),
            subgroupBroadcast(mine[1], 3u),
            subgroupBroadcast(mine[2], 3u),
            subgroupBroadcast(mine[3], 3u),
        )), b);
        sums[4] = add_products(sums[4], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 4u),
            subgroupBroadcast(mine[1], 4u),
            subgroupBroadcast(mine[2], 4u),
            subgroupBroadcast(mine[3], 4u),
        )), b);
        sums[5] = add_products(sums[5], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 5u),
            subgroupBroadcast(mine[1], 5u),
            subgroupBroadcast(mine[2], 5u),
            subgroupBroadcast(mine[3], 5u),
        )), b);
        sums[6] = add_products(sums[6], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 6u),
            subgroupBroadcast(mine[1], 6u),
            subgroupBroadcast(mine[2], 6u),
            subgroupBroadcast(mine[3], 6u),
        )), b);
        sums[7] = add_products(sums[7], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 7u),
            subgroupBroadcast(mine[1], 7u),
            subgroupBroadcast(mine[2], 7u),
            subgroupBroadcast(mine[3], 7u),
        )), b);
        sums[8] = add_products(sums[8], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 8u),
            subgroupBroadcast(mine[1], 8u),
            subgroupBroadcast(mine[2], 8u),
            subgroupBroadcast(mine[3], 8u),
        )), b);
        sums[9] = add_products(sums[9], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 9u),
            subgroupBroadcast(mine[1], 9u),
            subgroupBroadcast(mine[2], 9u),
            subgroupBroadcast(mine[3], 9u),
        )), b);
        sums[10] = add_products(sums[10], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 10u),
            subgroupBroadcast(mine[1], 10u),
            subgroupBroadcast(mine[2], 10u),
            subgroupBroadcast(mine[3], 10u),
        )), b);
        sums[11] = add_products(sums[11], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 11u),
            subgroupBroadcast(mine[1], 11u),
            subgroupBroadcast(mine[2], 11u),
            subgroupBroadcast(mine[3], 11u),
        )), b);
        sums[12] = add_products(sums[12], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 12u),
            subgroupBroadcast(mine[1], 12u),
            subgroupBroadcast(mine[2], 12u),
            subgroupBroadcast(mine[3], 12u),
        )), b);
        sums[13] = add_products(sums[13], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 13u),
            subgroupBroadcast(mine[1], 13u),
            subgroupBroadcast(mine[2], 13u),
            subgroupBroadcast(mine[3], 13u),
        )), b);
        sums[14] = add_products(sums[14], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 14u),
            subgroupBroadcast(mine[1], 14u),
            subgroupBroadcast(mine[2], 14u),
            subgroupBroadcast(mine[3], 14u),
        )), b);
        sums[15] = add_products(sums[15], transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 15u),
            subgroupBroadcast(mine[1], 15u),
            subgroupBroadcast(mine[2], 15u),
            subgroupBroadcast(mine[3], 15u),
        )), b);
    }
    if (quad >= quads) {
        return;
    }
    finish_tile(p, lane, row, quad, sums);
    if (tile / across_tiles == tile % across_tiles % down_tiles) {
        sum_column(p, lane, quad);
    }
}
