// Each row to mean 0 and variance 1, then scaled and shifted.
//   out = scale * (x - mean) / sqrt(variance + epsilon) + bias
// flax `LayerNorm`: biased variance; here the mean squared distance from the mean, not E[x^2] - E[x]^2, which cancels in
// f32. x, out: [rows, cols]; scale, bias: [cols]; stats: [rows, 2] = [mean, 1 / sqrt(variance + epsilon)]. One workgroup
// per row, an invocation takes every 64th quad.

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

@compute @workgroup_size(64)
fn layer_norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let row = number - p.first_group;
    if (row >= p.rows) {
        return;
    }
    let x = activations_at(lane, p.x + row * p.x_stride);
    let quads = quads_of(p.cols);
    var sum = vec4<f32>(0.0);
    for (var quad = local; quad < quads; quad += 64u) {
        sum += pad(activations[x + quad], quad, p.cols);
    }
    let mean = across(sum_64(local, sum)) / f32(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = local; quad < quads; quad += 64u) {
        let distance = pad(activations[x + quad] - mean, quad, p.cols);
        squares += distance * distance;
    }
    let variance = across(sum_64(local, squares)) / f32(p.cols);
    let inverse = 1.0 / sqrt(variance + scalar(lane, p.epsilon));
    let out = activations_at(lane, p.out + row * p.out_stride);
    let scale = weights_at(lane, p.scale);
    let bias = weights_at(lane, p.bias);
    for (var quad = local; quad < quads; quad += 64u) {
        let normal = (activations[x + quad] - mean) * inverse;
        activations[out + quad] = pad(normal * weights[scale + quad] + weights[bias + quad], quad, p.cols);
    }
    if (local == 0u && p.stats != NONE) {
        activations[activations_at(lane, p.stats + row * p.stats_stride)] = vec4<f32>(mean, inverse, 0.0, 0.0);
    }
}
