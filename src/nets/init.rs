//! Initial weights: a pure function of the seed.

use crate::kernels::random::{counter, key, philox, stream, uniform};

use super::mlp::Tensor;

/// The initial values of a tensor: kernels uniform in (-a, a) with a = sqrt(3 scale / ((inputs + outputs) / 2)), biases 0,
/// scales 1; flax `variance_scaling(scale, "fan_avg", "uniform")`. `number` tells the tensors of an agent apart.
pub fn values(tensor: &Tensor, scale: f64, seed: u64, number: u32) -> Vec<f64> {
    if tensor.name.ends_with("scale") {
        return vec![1.0; tensor.len()];
    }
    let [inputs, outputs] = tensor.shape[..] else { return vec![0.0; tensor.len()] };
    let bound = (3.0 * scale / (f64::from(inputs + outputs) / 2.0)).sqrt();
    let draw = |quad: u32| philox(counter(0, stream::WEIGHTS + number, quad), key(seed)).map(uniform::<f64>);
    (0..(tensor.len() as u32).div_ceil(4))
        .flat_map(draw)
        .take(tensor.len())
        .map(|u| f64::from(((2.0 * u - 1.0) * bound) as f32))
        .collect()
}
