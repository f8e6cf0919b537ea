// Standard normals, or uniforms in [0, 1).
//   out[row, 4 quad ..] <- law(philox(step, stream, row * quads + quad))
// out: [rows, cols]. One invocation per quad of out; the numbers do not depend on which one computes them.

struct Problem {
    first_group: u32,
    clock: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
    stream: u32,
    distribution: u32,
}

// The numbers of src/kernels/noise.rs, `Distribution`; the other is 0, normal.
const UNIFORM: u32 = 1u;

@compute @workgroup_size(64)
fn noise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let element = (number - p.first_group) * 64u + local;
    let quads = quads_of(p.cols);
    let row = element / quads;
    let quad = element % quads;
    if (row < p.rows) {
        let bits = random_words(words_at(lane, p.clock), p.stream, element);
        var value: vec4<f32>;
        if (p.distribution == UNIFORM) {
            value = uniforms(bits);
        } else {
            value = normals(bits);
        }
        activations[activations_at(lane, p.out + row * p.out_stride) + quad] = pad(value, quad, p.cols);
    }
}
