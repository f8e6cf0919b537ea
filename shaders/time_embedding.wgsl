// The flow's time as sines and cosines.
//   out[row] <- [sin(t f_0) .. sin(t f_(half-1)), cos(t f_0) .. cos(t f_(half-1))]
// GFP release, `utils/networks.py`. t: [rows, 1] in [0, 1]; frequencies: [half], each at most 1; out: [rows, 2 half].
// One invocation per quad of out.

struct Problem {
    first_group: u32,
    t: u32,
    t_stride: u32,
    frequencies: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    half: u32,
}

// The frequency of column `col` of the embedding. Beyond the last it is some frequency, for padding to overwrite.
fn frequency(base: u32, half: u32, col: u32) -> f32 {
    let i = col % half;
    return activations[base + i / 4u][i & 3u];
}

@compute @workgroup_size(64)
fn time_embedding(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let element = (number - p.first_group) * 64u + local;
    let quads = quads_of(2u * p.half);
    let row = element / quads;
    let quad = element % quads;
    if (row < p.rows) {
        let t = activations[activations_at(lane, p.t + row * p.t_stride)].x;
        let base = activations_at(lane, p.frequencies);
        // Column by column, since a quad may hold the last sines and the first cosines.
        let col = 4u * quad;
        let angle = t * vec4<f32>(
            frequency(base, p.half, col),
            frequency(base, p.half, col + 1u),
            frequency(base, p.half, col + 2u),
            frequency(base, p.half, col + 3u),
        );
        let both = sin_cos_unit(angle);
        let is_sine = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.half);
        let value = select(both.cos, both.sin, is_sine);
        activations[activations_at(lane, p.out + row * p.out_stride) + quad] = pad(value, quad, 2u * p.half);
    }
}
