// The rows of an update's batch, uniform with replacement.
//   indices[row] <- floor(transitions * random / 2^32)
// indices: [rows] words. One invocation per row.

struct Problem {
    first_group: u32,
    clock: u32,
    indices: u32,
    rows: u32,
    transitions: u32,
    stream: u32,
}

@compute @workgroup_size(64)
fn sample_batch(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let row = (number - p.first_group) * 64u + local;
    if (row < p.rows) {
        let bits = random_words(words_at(lane, p.clock), p.stream, row);
        words[words_at(lane, p.indices) + row] = below(bits.x, p.transitions);
    }
}
