//! The agents against the authors' own code: losses, intermediates, gradients, and parameters after one and all updates.
//!
//! Runs every fixture in `tests/fixtures/` and in the folder named by `WGFLOW_FIXTURES`, on the CPU at f64 and f32 and on
//! a GPU adapter. Without an adapter the GPU trials are reported as ignored.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::fixture::{Fixture, tensors};
use common::gpu::{EngineOf, any_gpu};
use common::limits::{Limits, relative_error};
use libtest_mimic::{Arguments, Failed, Trial};
use wgflow::agents::{Agent, AgentConfig};
use wgflow::engine::{Engine, Plan};

#[path = "parity/mistakes.rs"]
mod mistakes;

/// Gradients by tensor.
type Gradients = BTreeMap<String, Vec<f64>>;

/// Compares an agent's whole run with a fixture. `alter` may spoil the plan, to see that the comparison notices.
pub fn compare(
    fixture: &Fixture,
    config: &AgentConfig,
    engine: &Engine,
    limits: &Limits,
    alter: impl FnOnce(Plan) -> Plan,
) -> Result<(), String> {
    let mut agent = fixture.agent(engine, config);
    let plan = alter(agent.blueprint().update.without_sampling());
    agent.replace_update(&plan).map_err(|e| e.to_string())?;
    let mut first = Gradients::new();
    for k in 0..fixture.steps() {
        fixture.upload(&mut agent, k);
        agent.update(1).map_err(|e| e.to_string())?;
        compare_losses(fixture, &mut agent, limits, k)?;
        compare_intermediates(fixture, &mut agent, limits, k)?;
        compare_gradients(fixture, &mut agent, limits, k)?;
        if k == 0 {
            first = tensors(&mut agent).into_iter().map(|(name, (_, gradient))| (name, gradient)).collect();
        }
        compare_parameters(fixture, &mut agent, limits, &first, (&format!("step{}", k + 1), false))?;
    }
    compare_parameters(fixture, &mut agent, limits, &first, ("final", true))
}

fn check(what: &str, error: f64, limit: f64) -> Result<(), String> {
    if error <= limit { Ok(()) } else { Err(format!("{what}: {error:.3e}, {limit:.1e} allowed")) }
}

fn compare_losses(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32) -> Result<(), String> {
    let names = agent.metric_names();
    let sample = agent.read_metrics().map_err(|e| e.to_string())?.swap_remove(0).pop().ok_or("no metrics")?;
    for name in ["total", "critic", "flow", "distill", "q"] {
        let at = names.iter().position(|n| *n == format!("{name}_loss")).ok_or_else(|| format!("{name}_loss is not logged"))?;
        let found = sample.values[at];
        let trace = fixture.get(&format!("trace/loss/{name}_loss"))[k as usize];
        check(&format!("update {k}: trace of {name}_loss"), relative_error(&[found], &[trace]), limits.loss(name))?;
        if let Some(wanted) = fixture.arrays.get(&format!("step{k}/loss/{name}_loss")) {
            check(&format!("update {k}: {name}_loss"), relative_error(&[found], wanted), limits.loss(name))?;
        }
    }
    Ok(())
}

fn compare_intermediates(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32) -> Result<(), String> {
    let prefix = format!("step{k}/loss/");
    let probes = agent.blueprint().outcome.probes.clone();
    for (key, wanted) in fixture.arrays.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)) {
        let name = &key[prefix.len()..];
        if name.ends_with("_loss") {
            continue;
        }
        // The dump holds both policies' next actions; one that does not enter the target is not computed here.
        let unused = fixture.config["target_agg"] == "vabc" && name.starts_with("next_") && name.ends_with("_actor");
        if unused {
            continue;
        }
        let (_, region) = probes.iter().find(|(n, _)| *n == name).ok_or_else(|| format!("`{name}` is not probed"))?;
        let found = agent.machine().read(*region, 0).map_err(|e| e.to_string())?;
        check(&format!("update {k}: {name}"), relative_error(&found, wanted), limits.intermediate(name))?;
    }
    Ok(())
}

/// The entries of a tensor that a fixture holds, ours beside its own: all of them, or a slice in the thin form, whose
/// norm is compared as well.
fn entries(fixture: &Fixture, step: &str, kind: &str, tensor: &str, ours: &[f64]) -> Option<(Vec<f64>, Vec<f64>, f64)> {
    if let Some(wanted) = fixture.arrays.get(&format!("{step}/{kind}/{tensor}")) {
        return Some((ours.to_vec(), wanted.clone(), 0.0));
    }
    let wanted = fixture.arrays.get(&format!("{step}/{kind}val/{tensor}"))?;
    let picks = fixture.get(&format!("slice/{tensor}"));
    let norm = fixture.get(&format!("{step}/{kind}norm/{tensor}"))[0];
    let own = ours.iter().map(|v| v * v).sum::<f64>().sqrt();
    Some((picks.iter().map(|&i| ours[i as usize]).collect(), wanted.clone(), (own - norm).abs() / norm.max(1e-300)))
}

fn compare_gradients(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32) -> Result<(), String> {
    for (name, (_, gradient)) in tensors(agent) {
        if let Some((found, wanted, norm)) = entries(fixture, &format!("step{k}"), "grad", &name, &gradient) {
            let limit = limits.gradient(&name);
            check(&format!("update {k}: gradient of {name}"), relative_error(&found, &wanted), limit)?;
            check(&format!("update {k}: norm of the gradient of {name}"), norm, limit)?;
        }
    }
    Ok(())
}

/// `first` are our own gradients of update 0, already compared with the fixture's.
fn compare_parameters(
    fixture: &Fixture,
    agent: &mut Agent,
    limits: &Limits,
    first: &Gradients,
    (step, last): (&str, bool),
) -> Result<(), String> {
    let (lr, tau) = (fixture.number("lr"), fixture.number("tau"));
    for (name, (weights, _)) in tensors(agent) {
        let Some((found, wanted, _)) = entries(fixture, step, "param", &name, &weights) else { continue };
        let source = name.strip_prefix("target_").unwrap_or(&name);
        let own = first.get(source).ok_or_else(|| format!("no gradient of {source}"))?;
        // The fixture's gradient where it is stored for the same entries; in the thin form a target is sliced by itself.
        let gradient = match entries(fixture, "step0", "grad", source, own) {
            Some((_, stored, _)) if source == name || stored.len() == own.len() => stored,
            _ => fixture.get(&format!("slice/{name}")).iter().map(|&i| own[i as usize]).collect(),
        };
        let largest = own.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        let rate = if source == name { 1.0 } else { tau };
        limits
            .parameters(&name, (&found, &wanted), (&gradient, largest), (lr, rate, last))
            .map_err(|e| format!("{step}: {name}: {e}"))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "npz")).collect();
    files.sort();
    files
}

fn trials_of(fixture: &Arc<Fixture>, group: &str, gpu: Option<&EngineOf>) -> Vec<Trial> {
    let Some(config) = fixture.agent_config() else {
        let name = format!("{group}/{} (agent `{}` is not built)", fixture.name, fixture.agent_name());
        return vec![Trial::test(name, || Ok(())).with_ignored_flag(true)];
    };
    let trial = |kind: &str, engine: EngineOf, limits: Limits| {
        let (fixture, config) = (Arc::clone(fixture), config.clone());
        Trial::test(format!("{group}/{}/{kind}", fixture.name), move || {
            compare(&fixture, &config, &engine(), &limits, |plan| plan).map_err(Failed::from)
        })
    };
    let single = Limits::single(fixture);
    let none: EngineOf = Arc::new(|| Engine::Oracle);
    vec![
        trial("cpu f64", Arc::new(|| Engine::Oracle), Limits::double()),
        trial("cpu f32", Arc::new(|| Engine::cpu(Some(1))), single),
        trial("gpu f32", gpu.cloned().unwrap_or(none), single).with_ignored_flag(gpu.is_none()),
    ]
}

fn main() {
    let arguments = Arguments::from_args();
    let gpu = any_gpu();
    let mut trials = Vec::new();
    let bundled: Vec<Arc<Fixture>> = files(Path::new("tests/fixtures")).iter().map(|f| Arc::new(Fixture::load(f))).collect();
    for fixture in &bundled {
        trials.extend(trials_of(fixture, "bundled", gpu.as_ref()));
        if fixture.name == "gfp_options" {
            trials.extend(trials_of(&Arc::new(fixture.thin()), "bundled", gpu.as_ref()));
        }
    }
    trials.extend(mistakes::trials(&bundled));
    if let Ok(folder) = std::env::var("WGFLOW_FIXTURES") {
        let found: Vec<Arc<Fixture>> = files(Path::new(&folder)).iter().map(|f| Arc::new(Fixture::load(f))).collect();
        let checked = found.iter().filter(|f| f.agent_config().is_some()).count();
        for fixture in &found {
            trials.extend(trials_of(fixture, "WGFLOW_FIXTURES", gpu.as_ref()));
        }
        println!("WGFLOW_FIXTURES: {checked} files checked");
        if checked == 0 {
            eprintln!("WGFLOW_FIXTURES: {folder} holds no fixture of an agent that is built");
            std::process::exit(1);
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
