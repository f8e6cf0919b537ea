// `matmul_nn` for software adapters: no barriers and no workgroup memory, which cost a processor more than the
// products; whole vec4 loads and many sums for each, because there a load costs like 30 products.
//   out = epilogue(a b + bias)
// Shapes as in matmul_nn.wgsl. A workgroup of eight invocations makes 16 rows of 128 columns: each four neighbouring quads
// of all sixteen rows, so that 32 loads feed 256 products.
//
// llvmpipe (Mesa 22.3) makes a loop over the invocations out of every load, with a branch for each number, and skips those
// that have left; it keeps sums on the stack anyway, so more of them cost little. 8 rows of 2 quads ran at 0.6 times the
// speed, 16 of 2 at 0.75. The epilogue stands once, in a loop: 64 copies of it, or sums in an array that a loop indexes,
// took 10 s to compile instead of 1.5.

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
    let across_tiles = (p.cols + 127u) / 128u;
    let row = tile / across_tiles * 16u;
    let quad = tile % across_tiles * 32u + 4u * local;
    let quads = quads_of(p.cols);
    if (row >= p.rows || quad >= quads) {
        return;
    }
    // As with the rows of a, the last quad stands in for those beyond the edge.
    let b = weights_at(lane, p.b);
    let at0 = b + quad;
    let at1 = b + min(quad + 1u, quads - 1u);
    let at2 = b + min(quad + 2u, quads - 1u);
    let at3 = b + min(quad + 3u, quads - 1u);
    let a_base = activations_at(lane, p.a);
    var sum00 = mat4x4<f32>();
    var sum01 = mat4x4<f32>();
    var sum02 = mat4x4<f32>();
    var sum03 = mat4x4<f32>();
    var sum10 = mat4x4<f32>();
    var sum11 = mat4x4<f32>();
    var sum12 = mat4x4<f32>();
    var sum13 = mat4x4<f32>();
    var sum20 = mat4x4<f32>();
    var sum21 = mat4x4<f32>();
    var sum22 = mat4x4<f32>();
    var sum23 = mat4x4<f32>();
    var sum30 = mat4x4<f32>();
    var sum31 = mat4x4<f32>();
    var sum32 = mat4x4<f32>();
    var sum33 = mat4x4<f32>();
    for (var k = 0u; k < p.depth; k += 4u) {
        let b0 = load_b(p, at0, k);
        let b1 = load_b(p, at1, k);
        let b2 = load_b(p, at2, k);
        let b3 = load_b(p, at3, k);
        let a0 = load_a(p, a_base, row, k / 4u);
        sum00 = add_products(sum00, a0, b0);
        sum01 = add_products(sum01, a0, b1);
        sum02 = add_products(sum02, a0, b2);
        sum03 = add_products(sum03, a0, b3);
        let a1 = load_a(p, a_base, row + 4u, k / 4u);
        sum10 = add_products(sum10, a1, b0);
        sum11 = add_products(sum11, a1, b1);
        sum12 = add_products(sum12, a1, b2);
        sum13 = add_products(sum13, a1, b3);
        let a2 = load_a(p, a_base, row + 8u, k / 4u);
        sum20 = add_products(sum20, a2, b0);
        sum21 = add_products(sum21, a2, b1);
        sum22 = add_products(sum22, a2, b2);
        sum23 = add_products(sum23, a2, b3);
        let a3 = load_a(p, a_base, row + 12u, k / 4u);
        sum30 = add_products(sum30, a3, b0);
        sum31 = add_products(sum31, a3, b1);
        sum32 = add_products(sum32, a3, b2);
        sum33 = add_products(sum33, a3, b3);
    }
    park(p, lane, row, quad, sum00);
    park(p, lane, row, quad + 1u, sum01);
    park(p, lane, row, quad + 2u, sum02);
    park(p, lane, row, quad + 3u, sum03);
    park(p, lane, row + 4u, quad, sum10);
    park(p, lane, row + 4u, quad + 1u, sum11);
    park(p, lane, row + 4u, quad + 2u, sum12);
    park(p, lane, row + 4u, quad + 3u, sum13);
    park(p, lane, row + 8u, quad, sum20);
    park(p, lane, row + 8u, quad + 1u, sum21);
    park(p, lane, row + 8u, quad + 2u, sum22);
    park(p, lane, row + 8u, quad + 3u, sum23);
    park(p, lane, row + 12u, quad, sum30);
    park(p, lane, row + 12u, quad + 1u, sum31);
    park(p, lane, row + 12u, quad + 2u, sum32);
    park(p, lane, row + 12u, quad + 3u, sum33);
    for (var i = 0u; i < 64u; i += 1u) {
        let r = row + i / 4u;
        let q = quad + i % 4u;
        if (r < p.rows && q < quads) {
            let parked = activations[activations_at(lane, p.out + r * p.out_stride) + q];
            finish(p, lane, r, q, parked + bias_of(p, lane, q));
        }
    }
}
