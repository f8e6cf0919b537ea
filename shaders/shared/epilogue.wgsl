// What follows the product of a layer: bias or sums made before, then GELU, a clip, a tangent, or an Euler step. Shared by the variants of
// matmul_nn, whose `struct Problem` it reads; uses shared/math.wgsl.

// A quad of the bias, zeros where there is none.
fn bias_of(p: Problem, lane: u32, quad: u32) -> vec4<f32> {
    if (p.bias == NONE) {
        return vec4<f32>();
    }
    return weights[weights_at(lane, p.bias) + quad];
}

// Stores quad `quad` of row `row` of epilogue(z), z = product + bias, and what the problem asks for beside it.
fn finish(p: Problem, lane: u32, row: u32, quad: u32, z: vec4<f32>) {
    let out = activations_at(lane, p.out + row * p.out_stride) + quad;
    let second = activations_at(lane, p.second + row * p.second_stride) + quad;
    var value = z;
    var beside = z;
    switch (p.epilogue) {
        case 1u: {
            let activation = gelu(z);
            value = activation.value;
            beside = activation.slope;
        }
        case 2u: {
            value = clamp(z, vec4<f32>(-1.0), vec4<f32>(1.0));
        }
        case 3u, 4u: {
            let x = activations[activations_at(lane, p.x + row * p.x_stride) + quad];
            value = x + z * (1.0 / f32(p.steps));
            if (p.epilogue == 4u) {
                value = clamp(value, vec4<f32>(-1.0), vec4<f32>(1.0));
            }
        }
        case 5u: {
            value = real_tanh(z);
        }
        case 6u: {
            let base = activations[activations_at(lane, p.x + row * p.x_stride) + quad];
            value = gelu(z + base + activations[activations_at(lane, p.shift) + quad]).value;
        }
        default: {
        }
    }
    activations[out] = pad(value, quad, p.cols);
    if (p.second != NONE) {
        activations[second] = pad(beside, quad, p.cols);
    }
}
