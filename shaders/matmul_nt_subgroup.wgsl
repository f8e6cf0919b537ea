// `matmul_nt` for software adapters with subgroups of eight invocations or more.
//   out = (a b^T) * factor, element by element
// Shapes as in matmul_nt.wgsl. Who does what is as in matmul_nn_subgroup.wgsl, which also says why.

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

// Quad `k_quad` of the depth, of four rows of b, transposed; `at` is the quad 0 of the first of them.
fn load_b(p: Problem, at: u32, k_quad: u32) -> mat4x4<f32> {
    let step = p.b_stride / 4u;
    let first = at + k_quad;
    return transpose(
        mat4x4<f32>(weights[first], weights[first + step], weights[first + 2u * step], weights[first + 3u * step])
    );
}

@compute @workgroup_size(8)
fn matmul_nt_subgroup(
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
    let quads = quads_of(p.cols);
    if (row >= p.rows) {
        return;
    }
    let b = weights_at(lane, p.b);
    let at_b0 = b + min(quad, quads - 1u) * p.b_stride;
    let at_b1 = b + min(quad + 1u, quads - 1u) * p.b_stride;
    let last = p.rows - 1u;
    let step = p.a_stride / 4u;
    let a = activations_at(lane, p.a);
    let at_a0 = a + min(row + local, last) * step;
    let at_a1 = a + min(row + 8u + local, last) * step;
    let at_a2 = a + min(row + 16u + local, last) * step;
    let at_a3 = a + min(row + 24u + local, last) * step;
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
        let b0 = load_b(p, at_b0, k / 4u);
        let b1 = load_b(p, at_b1, k / 4u);
        let mine0 = activations[at_a0 + k / 4u];
        let a0 = low_rows(mine0);
        sum00 = add_products(sum00, a0, b0);
        sum01 = add_products(sum01, a0, b1);
        let a1 = high_rows(mine0);
        sum10 = add_products(sum10, a1, b0);
        sum11 = add_products(sum11, a1, b1);
        let mine1 = activations[at_a1 + k / 4u];
        let a2 = low_rows(mine1);
        sum20 = add_products(sum20, a2, b0);
        sum21 = add_products(sum21, a2, b1);
        let a3 = high_rows(mine1);
        sum30 = add_products(sum30, a3, b0);
        sum31 = add_products(sum31, a3, b1);
        let mine2 = activations[at_a2 + k / 4u];
        let a4 = low_rows(mine2);
        sum40 = add_products(sum40, a4, b0);
        sum41 = add_products(sum41, a4, b1);
        let a5 = high_rows(mine2);
        sum50 = add_products(sum50, a5, b0);
        sum51 = add_products(sum51, a5, b1);
        let mine3 = activations[at_a3 + k / 4u];
        let a6 = low_rows(mine3);
        sum60 = add_products(sum60, a6, b0);
        sum61 = add_products(sum61, a6, b1);
        let a7 = high_rows(mine3);
        sum70 = add_products(sum70, a7, b0);
        sum71 = add_products(sum71, a7, b1);
    }
    park(p, lane, row, quad, sum00);
    park(p, lane, row, quad + 1u, sum01);
    park(p, lane, row + 4u, quad, sum10);
    park(p, lane, row + 4u, quad + 1u, sum11);
    park(p, lane, row + 8u, quad, sum20);
    park(p, lane, row + 8u, quad + 1u, sum21);
    park(p, lane, row + 12u, quad, sum30);
    park(p, lane, row + 12u, quad + 1u, sum31);
    park(p, lane, row + 16u, quad, sum40);
    park(p, lane, row + 16u, quad + 1u, sum41);
    park(p, lane, row + 20u, quad, sum50);
    park(p, lane, row + 20u, quad + 1u, sum51);
    park(p, lane, row + 24u, quad, sum60);
    park(p, lane, row + 24u, quad + 1u, sum61);
    park(p, lane, row + 28u, quad, sum70);
    park(p, lane, row + 28u, quad + 1u, sum71);
    if (p.factor == NONE) {
        return;
    }
    for (var i = 0u; i < 64u; i += 1u) {
        let r = row + i / 2u;
        let q = quad + i % 2u;
        if (r < p.rows && q < quads) {
            let factor = activations[activations_at(lane, p.factor + r * p.factor_stride) + q];
            activations[activations_at(lane, p.out + r * p.out_stride) + q] *= factor;
        }
    }
}
