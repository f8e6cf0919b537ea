// A target network follows its source.
//   average <- tau * source + (1 - tau) * average
// fql `agents/fql.py`, `target_update`: the source is the net as it was *before* this update's step. source, average:
// [count]. Only in updates whose number is a multiple of the period. One invocation per quad.

struct Problem {
    first_group: u32,
    source: u32,
    average: u32,
    count: u32,
    tau: u32,
    clock: u32,
    period: u32,
}

@compute @workgroup_size(64)
fn ema(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let quad = (number - p.first_group) * 64u + local;
    if (quad >= p.count / 4u || !takes_part(lane, p.clock, p.period)) {
        return;
    }
    let tau = scalar(lane, p.tau);
    let source = weights[weights_at(lane, p.source) + quad];
    let at = weights_at(lane, p.average) + quad;
    weights[at] = tau * source + (1.0 - tau) * weights[at];
}
