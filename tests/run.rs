//! A run as its user meets it: folders, interruptions, damage, wrong flags. Drives the built example.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wgflow::Error;
use wgflow::agents::{AgentConfig, Common, GfpConfig};
use wgflow::data::npz::Npz;
use wgflow::engine::{Arena, Engine};
use wgflow::train::{Quiet, RunConfig, RunFolder, State, Status, Trainer};

#[path = "common/example.rs"]
mod example;
#[path = "common/folder.rs"]
mod folder;

use folder::Folder;

fn example() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| example::built("train_gfp"))
}

/// Small nets and few updates: seconds.
const SMALL: &[&str] = &[
    "--engine",
    "cpu",
    "--hidden",
    "16,16",
    "--batch",
    "32",
    "--flow-steps",
    "3",
    "--steps",
    "400",
    "--log-every",
    "100",
    "--save-every",
    "100",
    "--eval-every",
    "0",
    "--episodes",
    "2",
];

fn run(arguments: &[&str]) -> Output {
    Command::new(example()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn small(out: &Path, more: &[&str]) -> Output {
    let out = ["--out", out.to_str().unwrap()];
    run(&[SMALL, &out, more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line of an error, after checks that hold for every refusal.
fn refusal(output: &Output, code: i32) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    // Mesa complains on machines without a desktop; that line is not ours.
    let ours = |line: &&str| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR");
    let lines: Vec<&str> = error.lines().filter(ours).collect();
    assert_eq!(lines.len(), 1, "one clear line: {error}");
    lines[0].to_owned()
}

#[test]
fn a_run_leaves_what_the_readme_promises_and_ends_with_the_result() {
    let folder = Folder::new("whole");
    let output = small(&folder.join("a"), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let last = text(&output.stdout).lines().last().unwrap().to_owned();
    assert!(last.starts_with("success ") && last.contains("% (actor)") && last.ends_with("% (flow), 2 episodes"), "{last}");
    for file in [
        "config.toml",
        "metrics.jsonl",
        "metrics.csv",
        "status.json",
        "checkpoints/000000400.safetensors",
        "curves.svg",
        "curves.png",
        "field.svg",
        "field.png",
    ] {
        assert!(folder.join("a").join(file).metadata().is_ok_and(|m| m.len() > 0), "{file}");
    }
    assert!(!text(&output.stdout).contains('\x1b') && !text(&output.stderr).contains('\x1b'), "no terminal, no escapes");
    let again = refusal(&small(&folder.join("a"), &[]), 64);
    assert!(again.contains("--resume"), "an existing run is not overwritten: {again}");
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let folder = Folder::new("resume");
    assert!(small(&folder.join("whole"), &[]).status.success());
    assert!(small(&folder.join("cut"), &["--steps", "200"]).status.success());
    let resumed = run(&["--engine", "cpu", "--resume", folder.join("cut").to_str().unwrap(), "--steps", "400"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let bytes = |name: &str, file: &str| std::fs::read(folder.join(name).join(file)).unwrap();
    let last = "checkpoints/000000400.safetensors";
    assert!(bytes("whole", last) == bytes("cut", last), "the checkpoints differ");
    // A run that is finished is finished again without a trace.
    let metrics = bytes("cut", "metrics.jsonl");
    let again = run(&["--engine", "cpu", "--resume", folder.join("cut").to_str().unwrap()]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(bytes("cut", "metrics.jsonl") == metrics, "a second end was written down");
}

#[test]
fn a_profile_takes_updates_apart_and_changes_nothing() {
    let folder = Folder::new("profile");
    let (plain, profiled, refused) = (folder.join("plain"), folder.join("profiled"), folder.join("refused"));
    let (trace, nowhere) = (folder.join("trace.json"), folder.join("missing/trace.json"));
    let outputs = [
        small(&plain, &[]),
        small(&profiled, &["--profile", trace.to_str().unwrap()]),
        small(&refused, &["--profile", nowhere.to_str().unwrap()]),
    ];
    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    assert!(text(&outputs[2].stderr).contains("warning: no profile: "), "{}", text(&outputs[2].stderr));
    let last = |out: &Path| std::fs::read(out.join("checkpoints/000000400.safetensors")).unwrap();
    assert!(last(&plain) == last(&profiled) && last(&plain) == last(&refused), "the checkpoints differ");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!(count("clock"), 3, "three updates");
    assert!(count("matmul_nn") > 3 && count("adam") >= 3, "{} events", events.len());
}

#[test]
fn lanes_take_lists_and_seeds() {
    let folder = Folder::new("lanes");
    let output = small(&folder.join("sweep"), &["--eta", "0.1,0.01,0.001", "--steps", "100"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("lane 2 (eta 0.001, seed 0)"), "{}", text(&output.stdout));
    let product = small(&folder.join("product"), &["--eta", "0.1,0.01", "--alpha", "3,1", "--seeds", "2", "--steps", "5"]);
    assert!(text(&product.stdout).contains("lane 7 (alpha 1, eta 0.01, seed 1)"), "{}", text(&product.stdout));
    let error = refusal(&small(&folder.join("bad"), &["--eta", "0.1,0.01,0.001", "--seeds", "4,7"]), 64);
    assert!(error.contains("eta") && error.contains("3 values"), "{error}");
    assert!(!folder.join("bad").exists(), "a refused run leaves nothing");
}

#[test]
fn wrong_flags_and_files_are_one_clear_line() {
    let folder = Folder::new("wrong");
    let out = folder.join("x");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--batch", "0"], 64, "batch"),
        (&["--discount", "1.5"], 64, "discount"),
        (&["--hidden", "0"], 64, "hidden"),
        (&["--alpha=-1"], 64, "alpha"),
        (&["--time-dim", "7"], 64, "time_dim"),
        (&["--steps", "0"], 64, "steps"),
        (&["--threads", "0"], 64, "--threads"),
        (&["--seeds", "0"], 64, "--seeds"),
        (&["--seeds", "a,b"], 64, "--seeds"),
        (&["--resume", "no/such/run", "--alpha", "3"], 64, "beside --resume"),
        (&["--task", "9"], 64, "task"),
        (&["--data", "no/such/file.npz"], 74, "no/such/file.npz"),
        (&["--data", "Cargo.toml"], 65, "Cargo.toml"),
        (&["--engine", "gpu", "--adapter", "no such adapter"], 69, "no such adapter"),
    ];
    for (flags, code, word) in cases {
        let error = refusal(&small(&out, flags), *code);
        assert!(error.contains(word), "{flags:?}: {error}");
        assert!(!out.exists(), "{flags:?} left a folder");
    }
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(64), "clap's own errors are usage errors too");
    let blocked = folder.join("a file");
    std::fs::write(&blocked, "in the way").unwrap();
    let error = refusal(&small(&blocked.join("run"), &[]), 74);
    assert!(error.contains("a file"), "{error}");
}

/// The step of a run's last checkpoint, which must be whole.
fn last_step(run: &Path) -> u64 {
    let (folder, _) = RunFolder::open(run).unwrap();
    folder.checkpoints().unwrap().last().map_or(0, |last| step_of(&last.path))
}

fn step_of(checkpoint: &Path) -> u64 {
    let bytes = std::fs::read(checkpoint).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let own: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["wgflow"]).unwrap();
    own["step"].as_u64().unwrap()
}

#[test]
fn a_damaged_checkpoint_is_never_trained_from() {
    let folder = Folder::new("damaged");
    let out = folder.join("run");
    assert!(small(&out, &["--steps", "100"]).status.success());
    let file = out.join("checkpoints/000000100.safetensors");
    let good = std::fs::read(&file).unwrap();
    let resume = || run(&["--engine", "cpu", "--resume", out.to_str().unwrap(), "--steps", "101"]);
    let mut random = StdRng::seed_from_u64(20);
    let places = (0..24).map(|_| random.random_range(0..good.len()));
    for at in places.chain([3, 200, good.len() / 2, good.len() - 5]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, &bad).unwrap();
        let output = resume();
        assert!(!output.status.success(), "a flipped bit at {at} passed");
        let error = refusal(&output, 65);
        assert!(error.contains("000000100.safetensors"), "{error}");
    }
    for len in [0, 7, 500, good.len() - 1] {
        std::fs::write(&file, &good[..len]).unwrap();
        refusal(&resume(), 65);
    }
    std::fs::write(&file, &good).unwrap();
    assert!(resume().status.success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved_and_says_how_to_go_on() {
    let folder = Folder::new("interrupted");
    let out = folder.join("run");
    let arguments = [SMALL, &["--out", out.to_str().unwrap(), "--steps", "1000000", "--save-every", "500000"]].concat();
    let child = Command::new(example()).args(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = out.join("metrics.jsonl");
    let begun = Instant::now();
    while metrics.metadata().map_or(0, |m| m.len()) == 0 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--resume"), "{}", text(&output.stderr));
    assert!(last_step(&out) > 0);
    assert_eq!(Status::read(&out.join("status.json")).unwrap().state, State::Interrupted);
}

/// The dataset that the main job trains on is the one that the tests of `data` check.
#[test]
fn the_bundled_dataset_is_there() {
    let file = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";
    assert!(Npz::open(file).unwrap().contains("observations"));
}

#[test]
fn a_diverged_run_stops_names_the_loss_and_keeps_the_last_good_checkpoint() {
    let folder = Folder::new("diverged");
    let common = Common { batch: 16, hidden: vec![8], flow_steps: 2, ..GfpConfig::default().common };
    let data = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";
    let agent = AgentConfig::Gfp(GfpConfig { common, ..Default::default() });
    let config = RunConfig {
        task: Some(3),
        steps: 100,
        seeds: vec![0, 1],
        log_every: 50,
        eval_every: 0,
        episodes: 1,
        save_every: 50,
        ..RunConfig::new(data, agent)
    };
    let mut trainer = Trainer::create(config, &Engine::cpu(Some(1)), &folder.join("run")).unwrap();
    trainer.run(&mut Quiet).unwrap();
    // One weight of the second lane's actor becomes NaN: its next action spoils the critic's target first.
    let actor = trainer.agent().blueprint().parameters.entries().iter().find(|e| e.name == "actor/dense0/kernel").unwrap();
    let weight = actor.tensor.region.rows(0, 1).column(0);
    assert_eq!(weight.arena, Arena::Weights);
    trainer.agent_mut().machine().write(weight, 1, &[f64::NAN]).unwrap();
    trainer.set_steps(400);
    let error = trainer.run(&mut Quiet).unwrap_err();
    assert!(matches!(&error, Error::Diverged { lane: 1, loss, step: 101 } if loss == "critic_loss"), "{error}");
    assert_eq!(last_step(&folder.join("run")), 100, "the last good checkpoint");
}
