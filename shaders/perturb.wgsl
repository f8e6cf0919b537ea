// An action with bounded noise.
//   out <- clip(x + clip(scale * noise, -bound, bound), -1, 1)
// Fujimoto et al. 2018, target policy smoothing; fql `agents/rebrac.py`, `critic_loss`. x, noise, out: [rows, cols]. One
// invocation per quad. Padding stays zero, since that of x and of the noise is.

struct Problem {
    first_group: u32,
    x: u32,
    x_stride: u32,
    noise: u32,
    noise_stride: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
    scale: u32,
    bound: u32,
}

@compute @workgroup_size(64)
fn perturb(
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
        let bound = vec4<f32>(scalar(lane, p.bound));
        let x = activations[activations_at(lane, p.x + row * p.x_stride) + quad];
        let noise = activations[activations_at(lane, p.noise + row * p.noise_stride) + quad];
        let moved = x + clamp(scalar(lane, p.scale) * noise, -bound, bound);
        let out = activations_at(lane, p.out + row * p.out_stride) + quad;
        activations[out] = clamp(moved, vec4<f32>(-1.0), vec4<f32>(1.0));
    }
}
