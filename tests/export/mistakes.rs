//! The check before the name must see each of these mistakes, keep no file, and leave an older one alone.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use wgflow::export::{Description, Form, Format, Metadata, Net, Observations, Request, Squash, parity, write};
use wgflow::train::Saved;

use super::{Folder, cases, run};

/// What is altered, and how; false where the policy has no such thing.
type Mistake = (&'static str, fn(&mut Description) -> bool);

const MISTAKES: &[Mistake] = &[
    ("a kernel transposed", |d| {
        let layer = &mut d.net_mut().layers[1];
        let n = layer.outputs;
        layer.kernel = (0..n * n).map(|i| layer.kernel[(i % n) * n + i / n]).collect();
        true
    }),
    ("a bias missing", |d| {
        d.net_mut().layers[1].bias.fill(0.0);
        true
    }),
    ("a weight that is no number", |d| {
        d.net_mut().layers[0].bias[0] = f32::NAN;
        true
    }),
    ("a hidden layer missing", |d| {
        d.net_mut().layers.remove(1);
        true
    }),
    ("parts of the input swapped", |d| {
        let (rows, cols) = (d.dims.obs as usize, d.net().layers[0].outputs);
        d.net_mut().layers[0].kernel[..rows * cols].reverse();
        true
    }),
    ("a norm's scale and bias swapped", |d| {
        let norm = d.net_mut().layers[0].norm.as_mut();
        norm.map(|norm| std::mem::swap(&mut norm.scale, &mut norm.bias)).is_some()
    }),
    ("the layer norm missing", |d| {
        let normed = d.net().layers[0].norm.is_some();
        d.net_mut().layers.iter_mut().for_each(|layer| layer.norm = None);
        normed
    }),
    ("one Euler step less", |d| match &mut d.form {
        Form::Flow(flow) | Form::BestOf { flow, .. } => {
            flow.steps -= 1;
            true
        }
        _ => false,
    }),
    ("another squashing", |d| match &mut d.form {
        Form::OneStep(_, squash) | Form::Mean(_, squash) => {
            *squash = if *squash == Squash::Clip { Squash::Tanh } else { Squash::Clip };
            true
        }
        _ => false,
    }),
    ("one critic instead of two", |d| match &mut d.form {
        Form::BestOf { critics, .. } => critics.pop().is_some(),
        _ => false,
    }),
    ("a critic's layer norm missing", |d| match &mut d.form {
        Form::BestOf { critics, .. } => {
            let strip = |net: &mut Net| net.layers.iter_mut().for_each(|layer| layer.norm = None);
            critics.iter_mut().for_each(strip);
            true
        }
        _ => false,
    }),
];

/// What is replaced in the bytes of an ONNX file; false where the policy has no such thing.
const SPOILT: &[(&str, &str, f32, f32)] = &[
    ("GELU's scale", "gelu/scale", 0.797_884_6, 0.8),
    ("GELU's cubic term", "gelu/cubic", 0.044_715, 0.046),
    ("the upper clip", "high", 1.0, 2.0),
    ("the lower clip", "low", -1.0, -2.0),
    ("a norm's epsilon", "norm/epsilon", 1e-6, 1e-3),
    ("the length of an Euler step", "flow/steps", 4.0, 4.01),
];

fn is_refused(name: &str, saved: &Saved, policy: &str, format: Format, folder: &Folder) -> Result<(), Failed> {
    let (_, alter) = MISTAKES.iter().find(|(known, _)| *known == name).ok_or("no such mistake")?;
    let observations = Observations::of(saved, None)?;
    let out = folder.join("older");
    std::fs::write(&out, "older")?;
    let request = Request { policy, lane: 0, format, out: &out };
    let mut description = Description::of(saved, policy, 0)?;
    if !alter(&mut description) {
        return Ok(());
    }
    // The file describes what it holds: the mistake is in both, as a writer's would be.
    let metadata = Metadata::of(saved, &description, policy, 0);
    if format == Format::Safetensors && metadata.candidates > 1 {
        return Ok(());
    }
    let refused = write(saved, &request, &observations, (&description, metadata)).map(|e| e.parity);
    let refused = refused.err().ok_or_else(|| format!("{policy}, {format:?}: accepted"))?.to_string();
    assert!(refused.contains("parity") && refused.contains("older"), "{refused}");
    assert_eq!(std::fs::read(&out)?, b"older");
    assert!(!folder.join("older.tmp").exists());
    Ok(())
}

/// The bytes with the constant `name` replaced: in protobuf a tensor's name, then field 9 of length 4.
fn replaced(bytes: &[u8], name: &str, from: f32, to: f32) -> Option<Vec<u8>> {
    let constant = |value: f32| [name.as_bytes(), &[9 << 3 | 2, 4], &value.to_le_bytes()].concat();
    let (from, to) = (constant(from), constant(to));
    let at = bytes.windows(from.len()).position(|part| part == from)?;
    Some([&bytes[..at], &to, &bytes[at + from.len()..]].concat())
}

fn spoilt_bytes_are_refused(saved: &Saved, policy: &str, folder: &Folder) -> Result<usize, Failed> {
    let observations = Observations::of(saved, None)?;
    let description = Description::of(saved, policy, 0)?;
    let bytes = Format::Onnx.encode(&description, &Metadata::of(saved, &description, policy, 0))?;
    let file = folder.join("spoilt");
    let check = |bytes: &[u8], file: &Path| {
        std::fs::write(file, bytes).unwrap();
        parity::check((file, file), Format::Onnx, &|rows| saved.policy(policy, 0, rows, 1), &observations)
    };
    let reaches_the_clip = check(&bytes, &file)?.clipped > 0.0;
    let mut seen = 0;
    for (what, name, from, to) in SPOILT {
        let Some(spoilt) = replaced(&bytes, name, *from, *to).filter(|_| reaches_the_clip || !what.contains("clip")) else {
            continue;
        };
        let refused = check(&spoilt, &file).map(|p| p.worst).err().ok_or_else(|| format!("{policy}, {what}: accepted"))?;
        assert!(refused.to_string().contains("difference"), "{what}: {refused}");
        seen += 1;
    }
    check(&bytes[..bytes.len() / 2], &file).map(|p| p.worst).err().ok_or("half a file is accepted")?;
    Ok(seen)
}

/// A trial for each mistake, and for spoilt bytes, on every policy that has what is altered.
pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = MISTAKES.iter().map(|(name, _)| Trial::test(format!("seen: {name}"), || on_all(name))).collect();
    trials.push(Trial::test("seen: spoilt bytes", || {
        let mut seen = 0;
        for (case, config) in cases() {
            let folder = Folder::new(&format!("spoilt {case}"));
            let saved = run(&folder, &config, "/nowhere/waves.npz");
            for policy in config.policies() {
                seen += spoilt_bytes_are_refused(&saved, policy, &folder).map_err(|e| format!("{case}: {e:?}"))?;
            }
        }
        assert!(seen > 50, "{seen} spoilt files");
        Ok(())
    }));
    trials
}

fn on_all(name: &str) -> Result<(), Failed> {
    for (case, config) in cases() {
        let folder = Folder::new(&format!("{name} {case}"));
        let saved = run(&folder, &config, "/nowhere/waves.npz");
        for policy in config.policies() {
            for format in [Format::Onnx, Format::Safetensors] {
                is_refused(name, &saved, policy, format, &folder).map_err(|e| format!("{case}: {e:?}"))?;
            }
        }
    }
    Ok(())
}
