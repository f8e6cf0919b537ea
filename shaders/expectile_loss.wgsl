// Asymmetric squared error of a state's value against the critics, and its gradient.
//   out[row] = [w (target - v)^2, target]    d_v = -2 w (target - v) / rows    w = expectile where target >= v, else 1 - it
// Kostrikov et al. 2022, eq. 5; fql `agents/iql.py`, `value_loss`. The target aggregates the members. q: [members * rows,
// 1], member after member; v, d_v: [rows, 1]; out: [rows, 2]. One invocation per row. Gradient reaches: value. Stopped at:
// target.

struct Problem {
    first_group: u32,
    q: u32,
    q_stride: u32,
    members: u32,
    over_members: u32,
    v: u32,
    v_stride: u32,
    d_v: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    expectile: u32,
}

@compute @workgroup_size(64)
fn expectile_loss(
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
    let expectile = scalar(lane, p.expectile);
    let q = activations_at(lane, p.q);
    let target_value = aggregate_members(p.over_members, p.members, q, p.q_stride / 4u, p.rows, row);
    let error = target_value - activations[activations_at(lane, p.v + row * p.v_stride)].x;
    let weight = select(1.0 - expectile, expectile, error >= 0.0);
    let slope = -2.0 / f32(p.rows);
    activations[activations_at(lane, p.d_v + row * p.v_stride)] = vec4<f32>(slope * weight * error, 0.0, 0.0, 0.0);
    let at = activations_at(lane, p.out + row * p.out_stride);
    activations[at] = vec4<f32>(weight * error * error, target_value, 0.0, 0.0);
}
