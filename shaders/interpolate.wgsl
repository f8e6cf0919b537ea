// A point on the straight path from noise to action, and the path's velocity.
//   x <- (1 - t) x0 + t a    velocity <- a - x0
// Lipman et al. 2023, straight paths; fql `agents/fql.py`, `actor_loss`. x0, action, x, velocity: [rows, cols];
// t: [rows, 1]. One invocation per quad.

struct Problem {
    first_group: u32,
    x0: u32,
    x0_stride: u32,
    action: u32,
    action_stride: u32,
    t: u32,
    t_stride: u32,
    x: u32,
    x_stride: u32,
    velocity: u32,
    velocity_stride: u32,
    rows: u32,
    cols: u32,
}

@compute @workgroup_size(64)
fn interpolate(
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
        let t = activations[activations_at(lane, p.t + row * p.t_stride)].x;
        let x0 = activations[activations_at(lane, p.x0 + row * p.x0_stride) + quad];
        let a = activations[activations_at(lane, p.action + row * p.action_stride) + quad];
        activations[activations_at(lane, p.x + row * p.x_stride) + quad] = (1.0 - t) * x0 + t * a;
        activations[activations_at(lane, p.velocity + row * p.velocity_stride) + quad] = a - x0;
    }
}
