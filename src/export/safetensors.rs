//! A policy's net as safetensors: `w0, b0, w1, b1, ...`, kernels [in, out], and the rest as JSON in the metadata entry
//! `wgflow`. Layer norms, where there are any, add `norm_scale0, norm_bias0, ...`.

use std::collections::HashMap;

use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::description::Description;
use super::metadata::{self, Metadata};
use super::observations::Batch;

/// The metadata entry. One entry only: a map of several would be written in an arbitrary order, and equal policies would
/// differ in their bytes.
const ENTRY: &str = "wgflow";

/// The file's bytes.
///
/// # Errors
/// A sentence, if a tensor does not have the shape it claims.
pub fn encode(description: &Description, metadata: &Metadata) -> Result<Vec<u8>, String> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut add = |name: String, shape: &[usize], values: &[f32]| {
        tensors.push((name, shape.to_vec(), values.iter().flat_map(|x| x.to_le_bytes()).collect()));
    };
    for (i, layer) in description.net().layers.iter().enumerate() {
        add(format!("w{i}"), &[layer.inputs, layer.outputs], &layer.kernel);
        add(format!("b{i}"), &[layer.outputs], &layer.bias);
        if let Some(norm) = &layer.norm {
            add(format!("norm_scale{i}"), &[layer.outputs], &norm.scale);
            add(format!("norm_bias{i}"), &[layer.outputs], &norm.bias);
        }
    }
    let view = |(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape, data).map_err(|e| e.to_string())?));
    let views = tensors.iter().map(|(name, shape, data)| view((name.as_str(), shape.clone(), data.as_slice())));
    let views = views.collect::<Result<Vec<_>, String>>()?;
    let text = serde_json::to_string(metadata).map_err(|e| e.to_string())?;
    ::safetensors::serialize(views, Some(HashMap::from([(ENTRY.to_owned(), text)]))).map_err(|e| e.to_string())
}

/// A file read back: an evaluator that knows nothing but the file. Plain loops, f64.
#[derive(Debug)]
pub struct Evaluator {
    metadata: Metadata,
    layers: Vec<Layer>,
}

/// A dense layer, and the scale and bias of the norm after it.
#[derive(Debug)]
struct Layer {
    kernel: Vec<f64>,
    bias: Vec<f64>,
    norm: Option<(Vec<f64>, Vec<f64>)>,
}

impl Evaluator {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let text = header.metadata().as_ref().and_then(|m| m.get(ENTRY)).ok_or("it has no metadata")?;
        let metadata: Metadata = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let Metadata { activation, output, candidates, .. } = &metadata;
        if activation != metadata::ACTIVATION || ![metadata::CLIP, metadata::TANH].contains(&output.as_str()) || *candidates != 1
        {
            return Err(format!("activation {activation}, output {output}, {candidates} candidates: not all are known"));
        }
        let columns = metadata.obs_dim as usize + metadata.noise_cols() + metadata.time_columns;
        let mut widths = vec![columns];
        widths.extend(&metadata.hidden);
        widths.push(metadata.action_dim as usize);
        let layer = |(i, pair): (usize, &[usize])| {
            let normed = metadata.layer_norm && i < metadata.hidden.len();
            let vector = |name: &str| tensor(&file, &format!("{name}{i}"), &pair[1..]);
            Ok(Layer {
                kernel: tensor(&file, &format!("w{i}"), pair)?,
                bias: vector("b")?,
                norm: normed.then(|| Ok::<_, String>((vector("norm_scale")?, vector("norm_bias")?))).transpose()?,
            })
        };
        let layers = widths.windows(2).enumerate().map(layer).collect::<Result<_, String>>()?;
        Ok(Self { metadata, layers })
    }

    /// Actions ([rows, action_dim]) of `batch`; where `rounded`, each layer's result is rounded to f32.
    pub fn run(&self, batch: &Batch<'_>, rounded: bool) -> Vec<f64> {
        let round = |x: f64| if rounded { f64::from(x as f32) } else { x };
        let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
        let rows = (0..batch.rows).map(|row| (batch.observation(row), batch.noise(row)));
        rows.flat_map(|(observation, noise)| self.act(&wide(observation), wide(noise), &round)).collect()
    }

    fn act(&self, observation: &[f64], noise: Vec<f64>, round: &dyn Fn(f64) -> f64) -> Vec<f64> {
        let steps = self.metadata.flow_steps;
        let mut x = noise;
        if steps == 0 {
            x = self.net([observation, &x].concat(), round);
        }
        for i in 0..steps {
            let t = f64::from(i) / f64::from(steps);
            let velocity = self.net([observation, &x, &self.time(t)].concat(), round);
            x.iter_mut().zip(velocity).for_each(|(x, v)| *x = round(*x + v / f64::from(steps)));
        }
        let tanh = self.metadata.output == metadata::TANH;
        x.into_iter().map(|x| if tanh { x.tanh() } else { x.clamp(-1.0, 1.0) }).collect()
    }

    /// As the metadata's `time` says.
    fn time(&self, t: f64) -> Vec<f64> {
        if self.metadata.time == metadata::RAW_TIME {
            return vec![t];
        }
        let n = self.metadata.time_columns / 2;
        let angle = |i: usize| t * 10_000f64.powf(-(i as f64) / (n.max(2) - 1) as f64);
        (0..n).map(|i| angle(i).sin()).chain((0..n).map(|i| angle(i).cos())).collect()
    }

    fn net(&self, mut x: Vec<f64>, round: &dyn Fn(f64) -> f64) -> Vec<f64> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = dense(&x, layer);
            x.iter_mut().for_each(|x| *x = round(*x));
            if i + 1 < self.layers.len() {
                x.iter_mut().for_each(|x| *x = round(gelu(*x)));
            }
            if let Some((scale, bias)) = &layer.norm {
                normalise(&mut x, self.metadata.layer_norm_epsilon);
                x.iter_mut().zip(scale).zip(bias).for_each(|((x, scale), bias)| *x = round(*x * scale + bias));
            }
        }
        x
    }
}

fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f64>, String> {
    let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!("{name} is {:?} {:?}, not F32 {shape:?}", view.dtype(), view.shape()));
    }
    Ok(view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect())
}

fn dense(x: &[f64], layer: &Layer) -> Vec<f64> {
    let mut out = layer.bias.clone();
    for (x, row) in x.iter().zip(layer.kernel.chunks_exact(out.len())) {
        out.iter_mut().zip(row).for_each(|(out, w)| *out += x * w);
    }
    out
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn normalise(x: &mut [f64], epsilon: f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    x.iter_mut().for_each(|x| *x = (*x - mean) / (variance + epsilon).sqrt());
}
