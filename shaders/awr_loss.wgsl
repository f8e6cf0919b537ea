// Advantage-weighted regression of a Gaussian policy with unit deviation, and its gradient.
//   out[row] = [-w log N, advantage, w, log N]    d_mean = -w (action - mean) / rows
//   w = min(exp(alpha advantage), cap)    advantage = Q - v    log N = -sum over dims of ((action - mean)^2 + ln 2 pi) / 2
// Kostrikov et al. 2022, eq. 7; fql `agents/iql.py`, `actor_loss`. Q aggregates the members. q: [members * rows, 1], member
// after member; v: [rows, 1]; mean, action, d_mean: [rows, cols]; out: [rows, 4]. One invocation per row. Gradient
// reaches: actor. Stopped at: w, hence the critics and the value.

struct Problem {
    first_group: u32,
    q: u32,
    q_stride: u32,
    members: u32,
    over_members: u32,
    v: u32,
    v_stride: u32,
    mean: u32,
    mean_stride: u32,
    action: u32,
    action_stride: u32,
    d_mean: u32,
    d_mean_stride: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
    alpha: u32,
    cap: u32,
}

const HALF_LN_TAU: f32 = 0.91893853320467274178;

@compute @workgroup_size(64)
fn awr_loss(
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
    let q = aggregate_members(p.over_members, p.members, activations_at(lane, p.q), p.q_stride / 4u, p.rows, row);
    let advantage = q - activations[activations_at(lane, p.v + row * p.v_stride)].x;
    let weight = min(real_exp(vec4<f32>(scalar(lane, p.alpha) * advantage)).x, f32(p.cap));
    let slope = -weight / f32(p.rows);
    let quads = quads_of(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let mean = activations[activations_at(lane, p.mean + row * p.mean_stride) + quad];
        let action = activations[activations_at(lane, p.action + row * p.action_stride) + quad];
        let error = pad(action - mean, quad, p.cols);
        squares += error * error;
        activations[activations_at(lane, p.d_mean + row * p.d_mean_stride) + quad] = slope * error;
    }
    let log_prob = -0.5 * across(squares) - f32(p.cols) * HALF_LN_TAU;
    let out = activations_at(lane, p.out + row * p.out_stride);
    activations[out] = vec4<f32>(-weight * log_prob, advantage, weight, log_prob);
}
