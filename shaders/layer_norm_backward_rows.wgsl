// `layer_norm_backward` for software adapters: one invocation per row, no barriers.
//   d_x = (g - mean(g) - n mean(g n)) / deviation * factor,  g = scale d_out,  n = (x - mean) / deviation
// Formula and shapes as in layer_norm_backward.wgsl.

struct Problem {
    first_group: u32,
    d_out: u32,
    d_out_stride: u32,
    x: u32,
    x_stride: u32,
    stats: u32,
    stats_stride: u32,
    scale: u32,
    factor: u32,
    factor_stride: u32,
    d_x: u32,
    d_x_stride: u32,
    rows: u32,
    cols: u32,
}

@compute @workgroup_size(8)
fn layer_norm_backward_rows(
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
    let d_out = activations_at(lane, p.d_out + row * p.d_out_stride);
    let x = activations_at(lane, p.x + row * p.x_stride);
    let factor = activations_at(lane, p.factor + row * p.factor_stride);
    let d_x = activations_at(lane, p.d_x + row * p.d_x_stride);
    let scale = weights_at(lane, p.scale);
    let stats = activations[activations_at(lane, p.stats + row * p.stats_stride)]; // [mean, 1 / deviation]
    let quads = quads_of(p.cols);
    var sum = vec4<f32>(0.0);
    var product_sum = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let g = pad(activations[d_out + quad] * weights[scale + quad], quad, p.cols);
        sum += g;
        product_sum += pad(g * ((activations[x + quad] - stats.x) * stats.y), quad, p.cols);
    }
    let mean_g = across(sum) / f32(p.cols);
    let mean_gn = across(product_sum) / f32(p.cols);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let g = activations[d_out + quad] * weights[scale + quad];
        let normal = (activations[x + quad] - stats.x) * stats.y;
        let value = (g - mean_g - normal * mean_gn) * stats.y * activations[factor + quad];
        activations[d_x + quad] = pad(value, quad, p.cols);
    }
}
