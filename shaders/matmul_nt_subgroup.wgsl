// `matmul_nt` for software adapters with subgroups of 16 invocations or more.
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

// Four rows of results.
fn finish_four(p: Problem, lane: u32, row: u32, quad: u32, sums: mat4x4<f32>) {
    for (var i = 0u; i < 4u && row + i < p.rows; i += 1u) {
        var value = pick(sums, i);
        if (p.factor != NONE) {
            value *= activations[activations_at(lane, p.factor + (row + i) * p.factor_stride) + quad];
        }
        activations[activations_at(lane, p.out + (row + i) * p.out_stride) + quad] = value;
    }
}

@compute @workgroup_size(16)
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
    let row = tile / across_tiles * 64u;
    let quad = tile % across_tiles * 16u + local;
    let quads = quads_of(p.cols);
    if (row >= p.rows) {
        return;
    }
    let at_b = weights_at(lane, p.b) + min(quad, quads - 1u) * p.b_stride;
    let a = activations_at(lane, p.a);
    let last = p.rows - 1u;
    let step = p.a_stride / 4u;
    let at_a0 = a + min(row + local, last) * step;
    let at_a1 = a + min(row + 16u + local, last) * step;
    let at_a2 = a + min(row + 32u + local, last) * step;
    let at_a3 = a + min(row + 48u + local, last) * step;
    let deep = quads_of(p.depth);
    var sums = Sums();
    for (var k = 0u; k < deep; k += 2u) {
        let b0 = load_b(p, at_b, k);
        add_sixteen(&sums, 0u, activations[at_a0 + k], b0);
        add_sixteen(&sums, 4u, activations[at_a1 + k], b0);
        add_sixteen(&sums, 8u, activations[at_a2 + k], b0);
        add_sixteen(&sums, 12u, activations[at_a3 + k], b0);
        // Past the last quad of the depth the last one again, times zero.
        let next = min(k + 1u, deep - 1u);
        let some = vec4<bool>(k + 1u < deep);
        let b1 = load_b(p, at_b, next);
        add_sixteen(&sums, 0u, select(vec4<f32>(), activations[at_a0 + next], some), b1);
        add_sixteen(&sums, 4u, select(vec4<f32>(), activations[at_a1 + next], some), b1);
        add_sixteen(&sums, 8u, select(vec4<f32>(), activations[at_a2 + next], some), b1);
        add_sixteen(&sums, 12u, select(vec4<f32>(), activations[at_a3 + next], some), b1);
    }
    if (quad >= quads) {
        return;
    }
    finish_four(p, lane, row, quad, sums[0]);
    finish_four(p, lane, row + 4u, quad, sums[1]);
    finish_four(p, lane, row + 8u, quad, sums[2]);
    finish_four(p, lane, row + 12u, quad, sums[3]);
    finish_four(p, lane, row + 16u, quad, sums[4]);
    finish_four(p, lane, row + 20u, quad, sums[5]);
    finish_four(p, lane, row + 24u, quad, sums[6]);
    finish_four(p, lane, row + 28u, quad, sums[7]);
    finish_four(p, lane, row + 32u, quad, sums[8]);
    finish_four(p, lane, row + 36u, quad, sums[9]);
    finish_four(p, lane, row + 40u, quad, sums[10]);
    finish_four(p, lane, row + 44u, quad, sums[11]);
    finish_four(p, lane, row + 48u, quad, sums[12]);
    finish_four(p, lane, row + 52u, quad, sums[13]);
    finish_four(p, lane, row + 56u, quad, sums[14]);
    finish_four(p, lane, row + 60u, quad, sums[15]);
}
