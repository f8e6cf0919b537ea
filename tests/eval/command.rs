//! `wgflow eval` as its user meets it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use wgflow::agents::{AgentConfig, GfpConfig};
use wgflow::engine::Engine;
use wgflow::train::{EnvSpec, Protocol, Quiet, RunFolder, Trainer};

use super::Test;
use super::fake::{path, python};
use crate::folder::Folder;

pub const TESTS: &[Test] = &[
    ("a built-in maze needs no Python and repeats the training's evaluation", a_built_in_maze_needs_no_python),
    ("what is known is not evaluated again", what_is_known_is_not_evaluated_again),
    ("wrong requests are one clear line", wrong_requests_are_one_clear_line),
    ("a protocol finds its checkpoints or says how to keep them", a_protocol_finds_its_checkpoints),
];

pub const PYTHON_TESTS: &[Test] = &[
    ("an environment in Python is named, evaluated and written down", an_environment_in_python),
    ("an environment of another shape is refused", an_environment_of_another_shape_is_refused),
    ("an interruption ends at once and keeps what is done", an_interruption_ends_at_once),
];

/// A run of 100 updates with checkpoints at 50 and 100, and seeds from 3 on. Its settings come as JSON, so that a field
/// they do not name has its default.
pub fn tiny_run(folder: &Folder, lanes: u64) -> PathBuf {
    let mut gfp = GfpConfig::default();
    (gfp.common.hidden, gfp.common.batch, gfp.common.flow_steps) = (vec![8, 8], 16, 2);
    let config = json!({
        "data": "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz",
        "task": 3,
        "steps": 100,
        "seeds": (3..3 + lanes).collect::<Vec<_>>(),
        "log_every": 50,
        "eval_every": 0,
        "eval_episodes": 1,
        "final_episodes": 4,
        "save_every": 50,
        "agent": AgentConfig::Gfp(gfp),
    });
    let out = folder.0.join("run");
    let mut trainer = Trainer::create(serde_json::from_value(config).unwrap(), &Engine::cpu(Some(1)), &out).unwrap();
    trainer.run(&mut Quiet).unwrap();
    out
}

fn eval(run: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgflow"));
    command.arg("eval").arg(run).args(arguments).stdin(Stdio::null());
    // What this machine has must not matter.
    command.env_remove("WGFLOW_PYTHON").env("XDG_DATA_HOME", "/nonexistent").env("LOCALAPPDATA", "/nonexistent");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn a_built_in_maze_needs_no_python() {
    let folder = Folder::new("built-in");
    let run = tiny_run(&folder, 2);
    let output = good(&eval(&run, &["--episodes", "4"]).output().unwrap());
    assert!(output.contains("env: pointmaze-medium-singletask-task3-v0, built in"), "{output}");
    assert!(output.contains("success timing pre") && output.contains("Wilson for success"), "{output}");
    let records = lines(&run.join("evaluations.jsonl"));
    let metrics = lines(&run.join("metrics.jsonl"));
    assert_eq!(records.len(), 4);
    for record in &records {
        let policy = record["policy"].as_str().unwrap();
        assert_eq!((record["step"].as_u64(), record["episodes"].as_u64()), (Some(100), Some(4)));
        let trained = |line: &&Value| line["lane"] == record["lane"] && line.get(format!("eval/{policy}/success")).is_some();
        let line = metrics.iter().find(trained).expect("the evaluation at the end of training");
        for what in ["success", "return", "length"] {
            assert_eq!(record[what].as_f64(), line[format!("eval/{policy}/{what}")].as_f64(), "{policy} {what}");
        }
        assert!(record["intervals"]["success"][1].as_f64().unwrap() > 0.4, "{record}");
        assert_eq!((&record["normalized"], &record["protocol"]), (&Value::Null, &Value::Null));
        assert_eq!(record["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["wgflow"]);
    }
    let seeds: Vec<_> = records.iter().map(|record| record["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [3, 3, 4, 4], "each lane's own");
}

fn what_is_known_is_not_evaluated_again() {
    let folder = Folder::new("known");
    let run = tiny_run(&folder, 1);
    let file = run.join("evaluations.jsonl");
    let arguments = ["--episodes", "2", "--policy", "actor", "--all-steps"];
    let first = good(&eval(&run, &arguments).output().unwrap());
    assert!(!first.contains("known"), "{first}");
    let kept = lines(&file);
    assert_eq!(kept.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [50, 100]);
    // A forged result shows that the second time is read from the file, and the third is not.
    let forged = std::fs::read_to_string(&file).unwrap().replace("\"length\":1000.0", "\"length\":12345.5");
    std::fs::write(&file, &forged).unwrap();
    let second = good(&eval(&run, &arguments).output().unwrap());
    assert_eq!((second.matches("12345.5").count(), second.matches("known").count()), (2, 2), "{second}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), forged);
    let third = good(&eval(&run, &[&arguments[..], &["--again"]].concat()).output().unwrap());
    assert!(!third.contains("12345.5") && third.contains("1000.0"), "{third}");
    assert_eq!(lines(&file)[2..], kept, "appended");
    for other in [["--seed", "9"], ["--success-timing", "post"], ["--episodes", "3"]] {
        let output = good(&eval(&run, &[&["--episodes", "2", "--policy", "actor"], &other[..]].concat()).output().unwrap());
        assert!(!output.contains("known"), "{other:?} is another evaluation: {output}");
    }
    let json = good(&eval(&run, &["--episodes", "2", "--policy", "actor", "--json"]).output().unwrap());
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), kept[1], "a line of the file and nothing else");
}

fn wrong_requests_are_one_clear_line() {
    let folder = Folder::new("wrong");
    let run = tiny_run(&folder, 1);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--policy", "critic"], 64, &["--policy", "actor, flow"]),
        (&["--lane", "1"], 64, &["--lane", "0 to 0"]),
        (&["--step", "7"], 64, &["--step", "50, 100", "--keep-every"]),
        (&["--every", "30"], 64, &["--every", "50, 100"]),
        (&["--episodes", "0"], 64, &["--episodes"]),
        (&["--parallel", "0"], 64, &["at least 1"]),
        (&["--threads", "0"], 64, &["--threads"]),
        (&["--protocol", "gfp"], 64, &["--protocol", "more than 200000"]),
        (&["--protocol", "gfp", "--episodes", "3"], 64, &["--episodes"]),
        (&["--step", "50", "--all-steps"], 64, &["--all-steps"]),
        (&["--env", "cube-single-singletask-task2-v0"], 69, &["WGFLOW_PYTHON", "`wgflow setup`"]),
        (&["--env", "robosuite:Lift"], 69, &["`wgflow setup --with robosuite`"]),
        (&["--env", "minari:D4RL/pen/human-v2"], 69, &["`wgflow setup --with minari`"]),
        (&["--env", "x-v0", "--python", "no-such-python"], 69, &["x-v0: cannot run no-such-python"]),
    ];
    for (arguments, code, parts) in cases {
        let output = eval(&run, arguments).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    }
    let nothing = eval(&folder.0.join("nothing"), &[]).output().unwrap();
    assert!(!nothing.status.success());
    assert!(!run.join("evaluations.jsonl").exists(), "a refused request writes nothing");
}

fn a_protocol_finds_its_checkpoints() {
    let folder = Folder::new("protocol");
    let run = tiny_run(&folder, 1);
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    std::fs::write(run.join("config.toml"), config.replace("\nsteps = 100\n", "\nsteps = 300000\n")).unwrap();
    let (saved, config) = RunFolder::open(&run).unwrap();
    let spec = EnvSpec::of_run(&config).unwrap();
    let find = || Protocol::Gfp.checkpoints(&spec, &saved, &config);
    for step in [200_000, 250_000, 300_000] {
        std::fs::write(saved.checkpoint_file(step), "").unwrap();
    }
    let error = find().unwrap_err().to_string();
    assert!(error.contains("none of 100000 (there: 50, 100, 200000, 250000, 300000)"), "{error}");
    assert!(error.contains("--keep-every 100000"), "{error}");
    std::fs::write(saved.checkpoint_file(100_000), "").unwrap();
    let steps: Vec<u64> = find().unwrap().iter().map(|checkpoint| checkpoint.step).collect();
    assert_eq!(steps, [100_000, 200_000, 300_000]);
}

fn fake_eval(run: &Path, env: &str, arguments: &[&str]) -> Command {
    let mut command = eval(run, &["--env", env, "--python", python().unwrap().to_str().unwrap()]);
    command.args(arguments).env("PYTHONPATH", path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn an_environment_in_python() {
    let folder = Folder::new("python");
    let run = tiny_run(&folder, 1);
    let arguments = ["--episodes", "6", "--parallel", "4", "--processes", "2", "--policy", "flow"];
    let output = good(&fake_eval(&run, "flat2-v0", &arguments).output().unwrap());
    assert!(output.contains("env: flat2-v0, success timing pre") && output.contains("gymnasium 0.1-fake"), "{output}");
    assert!(output.contains("4 environments side by side"), "{output}");
    let [record] = &lines(&run.join("evaluations.jsonl"))[..] else { panic!("one line") };
    assert_eq!((record["env"].as_str(), record["policy"].as_str()), (Some("flat2-v0"), Some("flow")));
    // Training's seed 3, marked as evaluation's: the made-up environment's lengths and successes follow.
    let seeds = (0..6).map(|e| super::fake::seed_there(3 ^ 0x6576_616c, e));
    let (lengths, odd) = seeds.fold((0, 0), |(length, odd), seed| (length + 3 + seed % 5, odd + seed % 2));
    assert_eq!(record["length"].as_f64(), Some(lengths as f64 / 6.0));
    assert_eq!(record["success"].as_f64(), Some(odd as f64 / 6.0));
    assert_eq!(record["versions"]["gymnasium"].as_str(), Some("0.1-fake"));

    let output = good(&fake_eval(&run, "flat2-v0", &["--protocol", "fql", "--policy", "actor"]).output().unwrap());
    assert!(output.contains("fql lane 0 actor: success ") && output.contains("% (update 100)"), "{output}");
    let last = lines(&run.join("evaluations.jsonl")).pop().unwrap();
    assert_eq!((last["protocol"].as_str(), last["episodes"].as_u64()), (Some("fql"), Some(50)));
}

fn an_environment_of_another_shape_is_refused() {
    let folder = Folder::new("shape");
    let run = tiny_run(&folder, 1);
    let output = fake_eval(&run, "plain-v0", &["--episodes", "2"]).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("2 observed values") && error.contains("one with 4 and 2"), "{error}");
    assert!(!run.join("evaluations.jsonl").exists());
}

#[cfg(not(unix))]
fn an_interruption_ends_at_once() {}

#[cfg(unix)]
fn an_interruption_ends_at_once() {
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};
    let folder = Folder::new("interrupted");
    let run = tiny_run(&folder, 1);
    // An episode takes 1000 steps and is far from over when the signal comes.
    let mut command = fake_eval(&run, "slow-v0", &["--episodes", "400", "--parallel", "2", "--policy", "actor"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut head = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(head.by_ref().any(|line| line.unwrap().contains("update")), "the table has begun");
    let kill = |signal: &str| Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill("-INT").success());
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
    assert!(!run.join("evaluations.jsonl").exists(), "half an evaluation is none");
}
