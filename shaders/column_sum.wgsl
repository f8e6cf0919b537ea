// The gradient with respect to a layer's bias.
//   out[col] = sum over rows of a[row, col]
// a: [rows, cols]; out: [cols]. A workgroup takes eight quads of columns; its sixteen slices of eight invocations each
// sum every sixteenth row, and the first slice adds the sixteen sums in order.

struct Problem {
    first_group: u32,
    a: u32,
    a_stride: u32,
    out: u32,
    rows: u32,
    cols: u32,
}

const SLICES: u32 = 16u;

var<workgroup> wg_sums: array<vec4<f32>, 128>;

@compute @workgroup_size(128)
fn column_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let quad = (number - p.first_group) * 8u + local % 8u;
    let quads = p.cols / 4u;
    let slice = local / 8u;
    var sum = vec4<f32>(0.0);
    if (quad < quads) {
        for (var row = slice; row < p.rows; row += SLICES) {
            sum += activations[activations_at(lane, p.a + row * p.a_stride) + quad];
        }
    }
    wg_sums[local] = sum;
    workgroupBarrier();
    if (slice == 0u && quad < quads) {
        for (var i = 1u; i < SLICES; i += 1u) {
            sum += wg_sums[8u * i + local];
        }
        training[training_at(lane, p.out) + quad] = sum;
    }
}
