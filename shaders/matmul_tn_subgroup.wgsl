// `matmul_tn` for software adapters with subgroups of eight invocations or more.
//   out = a^T b    sums = sum over the depth of b
// Shapes as in matmul_tn.wgsl. Who does what is as in matmul_nn_subgroup.wgsl, which also says why: eight quads of a row of
// a, which are 32 rows of the result, are one load. The sums fall to the workgroups of the first rows.
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

fn store_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    if (quad < p.cols / 4u && row < p.rows) {
        let step = p.out_stride / 4u;
        let out = training_at(lane, p.out) + row * step + quad;
        training[out] = sums[0];
        training[out + step] = sums[1];
        training[out + 2u * step] = sums[2];
        training[out + 3u * step] = sums[3];
    }
}

// The sums of two quads of columns of b, from `quad` on.
fn sum_columns(p: Problem, lane: u32, quad: u32) {
    for (var q = quad; q < min(quad + 2u, p.cols / 4u); q += 1u) {
        var sum = vec4<f32>();
        for (var k = 0u; k < p.depth; k += 1u) {
            sum += activations[activations_at(lane, p.b + k * p.b_stride) + q];
        }
        training[training_at(lane, p.sums) + q] = sum;
    }
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

@compute @workgroup_size(8)
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
    let row = tile / across_tiles * 32u;
    let quad = tile % across_tiles * 16u + 2u * local;
    if (row >= p.rows) {
        return;
    }
    // As in matmul_nn_subgroup.wgsl, the last quads stand in for those beyond the edges.
    let quads = p.cols / 4u;
    let b = activations_at(lane, p.b);
    let at_b0 = b + min(quad, quads - 1u);
    let at_b1 = b + min(quad + 1u, quads - 1u);
    let at_a = activations_at(lane, p.a) + min(row / 4u + local, p.rows / 4u - 1u);
    var sum00 = mat4x4<f32>();
    var sum01 = mat4x4<f32>();
    var sum10 = mat4x4<f32>();
    var sum11 = mat4x4<f32>();
    var sum20 = mat4x4<f32>();
    var sum21 = mat4x4<f32>();
    var sum30 = mat4x4<f32>();
    var sum31 = mat4x4<f32>();
    var sum40 = mat4x4<f32>();
    var sum41 = mat4x4<f32>();
    var sum50 = mat4x4<f32>();
    var sum51 = mat4x4<f32>();
    var sum60 = mat4x4<f32>();
    var sum61 = mat4x4<f32>();
    var sum70 = mat4x4<f32>();
    var sum71 = mat4x4<f32>();
    for (var k = 0u; k < p.depth; k += 4u) {
        let b0 = load(p, at_b0, p.b_stride / 4u, k);
        let b1 = load(p, at_b1, p.b_stride / 4u, k);
        let mine = load(p, at_a, p.a_stride / 4u, k);
        let a0 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 0u),
            subgroupBroadcast(mine[1], 0u),
            subgroupBroadcast(mine[2], 0u),
            subgroupBroadcast(mine[3], 0u),
        ));
        sum00 = add_products(sum00, a0, b0);
        sum01 = add_products(sum01, a0, b1);
        let a1 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 1u),
            subgroupBroadcast(mine[1], 1u),
            subgroupBroadcast(mine[2], 1u),
            subgroupBroadcast(mine[3], 1u),
        ));
        sum10 = add_products(sum10, a1, b0);
        sum11 = add_products(sum11, a1, b1);
        let a2 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 2u),
            subgroupBroadcast(mine[1], 2u),
            subgroupBroadcast(mine[2], 2u),
            subgroupBroadcast(mine[3], 2u),
        ));
        sum20 = add_products(sum20, a2, b0);
        sum21 = add_products(sum21, a2, b1);
        let a3 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 3u),
            subgroupBroadcast(mine[1], 3u),
            subgroupBroadcast(mine[2], 3u),
            subgroupBroadcast(mine[3], 3u),
        ));
        sum30 = add_products(sum30, a3, b0);
        sum31 = add_products(sum31, a3, b1);
        let a4 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 4u),
            subgroupBroadcast(mine[1], 4u),
            subgroupBroadcast(mine[2], 4u),
            subgroupBroadcast(mine[3], 4u),
        ));
        sum40 = add_products(sum40, a4, b0);
        sum41 = add_products(sum41, a4, b1);
        let a5 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 5u),
            subgroupBroadcast(mine[1], 5u),
            subgroupBroadcast(mine[2], 5u),
            subgroupBroadcast(mine[3], 5u),
        ));
        sum50 = add_products(sum50, a5, b0);
        sum51 = add_products(sum51, a5, b1);
        let a6 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 6u),
            subgroupBroadcast(mine[1], 6u),
            subgroupBroadcast(mine[2], 6u),
            subgroupBroadcast(mine[3], 6u),
        ));
        sum60 = add_products(sum60, a6, b0);
        sum61 = add_products(sum61, a6, b1);
        let a7 = transpose(mat4x4<f32>(
            subgroupBroadcast(mine[0], 7u),
            subgroupBroadcast(mine[1], 7u),
            subgroupBroadcast(mine[2], 7u),
            subgroupBroadcast(mine[3], 7u),
        ));
        sum70 = add_products(sum70, a7, b0);
        sum71 = add_products(sum71, a7, b1);
    }
    store_four(p, lane, row, quad, sum00);
    store_four(p, lane, row, quad + 1u, sum01);
    store_four(p, lane, row + 4u, quad, sum10);
    store_four(p, lane, row + 4u, quad + 1u, sum11);
    store_four(p, lane, row + 8u, quad, sum20);
    store_four(p, lane, row + 8u, quad + 1u, sum21);
    store_four(p, lane, row + 12u, quad, sum30);
    store_four(p, lane, row + 12u, quad + 1u, sum31);
    store_four(p, lane, row + 16u, quad, sum40);
    store_four(p, lane, row + 16u, quad + 1u, sum41);
    store_four(p, lane, row + 20u, quad, sum50);
    store_four(p, lane, row + 20u, quad + 1u, sum51);
    store_four(p, lane, row + 24u, quad, sum60);
    store_four(p, lane, row + 24u, quad + 1u, sum61);
    store_four(p, lane, row + 28u, quad, sum70);
    store_four(p, lane, row + 28u, quad + 1u, sum71);
    if (row == 0u) {
        sum_columns(p, lane, quad);
    }
}
