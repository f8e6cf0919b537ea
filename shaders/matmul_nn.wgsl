// The forward product of a layer, with what follows it fused.
//   out = epilogue(a b + bias)
// a: [rows, depth]; b: [depth, cols]; bias, shift: [cols]; out, second, x: [rows, cols]. A workgroup of 8 x 8 invocations makes a
// block of 32 x 32: invocation (x, y) the quad x of its rows y, y + 8, y + 16 and y + 24.
//
// 4 x 4 values an invocation and 32 x 32 a block are what llama.cpp found best over four makes of GPU. Sums stand in named
// vectors: indexed by a loop they would leave the registers. The depth goes in steps of 32, where every invocation stages
// four quads of a and four of b; that takes 8.5 KiB.

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

// The block's part of a: a row is eight quads of the depth, and one spare, so that the rows which the invocations of a
// subgroup read at the same time lie in different banks.
const A_STRIDE: u32 = 9u;
var<workgroup> wg_a: array<vec4<f32>, 288>;
// The block's part of b: 32 rows of the depth, each eight quads of columns.
var<workgroup> wg_b: array<vec4<f32>, 256>;

// Quad `quad` of the depth, of the rows row, row + 8, row + 16 and row + 24 of a; zero beyond its edges.
fn load_a(p: Problem, base: u32, row: u32, quad: u32) -> mat4x4<f32> {
    var rows = mat4x4<f32>();
    if (4u * quad < p.depth) {
        let step = p.a_stride / 4u;
        let at = base + row * step + quad;
        if (row < p.rows) { rows[0] = activations[at]; }
        if (row + 8u < p.rows) { rows[1] = activations[at + 8u * step]; }
        if (row + 16u < p.rows) { rows[2] = activations[at + 16u * step]; }
        if (row + 24u < p.rows) { rows[3] = activations[at + 24u * step]; }
    }
    return rows;
}

// Quad `quad` of the columns, of the rows k, k + 8, k + 16 and k + 24 of b; zero beyond its edges.
fn load_b(p: Problem, base: u32, k: u32, quad: u32) -> mat4x4<f32> {
    var rows = mat4x4<f32>();
    if (quad < quads_of(p.cols)) {
        let step = p.b_stride / 4u;
        let at = base + k * step + quad;
        if (k < p.depth) { rows[0] = weights[at]; }
        if (k + 8u < p.depth) { rows[1] = weights[at + 8u * step]; }
        if (k + 16u < p.depth) { rows[2] = weights[at + 16u * step]; }
        if (k + 24u < p.depth) { rows[3] = weights[at + 24u * step]; }
    }
    return rows;
}

@compute @workgroup_size(64)
fn matmul_nn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let tile = number - p.first_group;
    // A block is 32 rows and 8 quads of columns.
    let across_blocks = (quads_of(p.cols) + 7u) / 8u;
    if (tile >= across_blocks * ((p.rows + 31u) / 32u)) {
        return;
    }
    let x = local % 8u;
    let y = local / 8u;
    let row = tile / across_blocks * 32u + y;
    let quad = tile % across_blocks * 8u + x;
    let a_base = activations_at(lane, p.a);
    let b_base = weights_at(lane, p.b);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var a = load_a(p, a_base, row, x);
    var b = load_b(p, b_base, 0u + y, quad);
    for (var k = 0u; k < p.depth; k += 32u) {
        wg_a[y * A_STRIDE + x] = a[0];
        wg_a[(y + 8u) * A_STRIDE + x] = a[1];
        wg_a[(y + 16u) * A_STRIDE + x] = a[2];
        wg_a[(y + 24u) * A_STRIDE + x] = a[3];
        wg_b[local] = b[0];
        wg_b[local + 64u] = b[1];
        wg_b[local + 128u] = b[2];
        wg_b[local + 192u] = b[3];
        workgroupBarrier();
        // The next part is on its way while this one is multiplied.
        a = load_a(p, a_base, row, k / 4u + 8u + x);
        b = load_b(p, b_base, k + 32u + y, quad);
        for (var i = 0u; i < 8u; i += 1u) {
            let at = 32u * i + x;
            let four = mat4x4<f32>(wg_b[at], wg_b[at + 8u], wg_b[at + 16u], wg_b[at + 24u]);
            sum0 = add_product(sum0, wg_a[y * A_STRIDE + i], four);
            sum1 = add_product(sum1, wg_a[(y + 8u) * A_STRIDE + i], four);
            sum2 = add_product(sum2, wg_a[(y + 16u) * A_STRIDE + i], four);
            sum3 = add_product(sum3, wg_a[(y + 24u) * A_STRIDE + i], four);
        }
        workgroupBarrier();
    }
    if (quad < quads_of(p.cols)) {
        let bias = bias_of(p, lane, quad);
        if (row < p.rows) { finish(p, lane, row, quad, sum0 + bias); }
        if (row + 8u < p.rows) { finish(p, lane, row + 8u, quad, sum1 + bias); }
        if (row + 16u < p.rows) { finish(p, lane, row + 16u, quad, sum2 + bias); }
        if (row + 24u < p.rows) { finish(p, lane, row + 24u, quad, sum3 + bias); }
    }
}
