// The one-step actor's gradient: towards the flow's action, and up the critics.
//   terms[row] = mean over dims of (u - teacher)^2    d_u = 2 alpha (u - teacher) / (rows * cols) + d_action inside the clip
// fql `agents/fql.py`, `actor_loss`: u is not clipped in the first term; the clip stops the second outside (-1, 1). u,
// teacher, d_u: [rows, cols]; d_action: [members * rows, cols], summed over the members; terms: [rows, 1]. One invocation
// per row. Gradient reaches: actor. Stopped at: flow (teacher), critics.

struct Problem {
    first_group: u32,
    u: u32,
    u_stride: u32,
    teacher: u32,
    teacher_stride: u32,
    d_action: u32,
    d_action_stride: u32,
    members: u32,
    d_u: u32,
    d_u_stride: u32,
    terms: u32,
    terms_stride: u32,
    rows: u32,
    cols: u32,
    alpha: u32,
}

@compute @workgroup_size(64)
fn distill(
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
    let slope = scalar(lane, p.alpha) * 2.0 / f32(p.rows * p.cols);
    let quads = quads_of(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let u = activations[activations_at(lane, p.u + row * p.u_stride) + quad];
        let teacher = activations[activations_at(lane, p.teacher + row * p.teacher_stride) + quad];
        let error = pad(u - teacher, quad, p.cols);
        squares += error * error;
        var ascent = vec4<f32>(0.0);
        for (var member = 0u; member < p.members; member += 1u) {
            let at = p.d_action + (member * p.rows + row) * p.d_action_stride;
            ascent += activations[activations_at(lane, at) + quad];
        }
        ascent = select(vec4<f32>(0.0), ascent, abs(u) < vec4<f32>(1.0));
        let at = activations_at(lane, p.d_u + row * p.d_u_stride) + quad;
        activations[at] = pad(slope * error + ascent, quad, p.cols);
    }
    let term = vec4<f32>(across(squares) / f32(p.cols), 0.0, 0.0, 0.0);
    activations[activations_at(lane, p.terms + row * p.terms_stride)] = term;
}
