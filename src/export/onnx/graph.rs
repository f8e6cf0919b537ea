//! A policy as a graph of primitive ONNX operators.
//!
//! GELU and layer norm are spelled out, and the Euler loop is unrolled over shared weights, so that the file runs wherever
//! opset 13 does. The first kernel is cut by the parts of its input (observation, noise, time): their products are added
//! instead of their columns joined. The observation's product is then made once for all Euler steps and candidates, and a
//! step's time is one row that broadcasts, whatever the batch.

use super::builder::Builder;
use super::proto::Attribute;
use super::{ACTION, NOISE, OBSERVATION};
use crate::export::description::{Description, Flow, Form, Net, Squash, layer_norm_epsilon};

/// Adds a whole policy to `builder`; its last node is called [`ACTION`].
pub fn policy(builder: &mut Builder, description: &Description) {
    let (obs, action) = (description.dims.obs as usize, description.dims.action as usize);
    match &description.form {
        Form::OneStep(net, head) => {
            let stack = Stack::new(builder, "actor", net, &[("observation", obs), ("noise", action)]);
            let products = [stack.product(builder, "actor", 0, OBSERVATION), stack.product(builder, "actor", 1, NOISE)];
            let raw = stack.rest(builder, "actor", &products);
            squash(builder, ACTION, &raw, *head);
        }
        Form::Mean(net, head) => {
            let stack = Stack::new(builder, "actor", net, &[("observation", obs)]);
            let products = [stack.product(builder, "actor", 0, OBSERVATION)];
            let raw = stack.rest(builder, "actor", &products);
            squash(builder, ACTION, &raw, *head);
        }
        Form::Flow(flow) => {
            let raw = integrate(builder, flow, (obs, action), false);
            squash(builder, ACTION, &raw, Squash::Clip);
        }
        Form::BestOf { flow, critics, .. } => {
            let raw = integrate(builder, flow, (obs, action), true);
            let candidates = squash(builder, "candidates", &raw, Squash::Clip);
            best(builder, critics, (obs, action), &candidates);
        }
    }
}

/// Brings `raw` into [-1, 1], as the value `name`.
fn squash(b: &mut Builder, name: &str, raw: &str, squash: Squash) -> String {
    match squash {
        Squash::Tanh => b.named(name, "Tanh", &[raw], Vec::new()),
        Squash::Clip => {
            let (low, high) = (b.constant("low", &[], &[-1.0]), b.constant("high", &[], &[1.0]));
            b.named(name, "Clip", &[raw, &low, &high], Vec::new())
        }
    }
}

/// x = z, then x += v([s | x | t]) / M for each step. With candidates the noise is [batch, count, action], and what is
/// the same for all of them gets an axis of its own, so that it broadcasts.
fn integrate(b: &mut Builder, flow: &Flow, (obs, action): (usize, usize), candidates: bool) -> String {
    let columns = flow.time_dim.max(1) as usize;
    let stack = Stack::new(b, "flow", &flow.field, &[("observation", obs), ("x", action), ("time", columns)]);
    let steps = b.constant("flow/steps", &[], &[flow.steps as f32]);
    let seen = stack.seen(b, candidates);
    let mut x = NOISE.to_owned();
    for i in 0..flow.steps {
        let label = format!("step{i}");
        let time = b.constant(&format!("{label}/time"), &[1, columns], &flow.time(i));
        let products = [seen.clone(), stack.product(b, &label, 1, &x), stack.product(b, &label, 2, &time)];
        let velocity = stack.rest(b, &label, &products);
        let step = b.op(&label, "Div", &[&velocity, &steps]);
        x = b.op(&label, "Add", &[&x, &step]);
    }
    x
}

/// Of `candidates` ([batch, count, action]) the first with the largest smallest Q.
fn best(b: &mut Builder, critics: &[Net], (obs, action): (usize, usize), candidates: &str) {
    let mut values = Vec::new();
    for (j, critic) in critics.iter().enumerate() {
        let name = format!("critic{j}");
        let stack = Stack::new(b, &name, critic, &[("observation", obs), ("action", action)]);
        let products = [stack.seen(b, true), stack.product(b, &name, 1, candidates)];
        values.push(stack.rest(b, &name, &products));
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let value = b.op("best", "Min", &values);
    // [batch, 1, 1], and then once for each column.
    let chosen = b.with("best", "ArgMax", &[&value], vec![Attribute::one("axis", 1), Attribute::one("keepdims", 1)]);
    let shape = b.integers("best/shape", &[1, 1, action as i64]);
    let everywhere = b.op("best", "Expand", &[&chosen, &shape]);
    let action = b.with("best", "GatherElements", &[candidates, &everywhere], vec![Attribute::one("axis", 1)]);
    let axis = b.integers("axis", &[1]);
    b.named(ACTION, "Squeeze", &[&action, &axis], Vec::new());
}

/// A net whose weights are in the graph.
struct Stack<'a> {
    name: &'a str,
    net: &'a Net,
    /// The first kernel's rows for each part of the input.
    parts: Vec<String>,
}

impl<'a> Stack<'a> {
    /// `parts` are the input's parts with their columns.
    fn new(b: &mut Builder, name: &'a str, net: &'a Net, parts: &[(&str, usize)]) -> Self {
        let outputs = net.layers[0].outputs;
        let mut rest = net.layers[0].kernel.as_slice();
        let mut names = Vec::new();
        for &(part, rows) in parts {
            let (own, others) = rest.split_at(rows * outputs);
            names.push(b.constant(&format!("{name}/dense0/kernel/{part}"), &[rows, outputs], own));
            rest = others;
        }
        Self { name, net, parts: names }
    }

    /// What part `part` of the input, `x`, adds to the first layer.
    fn product(&self, b: &mut Builder, label: &str, part: usize, x: &str) -> String {
        b.op(&format!("{label}/dense0"), "MatMul", &[x, &self.parts[part]])
    }

    /// What the observation adds to the first layer: [batch, out], for `candidates` [batch, 1, out].
    fn seen(&self, b: &mut Builder, candidates: bool) -> String {
        let seen = self.product(b, self.name, 0, OBSERVATION);
        if !candidates {
            return seen;
        }
        let axis = b.integers("axis", &[1]);
        b.op(self.name, "Unsqueeze", &[&seen, &axis])
    }

    /// The net from the products of its first layer on.
    fn rest(&self, b: &mut Builder, label: &str, products: &[String]) -> String {
        let last = self.net.layers.len() - 1;
        let mut x = String::new();
        for (i, layer) in self.net.layers.iter().enumerate() {
            let name = format!("{}/dense{i}", self.name);
            let label = format!("{label}/dense{i}");
            let z = if i == 0 {
                let (first, others) = products.split_first().unwrap_or_else(|| unreachable!("every input has a part"));
                others.iter().fold(first.clone(), |sum, product| b.op(&label, "Add", &[&sum, product]))
            } else {
                let kernel = b.constant(&format!("{name}/kernel"), &[layer.inputs, layer.outputs], &layer.kernel);
                b.op(&label, "MatMul", &[&x, &kernel])
            };
            let bias = b.constant(&format!("{name}/bias"), &[layer.outputs], &layer.bias);
            x = b.op(&label, "Add", &[&z, &bias]);
            if i < last {
                x = gelu(b, &label, &x);
            }
            if let Some(norm) = &layer.norm {
                let scale = b.constant(&format!("{name}/norm/scale"), &[layer.outputs], &norm.scale);
                let bias = b.constant(&format!("{name}/norm/bias"), &[layer.outputs], &norm.bias);
                x = layer_norm(b, &label, &x, &scale, &bias);
            }
        }
        x
    }
}

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
fn gelu(b: &mut Builder, label: &str, x: &str) -> String {
    let cubic = b.constant("gelu/cubic", &[], &[0.044_715]);
    let scale = b.constant("gelu/scale", &[], &[(2.0 / std::f64::consts::PI).sqrt() as f32]);
    let (one, half) = (b.constant("gelu/one", &[], &[1.0]), b.constant("gelu/half", &[], &[0.5]));
    let square = b.op(label, "Mul", &[x, x]);
    let cube = b.op(label, "Mul", &[&square, x]);
    let bent = b.op(label, "Mul", &[&cube, &cubic]);
    let sum = b.op(label, "Add", &[x, &bent]);
    let argument = b.op(label, "Mul", &[&sum, &scale]);
    let tangent = b.op(label, "Tanh", &[&argument]);
    let gate = b.op(label, "Add", &[&tangent, &one]);
    let gated = b.op(label, "Mul", &[x, &gate]);
    b.op(label, "Mul", &[&gated, &half])
}

/// scale (x - mean) / sqrt(variance + epsilon) + bias, over the last axis.
fn layer_norm(b: &mut Builder, label: &str, x: &str, scale: &str, bias: &str) -> String {
    let epsilon = b.constant("norm/epsilon", &[], &[layer_norm_epsilon() as f32]);
    let over_columns = || vec![Attribute::many("axes", &[-1]), Attribute::one("keepdims", 1)];
    let mean = b.with(label, "ReduceMean", &[x], over_columns());
    let centred = b.op(label, "Sub", &[x, &mean]);
    let square = b.op(label, "Mul", &[&centred, &centred]);
    let variance = b.with(label, "ReduceMean", &[&square], over_columns());
    let shifted = b.op(label, "Add", &[&variance, &epsilon]);
    let deviation = b.op(label, "Sqrt", &[&shifted]);
    let normal = b.op(label, "Div", &[&centred, &deviation]);
    let scaled = b.op(label, "Mul", &[&normal, scale]);
    b.op(label, "Add", &[&scaled, bias])
}
