// `matmul_tn` in blocks of 64 x 64; matmul_nn_large.wgsl says why.
//   out = a^T b    sums = sum over the depth of b
// Shapes as in matmul_tn.wgsl, and the same bits. A workgroup of 16 x 8 invocations: invocation (x, y) makes the quad x of
// the rows 4 y to 4 y + 3 and of those 32 further down.

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

// The block's parts of a and b: 16 rows of the depth, each sixteen quads.
var<workgroup> wg_a: array<vec4<f32>, 256>;
var<workgroup> wg_b: array<vec4<f32>, 256>;

// The quad at `at`, of rows k and k + 8 of the depth; zero beyond its end. `step` quads make a row.
fn load(p: Problem, at: u32, step: u32, k: u32) -> mat2x4<f32> {
    var rows = mat2x4<f32>();
    let first = at + k * step;
    if (k < p.depth) { rows[0] = activations[first]; }
    if (k + 8u < p.depth) { rows[1] = activations[first + 8u * step]; }
    return rows;
}

fn store_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    if (row < p.rows && quad < p.cols / 4u) {
        let step = p.out_stride / 4u;
        let out = training_at(lane, p.out) + row * step + quad;
        training[out] = sums[0];
        training[out + step] = sums[1];
        training[out + 2u * step] = sums[2];
        training[out + 3u * step] = sums[3];
    }
}

@compute @workgroup_size(128)
fn matmul_tn_large(
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
    let first_row = tile / across_blocks * 64u;
    let quad = tile % across_blocks * 16u + x;
    let quads = p.cols / 4u;
    // Beyond the edges the last quad stands in; what comes of it is not stored.
    let a_at = activations_at(lane, p.a) + min(first_row / 4u + x, p.rows / 4u - 1u);
    let b_at = activations_at(lane, p.b) + min(quad, quads - 1u);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var sum4 = vec4<f32>();
    var sum5 = vec4<f32>();
    var sum6 = vec4<f32>();
    var sum7 = vec4<f32>();
    // The sums fall to the blocks of the first rows: every invocation adds what it stages.
    var staged = vec4<f32>();
    var a = load(p, a_at, p.a_stride / 4u, y);
    var b = load(p, b_at, p.b_stride / 4u, y);
    for (var k = 0u; k < p.depth; k += 16u) {
        wg_a[local] = a[0];
        wg_a[local + 128u] = a[1];
        wg_b[local] = b[0];
        wg_b[local + 128u] = b[1];
        staged += b[0] + b[1];
        workgroupBarrier();
        // The next part is on its way while this one is multiplied.
        a = load(p, a_at, p.a_stride / 4u, k + 16u + y);
        b = load(p, b_at, p.b_stride / 4u, k + 16u + y);
        for (var i = 0u; i < 16u; i += 1u) {
            let near = wg_a[16u * i + y];
            let far = wg_a[16u * i + 8u + y];
            let cols = wg_b[16u * i + x];
            sum0 = fma(near.xxxx, cols, sum0);
            sum1 = fma(near.yyyy, cols, sum1);
            sum2 = fma(near.zzzz, cols, sum2);
            sum3 = fma(near.wwww, cols, sum3);
            sum4 = fma(far.xxxx, cols, sum4);
            sum5 = fma(far.yyyy, cols, sum5);
            sum6 = fma(far.zzzz, cols, sum6);
            sum7 = fma(far.wwww, cols, sum7);
        }
        workgroupBarrier();
    }
    if (first_row == 0u) {
        wg_b[local] = staged;
        workgroupBarrier();
        if (y == 0u && quad < quads) {
            let low = (wg_b[x] + wg_b[16u + x]) + (wg_b[32u + x] + wg_b[48u + x]);
            let high = (wg_b[64u + x] + wg_b[80u + x]) + (wg_b[96u + x] + wg_b[112u + x]);
            training[training_at(lane, p.sums) + quad] = low + high;
        }
    }
    store_four(p, lane, first_row + 4u * y, quad, mat4x4<f32>(sum0, sum1, sum2, sum3));
    store_four(p, lane, first_row + 32u + 4u * y, quad, mat4x4<f32>(sum4, sum5, sum6, sum7));
}
