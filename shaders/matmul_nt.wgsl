// The gradient with respect to a layer's input, with the derivative of the activation before it fused.
//   out = (a b^T) * factor, element by element
// a: [rows, depth]; b: [cols, depth]; out, factor: [rows, cols]. Who does what is as in matmul_nn.wgsl, which also says
// why; b is transposed on its way into workgroup memory.

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

// Quad `k_quad` of the depth, of four rows of b from `4 quad` on, transposed; zero beyond its edges.
fn load_b(p: Problem, base: u32, k_quad: u32, quad: u32) -> mat4x4<f32> {
    if (4u * k_quad >= p.depth || 4u * quad >= p.cols) {
        return mat4x4<f32>();
    }
    let step = p.b_stride / 4u;
    let at = base + 4u * quad * step + k_quad;
    return transpose(mat4x4<f32>(weights[at], weights[at + step], weights[at + 2u * step], weights[at + 3u * step]));
}

fn store(p: Problem, lane: u32, row: u32, quad: u32, product: vec4<f32>) {
    var value = product;
    if (p.factor != NONE) {
        value *= activations[activations_at(lane, p.factor + row * p.factor_stride) + quad];
    }
    activations[activations_at(lane, p.out + row * p.out_stride) + quad] = value;
}

@compute @workgroup_size(64)
fn matmul_nt(
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
    var b = load_b(p, b_base, y, quad);
    for (var k = 0u; k < p.depth; k += 32u) {
        wg_a[y * A_STRIDE + x] = a[0];
        wg_a[(y + 8u) * A_STRIDE + x] = a[1];
        wg_a[(y + 16u) * A_STRIDE + x] = a[2];
        wg_a[(y + 24u) * A_STRIDE + x] = a[3];
        wg_b[32u * y + x] = b[0];
        wg_b[32u * y + 8u + x] = b[1];
        wg_b[32u * y + 16u + x] = b[2];
        wg_b[32u * y + 24u + x] = b[3];
        workgroupBarrier();
        // The next part is on its way while this one is multiplied.
        a = load_a(p, a_base, row, k / 4u + 8u + x);
        b = load_b(p, b_base, k / 4u + 8u + y, quad);
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
    if (4u * quad < p.cols) {
        if (row < p.rows) { store(p, lane, row, quad, sum0); }
        if (row + 8u < p.rows) { store(p, lane, row + 8u, quad, sum1); }
        if (row + 16u < p.rows) { store(p, lane, row + 16u, quad, sum2); }
        if (row + 24u < p.rows) { store(p, lane, row + 24u, quad, sum3); }
    }
}
