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

/// The first gradients of each tensor that are not all zero: our own, and the update they belong to.
type Gradients = BTreeMap<String, (u32, Vec<f64>)>;

/// The largest errors of a comparison.
#[derive(Default)]
pub struct Worst {
    losses: f64,
    intermediates: f64,
    gradients: f64,
    /// After one or two updates, in units of the learning rate.
    steps: f64,
    /// After all updates, in units of the learning rate.
    last: f64,
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { losses, intermediates, gradients, steps, last } = self;
        write!(f, "losses {losses:.1e}, intermediates {intermediates:.1e}, gradients {gradients:.1e}, ")?;
        write!(f, "parameters after a step {steps:.1e} lr, after all {last:.1e} lr")
    }
}

/// Compares an agent's whole run with a fixture. `alter` may spoil the plan, to see that the comparison notices.
pub fn compare(
    fixture: &Fixture,
    config: &AgentConfig,
    engine: &Engine,
    limits: &Limits,
    alter: impl FnOnce(Plan) -> Plan,
) -> Result<Worst, String> {
    let mut agent = fixture.agent(engine, config);
    let plan = alter(agent.blueprint().update.without_sampling());
    agent.replace_update(&plan).map_err(|e| e.to_string())?;
    let (mut first, mut worst) = (Gradients::new(), Worst::default());
    for k in 0..fixture.steps() {
        fixture.upload(&mut agent, k);
        agent.update(1).map_err(|e| e.to_string())?;
        compare_losses(fixture, &mut agent, limits, k, &mut worst.losses)?;
        compare_intermediates(fixture, &mut agent, limits, k, &mut worst.intermediates)?;
        compare_gradients(fixture, &mut agent, limits, k, &mut worst.gradients)?;
        for (name, (_, gradient)) in tensors(&mut agent) {
            // ReBRAC's first update leaves the actor out.
            if first.get(&name).is_none_or(|(_, known)| known.iter().all(|g| *g == 0.0)) {
                first.insert(name, (k, gradient));
            }
        }
        compare_parameters(fixture, &mut agent, limits, &first, (&format!("step{}", k + 1), false), &mut worst.steps)?;
    }
    compare_parameters(fixture, &mut agent, limits, &first, ("final", true), &mut worst.last)?;
    Ok(worst)
}

fn check(what: &str, error: f64, limit: f64, worst: &mut f64) -> Result<(), String> {
    *worst = worst.max(error);
    if error <= limit { Ok(()) } else { Err(format!("{what}: {error:.3e}, {limit:.1e} allowed")) }
}

fn compare_losses(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32, worst: &mut f64) -> Result<(), String> {
    let names = agent.metric_names();
    let sample = agent.read_metrics().map_err(|e| e.to_string())?.swap_remove(0).pop().ok_or("no metrics")?;
    let losses = fixture.arrays.keys().filter_map(|key| key.strip_prefix("trace/loss/")?.strip_suffix("_loss"));
    for name in losses {
        let at = names.iter().position(|n| *n == format!("{name}_loss")).ok_or_else(|| format!("{name}_loss is not logged"))?;
        let found = sample.values[at];
        let trace = fixture.get(&format!("trace/loss/{name}_loss"))[k as usize];
        if trace.is_nan() {
            continue; // not computed in this update by the official code
        }
        check(&format!("update {k}: trace of {name}_loss"), relative_error(&[found], &[trace]), limits.loss(name, trace), worst)?;
        if let Some(wanted) = fixture.arrays.get(&format!("step{k}/loss/{name}_loss")) {
            check(&format!("update {k}: {name}_loss"), relative_error(&[found], wanted), limits.loss(name, trace), worst)?;
        }
    }
    Ok(())
}

fn compare_intermediates(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32, worst: &mut f64) -> Result<(), String> {
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
        check(&format!("update {k}: {name}"), relative_error(&found, wanted), limits.intermediate(name), worst)?;
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

fn compare_gradients(fixture: &Fixture, agent: &mut Agent, limits: &Limits, k: u32, worst: &mut f64) -> Result<(), String> {
    for (name, (_, gradient)) in tensors(agent) {
        if let Some((found, wanted, norm)) = entries(fixture, &format!("step{k}"), "grad", &name, &gradient) {
            let limit = limits.gradient(&name);
            check(&format!("update {k}: gradient of {name}"), relative_error(&found, &wanted), limit, worst)?;
            check(&format!("update {k}: norm of the gradient of {name}"), norm, limit, worst)?;
        }
    }
    Ok(())
}

/// `first` are our own gradients of each tensor's first update, already compared with the fixture's.
fn compare_parameters(
    fixture: &Fixture,
    agent: &mut Agent,
    limits: &Limits,
    first: &Gradients,
    (step, last): (&str, bool),
    worst: &mut f64,
) -> Result<(), String> {
    let (lr, tau) = (fixture.number("lr"), fixture.number("tau"));
    for (name, (weights, _)) in tensors(agent) {
        let Some((found, wanted, _)) = entries(fixture, step, "param", &name, &weights) else { continue };
        let source = name.strip_prefix("target_").unwrap_or(&name);
        let (update, own) = first.get(source).ok_or_else(|| format!("no gradient of {source}"))?;
        // The fixture's gradient where it is stored for the same entries; in the thin form a target is sliced by itself.
        let gradient = match entries(fixture, &format!("step{update}"), "grad", source, own) {
            Some((_, stored, _)) if source == name || stored.len() == own.len() => stored,
            _ => fixture.get(&format!("slice/{name}")).iter().map(|&i| own[i as usize]).collect(),
        };
        let largest = own.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        let rate = if source == name { 1.0 } else { tau };
        let error = limits
            .parameters(&name, (&found, &wanted), (&gradient, largest), (lr, rate, last))
            .map_err(|e| format!("{step}: {name}: {e}"))?;
        *worst = worst.max(error);
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
    let trial = |kind: &'static str, engine: EngineOf, limits: Limits| {
        let (fixture, config) = (Arc::clone(fixture), config.clone());
        Trial::test(format!("{group}/{}/{kind}", fixture.name), move || {
            let worst = compare(&fixture, &config, &engine(), &limits, |plan| plan)?;
            println!("{}, {kind}: {worst}", fixture.name);
            Ok(())
        })
    };
    let single = Limits::single(fixture);
    let none: EngineOf = Arc::new(|| Engine::Oracle);
    let acts = fixture.arrays.contains_key("act/action").then(|| {
        let (fixture, config) = (Arc::clone(fixture), config.clone());
        Trial::test(format!("{group}/{}/choice of the action", fixture.name), move || choice(&fixture, &config))
    });
    let runs = vec![
        trial("cpu f64", Arc::new(|| Engine::Oracle), Limits::double()),
        trial("cpu f32", Arc::new(|| Engine::cpu(Some(1))), single),
        trial("gpu f32", gpu.cloned().unwrap_or(none), single).with_ignored_flag(gpu.is_none()),
    ];
    runs.into_iter().chain(acts).collect()
}

/// The candidates of the policy that an agent is judged by, their values, and the one it takes, at the initial weights.
fn choice(fixture: &Fixture, config: &AgentConfig) -> Result<(), Failed> {
    let limit = Limits::single(fixture).intermediates;
    let mut agent = fixture.agent(&Engine::Oracle, config);
    let observations: Vec<f32> = fixture.get("act/observation").iter().map(|x| *x as f32).collect();
    let rows = observations.len() / agent.dims().obs as usize;
    let mut policy = agent.policy(config.policies()[0], 0, rows as u32)?;
    let actions = policy.act(&observations, fixture.get("act/noise"))?;
    let mut probe = |name: &str| policy.probe(name).map(|values| values.ok_or(format!("no probe {name}")));
    let (candidates, q) = (probe("candidates")??, probe("q")??);
    let (first, second) = q.split_at(q.len() / 2);
    let smaller: Vec<f64> = first.iter().zip(second).map(|(a, b)| a.min(*b)).collect();
    let actions: Vec<f64> = actions.into_iter().map(f64::from).collect();
    let mut worst = 0.0;
    for (name, found) in [("candidates", &candidates), ("q", &smaller), ("action", &actions)] {
        check(name, relative_error(found, fixture.get(&format!("act/{name}"))), limit, &mut worst)?;
    }
    // If the mean of the critics, or the flow's first action, were as good, nothing would be known about the choice.
    let count = smaller.len() / rows;
    let best = |q: &[f64]| (0..count).fold(0, |best, i| if q[i] > q[best] { i } else { best });
    let mean: Vec<f64> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let differ = |other: &dyn Fn(usize) -> usize| (0..rows).any(|row| best(&smaller[row * count..][..count]) != other(row));
    if !differ(&|row| best(&mean[row * count..][..count])) || !differ(&|_| 0) {
        return Err("the fixture does not tell the ways to choose apart".into());
    }
    println!("{}, choice of the action: {worst:.1e}", fixture.name);
    Ok(())
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
        if fixture.agent_name() == "fql" {
            trials.extend(trials_of(&Arc::new(fixture.flow_alone()), "bundled", gpu.as_ref()));
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
