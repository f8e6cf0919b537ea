//! Nodes and constants of a graph, one after the other; values are known by their names.

use super::proto::{Attribute, FLOAT, INT64, Node, Tensor};

/// A graph in the making.
#[derive(Debug, Default)]
pub struct Builder {
    /// In an order in which they can run.
    pub nodes: Vec<Node>,
    /// Constants.
    pub initializers: Vec<Tensor>,
}

impl Builder {
    /// An f32 constant, written once however often it is asked for. A scalar has no shape.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let dims = shape.iter().map(|&n| n as i64).collect();
        self.tensor(name, FLOAT, dims, || values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A list of integers, likewise.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.tensor(name, INT64, vec![values.len() as i64], || values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn tensor(&mut self, name: &str, data_type: i32, dims: Vec<i64>, raw_data: impl Fn() -> Vec<u8>) -> String {
        if !self.initializers.iter().any(|tensor| tensor.name == name) {
            self.initializers.push(Tensor { dims, data_type, name: name.to_owned(), raw_data: raw_data() });
        }
        name.to_owned()
    }

    /// An operator; returns its result.
    pub fn op(&mut self, label: &str, op_type: &str, inputs: &[&str]) -> String {
        self.with(label, op_type, inputs, Vec::new())
    }

    /// An operator with attributes. Its number makes the name unique.
    pub fn with(&mut self, label: &str, op_type: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.named(&format!("{label}/{op_type}_{}", self.nodes.len()), op_type, inputs, attributes)
    }

    /// An operator whose result is called `name`.
    pub fn named(&mut self, name: &str, op_type: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.nodes.push(Node {
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attributes,
        });
        name.to_owned()
    }
}
