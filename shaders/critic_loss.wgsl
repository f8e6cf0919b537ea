// Squared Bellman error of an ensemble, and its gradient.
//   terms[row] = sum over members of (q - y)^2 / divisor    d_q = 2 (q - y) / (divisor * rows)
// fql `agents/fql.py`, `critic_loss`: the mean over the critics (divisor: their number) halves each one's gradient;
// `agents/iql.py` takes the sum (divisor 1). q, d_q: [members * rows, 1], member after member; y: the first column of a
// matrix of rows; terms: [rows, 1]. One invocation per row. Gradient reaches: critics. Stopped at: y.

struct Problem {
    first_group: u32,
    q: u32,
    q_stride: u32,
    members: u32,
    divisor: u32,
    y: u32,
    y_stride: u32,
    d_q: u32,
    terms: u32,
    terms_stride: u32,
    rows: u32,
}

@compute @workgroup_size(64)
fn critic_loss(
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
    let y = activations[activations_at(lane, p.y + row * p.y_stride)].x;
    let slope = 2.0 / f32(p.divisor * p.rows);
    var squares = 0.0;
    for (var member = 0u; member < p.members; member += 1u) {
        let at = (member * p.rows + row) * p.q_stride;
        let error = activations[activations_at(lane, p.q + at)].x - y;
        squares += error * error;
        activations[activations_at(lane, p.d_q + at)] = vec4<f32>(slope * error, 0.0, 0.0, 0.0);
    }
    let term = vec4<f32>(squares / f32(p.divisor), 0.0, 0.0, 0.0);
    activations[activations_at(lane, p.terms + row * p.terms_stride)] = term;
}
