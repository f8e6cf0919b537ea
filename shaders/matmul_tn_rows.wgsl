// `matmul_tn` for software adapters: no barriers and no workgroup memory, which cost a processor more than the
// products; whole vec4 loads and many sums for each, because there a load costs like 30 products.
//   out = a^T b    sums = sum over the depth of b
// Shapes as in matmul_tn.wgsl. Who does what is as in matmul_nn_rows.wgsl, which also says why; the sums fall to the
// workgroups of the first rows.

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

// sums + a^T b, for one of the depth.
fn add_outer(sums: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(a.xxxx, b, sums[0]),
        fma(a.yyyy, b, sums[1]),
        fma(a.zzzz, b, sums[2]),
        fma(a.wwww, b, sums[3]),
    );
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

// The sums of four quads of columns of b, from `quad` on.
fn sum_columns(p: Problem, lane: u32, quad: u32) {
    for (var q = quad; q < min(quad + 4u, p.cols / 4u); q += 1u) {
        var sum = vec4<f32>();
        for (var k = 0u; k < p.depth; k += 1u) {
            sum += activations[activations_at(lane, p.b + k * p.b_stride) + q];
        }
        training[training_at(lane, p.sums) + q] = sum;
    }
}

@compute @workgroup_size(8)
fn matmul_tn_rows(
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
    let quads = p.cols / 4u;
    if (row >= p.rows || quad >= quads) {
        return;
    }
    // Beyond the edges the last quads stand in; what comes of them is not stored.
    let b = activations_at(lane, p.b);
    let at0 = b + quad;
    let at1 = b + min(quad + 1u, quads - 1u);
    let at2 = b + min(quad + 2u, quads - 1u);
    let at3 = b + min(quad + 3u, quads - 1u);
    let a = activations_at(lane, p.a);
    let row_quads = p.rows / 4u;
    let from0 = a + row / 4u;
    let from1 = a + min(row / 4u + 1u, row_quads - 1u);
    let from2 = a + min(row / 4u + 2u, row_quads - 1u);
    let from3 = a + min(row / 4u + 3u, row_quads - 1u);
    let a_step = p.a_stride / 4u;
    let b_step = p.b_stride / 4u;
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
    for (var k = 0u; k < p.depth; k += 1u) {
        let b0 = activations[at0 + k * b_step];
        let b1 = activations[at1 + k * b_step];
        let b2 = activations[at2 + k * b_step];
        let b3 = activations[at3 + k * b_step];
        let a0 = activations[from0 + k * a_step];
        sum00 = add_outer(sum00, a0, b0);
        sum01 = add_outer(sum01, a0, b1);
        sum02 = add_outer(sum02, a0, b2);
        sum03 = add_outer(sum03, a0, b3);
        let a1 = activations[from1 + k * a_step];
        sum10 = add_outer(sum10, a1, b0);
        sum11 = add_outer(sum11, a1, b1);
        sum12 = add_outer(sum12, a1, b2);
        sum13 = add_outer(sum13, a1, b3);
        let a2 = activations[from2 + k * a_step];
        sum20 = add_outer(sum20, a2, b0);
        sum21 = add_outer(sum21, a2, b1);
        sum22 = add_outer(sum22, a2, b2);
        sum23 = add_outer(sum23, a2, b3);
        let a3 = activations[from3 + k * a_step];
        sum30 = add_outer(sum30, a3, b0);
        sum31 = add_outer(sum31, a3, b1);
        sum32 = add_outer(sum32, a3, b2);
        sum33 = add_outer(sum33, a3, b3);
    }
    store_four(p, lane, row, quad, sum00);
    store_four(p, lane, row, quad + 1u, sum01);
    store_four(p, lane, row, quad + 2u, sum02);
    store_four(p, lane, row, quad + 3u, sum03);
    store_four(p, lane, row + 4u, quad, sum10);
    store_four(p, lane, row + 4u, quad + 1u, sum11);
    store_four(p, lane, row + 4u, quad + 2u, sum12);
    store_four(p, lane, row + 4u, quad + 3u, sum13);
    store_four(p, lane, row + 8u, quad, sum20);
    store_four(p, lane, row + 8u, quad + 1u, sum21);
    store_four(p, lane, row + 8u, quad + 2u, sum22);
    store_four(p, lane, row + 8u, quad + 3u, sum23);
    store_four(p, lane, row + 12u, quad, sum30);
    store_four(p, lane, row + 12u, quad + 1u, sum31);
    store_four(p, lane, row + 12u, quad + 2u, sum32);
    store_four(p, lane, row + 12u, quad + 3u, sum33);
    if (row == 0u) {
        sum_columns(p, lane, quad);
    }
}
