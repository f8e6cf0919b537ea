// Flow matching weighted by g_eta, with its gradient.
//   out[row] = [g e, e, g, q_data, q_ref],  e = mean over dims of (prediction - velocity)^2
//   d_prediction = 2 g (prediction - velocity) / (rows * cols)
// GFP release `agents/gfp.py`, `vabc_loss`. prediction, velocity, d_prediction: [rows, cols]; q_data, q_first, q_second:
// [members * rows, 1], member after member; lambda: [1]; out: [rows, 5]. One invocation per row. Gradient reaches: flow.
// Stopped at: g, hence the target critics, the actor and lambda.

struct Problem {
    first_group: u32,
    prediction: u32,
    prediction_stride: u32,
    velocity: u32,
    velocity_stride: u32,
    q_data: u32,
    q_first: u32,
    q_second: u32,
    q_stride: u32,
    members: u32,
    over_members: u32,
    over_references: u32,
    lambda: u32,
    eta: u32,
    guidance: u32,
    d_prediction: u32,
    d_prediction_stride: u32,
    out: u32,
    out_stride: u32,
    rows: u32,
    cols: u32,
}

// The numbers of src/kernels/flow_loss.rs, `Guidance`; the third is 2, the exponential of the advantage.
const UNGUIDED: u32 = 0u;
const SOFTMAX: u32 = 1u;

// [g, q_data, q_ref] of a row: g = sigmoid or exp of lambda / eta (q_data - q_ref). eta = 0 is a switch: weight 1.
fn weigh(p: Problem, lane: u32, row: u32) -> vec3<f32> {
    if (p.guidance == UNGUIDED) {
        return vec3<f32>(1.0, 0.0, 0.0);
    }
    let step = p.q_stride / 4u;
    let q_data = aggregate_members(p.over_members, p.members, activations_at(lane, p.q_data), step, p.rows, row);
    let first = aggregate_members(p.over_members, p.members, activations_at(lane, p.q_first), step, p.rows, row);
    let two = p.q_second != NONE;
    var second = 0.0;
    if (two) {
        second = aggregate_members(p.over_members, p.members, activations_at(lane, p.q_second), step, p.rows, row);
    }
    let q_ref = aggregate_two(p.over_references, first, second, two);
    let eta = scalar(lane, p.eta);
    if (eta == 0.0) {
        return vec3<f32>(1.0, q_data, q_ref);
    }
    let advantage = activations[activations_at(lane, p.lambda)].x / eta * (q_data - q_ref);
    if (p.guidance == SOFTMAX) {
        return vec3<f32>(1.0 / (1.0 + real_exp(vec4<f32>(-advantage)).x), q_data, q_ref);
    }
    return vec3<f32>(real_exp(vec4<f32>(advantage)).x, q_data, q_ref);
}

@compute @workgroup_size(64)
fn flow_loss(
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
    let gate = weigh(p, lane, row);
    let slope = 2.0 * gate.x / f32(p.rows * p.cols);
    let quads = quads_of(p.cols);
    var squares = vec4<f32>(0.0);
    for (var quad = 0u; quad < quads; quad += 1u) {
        let prediction = activations[activations_at(lane, p.prediction + row * p.prediction_stride) + quad];
        let velocity = activations[activations_at(lane, p.velocity + row * p.velocity_stride) + quad];
        let error = pad(prediction - velocity, quad, p.cols);
        squares += error * error;
        activations[activations_at(lane, p.d_prediction + row * p.d_prediction_stride) + quad] = slope * error;
    }
    let error = across(squares) / f32(p.cols);
    let out = activations_at(lane, p.out + row * p.out_stride);
    activations[out] = vec4<f32>(gate.x * error, error, gate.x, gate.y);
    activations[out + 1u] = vec4<f32>(gate.z, 0.0, 0.0, 0.0);
}
