// The Bellman target of a batch.
//   y = reward + discount * mask * (aggregate over candidates of (aggregate over critics of Q) - penalty)
//   penalty = weight * sum over dims of (action - reference)^2
// GFP release `agents/gfp.py`, `critic_loss`; the penalty: fql `agents/rebrac.py`. q_first, q_second: [members * rows, 1],
// member after member; reward_mask: [rows, 2]; action, reference: [rows, cols]; out: [rows, 4] = [y, next_q, first,
// second], next_q less the penalty. One invocation per row. Gradient reaches: nothing.

struct Problem {
    first_group: u32,
    q_first: u32,
    q_second: u32,
    q_stride: u32,
    members: u32,
    reward_mask: u32,
    reward_mask_stride: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    over_members: u32,
    over_candidates: u32,
    discount: u32,
    action: u32,
    action_stride: u32,
    reference: u32,
    reference_stride: u32,
    cols: u32,
    penalty: u32,
}

// What is taken off the next value of a row.
fn penalty_of(p: Problem, lane: u32, row: u32) -> f32 {
    if (p.action == NONE) {
        return 0.0;
    }
    let action = activations_at(lane, p.action + row * p.action_stride);
    let reference = activations_at(lane, p.reference + row * p.reference_stride);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads_of(p.cols); quad += 1u) {
        let error = pad(activations[action + quad] - activations[reference + quad], quad, p.cols);
        squares += error * error;
    }
    return scalar(lane, p.penalty) * across(squares);
}

@compute @workgroup_size(64)
fn td_target(
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
    let two = p.q_second != NONE;
    let step = p.q_stride / 4u;
    let first = aggregate_members(p.over_members, p.members, activations_at(lane, p.q_first), step, p.rows, row);
    var second = 0.0;
    if (two) {
        second = aggregate_members(p.over_members, p.members, activations_at(lane, p.q_second), step, p.rows, row);
    }
    let next_q = aggregate_two(p.over_candidates, first, second, two) - penalty_of(p, lane, row);
    let reward_mask = activations[activations_at(lane, p.reward_mask + row * p.reward_mask_stride)];
    let y = reward_mask.x + scalar(lane, p.discount) * reward_mask.y * next_q;
    activations[activations_at(lane, p.out + row * p.out_stride)] = vec4<f32>(y, next_q, first, second);
}
