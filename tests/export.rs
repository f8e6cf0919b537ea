//! Exported policies: every policy of every agent in every format, mistakes that the check before the name must see, and
//! the command. With `WGFLOW_PYTHON` set to a Python that has onnx and onnxruntime, their verdict too.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use wgflow::agents::{ALL, Agent, AgentConfig};
use wgflow::data::{Dataset, Parts};
use wgflow::engine::{Arena, Engine};
use wgflow::export::parity::LIMIT;
use wgflow::export::{Description, Format, Metadata, Observations, Request, export, write};
use wgflow::train::{RunConfig, RunFolder, Saved, checkpoint};

#[path = "common/folder.rs"]
mod folder;
#[path = "export/mistakes.rs"]
mod mistakes;
#[path = "export/readers.rs"]
mod readers;

use folder::Folder;

/// Transitions without a pattern: what a policy learns does not matter here.
fn dataset() -> Dataset {
    let wave = |count: usize, size: f32| (0..count).map(|i| (i as f32 * 0.7).sin() * size).collect::<Vec<f32>>();
    let rows = 60;
    Dataset::from_parts(Parts {
        name: "waves".to_owned(),
        obs_dim: 3,
        action_dim: 2,
        observations: wave(rows * 3, 2.0),
        actions: wave(rows * 2, 0.9),
        next_observations: wave(rows * 3, 2.0),
        rewards: wave(rows, 1.0),
        masks: vec![1.0; rows],
        terminals: (0..rows).map(|i| i + 1 == rows).collect(),
        ..Parts::default()
    })
    .unwrap()
}

/// The agent called `name`, small, with settings `own` besides.
fn agent(name: &str, layer_norm: bool, own: &[(&str, Value)]) -> AgentConfig {
    let entry = ALL.iter().find(|entry| entry.name == name).unwrap();
    let mut config = serde_json::to_value(entry.defaults()).unwrap();
    let common = [
        ("hidden", json!([16, 16])),
        ("batch", json!(32)),
        ("flow_steps", json!(4)),
        ("actor_layer_norm", json!(layer_norm)),
        // Large, so that some actions reach the clip.
        ("learning_rate", json!([0.02])),
    ];
    for (key, value) in common {
        config["common"][key] = value;
    }
    for (key, value) in own {
        assert!(config.get(key).is_some(), "{name} has no setting {key}");
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

/// A run of `agent` with two lanes and two checkpoints, whose dataset's file is `data`.
pub fn run(folder: &Folder, agent: &AgentConfig, data: &str) -> Saved {
    run_scaled(folder, agent, data, 1.0)
}

/// The same, its weights multiplied by `scale` at the end.
fn run_scaled(folder: &Folder, agent: &AgentConfig, data: &str, scale: f64) -> Saved {
    let dataset = dataset();
    let mut config = json!({ "data": data, "steps": 40, "seeds": [5, 6], "log_every": 1, "eval_every": 0,
        "eval_episodes": 1, "episodes": 1, "save_every": 20 });
    config["agent"] = serde_json::to_value(agent).unwrap();
    let config: RunConfig = serde_json::from_value(config).unwrap();
    std::fs::create_dir_all(folder.join("checkpoints")).unwrap();
    std::fs::write(folder.join("config.toml"), toml::to_string(&config).unwrap()).unwrap();
    let (opened, _) = RunFolder::open(&folder.0).unwrap();
    let mut agent = Agent::new(&Engine::cpu(Some(1)), agent, (&dataset, None), &config.seeds).unwrap();
    for step in [20, 40] {
        agent.update(20).unwrap();
        let whole = agent.blueprint().parameters.whole(Arena::Weights);
        let weights: Vec<f64> = agent.weights(0).unwrap().iter().map(|w| w * scale).collect();
        agent.machine().write(whole, 0, &weights).unwrap();
        checkpoint::save(&opened.checkpoint_file(step), &mut agent, &config.identity(&dataset)).unwrap();
    }
    Saved::open(&folder.0).unwrap()
}

/// The runs whose policies are exported.
pub fn cases() -> Vec<(String, AgentConfig)> {
    let mut cases = Vec::new();
    for entry in ALL {
        let few = if entry.name == "ifql" { vec![("num_samples", json!(5))] } else { Vec::new() };
        cases.push((entry.name.to_owned(), agent(entry.name, false, &few)));
        cases.push((format!("{} with layer norm", entry.name), agent(entry.name, true, &few)));
    }
    cases.push(("fql with embedded time".to_owned(), agent("fql", false, &[("time_dim", json!(6))])));
    cases.push(("gfp with raw time".to_owned(), agent("gfp", true, &[("time_dim", json!(0))])));
    cases
}

/// Exports every policy of a run in every format; returns the files.
fn export_all(saved: &Saved, folder: &Folder, lane: usize) -> Vec<PathBuf> {
    let observations = Observations::of(saved, None).unwrap();
    let mut files = Vec::new();
    for policy in saved.config.agent.policies() {
        for format in [Format::Onnx, Format::Safetensors] {
            let out = folder.join(&format!("{policy}-{lane}.{}", format.extension()));
            let exported = export(saved, &Request { policy, lane, format, out: &out }, &observations);
            if (*policy, format) == ("best_of_n", Format::Safetensors) {
                let refused = exported.unwrap_err().to_string();
                assert!(refused.contains("--policy flow") && !out.exists(), "{refused}");
                continue;
            }
            let exported = exported.unwrap();
            assert!(exported.parity.worst > 0.0 && exported.parity.worst <= exported.parity.limit, "{:?}", exported.parity);
            assert!(exported.parity.clipped < 0.9, "{policy}: {:?} compares next to nothing", exported.parity);
            assert!(exported.parity.source.contains("standard normal"), "{:?}", exported.parity);
            files.push(out);
        }
    }
    files
}

fn every_policy_is_exported(name: &str, config: &AgentConfig) -> Result<(), Failed> {
    let folder = Folder::new(name);
    let saved = run(&folder, config, "/nowhere/waves.npz");
    let first = export_all(&saved, &folder, 0);
    let other = export_all(&saved, &folder, 1);
    for (file, other) in first.iter().zip(&other) {
        let bytes = std::fs::read(file)?;
        readers::check(file, &bytes, &saved)?;
        assert!(bytes != std::fs::read(other)?, "{}: lanes differ", file.display());
        let again = export_all(&saved, &folder, 0);
        assert!(again.contains(file) && bytes == std::fs::read(file)?, "{}: equal policies, equal bytes", file.display());
    }
    Ok(())
}

fn wgflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refusal(arguments: &[&str], code: i32) -> String {
    let output = wgflow(arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{error}");
    error
}

fn the_command_names_the_file_and_overwrites_nothing() -> Result<(), Failed> {
    let folder = Folder::new("command");
    run(&folder, &agent("fql", false, &[]), "/nowhere/waves.npz");
    let path = folder.join("").to_str().unwrap().to_owned();
    let onnx = ["export", &path, "--format", "onnx"];
    let output = wgflow(&onnx);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in ["export/actor.onnx", "fql actor after 40 updates", "largest difference", "[batch, 3], noise [batch, 2]"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let file = folder.join("export/actor.onnx");
    let first = std::fs::read(&file)?;
    assert!(refusal(&onnx, 64).contains("--force"));
    assert!(wgflow(&[&onnx[..], &["--force", "--step", "20"]].concat()).status.success());
    assert!(first != std::fs::read(&file)?, "another checkpoint, another policy");
    assert!(wgflow(&[&onnx[..], &["--lane", "1", "--policy", "flow"]].concat()).status.success());
    assert!(folder.join("export/flow-lane1.onnx").exists());
    assert!(refusal(&[&onnx[..], &["--force", "--lane", "2"]].concat(), 64).contains("--lane"));
    assert!(refusal(&[&onnx[..], &["--force", "--policy", "critic"]].concat(), 64).contains("actor, flow"));
    assert!(refusal(&[&onnx[..], &["--force", "--step", "30"]].concat(), 64).contains("20, 40"));
    assert!(refusal(&["export", "/nowhere/run", "--format", "onnx"], 74).contains("config.toml"));
    Ok(())
}

fn observations_come_from_the_dataset_that_is_named() -> Result<(), Failed> {
    let folder = Folder::new("data");
    let saved = run(&folder, &agent("bc", false, &[]), "/nowhere/waves.npz");
    let maze = Path::new("data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz");
    let refused = Observations::of(&saved, Some(maze)).unwrap_err().to_string();
    assert!(refused.contains("3 columns") && refused.contains("found 2"), "{refused}");
    // A run on that file finds it by itself.
    let mut own = saved;
    own.config.data = maze.to_path_buf();
    let refused = Observations::of(&own, None).unwrap_err().to_string();
    assert!(refused.contains("3 columns"), "{refused}");
    Ok(())
}

fn an_ill_conditioned_policy_is_allowed_its_rounding_and_no_more() -> Result<(), Failed> {
    let folder = Folder::new("wild");
    let saved = run_scaled(&folder, &agent("fql", false, &[]), "/nowhere/waves.npz", 3.0);
    let observations = Observations::of(&saved, None)?;
    let out = folder.join("wild.onnx");
    let request = Request { policy: "actor", lane: 0, format: Format::Onnx, out: &out };
    let parity = export(&saved, &request, &observations)?.parity;
    assert!(parity.worst > LIMIT && parity.limit > parity.worst && parity.limit < 100.0 * LIMIT, "{parity:?}");
    let mut description = Description::of(&saved, "actor", 0)?;
    description.net_mut().layers[1].bias.fill(0.0);
    let metadata = Metadata::of(&saved, &description, "actor", 0);
    assert!(write(&saved, &request, &observations, (&description, metadata)).is_err());
    Ok(())
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = cases()
        .into_iter()
        .map(|(name, config)| Trial::test(format!("exported: {name}"), move || every_policy_is_exported(&name, &config)))
        .collect();
    trials.push(Trial::test(
        "the_command_names_the_file_and_overwrites_nothing",
        the_command_names_the_file_and_overwrites_nothing,
    ));
    trials
        .push(Trial::test("observations_come_from_the_dataset_that_is_named", observations_come_from_the_dataset_that_is_named));
    trials.push(Trial::test(
        "an_ill_conditioned_policy_is_allowed_its_rounding_and_no_more",
        an_ill_conditioned_policy_is_allowed_its_rounding_and_no_more,
    ));
    trials.extend(mistakes::trials());
    trials.extend(readers::python_trials());
    libtest_mimic::run(&arguments, trials).exit();
}
