// `matmul_tn` for software adapters: no barriers and no workgroup memory, which cost a processor more than the
// products; whole vec4 loads, because there a load costs by the access and not by the byte.
//   out = a^T b
// Shapes as in matmul_tn.wgsl. A workgroup of eight invocations makes 8 rows of 64 columns: each the quads `near` and
// `far`, 32 columns apart, of all eight rows, so that four loads feed 16 products.

struct Problem {
    first_group: u32,
    a: u32,
    a_stride: u32,
    b: u32,
    b_stride: u32,
    out: u32,
    out_stride: u32,
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
    if (4u * quad < p.cols && row < p.rows) {
        let step = p.out_stride / 4u;
        let out = training_at(lane, p.out) + row * step + quad;
        training[out] = sums[0];
        training[out + step] = sums[1];
        training[out + 2u * step] = sums[2];
        training[out + 3u * step] = sums[3];
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
    let across_tiles = (p.cols + 63u) / 64u;
    let row = tile / across_tiles * 8u;
    if (row >= p.rows) {
        return;
    }
    let near = tile % across_tiles * 16u + local;
    let far = near + 8u;
    // Beyond the edges the last quads stand in; what comes of them is not stored.
    let last = p.cols / 4u - 1u;
    let a_at = activations_at(lane, p.a) + row / 4u;
    let two = select(0u, 1u, row + 4u < p.rows);
    let b_at = activations_at(lane, p.b);
    let a_step = p.a_stride / 4u;
    let b_step = p.b_stride / 4u;
    var near_top = mat4x4<f32>();
    var near_low = mat4x4<f32>();
    var far_top = mat4x4<f32>();
    var far_low = mat4x4<f32>();
    for (var k = 0u; k < p.depth; k += 1u) {
        let top = activations[a_at + k * a_step];
        let low = activations[a_at + k * a_step + two];
        let near_b = activations[b_at + k * b_step + min(near, last)];
        let far_b = activations[b_at + k * b_step + min(far, last)];
        near_top = add_outer(near_top, top, near_b);
        near_low = add_outer(near_low, low, near_b);
        far_top = add_outer(far_top, top, far_b);
        far_low = add_outer(far_low, low, far_b);
    }
    store_four(p, lane, row, near, near_top);
    store_four(p, lane, row + 4u, near, near_low);
    store_four(p, lane, row, far, far_top);
    store_four(p, lane, row + 4u, far, far_low);
}
