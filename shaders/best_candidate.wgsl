// Of several actions for a state, the one that the critics value most.
//   out[row] <- candidates[row, argmax of Q], the first of equals
// fql `agents/ifql.py`, `sample_actions`. Q aggregates the members. q: [members * rows * count, 1], member after member;
// candidates: [rows * count, cols], those of one state next to each other; out: [rows, cols]. One invocation per row.

struct Problem {
    first_group: u32,
    q: u32,
    q_stride: u32,
    members: u32,
    over_members: u32,
    candidates: u32,
    candidates_stride: u32,
    count: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
}

@compute @workgroup_size(64)
fn best_candidate(
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
    let q = activations_at(lane, p.q);
    let step = p.q_stride / 4u;
    let all = p.rows * p.count;
    var best = row * p.count;
    var best_value = aggregate_members(p.over_members, p.members, q, step, all, best);
    for (var candidate = best + 1u; candidate < (row + 1u) * p.count; candidate += 1u) {
        let value = aggregate_members(p.over_members, p.members, q, step, all, candidate);
        if (value > best_value) {
            best = candidate;
            best_value = value;
        }
    }
    let chosen = activations_at(lane, p.candidates + best * p.candidates_stride);
    let out = activations_at(lane, p.out + row * p.out_stride);
    for (var quad = 0u; quad < p.cols / 4u; quad += 1u) {
        activations[out + quad] = activations[chosen + quad];
    }
}
