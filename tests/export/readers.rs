//! What other readers make of the files: an ONNX parser that is not ours, and, where there is one, Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use onnx_rs::ast::{AttributeType, DataType, Dimension, Model, TypeValue, ValueInfo};
use wgflow::agents::policy::act_noise;
use wgflow::export::{OBSERVATIONS, Observations};
use wgflow::train::Saved;

use super::{Folder, cases, export_all, run};

/// Operators that every engine with opset 13 has.
const OPERATORS: &[&str] = &[
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Sqrt",
    "Tanh",
    "Clip",
    "ReduceMean",
    "Min",
    "ArgMax",
    "Unsqueeze",
    "Squeeze",
    "Expand",
    "GatherElements",
];

/// Reads a file as somebody else would.
pub fn check(file: &Path, bytes: &[u8], saved: &Saved) -> Result<(), Failed> {
    if file.extension().is_some_and(|e| e == "onnx") { onnx(bytes, saved) } else { safetensors(bytes, saved) }
}

fn onnx(bytes: &[u8], saved: &Saved) -> Result<(), Failed> {
    let model: Model<'_> = onnx_rs::parse(bytes).map_err(|e| e.to_string())?;
    assert_eq!((model.ir_version, model.opset_import[0].domain, model.opset_import[0].version), (7, "", 13));
    let property = |key: &str| model.metadata_props.iter().find(|p| p.key == key).map(|p| p.value);
    assert_eq!(property("step"), Some("40"));
    assert_eq!(property("dataset_hash"), Some(saved.identity().dataset.as_str()));
    assert!(model.doc_string.contains("after 40 updates"), "{}", model.doc_string);
    let graph = model.graph.ok_or("no graph")?;
    assert_eq!((graph.input[0].name, graph.output[0].name), ("observation", "action"));
    assert_eq!(shape(&graph.input[0]), ["batch", "3"]);
    assert_eq!(shape(&graph.output[0]), ["batch", "2"]);
    assert!(graph.input[1..].iter().all(|input| input.name == "noise"));
    let mut known: Vec<&str> = graph.input.iter().map(|i| i.name).chain(graph.initializer.iter().map(|i| i.name())).collect();
    for node in &graph.node {
        assert!(OPERATORS.contains(&node.op_type.as_str()), "{}", node.op_type.as_str());
        assert!(node.input.iter().all(|name| known.contains(name)), "{} reads what is not there yet", node.name);
        assert!(!known.contains(&node.output[0]), "{} is computed twice", node.output[0]);
        known.push(node.output[0]);
    }
    for node in graph.node.iter().filter(|node| node.op_type.as_str() == "ReduceMean") {
        let [axes, keep] = node.attribute.as_slice() else { panic!("{node:?}") };
        assert_eq!((axes.name, axes.r#type, axes.ints.as_slice()), ("axes", AttributeType::Ints, [-1].as_slice()));
        assert_eq!((keep.name, keep.r#type, keep.i), ("keepdims", AttributeType::Int, 1));
    }
    for tensor in &graph.initializer {
        let size = tensor.dims().iter().product::<i64>() as usize;
        let values = if tensor.data_type() == DataType::Int64 {
            tensor.as_i64().map(|v| v.len())
        } else {
            tensor.as_f32().map(|v| v.len())
        };
        assert_eq!(values, Some(size), "{}", tensor.name());
    }
    let used = |name: &str| graph.node.iter().any(|node| node.input.contains(&name));
    assert!(graph.initializer.iter().all(|tensor| used(tensor.name())), "a constant that nobody reads");
    Ok(())
}

/// The declared sizes of an input or output.
fn shape(value: &ValueInfo<'_>) -> Vec<String> {
    let Some(TypeValue::Tensor(tensor)) = value.r#type.as_ref().and_then(|t| t.value.as_ref()) else { panic!("{value:?}") };
    let size = |dim: &Dimension<'_>| match dim {
        Dimension::Value(n) => n.to_string(),
        Dimension::Param(name) => (*name).to_owned(),
    };
    tensor.shape.iter().flat_map(|shape| &shape.dim).map(|d| size(&d.value)).collect()
}

fn safetensors(bytes: &[u8], saved: &Saved) -> Result<(), Failed> {
    let file = safetensors::SafeTensors::deserialize(bytes)?;
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes)?;
    let about = header.metadata().as_ref().and_then(|m| m.get("wgflow")).ok_or("no metadata")?;
    let about: serde_json::Value = serde_json::from_str(about)?;
    let (time, parts) = (about["time_columns"].as_u64().unwrap(), about["input"].as_array().unwrap().len() as u64);
    let noise = if parts > 1 { 2 } else { 0 };
    assert_eq!(file.tensor("w0")?.shape(), [(3 + noise + time) as usize, 16]);
    assert_eq!(file.tensor("w2")?.shape(), [16, 2]);
    assert_eq!(file.tensor("b2")?.shape(), [2]);
    // The layout of readers that know w and b only.
    let normed = saved.config.agent.common().actor_layer_norm;
    assert_eq!((about["layer_norm"].as_bool(), file.names().len()), (Some(normed), if normed { 10 } else { 6 }));
    Ok(())
}

/// Whether `python` can import `modules`.
fn has(python: &str, modules: &str) -> bool {
    let import = Command::new(python).args(["-c", &format!("import {modules}")]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success())
}

/// Each case by onnx.checker and onnxruntime; ignored without `WGFLOW_PYTHON`.
pub fn python_trials() -> Vec<Trial> {
    let python = std::env::var("WGFLOW_PYTHON").ok().filter(|python| has(python, "onnx, onnxruntime"));
    cases()
        .into_iter()
        .map(|(name, config)| {
            let interpreter = python.clone().unwrap_or_default();
            let title = format!("onnxruntime: {name}");
            let trial = Trial::test(title, move || {
                let folder = Folder::new(&format!("python {name}"));
                let saved = run(&folder, &config, "/nowhere/waves.npz");
                export_all(&saved, &folder, 0);
                config.policies().iter().try_for_each(|policy| by_python(&interpreter, &folder, &saved, policy))
            });
            trial.with_ignored_flag(python.is_none())
        })
        .collect()
}

/// Hands a policy's inputs and our actions over to the script.
fn by_python(python: &str, folder: &Folder, saved: &Saved, policy: &str) -> Result<(), Failed> {
    let observations = Observations::of(saved, None)?.values;
    let mut ours = saved.policy(policy, 0, OBSERVATIONS as u32, 1)?;
    let columns = ours.noise_cols();
    let noise: Vec<f32> = (0..OBSERVATIONS).flat_map(|i| act_noise(9, 0, i as u32, columns)).map(|x| x as f32).collect();
    let actions = ours.act(&observations, &noise.iter().copied().map(f64::from).collect::<Vec<_>>())?;
    let file = |name: &str, values: &[f32]| -> std::io::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
        Ok(path)
    };
    let inputs = [file("observation", &observations)?, file("noise", &noise)?, file("action", &actions)?];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/check.py");
    let output = Command::new(python).arg(script).arg(folder.join(&format!("{policy}-0.onnx"))).args(inputs).output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    print!("{policy}: {told}");
    if output.status.success() { Ok(()) } else { Err(told.into()) }
}
