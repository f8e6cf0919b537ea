//! Runs a written ONNX file: the operators that the exports use, at f64, from nothing but the file's bytes.

use std::collections::HashMap;

use prost::Message;

use super::array::Array;
use super::proto::{Attribute, Dimension, FLOAT, Graph, INT64, Model, Node, Tensor, ValueInfo};
use super::{ACTION, NOISE, OBSERVATION};
use crate::export::observations::Batch;

/// A file read back.
#[derive(Debug)]
pub struct Interpreter {
    graph: Graph,
    constants: HashMap<String, Array>,
    /// The last node that reads a value.
    last_use: HashMap<String, usize>,
}

impl Interpreter {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let graph = Model::decode(bytes).map_err(|e| e.to_string())?.graph.ok_or("it has no graph")?;
        let mut constants = HashMap::new();
        for tensor in &graph.initializers {
            constants.insert(tensor.name.clone(), array(tensor)?);
        }
        let uses = graph.nodes.iter().enumerate().flat_map(|(i, node)| node.inputs.iter().map(move |name| (name.clone(), i)));
        let last_use = uses.collect();
        Ok(Self { graph, constants, last_use })
    }

    /// Actions ([rows, action_dim]) of `batch`; where `rounded`, each node's result is rounded to f32.
    ///
    /// # Errors
    /// A sentence, if the graph does not hang together or has an operator that no export uses.
    pub fn run(&self, batch: &Batch<'_>, rounded: bool) -> Result<Vec<f64>, String> {
        let mut values = HashMap::new();
        for input in &self.graph.inputs {
            let part = match input.name.as_str() {
                OBSERVATION => batch.observations,
                NOISE => batch.noise,
                other => return Err(format!("it wants `{other}`")),
            };
            let wide: Vec<f64> = part.iter().copied().map(f64::from).collect();
            let shape = [&[batch.rows], columns(input)?.as_slice()].concat();
            if shape.iter().product::<usize>() != wide.len() {
                return Err(format!("it declares {shape:?} for the {} values of `{}`", wide.len(), input.name));
            }
            values.insert(input.name.clone(), Array { shape, values: wide });
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let result = self.node(node, &values).map_err(|problem| format!("node {}: {problem}", node.name))?;
            let result = if rounded { result.map(|x| f64::from(x as f32)) } else { result };
            // What nobody reads any more goes: an unrolled loop has thousands of values.
            node.inputs.iter().filter(|name| self.last_use[*name] == i).for_each(|name| _ = values.remove(name));
            values.insert(node.outputs.first().cloned().unwrap_or_default(), result);
        }
        values.remove(ACTION).map(|action| action.values).ok_or_else(|| format!("nothing computes `{ACTION}`"))
    }

    fn node(&self, node: &Node, values: &HashMap<String, Array>) -> Result<Array, String> {
        let input = |i: usize| {
            let name = node.inputs.get(i).ok_or_else(|| format!("it has no input {i}"))?;
            values.get(name).or_else(|| self.constants.get(name)).ok_or_else(|| format!("nothing computes `{name}`"))
        };
        let scalar = |i: usize| input(i)?.values.first().copied().ok_or_else(|| format!("input {i} is empty"));
        let expect = |attributes: &[Attribute]| {
            if node.attributes == attributes { input(0) } else { Err(format!("its attributes are {:?}", node.attributes)) }
        };
        match node.op_type.as_str() {
            "MatMul" => input(0)?.matmul(input(1)?),
            "Add" => input(0)?.zip(input(1)?, |a, b| a + b),
            "Sub" => input(0)?.zip(input(1)?, |a, b| a - b),
            "Mul" => input(0)?.zip(input(1)?, |a, b| a * b),
            "Div" => input(0)?.zip(input(1)?, |a, b| a / b),
            "Sqrt" => Ok(input(0)?.clone().map(f64::sqrt)),
            "Tanh" => Ok(input(0)?.clone().map(f64::tanh)),
            "Min" => (1..node.inputs.len()).try_fold(input(0)?.clone(), |least, i| least.zip(input(i)?, f64::min)),
            "Unsqueeze" => input(0)?.clone().unsqueeze(scalar(1)? as usize),
            "Squeeze" => input(0)?.clone().squeeze(scalar(1)? as usize),
            "Expand" => input(0)?.expand(&input(1)?.values.iter().map(|&n| n as usize).collect::<Vec<_>>()),
            "Clip" => {
                let (low, high) = (scalar(1)?, scalar(2)?);
                Ok(input(0)?.clone().map(|x| x.max(low).min(high)))
            }
            "ReduceMean" => expect(&[Attribute::many("axes", &[-1]), Attribute::one("keepdims", 1)])?.mean(),
            "ArgMax" => expect(&[Attribute::one("axis", 1), Attribute::one("keepdims", 1)])?.arg_max(),
            "GatherElements" => expect(&[Attribute::one("axis", 1)])?.gather(input(1)?),
            other => Err(format!("no export uses {other}")),
        }
    }
}

/// The columns that the file declares for an input: every axis but the first.
fn columns(input: &ValueInfo) -> Result<Vec<usize>, String> {
    let shape = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref()?.shape.as_ref());
    let size = |dim: &Dimension| dim.value.and_then(|n| usize::try_from(n).ok());
    let sizes = shape.and_then(|shape| shape.dims.get(1..)?.iter().map(size).collect());
    sizes.ok_or_else(|| format!("it declares no columns for `{}`", input.name))
}

/// The values of a tensor; integers too, which are small.
fn array(tensor: &Tensor) -> Result<Array, String> {
    let shape: Vec<usize> = tensor.dims.iter().map(|&n| usize::try_from(n).unwrap_or_default()).collect();
    let data = &tensor.raw_data;
    let values: Vec<f64> = match tensor.data_type {
        FLOAT => data.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
        INT64 => data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
        other => return Err(format!("tensor {} is of type {other}", tensor.name)),
    };
    let size = if tensor.data_type == FLOAT { 4 } else { 8 };
    if values.len() != shape.iter().product::<usize>() || data.len() != size * values.len() {
        return Err(format!("tensor {} does not hold {shape:?} values", tensor.name));
    }
    Ok(Array { shape, values })
}
