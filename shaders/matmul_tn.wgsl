// The gradient with respect to a layer's weights and bias.
//   out = a^T b    sums = sum over the depth of b
// a: [depth, rows]; b: [depth, cols]; out: [rows, cols]; sums: [cols]. A workgroup of 8 x 8 invocations makes a block of
// 32 x 32: invocation (x, y) the quad x of its rows 4 y to 4 y + 3. matmul_nn.wgsl says why so.

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

// The block's parts of a and b: 32 rows of the depth, each eight quads.
var<workgroup> wg_a: array<vec4<f32>, 256>;
var<workgroup> wg_b: array<vec4<f32>, 256>;

// The quad at `at`, of rows k, k + 8, k + 16 and k + 24 of the depth; zero beyond its end. `step` quads make a row.
fn load(p: Problem, at: u32, step: u32, k: u32) -> mat4x4<f32> {
    var rows = mat4x4<f32>();
    let first = at + k * step;
    if (k < p.depth) { rows[0] = activations[first]; }
    if (k + 8u < p.depth) { rows[1] = activations[first + 8u * step]; }
    if (k + 16u < p.depth) { rows[2] = activations[first + 16u * step]; }
    if (k + 24u < p.depth) { rows[3] = activations[first + 24u * step]; }
    return rows;
}

@compute @workgroup_size(64)
fn matmul_tn(
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
    let first_row = tile / across_blocks * 32u;
    let quad = tile % across_blocks * 8u + x;
    let quads = p.cols / 4u;
    let row_quads = p.rows / 4u;
    // Beyond the edges the last quad stands in; what comes of it is not stored.
    let a_at = activations_at(lane, p.a) + min(first_row / 4u + x, row_quads - 1u);
    let b_at = activations_at(lane, p.b) + min(quad, quads - 1u);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    // The sums fall to the blocks of the first rows: every invocation adds what it stages.
    var staged = vec4<f32>();
    var a = load(p, a_at, p.a_stride / 4u, y);
    var b = load(p, b_at, p.b_stride / 4u, y);
    for (var k = 0u; k < p.depth; k += 32u) {
        wg_a[local] = a[0];
        wg_a[local + 64u] = a[1];
        wg_a[local + 128u] = a[2];
        wg_a[local + 192u] = a[3];
        wg_b[local] = b[0];
        wg_b[local + 64u] = b[1];
        wg_b[local + 128u] = b[2];
        wg_b[local + 192u] = b[3];
        staged += b[0] + b[1];
        staged += b[2] + b[3];
        workgroupBarrier();
        // The next part is on its way while this one is multiplied.
        a = load(p, a_at, p.a_stride / 4u, k + 32u + y);
        b = load(p, b_at, p.b_stride / 4u, k + 32u + y);
        for (var i = 0u; i < 32u; i += 1u) {
            let rows = wg_a[8u * i + y];
            let cols = wg_b[8u * i + x];
            sum0 = fma(rows.xxxx, cols, sum0);
            sum1 = fma(rows.yyyy, cols, sum1);
            sum2 = fma(rows.zzzz, cols, sum2);
            sum3 = fma(rows.wwww, cols, sum3);
        }
        workgroupBarrier();
    }
    if (first_row == 0u) {
        wg_b[local] = staged;
        workgroupBarrier();
        if (y == 0u && quad < quads) {
            let low = (wg_b[x] + wg_b[8u + x]) + (wg_b[16u + x] + wg_b[24u + x]);
            let high = (wg_b[32u + x] + wg_b[40u + x]) + (wg_b[48u + x] + wg_b[56u + x]);
            training[training_at(lane, p.sums) + quad] = low + high;
        }
    }
    let row = first_row + 4u * y;
    if (row < p.rows && quad < quads) {
        let step = p.out_stride / 4u;
        let out = training_at(lane, p.out) + row * step + quad;
        training[out] = sum0;
        training[out + step] = sum1;
        training[out + 2u * step] = sum2;
        training[out + 3u * step] = sum3;
    }
}
