// The update's number, and the bias corrections of Adam that follow from it.
//   step <- step + 1    corrections <- [1 - beta1^step, 1 - beta2^step]
// Kingma & Ba 2015, Alg. 1. clock: [step, seed low, seed high, 0] words; corrections: [1, 2]. One invocation in all.

struct Problem {
    first_group: u32,
    clock: u32,
    corrections: u32,
    beta1: u32,
    beta2: u32,
}

// `base^exponent` by squaring: WGSL's pow may be off by many ulp where the base is near 1.
fn power(base: f32, exponent: u32) -> f32 {
    var result = 1.0;
    var square = base;
    for (var rest = exponent; rest > 0u; rest >>= 1u) {
        if ((rest & 1u) == 1u) {
            result *= square;
        }
        square *= square;
    }
    return result;
}

@compute @workgroup_size(1)
fn clock(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    if (number > p.first_group) {
        return;
    }
    let clock = words_at(lane, p.clock);
    let step = words[clock] + 1u;
    words[clock] = step;
    let first = 1.0 - power(scalar(lane, p.beta1), step);
    let second = 1.0 - power(scalar(lane, p.beta2), step);
    activations[activations_at(lane, p.corrections)] = vec4<f32>(first, second, 0.0, 0.0);
}
