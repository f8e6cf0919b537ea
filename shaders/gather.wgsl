// Columns of sampled transitions, from the resident dataset to where the nets read them.
//   out[row] <- records[min(indices[row] + shift, last)][column ..], for the rows whose index lies in the bound chunk
// indices: [rows] words; out: [rows, cols]; records are shared by all lanes. One invocation per quad of out.

struct Problem {
    first_group: u32,
    indices: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
    record: u32,
    column: u32,
    chunk_start: u32,
    chunk_len: u32,
    shift: u32,
    last: u32,
}

@compute @workgroup_size(64)
fn gather(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let element = (number - p.first_group) * 64u + local;
    let quads = p.cols / 4u;
    let row = element / quads;
    let quad = element % quads;
    if (row < p.rows) {
        // An index below the chunk wraps around and is far above its length.
        let index = min(words[words_at(lane, p.indices) + row] + p.shift, p.last) - p.chunk_start;
        if (index < p.chunk_len) {
            let value = records[(index * p.record + p.column) / 4u + quad];
            activations[activations_at(lane, p.out + row * p.out_stride) + quad] = value;
        }
    }
}
