//! A policy's graph as an ONNX file: what is around the nodes.

use prost::Message;

use super::builder::Builder;
use super::proto::{Dimension, FLOAT, Graph, Model, OperatorSet, Property, Shape, TensorType, Type, ValueInfo};
use super::{ACTION, NOISE, OBSERVATION, graph};
use crate::export::description::{Description, Form};
use crate::export::metadata::Metadata;

/// The oldest opset in which every form used here is valid, and the format version that came with it.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 7;

/// The file's bytes.
///
/// # Errors
/// A sentence, if the metadata cannot be written.
pub fn encode(description: &Description, metadata: &Metadata) -> Result<Vec<u8>, String> {
    let mut builder = Builder::default();
    graph::policy(&mut builder, description);
    let (obs, action) = (i64::from(description.dims.obs), i64::from(description.dims.action));
    let mut inputs = vec![rows_of(OBSERVATION, &[obs])];
    match &description.form {
        Form::Mean(..) => (),
        Form::OneStep(..) | Form::Flow(_) => inputs.push(rows_of(NOISE, &[action])),
        Form::BestOf { count, .. } => inputs.push(rows_of(NOISE, &[i64::from(*count), action])),
    }
    let graph = Graph {
        name: format!("{}_{}", metadata.algorithm, metadata.policy),
        nodes: builder.nodes,
        initializers: builder.initializers,
        inputs,
        outputs: vec![rows_of(ACTION, &[action])],
    };
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "wgflow".to_owned(),
        producer_version: metadata.wgflow.clone(),
        doc_string: metadata.summary(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: OPSET }],
        metadata_props: properties(metadata)?,
    };
    Ok(model.encode_to_vec())
}

/// Each field of the metadata as an entry of its own, by name; what is not text as JSON.
fn properties(metadata: &Metadata) -> Result<Vec<Property>, String> {
    let fields = serde_json::to_value(metadata).map_err(|e| e.to_string())?;
    let fields = fields.as_object().ok_or("the metadata has no fields")?;
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(fields.iter().map(|(key, value)| Property { key: key.clone(), value: text(value) }).collect())
}

/// f32 [batch, `columns`..], any batch.
fn rows_of(name: &str, columns: &[i64]) -> ValueInfo {
    let batch = Dimension { value: None, name: Some("batch".to_owned()) };
    let columns = columns.iter().map(|&n| Dimension { value: Some(n), name: None });
    let shape = Shape { dims: [batch].into_iter().chain(columns).collect() };
    let tensor = TensorType { elem_type: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) }
}
