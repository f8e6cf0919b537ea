//! A multilayer perceptron: [dense, GELU, (layer norm)] for each hidden width, then a dense head.
//!
//! Layer norm comes after the activation, as in fql `utils/networks.py`, `MLP`.

use crate::engine::{Arena, Memory, PlanBuilder, Region, padded};
use crate::kernels::layer_norm::{self, Affine};
use crate::kernels::layer_norm_backward::{self, Saved};
use crate::kernels::matmul_nn::{self, Epilogue};
use crate::kernels::{layer_norm_gradient, matmul_nt, matmul_tn};

use super::tape::{Keep, Scratch, Tape};

/// Scalar slot name of the layer norms' epsilon.
pub const LAYER_NORM_EPSILON: &str = "layer_norm_epsilon";

/// One dense layer, and the layer norm after its activation.
#[derive(Clone, Copy, Debug)]
struct Layer {
    /// [padded inputs, outputs].
    kernel: Region,
    /// [1, outputs].
    bias: Region,
    norm: Option<Affine>,
}

/// An MLP's weights.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Layer>,
    /// Widths of the parts that the input is a concatenation of.
    segments: Vec<u32>,
}

/// A weight tensor under its name in the official code.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// `dense0/kernel`, `dense0/bias`, `norm0/scale`, ...
    pub name: String,
    /// Where it lies; a kernel's region has a row for every padded input.
    pub region: Region,
    /// For a kernel, [inputs, outputs]; for a vector, `[outputs]`.
    pub shape: Vec<u32>,
    /// For each row of the tensor, its row in the region.
    pub rows: Vec<u32>,
}

impl Tensor {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.rows.len() * self.region.cols as usize
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picks the tensor's values out of `arena`, a lane's share of the arena that `region` lies in.
    pub fn pick(&self, region: Region, arena: &[f64]) -> Vec<f64> {
        let row = |row: &u32| &arena[(region.offset + row * region.stride) as usize..][..region.cols as usize];
        self.rows.iter().flat_map(row).copied().collect()
    }

    /// Puts `values` where they belong in `arena`.
    pub fn place(&self, region: Region, values: &[f64], arena: &mut [f64]) {
        for (row, values) in self.rows.iter().zip(values.chunks_exact(region.cols as usize)) {
            arena[(region.offset + row * region.stride) as usize..][..values.len()].copy_from_slice(values);
        }
    }
}

/// What the first layer of a pass is made of.
#[derive(Clone, Copy)]
struct First {
    x: Region,
    kernel: Region,
    bias: Option<Region>,
    /// What follows its product, if not the layer's GELU alone.
    onto: Option<Epilogue>,
}

/// The part of an input that changes while the rest stays, and what the rest makes of the first layer's sums.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// [rows, columns of the segment].
    pub x: Region,
    /// The segment's number.
    pub segment: usize,
    /// [rows, outputs of the first layer]: what depends on the row.
    pub base: Region,
    /// [1, outputs of the first layer]: what does not, the bias included.
    pub shift: Region,
}

impl Mlp {
    /// Allocates the weights of a net whose input is the concatenation of `segments`, each padded to 4 columns.
    pub fn new(memory: &mut Memory, segments: &[u32], hidden: &[u32], out: u32, norm: bool) -> Self {
        let mut layers = Vec::new();
        let mut inputs: u32 = segments.iter().map(|&s| padded(s)).sum();
        for (i, &width) in hidden.iter().chain([&out]).enumerate() {
            let kernel = memory.alloc(Arena::Weights, padded(inputs), width);
            let bias = memory.alloc(Arena::Weights, 1, width);
            let norm = (norm && i < hidden.len())
                .then(|| Affine { scale: memory.alloc(Arena::Weights, 1, width), bias: memory.alloc(Arena::Weights, 1, width) });
            layers.push(Layer { kernel, bias, norm });
            inputs = width;
        }
        memory.end_net();
        Self { layers, segments: segments.to_vec() }
    }

    /// Columns of the input: the segments with their padding.
    pub fn input_cols(&self) -> u32 {
        self.first_col(self.segments.len())
    }

    /// Columns of an input before segment `index`.
    fn first_col(&self, index: usize) -> u32 {
        self.segments[..index].iter().map(|&s| padded(s)).sum()
    }

    /// The columns of segment `index` of an input.
    pub fn segment(&self, input: Region, index: usize) -> Region {
        input.columns(self.first_col(index), self.segments[index])
    }

    /// Columns of segment `index`, padding not counted.
    pub fn segment_cols(&self, index: usize) -> u32 {
        self.segments[index]
    }

    /// A new input of `rows` rows. What no operation writes stays zero.
    pub fn input(&self, plan: &mut PlanBuilder, rows: u32) -> Region {
        plan.activations(rows, self.input_cols())
    }

    /// Columns of the output.
    pub fn out_cols(&self) -> u32 {
        self.layers.last().map_or(0, |layer| layer.kernel.cols)
    }

    /// Its weights as one row: every layer, padding included.
    pub fn range(&self) -> Region {
        let first = self.layers[0].kernel;
        let last = self.layers[self.layers.len() - 1].bias;
        let cols = last.end() - first.offset;
        Region { arena: Arena::Weights, offset: first.offset, rows: 1, cols, stride: cols }
    }

    /// Every tensor, under its official name.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut tensors = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let rows = if i == 0 { self.segment_rows() } else { (0..self.layers[i - 1].kernel.cols).collect() };
            let shape = vec![rows.len() as u32, layer.kernel.cols];
            tensors.push(Tensor { name: format!("dense{i}/kernel"), region: layer.kernel, shape, rows });
            let vector = |name: String, region: Region| Tensor { name, region, shape: vec![region.cols], rows: vec![0] };
            tensors.push(vector(format!("dense{i}/bias"), layer.bias));
            if let Some(norm) = layer.norm {
                tensors.push(vector(format!("norm{i}/scale"), norm.scale));
                tensors.push(vector(format!("norm{i}/bias"), norm.bias));
            }
        }
        tensors
    }

    /// For each column of the concatenation without padding, its column with padding.
    fn segment_rows(&self) -> Vec<u32> {
        let mut first = 0;
        let mut rows = Vec::new();
        for &segment in &self.segments {
            rows.extend(first..first + segment);
            first += padded(segment);
        }
        rows
    }

    /// Records the forward pass of `input` into a region, the head followed by an epilogue.
    pub fn forward(&self, plan: &mut PlanBuilder, label: &str, input: Region, to: (Region, Epilogue)) {
        self.forward_keeping(plan, label, input, to, Keep::Nothing);
    }

    /// The same for an input of which only `part` is new. Layer norm or not, it is the first layer's product that is saved.
    /// `scratch` is for what lies between.
    pub(super) fn forward_part(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        Part { x, segment, base, shift }: Part,
        to: (Region, Epilogue),
        scratch: &mut Scratch,
    ) {
        let onto = Epilogue::GeluOnto { base, shift };
        let first = First { x, kernel: self.segment_kernel(segment), bias: None, onto: Some(onto) };
        self.pass(plan, label, first, to, Keep::Nothing, scratch);
    }

    /// Records what `x`, segment `segment` of an input, adds to the first layer's sums, and the bias too where `biased`, into a
    /// new region [rows of x, outputs of the first layer].
    pub fn share(&self, plan: &mut PlanBuilder, label: &str, (x, segment): (Region, usize), biased: bool) -> Region {
        let layer = self.layers[0];
        let out = plan.activations(x.rows, layer.kernel.cols);
        let kernel = self.segment_kernel(segment);
        matmul_nn::record(plan, label, x, (kernel, biased.then_some(layer.bias)), out, Epilogue::None);
        out
    }

    /// The same, keeping everything that a backward pass needs.
    pub fn forward_kept(&self, plan: &mut PlanBuilder, label: &str, input: Region, to: (Region, Epilogue)) -> Tape {
        self.forward_keeping(plan, label, input, to, Keep::Gradients)
    }

    /// The same, keeping what `keep` says.
    pub fn forward_keeping(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        input: Region,
        to: (Region, Epilogue),
        keep: Keep,
    ) -> Tape {
        self.pass(plan, label, self.first(input), to, keep, &mut Scratch::default())
    }

    /// The first layer of a whole input.
    fn first(&self, input: Region) -> First {
        First { x: input, kernel: self.layers[0].kernel, bias: Some(self.layers[0].bias), onto: None }
    }

    /// The rows of the first layer's kernel that segment `segment` of an input meets.
    fn segment_kernel(&self, segment: usize) -> Region {
        self.layers[0].kernel.rows(self.first_col(segment), padded(self.segments[segment]))
    }

    fn pass(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        first: First,
        (out, head): (Region, Epilogue),
        keep: Keep,
        scratch: &mut Scratch,
    ) -> Tape {
        // Whether a way leads back at all, and whether to the weights.
        let (back, to_weights) = (keep > Keep::Nothing, keep == Keep::Gradients);
        let mut tape = Tape { keep, inputs: vec![first.x], derivatives: Vec::new(), norms: Vec::new() };
        let hidden = &self.layers[..self.layers.len() - 1];
        let First { mut x, mut kernel, mut bias, onto } = first;
        for (i, layer) in hidden.iter().enumerate() {
            let label = format!("{label}/layer {i}");
            let shape = (first.x.rows, layer.kernel.cols);
            // The way back leads through what a norm reads, and to the weights through what the next layer does.
            let h = scratch.place(plan, shape, to_weights || back && layer.norm.is_some());
            let derivative = back.then(|| plan.activations(shape.0, shape.1));
            let epilogue = onto.filter(|_| i == 0).unwrap_or(Epilogue::Gelu { derivative });
            matmul_nn::record(plan, &label, x, (kernel, bias), h, epilogue);
            (kernel, bias) = (self.layers[i + 1].kernel, Some(self.layers[i + 1].bias));
            x = h;
            if let Some(norm) = layer.norm {
                let normal = scratch.place(plan, shape, to_weights);
                let stats = back.then(|| plan.activations(shape.0, 2));
                let epsilon = plan.scalar(LAYER_NORM_EPSILON);
                layer_norm::record(plan, &label, h, norm, normal, stats, epsilon);
                x = normal;
                tape.norms.extend(stats.zip(derivative).map(|(stats, derivative)| Saved { x: h, stats, derivative }));
            }
            tape.inputs.push(x);
            tape.derivatives.extend(derivative);
        }
        matmul_nn::record(plan, &format!("{label}/head"), x, (kernel, bias), out, head);
        tape
    }

    /// Records the gradients of the weights, from the gradient `d_out` at the output.
    pub fn backward(&self, plan: &mut PlanBuilder, label: &str, tape: &Tape, d_out: Region) {
        if !tape.reaches(plan, label, Keep::Gradients) {
            return;
        }
        let (mut d, mut scratch) = (d_out, Scratch::default());
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let label = format!("{label}/layer {i}");
            let (kernel, bias) = (Memory::gradient_of(layer.kernel), Memory::gradient_of(layer.bias));
            matmul_tn::record(plan, &label, tape.inputs[i], d, kernel, bias);
            if i > 0 {
                d = self.step_back(plan, &label, tape, (i, d), true, &mut scratch);
            }
        }
    }

    /// Records the gradient at segment `segment` of the input, into `d_segment`, leaving the weights alone.
    pub fn backward_input(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        tape: &Tape,
        d_out: Region,
        (segment, d_segment): (usize, Region),
    ) {
        if !tape.reaches(plan, label, Keep::InputGradient) {
            return;
        }
        let (mut d, mut scratch) = (d_out, Scratch::default());
        for i in (1..self.layers.len()).rev() {
            d = self.step_back(plan, &format!("{label}/layer {i}"), tape, (i, d), false, &mut scratch);
        }
        matmul_nt::record(plan, &format!("{label}/input"), d, self.segment_kernel(segment), None, d_segment);
    }

    /// From the gradient `d` at the output of dense layer `i` to the gradient at the output of dense layer `i - 1`. Where it is
    /// not for `weights`, nobody comes back to what lies between.
    fn step_back(
        &self,
        plan: &mut PlanBuilder,
        label: &str,
        tape: &Tape,
        (i, d): (usize, Region),
        weights: bool,
        scratch: &mut Scratch,
    ) -> Region {
        let shape = (d.rows, self.layers[i - 1].kernel.cols);
        let back = scratch.place(plan, shape, weights);
        let Some(norm) = self.layers[i - 1].norm else {
            matmul_nt::record(plan, label, d, self.layers[i].kernel, Some(tape.derivatives[i - 1]), back);
            return back;
        };
        let saved = tape.norms[i - 1];
        matmul_nt::record(plan, label, d, self.layers[i].kernel, None, back);
        let through = scratch.place(plan, shape, weights);
        if weights {
            let gradient = Affine { scale: Memory::gradient_of(norm.scale), bias: Memory::gradient_of(norm.bias) };
            layer_norm_gradient::record(plan, label, back, saved, gradient);
        }
        layer_norm_backward::record(plan, label, back, saved, norm.scale, through);
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: u32 = 64;

    /// Records a pass, and the way back to the input or to the weights: the elements of activations that it took, if it fits.
    fn taken(norm: bool, keep: Keep, to_weights: bool) -> crate::error::Result<u32> {
        let mut memory = Memory::new();
        let net = Mlp::new(&mut memory, &[8, 4], &[32; 4], 1, norm);
        memory.seal_trained();
        let mut plan = PlanBuilder::new(memory);
        let (input, out) = (net.input(&mut plan, ROWS), plan.activations(ROWS, 1));
        let tape = net.forward_keeping(&mut plan, "net", input, (out, Epilogue::None), keep);
        if to_weights {
            net.backward(&mut plan, "net", &tape, out);
        } else {
            let d_segment = plan.activations(ROWS, 4);
            net.backward_input(&mut plan, "net", &tape, out, (1, d_segment));
        }
        plan.finish()?;
        Ok(plan.memory.used()[Arena::Activations.index()])
    }

    #[test]
    fn the_way_back_past_the_weights_takes_less_room() {
        for norm in [false, true] {
            let [all, some] = [Keep::Gradients, Keep::InputGradient].map(|keep| taken(norm, keep, false).unwrap());
            // Four layers' outputs, of which two places are left.
            assert_eq!((all - some) / (ROWS * 32), 4 - 2, "norm: {norm}");
        }
        let [weights, input] = [true, false].map(|to_weights| taken(true, Keep::Gradients, to_weights).unwrap());
        assert!(weights > input, "with a norm eight gradients against two places");
    }

    #[test]
    fn there_is_no_way_back_to_what_was_not_kept() {
        for (keep, to_weights) in [(Keep::Nothing, false), (Keep::Nothing, true), (Keep::InputGradient, true)] {
            let error = taken(true, keep, to_weights).unwrap_err().to_string();
            assert!(error.contains(&format!("kept {keep:?}")), "{error}");
        }
    }
}
