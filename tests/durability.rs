#![cfg(unix)]
//! What a run leaves when it is killed, interrupted, or meets a full disk: whatever was saved stays, and the run that goes
//! on ends with the bytes of one that was never disturbed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wgflow::train::{RunFolder, State, Status};

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;

const STEPS: &str = "400";

/// A tiny run that saves every 20 updates and writes everything there is to write.
const TINY: &[&str] = &[
    "train",
    "--engine",
    "cpu",
    "--threads",
    "1",
    "--hidden",
    "8",
    "--batch",
    "8",
    "--flow-steps",
    "2",
    "--log-every",
    "10",
    "--save-every",
    "20",
    "--eval-every",
    "0",
    "--episodes",
    "1",
    "--task",
    "3",
    "--tensorboard",
    "--data",
    "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz",
];

fn wgflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgflow"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("WGFLOW_FAULT");
    command
}

fn start(out: &Path, more: &[&str]) -> Command {
    let mut command = wgflow();
    command.args(TINY).args(["--steps", STEPS, "--out"]).arg(out).args(more);
    command
}

fn resume(out: &Path) -> Command {
    let mut command = wgflow();
    command.args(["train", "--engine", "cpu", "--threads", "1", "--resume"]).arg(out);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// What an undisturbed run ends with: its last checkpoint and its metrics.
fn undisturbed() -> &'static [Vec<u8>; 3] {
    static WHOLE: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = Folder::new("whole");
        succeed(start(&folder.0.join("run"), &[]));
        result(&folder.0.join("run"))
    })
}

fn result(run: &Path) -> [Vec<u8>; 3] {
    ["checkpoints/000000400.safetensors", "metrics.jsonl", "metrics.csv"].map(|file| std::fs::read(run.join(file)).unwrap())
}

fn last_step(run: &Path) -> u64 {
    let (folder, _) = RunFolder::open(run).unwrap();
    let last = folder.checkpoints().unwrap().pop();
    last.map_or(0, |last| {
        safetensors::SafeTensors::deserialize(&std::fs::read(&last.path).unwrap()).unwrap();
        last.step
    })
}

fn finish_and_compare(run: &Path, what: &str) {
    succeed(resume(run));
    assert!(result(run) == *undisturbed(), "{what}: the resumed run ends elsewhere");
    let left: Vec<_> = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{what}: {left:?}");
}

/// Every step of writing a checkpoint, of deleting an old one, and of what is written beside them.
const POINTS: &[&str] = &[
    "create:000000200",
    "write:000000200",
    "write more:000000200",
    "sync:000000200",
    "rename:000000200",
    "renamed:000000200",
    "done:000000200",
    "remove:000000160",
    "removed:000000160",
    "append more:metrics.jsonl",
    "rename:status.json",
    "write more:config.toml",
    "renamed:metrics.jsonl",
    "rename:metrics.csv",
];

#[test]
fn a_run_killed_at_any_point_of_saving_goes_on_to_the_same_end() {
    let folder = Folder::new("points");
    for (number, point) in POINTS.iter().enumerate() {
        let run = folder.0.join(number.to_string());
        let killed = start(&run, &[]).env("WGFLOW_FAULT", format!("kill:{point}")).output().unwrap();
        assert_eq!(killed.status.signal(), Some(6), "{point} was not passed: {}", text(&killed.stderr));
        if run.join("config.toml").exists() {
            finish_and_compare(&run, point);
        } else {
            // Killed before it was a run: it can simply be started.
            succeed(start(&run, &[]));
        }
    }
}

#[test]
fn a_run_killed_at_random_times_loses_at_most_one_interval_and_ends_the_same() {
    let folder = Folder::new("random");
    let run = folder.0.join("run");
    let mut random = StdRng::seed_from_u64(3);
    let mut child = start(&run, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !run.join("config.toml").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut reached = 0;
    for round in 0..20 {
        std::thread::sleep(Duration::from_micros(random.random_range(1_000..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = last_step(&run);
        assert!(now >= reached, "round {round}: update {now} after {reached}");
        reached = now;
        child = resume(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    finish_and_compare(&run, "twenty kills");
}

/// A disk that is full once: training goes on, and the next checkpoint is written.
#[test]
fn a_checkpoint_that_cannot_be_written_is_tried_again_and_nothing_older_is_lost() {
    let folder = Folder::new("full-once");
    for action in ["create", "write", "write more", "sync", "rename"] {
        let run = folder.0.join(action);
        let output = start(&run, &[]).env("WGFLOW_FAULT", format!("full:{action}:000000200")).output().unwrap();
        let error = text(&output.stderr);
        assert!(output.status.success() && error.contains("no checkpoint after update 200"), "{action}: {error}");
        assert!(result(&run) == *undisturbed(), "{action}");
    }
}

#[test]
fn a_disk_that_stays_full_ends_the_run_and_keeps_the_last_good_checkpoint() {
    let folder = Folder::new("full");
    let run = folder.0.join("run");
    // 200, 220, ..., 280: five files that begin so.
    let output = start(&run, &[]).env("WGFLOW_FAULT", "full:write more:0000002").output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{error}");
    assert!(error.contains("000000240.safetensors") && !error.contains("panicked"), "the third in a row ends it: {error}");
    assert_eq!(last_step(&run), 180);
    assert_eq!(Status::read(&run.join("status.json")).unwrap().state, State::Failed);
    finish_and_compare(&run, "a full disk");
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let folder = Folder::new("damaged");
    let run = folder.0.join("run");
    succeed(start(&run, &["--steps", "200"]));
    let last = run.join("checkpoints/000000200.safetensors");
    let mut bytes = std::fs::read(&last).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&last, bytes).unwrap();
    let mut command = resume(&run);
    command.args(["--steps", STEPS]);
    let output = succeed(command);
    let told = text(&output.stderr);
    assert!(told.contains("000000200.safetensors") && told.contains("passed over"), "{told}");
    assert!(text(&output.stdout).contains("resuming after update 180"), "{}", text(&output.stdout));
    assert!(result(&run) == *undisturbed(), "it ends elsewhere");
}

#[test]
fn signals_save_and_end_with_their_own_codes() {
    let folder = Folder::new("signals");
    for (signal, code) in [("INT", 130), ("TERM", 75), ("USR1", 75)] {
        let run = folder.0.join(signal);
        let child = start(&run, &["--steps", "100000000", "--save-every", "100000000"]).spawn().unwrap();
        let begun = Instant::now();
        while std::fs::metadata(run.join("metrics.jsonl")).map_or(0, |m| m.len()) == 0
            && begun.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{signal}: {error}");
        assert!(error.contains("--resume"), "{error}");
        assert!(last_step(&run) > 0, "{signal}");
        assert_eq!(Status::read(&run.join("status.json")).unwrap().state, State::Interrupted);
        assert!(!(error + &text(&output.stdout)).contains('\x1b'), "no control characters without a terminal");
    }
}

#[test]
fn a_folder_in_use_is_refused_with_its_holder() {
    let folder = Folder::new("locked");
    let run = folder.0.join("run");
    let mut child = start(&run, &["--steps", "100000000"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !run.join("status.json").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = resume(&run).output().unwrap();
    let holder = format!("process {}", child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&holder), "{}", text(&output.stderr));
}
