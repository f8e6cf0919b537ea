//! `wgflow bench` and `wgflow plan`: what they print, what they refuse, and whether it is true.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use wgflow::agents::{AgentConfig, RebracConfig};
use wgflow::bench::{PUBLISHED, Subject, TRANSITIONS, Work, records};
use wgflow::engine::profile::Doing;
use wgflow::engine::{Arena, Engine};

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;

const DATA: &str = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";

/// A bench that takes no time.
const TINY: &str = "bench --engine cpu --threads 1 --seconds 0 --rounds 3 --hidden 8 --batch 8";

fn wgflow(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).args(arguments.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

fn json(arguments: &str) -> Value {
    let output = wgflow(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn the_json_of_a_bench_holds_together() {
    for algo in ["gfp", "fql", "ifql", "iql", "rebrac", "bc", "mlp"] {
        let report = json(&format!("{TINY} --algo {algo} --seeds 2 --json"));
        let ms = number(&report, "median_ms");
        assert!(number(&report, "min_ms") <= ms && ms <= number(&report, "max_ms") && ms > 0.0, "{report}");
        assert_eq!(report["rounds_ms"].as_array().unwrap().len(), 3);
        assert!((number(&report, "gflop") / ms * 1e3 / number(&report, "gflops") - 1.0).abs() < 1e-9, "{report}");
        let share = number(&report, "gflops") / number(&report, "peak_gflops");
        assert!((share / number(&report, "share_of_peak") - 1.0).abs() < 1e-9, "{report}");
        let named: [(&str, Value); 5] =
            [("algo", algo.into()), ("engine", "cpu".into()), ("threads", 1.into()), ("lanes", 2.into()), ("batch", 8.into())];
        for (name, expected) in named {
            assert_eq!(report[name], expected, "{name}");
        }
        let plan = json(&format!("plan --engine cpu --hidden 8 --batch 8 --algo {algo} --seeds 2 --json"));
        for name in ["levels", "dispatches", "operations", "gflop", "obs_dim", "action_dim"] {
            assert_eq!(report[name], plan[name], "{name}");
        }
    }
}

#[test]
fn settings_reach_a_bench_as_they_reach_training() {
    let folder = Folder::new("bench-settings");
    let file = folder.join("config.toml");
    // A run's own file says more than a bench needs.
    std::fs::write(&file, "task = 2\nsteps = 5\n[agent]\nalgorithm = \"fql\"\n[agent.common]\nbatch = 24\nhidden = [8]\n")
        .unwrap();
    let path = file.to_str().unwrap();
    let of_file = json(&format!("plan --engine cpu --json --config {path}"));
    assert_eq!((&of_file["algo"], &of_file["batch"]), (&"fql".into(), &24.into()));
    let set = json(&format!("plan --engine cpu --json --config {path} --batch 16 --set agent.common.batch=32"));
    assert_eq!(set["batch"], 32);
    let swept = json("plan --engine cpu --json --hidden 8 --alpha 3,1 --eta .1,.01 --seeds 2");
    assert_eq!(swept["lanes"], 8);
    let preset = json("plan --engine cpu --json --preset gfp/cube-single-play/2 --obs-dim 30 --action-dim 6");
    assert_eq!((&preset["algo"], &preset["obs_dim"]), (&"gfp".into(), &30.into()));
}

#[test]
fn wrong_flags_are_refused_with_the_reason() {
    for (arguments, reason) in [
        ("bench --algo nope", "mlp"),
        ("train --algo mlp", "one of gfp"),
        ("bench --rounds 0", "--rounds"),
        ("bench --seconds=-1", "--seconds"),
        ("bench --obs-dim 0", "--obs-dim"),
        ("bench --set steps=3", "steps"),
        ("bench --serve --json", "--json"),
        ("bench --algo fql --eta 0.1", "--eta"),
        ("bench --algo mlp --learning-rate 0.1,0.2 --engine cpu", "learning_rate"),
        ("bench --engine cpu --seeds 0", "--seeds"),
        ("bench --algo mlp --engine cpu --seeds 0", "--seeds"),
        ("plan --engine cpu --hidden 0", "hidden"),
        ("plan --print --engine cpu --threads 0", "--threads"),
    ] {
        let output = wgflow(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{arguments}: {message}");
        assert!(message.contains(reason), "{arguments}: {message}");
    }
}

#[test]
fn a_served_bench_answers_each_line_with_a_round() {
    let arguments = "bench --serve --engine cpu --threads 1 --seconds 0 --hidden 8 --batch 8 --algo mlp";
    let mut child = Command::new(env!("CARGO_BIN_EXE_wgflow"))
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut lines = BufReader::new(from).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let ready = lines.next().unwrap();
    assert_eq!((&ready["ready"], &ready["name"]), (&true.into(), &"wgflow".into()));
    assert_eq!(ready["versions"]["wgflow"], env!("CARGO_PKG_VERSION"));
    assert!(ready["device"].as_str().unwrap().contains("CPU"), "{ready}");
    for _ in 0..2 {
        to.write_all(b"\n").unwrap();
        assert!(number(&lines.next().unwrap(), "ms") > 0.0);
    }
    drop(to);
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_plan_prints_the_golden_plan() {
    let golden = std::fs::read_to_string("tests/plans/gfp_mean.txt").unwrap();
    let report = json("plan --engine cpu --algo gfp --print --json");
    assert_eq!(report["plan"].as_str().unwrap(), golden);
    let last = format!("{} levels, {} dispatches\n", report["levels"], report["dispatches"]);
    assert!(golden.ends_with(&last), "{last}");
    let text = String::from_utf8(wgflow("plan --engine cpu --algo gfp --print").stdout).unwrap();
    assert!(text.starts_with(&golden) && text.contains(&report["total_bytes"].to_string()));
}

#[test]
fn a_plan_counts_lanes_and_the_dataset() {
    let of =
        |lanes: u32| json(&format!("plan --engine cpu --algo fql --hidden 8 --batch 8 --json --data {DATA} --seeds {lanes}"));
    let (one, three) = (of(1), of(3));
    assert_eq!((&one["transitions"], &one["obs_dim"], &one["action_dim"]), (&200_000.into(), &2.into(), &2.into()));
    // [2 | 2 | 2 | 2] columns, each padded to 4, of 4 bytes.
    assert_eq!(one["dataset_bytes"], 200_000 * 16 * 4);
    let lane: u64 =
        ["weights", "training", "activations", "words", "packed"].map(|part| one[part]["lane"].as_u64().unwrap()).iter().sum();
    let total = |report: &Value| report["total_bytes"].as_u64().unwrap() - report["tables_bytes"].as_u64().unwrap();
    assert_eq!(total(&one), lane + 200_000 * 64);
    assert_eq!(total(&three), 3 * lane + 200_000 * 64);
}

/// Counts the process's resident memory, so only where Linux tells it. The state of eight lanes is about a gigabyte; what a
/// process takes besides is some ten megabytes.
#[cfg(target_os = "linux")]
#[test]
fn a_process_takes_what_was_planned() {
    let work = "--engine cpu --threads 2 --algo gfp --batch 64 --flow-steps 2 --seeds 8 --json";
    let planned = number(&json(&format!("plan {work}")), "total_bytes");
    let taken = number(&json(&format!("bench {work} --seconds 0 --rounds 1")), "peak_memory_bytes");
    assert!((taken / planned - 1.0).abs() < 0.05, "{taken} bytes taken, {planned} planned: {}", taken / planned);
}

fn rebrac(engine: &Engine) -> Subject {
    let mut config = RebracConfig::default();
    (config.common.batch, config.common.hidden) = (130, vec![24, 16]);
    Subject::new(engine, &Work::Agent(AgentConfig::Rebrac(config)), PUBLISHED, records(PUBLISHED, TRANSITIONS), &[0, 1]).unwrap()
}

#[test]
fn a_profile_knows_every_block_once_and_changes_no_bit() {
    for threads in [1, 3] {
        let engine = Engine::cpu(Some(threads));
        let (mut profiled, mut plain) = (rebrac(&engine), rebrac(&engine));
        plain.update(4).unwrap();
        profiled.update(1).unwrap();
        let profile = profiled.profile(3).unwrap();
        let weights = plain.blueprint().parameters.whole(Arena::Weights);
        for lane in 0..2 {
            assert_eq!(profiled.machine().read(weights, lane).unwrap(), plain.machine().read(weights, lane).unwrap());
        }
        let mut counts = BTreeMap::new();
        for span in &profile.spans {
            if let Doing::Block { op, lane, block } = span.doing {
                *counts.entry((op, lane, block)).or_insert(0) += 1;
            }
        }
        let blocks = |op: usize| (0..profile.plan.ops[op].blocks()).flat_map(move |block| [0, 1].map(|lane| (op, lane, block)));
        let expected: BTreeMap<_, _> = (0..profile.plan.ops.len()).flat_map(blocks).map(|key| (key, 3)).collect();
        assert_eq!(counts, expected);
        assert_eq!(profile.tracks.len(), threads);
        for track in 0..threads {
            let spans: Vec<_> = profile.spans.iter().filter(|span| span.track == track).collect();
            assert!(
                spans.windows(2).all(|pair| (pair[0].start + pair[0].length - pair[1].start).abs() < 1e-3),
                "spans follow one another"
            );
        }
        let whole: f64 = profile.by_kernel().iter().map(|share| share.share).sum();
        assert!((whole - 1.0).abs() < 1e-6, "{whole}");
    }
}

#[test]
fn a_trace_is_what_viewers_read() {
    let folder = Folder::new("bench-trace");
    let file = folder.join("trace.json");
    let arguments = "bench --engine cpu --threads 2 --hidden 8 --batch 8 --algo bc --profile";
    let output = wgflow(&format!("{arguments} {}", file.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("matmul_nn") && table.contains("waiting") && table.contains("GFLOP/s"), "{table}");
    let trace: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!(named("thread_name"), 2);
    assert!(named("waiting") > 0);
    // Three updates of one block.
    assert_eq!(named("clock"), 3);
    for event in events.iter().filter(|event| event["ph"] == "X") {
        assert!(number(event, "ts") >= 0.0 && number(event, "dur") >= 0.0 && event["tid"].as_u64().unwrap() < 2, "{event}");
    }
}
