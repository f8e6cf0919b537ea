// `matmul_nn` in blocks of 64 x 64: half the traffic of matmul_nn.wgsl for twice the registers, where there are blocks
// enough for every core of the GPU.
//   out = epilogue(a b + bias)
// Shapes as in matmul_nn.wgsl, and the same bits: every sum goes along the depth. A workgroup of 16 x 8 invocations:
// invocation (x, y) makes the quad x of the rows y, y + 8 and so on to y + 56. The depth goes in steps of 16; 9 KiB.

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

// The block's part of a: a row is four quads of the depth, and one spare, so that the rows which the invocations of a
// subgroup read at the same time lie in different banks.
const A_STRIDE: u32 = 5u;
var<workgroup> wg_a: array<vec4<f32>, 320>;
// The block's part of b: 16 rows of the depth, each sixteen quads of columns.
var<workgroup> wg_b: array<vec4<f32>, 256>;

// Quad `quad` of the depth, of the rows row and row + 32 of a; zero beyond its edges.
fn load_a(p: Problem, base: u32, row: u32, quad: u32) -> mat2x4<f32> {
    var rows = mat2x4<f32>();
    if (4u * quad < p.depth) {
        let step = p.a_stride / 4u;
        let at = base + row * step + quad;
        if (row < p.rows) { rows[0] = activations[at]; }
        if (row + 32u < p.rows) { rows[1] = activations[at + 32u * step]; }
    }
    return rows;
}

// Quad `quad` of the columns, of the rows k and k + 8 of b; zero beyond its edges.
fn load_b(p: Problem, base: u32, k: u32, quad: u32) -> mat2x4<f32> {
    var rows = mat2x4<f32>();
    if (quad < quads_of(p.cols)) {
        let step = p.b_stride / 4u;
        let at = base + k * step + quad;
        if (k < p.depth) { rows[0] = weights[at]; }
        if (k + 8u < p.depth) { rows[1] = weights[at + 8u * step]; }
    }
    return rows;
}

@compute @workgroup_size(128)
fn matmul_nn_large(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let tile = number - p.first_group;
    // A block is 64 rows and 16 quads of columns.
    let across_blocks = (quads_of(p.cols) + 15u) / 16u;
    if (tile >= across_blocks * ((p.rows + 63u) / 64u)) {
        return;
    }
    let x = local % 16u;
    let y = local / 16u;
    let block_row = tile / across_blocks * 64u;
    let row = block_row + y;
    let quad = tile % across_blocks * 16u + x;
    // Who stages what of a: the quad a_x of the rows a_y and a_y + 32.
    let a_x = local % 4u;
    let a_y = local / 4u;
    let a_base = activations_at(lane, p.a);
    let b_base = weights_at(lane, p.b);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var sum7 = vec4<f32>();
    var a = load_a(p, a_base, block_row + a_y, a_x);
    var b = load_b(p, b_base, y, quad);
    for (var k = 0u; k < p.depth; k += 16u) {
        wg_a[a_y * A_STRIDE + a_x] = a[0];
        wg_a[(a_y + 32u) * A_STRIDE + a_x] = a[1];
        wg_b[local] = b[0];
        wg_b[local + 128u] = b[1];
        workgroupBarrier();
        // The next part is on its way while this one is multiplied.
        a = load_a(p, a_base, block_row + a_y, k / 4u + 4u + a_x);
        b = load_b(p, b_base, k + 16u + y, quad);
        for (var i = 0u; i < 4u; i += 1u) {
            let at = 64u * i + x;
            let four = mat4x4<f32>(wg_b[at], wg_b[at + 16u], wg_b[at + 32u], wg_b[at + 48u]);
            let first = y * A_STRIDE + i;
            sum0 = add_product(sum0, wg_a[first], four);
            sum1 = add_product(sum1, wg_a[first + 8u * A_STRIDE], four);
            sum2 = add_product(sum2, wg_a[first + 16u * A_STRIDE], four);
            sum3 = add_product(sum3, wg_a[first + 24u * A_STRIDE], four);
            sum4 = add_product(sum4, wg_a[first + 32u * A_STRIDE], four);
            sum5 = add_product(sum5, wg_a[first + 40u * A_STRIDE], four);
            sum6 = add_product(sum6, wg_a[first + 48u * A_STRIDE], four);
            sum7 = add_product(sum7, wg_a[first + 56u * A_STRIDE], four);
        }
        workgroupBarrier();
    }
    if (quad < quads_of(p.cols)) {
        let bias = bias_of(p, lane, quad);
        if (row < p.rows) { finish(p, lane, row, quad, sum0 + bias); }
        if (row + 8u < p.rows) { finish(p, lane, row + 8u, quad, sum1 + bias); }
        if (row + 16u < p.rows) { finish(p, lane, row + 16u, quad, sum2 + bias); }
        if (row + 24u < p.rows) { finish(p, lane, row + 24u, quad, sum3 + bias); }
        if (row + 32u < p.rows) { finish(p, lane, row + 32u, quad, sum4 + bias); }
        if (row + 40u < p.rows) { finish(p, lane, row + 40u, quad, sum5 + bias); }
        if (row + 48u < p.rows) { finish(p, lane, row + 48u, quad, sum6 + bias); }
        if (row + 56u < p.rows) { finish(p, lane, row + 56u, quad, sum7 + bias); }
    }
}
