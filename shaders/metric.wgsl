// One number about a batch, into the ring that the host reads every few hundred updates.
//   ring[(step - 1) mod period] = [statistic of x, number of non-finite values]
// x: [rows, 1]; ring: [period, 2]. One workgroup for the problem: an invocation takes every 64th value, a tree of pairs
// does the rest. Non-finite values are counted from their bits: a compiler may assume that none occur and drop a comparison.

struct Problem {
    first_group: u32,
    x: u32,
    x_stride: u32,
    rows: u32,
    statistic: u32,
    threshold: f32,
    clock: u32,
    ring: u32,
    ring_stride: u32,
    period: u32,
}

// The numbers of src/kernels/metric.rs, `Statistic`; the fourth is 2, the maximum.
const AVERAGE: u32 = 0u;
const MINIMUM: u32 = 1u;
const SHARE: u32 = 3u;

var<workgroup> wg_partial: array<vec2<f32>, 64>;

fn value_of(p: Problem, lane: u32, row: u32) -> f32 {
    let at = p.x + row * p.x_stride;
    return activations[activations_at(lane, at)][at & 3u];
}

fn join(statistic: u32, a: f32, b: f32) -> f32 {
    if (statistic == AVERAGE || statistic == SHARE) {
        return a + b;
    }
    return select(max(a, b), min(a, b), statistic == MINIMUM);
}

@compute @workgroup_size(64)
fn metric(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    if (number > p.first_group) {
        return;
    }
    // min and max start from a value of the batch, the sums from zero; a row beyond the last changes neither.
    let is_sum = p.statistic == AVERAGE || p.statistic == SHARE;
    var result = select(value_of(p, lane, 0u), 0.0, is_sum);
    var broken = 0.0;
    for (var row = local; row < p.rows; row += 64u) {
        let value = value_of(p, lane, row);
        let counted = select(value, select(0.0, 1.0, value > p.threshold), p.statistic == SHARE);
        result = join(p.statistic, result, counted);
        broken += select(0.0, 1.0, (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u);
    }
    wg_partial[local] = vec2<f32>(result, broken);
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            let other = wg_partial[local + half];
            let own = wg_partial[local];
            wg_partial[local] = vec2<f32>(join(p.statistic, own.x, other.x), own.y + other.y);
        }
    }
    if (local == 0u) {
        let total = wg_partial[0];
        let row = (words[words_at(lane, p.clock)] - 1u) % p.period;
        let statistic = select(total.x, total.x / f32(p.rows), is_sum);
        activations[activations_at(lane, p.ring + row * p.ring_stride)] = vec4<f32>(statistic, total.y, 0.0, 0.0);
    }
}
