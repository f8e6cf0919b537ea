// `layer_norm` for software adapters: one invocation per row. Without barriers, which cost a processor more than the sums.
//   out = scale * (x - mean) / sqrt(variance + epsilon) + bias
// Formula, source and shapes as in layer_norm.wgsl.

struct Problem {
    first_group: u32,
    x: u32,
    x_stride: u32,
    scale: u32,
    bias: u32,
    out: u32,
    out_stride: u32,
    stats: u32,
    stats_stride: u32,
    rows: u32,
    cols: u32,
    epsilon: u32,
}

@compute @workgroup_size(8)
fn layer_norm_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let row = (number - p.first_group) * 8u + local;
    if (row >= p.rows) {
        return;
    }
    let x = activations_at(lane, p.x + row * p.x_stride);
    let quads = quads_of(p.cols);
    var sum = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        sum += pad(activations[x + quad], quad, p.cols);
    }
    let mean = across(sum) / f32(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let distance = pad(activations[x + quad] - mean, quad, p.cols);
        squares += distance * distance;
    }
    let inverse = 1.0 / sqrt(across(squares) / f32(p.cols) + scalar(lane, p.epsilon));
    let out = activations_at(lane, p.out + row * p.out_stride);
    let scale = weights_at(lane, p.scale);
    let bias = weights_at(lane, p.bias);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let normal = (activations[x + quad] - mean) * inverse;
        activations[out + quad] = pad(normal * weights[scale + quad] + weights[bias + quad], quad, p.cols);
    }
    if (p.stats != NONE) {
        activations[activations_at(lane, p.stats + row * p.stats_stride)] = vec4<f32>(mean, inverse, 0.0, 0.0);
    }
}
