// Adam with bias correction, in place, over a range of the trained weights.
//   m <- beta1 m + (1 - beta1) g    v <- beta2 v + (1 - beta2) g^2    w <- w - lr (m / c1) / (sqrt(v / c2) + epsilon)
// Kingma & Ba 2015, Alg. 1; epsilon outside the root, as `optax.adam`. Gradients, first and second moments are the thirds
// of the training arena, each `trained` elements, laid out like the weights; corrections: [1, 2] = [c1, c2]. An
// invocation takes every 64th of 256 quads. Padding stays zero, since its gradient and moments are.

struct Problem {
    first_group: u32,
    start: u32,
    count: u32,
    trained: u32,
    corrections: u32,
    learning_rate: u32,
    beta1: u32,
    beta2: u32,
    epsilon: u32,
}

@compute @workgroup_size(64)
fn adam(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group_index(group, groups);
    let p = problems[problem_index(number)];
    let lane = group.z;
    let beta1 = scalar(lane, p.beta1);
    let beta2 = scalar(lane, p.beta2);
    let corrections = 1.0 / activations[activations_at(lane, p.corrections)].xy;
    let learning_rate = scalar(lane, p.learning_rate);
    let epsilon = scalar(lane, p.epsilon);
    let weight = weights_at(lane, p.start);
    let gradient = training_at(lane, p.start);
    let first = training_at(lane, p.start + p.trained);
    let second = training_at(lane, p.start + 2u * p.trained);
    let start = (number - p.first_group) * 256u;
    for (var quad = start + local; quad < min(start + 256u, p.count / 4u); quad += 64u) {
        let g = training[gradient + quad];
        let m = beta1 * training[first + quad] + (1.0 - beta1) * g;
        let v = beta2 * training[second + quad] + (1.0 - beta2) * (g * g);
        training[first + quad] = m;
        training[second + quad] = v;
        let step = learning_rate * (m * corrections.x);
        weights[weight + quad] -= step / (sqrt(v * corrections.y) + epsilon);
    }
}
