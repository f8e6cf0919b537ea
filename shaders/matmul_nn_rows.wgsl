// `matmul_nn` for software adapters: no barriers and no workgroup memory, which cost a processor more than the
// products; whole vec4 loads, because there a load costs by the access and not by the byte.
//   out = epilogue(a b + bias)
// Shapes as in matmul_nn.wgsl. A workgroup of eight invocations makes 8 rows of 64 columns: each the quads
// `near` and `far`, 32 columns apart, of all eight rows, so that sixteen loads feed 64 products.

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

// Quad `quad` of four rows of a, from `row` on. Beyond the edge the last row stands in; what comes of it is not stored.
fn load_a(p: Problem, base: u32, row: u32, quad: u32) -> mat4x4<f32> {
    let step = p.a_stride / 4u;
    let last = p.rows - 1u;
    return mat4x4<f32>(
        activations[base + min(row, last) * step + quad],
        activations[base + min(row + 1u, last) * step + quad],
        activations[base + min(row + 2u, last) * step + quad],
        activations[base + min(row + 3u, last) * step + quad],
    );
}

// A quad of the columns, of four rows of b from `k` on; `at` is the quad in row 0.
fn load_b(p: Problem, at: u32, k: u32) -> mat4x4<f32> {
    let step = p.b_stride / 4u;
    let first = at + k * step;
    return mat4x4<f32>(weights[first], weights[first + step], weights[first + 2u * step], weights[first + 3u * step]);
}

fn store_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    if (quad < quads_of(p.cols)) {
        if (row < p.rows) { finish(p, lane, row, quad, sums[0]); }
        if (row + 1u < p.rows) { finish(p, lane, row + 1u, quad, sums[1]); }
        if (row + 2u < p.rows) { finish(p, lane, row + 2u, quad, sums[2]); }
        if (row + 3u < p.rows) { finish(p, lane, row + 3u, quad, sums[3]); }
    }
}

@compute @workgroup_size(8)
fn matmul_nn_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let tile = number - p.first_group;
    let across_tiles = (p.cols + 63u) / 64u;
    let row = tile / across_tiles * 8u;
    if (row >= p.rows) {
        return;
    }
    let near = tile % across_tiles * 16u + local;
    let far = near + 8u;
    // As with the rows of a, the last quad stands in for those beyond the edge.
    let last = quads_of(p.cols) - 1u;
    let near_at = weights_at(lane, p.b) + min(near, last);
    let far_at = weights_at(lane, p.b) + min(far, last);
    let a_base = activations_at(lane, p.a);
    var near_top = mat4x4<f32>();
    var near_low = mat4x4<f32>();
    var far_top = mat4x4<f32>();
    var far_low = mat4x4<f32>();
    for (var k = 0u; k < p.depth; k += 4u) {
        let top = load_a(p, a_base, row, k / 4u);
        let low = load_a(p, a_base, row + 4u, k / 4u);
        let near_b = load_b(p, near_at, k);
        let far_b = load_b(p, far_at, k);
        near_top = add_products(near_top, top, near_b);
        near_low = add_products(near_low, low, near_b);
        far_top = add_products(far_top, top, far_b);
        far_low = add_products(far_low, low, far_b);
    }
    store_four(p, lane, row, near, near_top);
    store_four(p, lane, row + 4u, near, near_low);
    store_four(p, lane, row, far, far_top);
    store_four(p, lane, row + 4u, far, far_low);
}
