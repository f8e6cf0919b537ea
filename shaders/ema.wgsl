// A target network follows its source.
//   average <- tau * source + (1 - tau) * average
// fql `agents/fql.py`, `target_update`: the source is the net as it was *before* this update's step. source, average:
// [count]. Only in updates whose number is a multiple of the period. An invocation takes every 64th of 256 quads.

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
    if (!takes_part(lane, p.clock, p.period)) {
        return;
    }
    let tau = scalar(lane, p.tau);
    let source = weights_at(lane, p.source);
    let average = weights_at(lane, p.average);
    let start = (number - p.first_group) * 256u;
    for (var quad = start + local; quad < min(start + 256u, p.count / 4u); quad += 64u) {
        weights[average + quad] = tau * weights[source + quad] + (1.0 - tau) * weights[average + quad];
    }
}
