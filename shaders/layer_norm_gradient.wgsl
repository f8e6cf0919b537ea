// The gradient with respect to a layer norm's scale and bias.
//   d_scale = sum over rows of d_out * (x - mean) / deviation    d_bias = sum over rows of d_out
// d_out, x: [rows, cols]; stats: [rows, 2] = [mean, 1 / deviation]; d_scale, d_bias: [cols]. A workgroup takes eight quads
// of columns; its sixteen slices of eight invocations each sum every sixteenth row, and the first slice adds the sums.

struct Problem {
    first_group: u32,
    d_out: u32,
    d_out_stride: u32,
    x: u32,
    x_stride: u32,
    stats: u32,
    stats_stride: u32,
    d_scale: u32,
    d_bias: u32,
    rows: u32,
    cols: u32,
}

const SLICES: u32 = 16u;

var<workgroup> wg_d_scale: array<vec4<f32>, 128>;
var<workgroup> wg_d_bias: array<vec4<f32>, 128>;

@compute @workgroup_size(128)
fn layer_norm_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let quad = (number - p.first_group) * 8u + local % 8u;
    let quads = quads_of(p.cols);
    let slice = local / 8u;
    var d_scale = vec4<f32>(0.0);
    var d_bias = vec4<f32>(0.0);
    if (quad < quads) {
        for (var row = slice; row < p.rows; row += SLICES) {
            let stats = activations[activations_at(lane, p.stats + row * p.stats_stride)];
            let d_out = activations[activations_at(lane, p.d_out + row * p.d_out_stride) + quad];
            let x = activations[activations_at(lane, p.x + row * p.x_stride) + quad];
            d_scale += d_out * ((x - stats.x) * stats.y);
            d_bias += d_out;
        }
    }
    wg_d_scale[local] = d_scale;
    wg_d_bias[local] = d_bias;
    workgroupBarrier();
    if (slice == 0u && quad < quads) {
        for (var i = 1u; i < SLICES; i += 1u) {
            d_scale += wg_d_scale[8u * i + local];
            d_bias += wg_d_bias[8u * i + local];
        }
        training[training_at(lane, p.d_scale) + quad] = pad(d_scale, quad, p.cols);
        training[training_at(lane, p.d_bias) + quad] = pad(d_bias, quad, p.cols);
    }
}
