// A squashed actor's gradient: towards the data's action, and up the critics, in some updates only.
//   out[row] = [alpha sum over dims of (a - data)^2, 1 where it counts]
//   d_z = (2 alpha (a - data) / rows + d_action) (1 - a^2)    a = tanh z; zero where it does not count
// fql `agents/rebrac.py`, `actor_loss`: the sum over the dims, not their mean. action (a), data, d_z: [rows, cols];
// d_action: [members * rows, cols], summed over the members; out: [rows, 2]. Counts in updates whose number is a multiple
// of the period. One invocation per row. Gradient reaches: actor. Stopped at: critics.

struct Problem {
    first_group: u32,
    action: u32,
    action_stride: u32,
    data: u32,
    data_stride: u32,
    d_action: u32,
    d_action_stride: u32,
    members: u32,
    d_z: u32,
    d_z_stride: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
    alpha: u32,
    clock: u32,
    period: u32,
}

@compute @workgroup_size(64)
fn bc_penalty(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let row = (number - p.first_group) * 64u + local;
    if (row >= p.rows) {
        return;
    }
    let alpha = scalar(lane, p.alpha);
    let slope = alpha * 2.0 / f32(p.rows);
    let counts = takes_part(lane, p.clock, p.period);
    let quads = quads_of(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let a = activations[activations_at(lane, p.action + row * p.action_stride) + quad];
        let data = activations[activations_at(lane, p.data + row * p.data_stride) + quad];
        let error = pad(a - data, quad, p.cols);
        squares += error * error;
        var ascent = vec4<f32>(0.0);
        for (var member = 0u; member < p.members; member += 1u) {
            let at = p.d_action + (member * p.rows + row) * p.d_action_stride;
            ascent += activations[activations_at(lane, at) + quad];
        }
        let d_z = select(vec4<f32>(0.0), (slope * error + ascent) * (1.0 - a * a), counts);
        activations[activations_at(lane, p.d_z + row * p.d_z_stride) + quad] = pad(d_z, quad, p.cols);
    }
    let out = activations_at(lane, p.out + row * p.out_stride);
    activations[out] = vec4<f32>(alpha * across(squares), select(0.0, 1.0, counts), 0.0, 0.0);
}
