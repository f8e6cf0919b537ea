//! `cargo xtask compare`: wgflow and other frameworks doing the same work on this machine, in turn.
//!
//! Every program is started and warmed up once; then they take turns, one at a time, round after round, each round beginning
//! with another program. What slows the machine down for a while so slows all of them, and ratios are made within a round.

mod chart;
pub mod figures;
pub mod machine;
mod peers;
mod process;
pub mod report;
pub mod text;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use figures::{Absent, Comparison, Row};
use machine::Machine;
use peers::{Device, Family, Peer, Work};
use process::{Facts, Program};

/// Time wgflow and other frameworks doing the same work on this machine, in turn
///
/// Prints a table and writes it as Markdown, JSON and SVG. A framework that is not installed is named with the command that
/// installs it.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask compare")]
pub struct Options {
    /// What to time [default: all; act only on the CPU, mlp and act only with one lane]
    #[arg(value_enum)]
    work: Vec<Work>,
    /// Rounds of each program
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a round; a quarter of it for acting
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Seeds trained at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    lanes: u32,
    /// CPU threads of every program [default: each program's own choice, all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where updates run
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// Adapter of wgflow, as `wgflow devices` numbers or names it [default: the best GPU; Mesa's software adapter]
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Frameworks to compare with [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<Family>,
    /// Python that has all the frameworks [default: target/peers/NAME/bin/python, else python3]
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Python that has JAX
    #[arg(long, value_name = "PROGRAM")]
    python_jax: Option<PathBuf>,
    /// Python that has PyTorch
    #[arg(long, value_name = "PROGRAM")]
    python_torch: Option<PathBuf>,
    /// Python that has numpy and ONNX Runtime
    #[arg(long, value_name = "PROGRAM")]
    python_act: Option<PathBuf>,
    /// A wgflow that is built already [default: the present code is built]
    #[arg(long, value_name = "PROGRAM")]
    wgflow: Option<PathBuf>,
    /// Another wgflow to compare with too, such as one built before a change
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// Seconds that a program may be silent, to compile or to work
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// A program to be timed: its name, its framework, how it is started or why it cannot be.
struct Candidate {
    name: String,
    family: &'static str,
    start: Result<Command, Absent>,
}

/// Runs the command with `arguments`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let Some(options) = parsed::<Options>("cargo xtask compare", arguments)? else { return Ok(()) };
    if options.lanes > 1 && options.work.iter().any(|work| matches!(work, Work::Mlp | Work::Act)) {
        return Err("--lanes: expected 1 for mlp and act, which have no lanes: name the other work".to_owned());
    }
    let root = root()?;
    let mut machine = Machine::look(&root);
    let wgflow = match &options.wgflow {
        Some(program) => program.clone(),
        None => build(&root, &machine.commit)?,
    };
    let mut comparisons = Vec::new();
    for work in works(&options) {
        match work {
            Work::Act => comparisons.extend(acting(&root, &wgflow, &options)?),
            _ => comparisons.push(updates(work, &root, &wgflow, &options)?),
        }
    }
    machine.note_load();
    report::publish(&machine, &comparisons, &options, &root)
}

/// The options of the command `name`; `None` where help was asked for, which is no error, and given.
pub fn parsed<O: Parser>(name: &str, arguments: &[&str]) -> Result<Option<O>, String> {
    match O::try_parse_from(std::iter::once(&name).chain(arguments)) {
        Ok(options) => Ok(Some(options)),
        Err(message) if !message.use_stderr() => message.print().map(|()| None).map_err(|error| error.to_string()),
        Err(message) => Err(message.to_string()),
    }
}

/// The repository: the one that this program was built in, or on another machine the folder it is run in.
pub fn root() -> Result<PathBuf, String> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = if built_in.join("benches/baselines").is_dir() { built_in } else { ".".into() };
    root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))
}

fn works(options: &Options) -> Vec<Work> {
    if !options.work.is_empty() {
        return options.work.clone();
    }
    let fits = |work: &Work| match work {
        Work::Fql | Work::GfpActor | Work::GfpMean => true,
        Work::Mlp => options.lanes == 1,
        Work::Act => options.lanes == 1 && options.device == Device::Cpu,
    };
    Work::value_variants().iter().copied().filter(fits).collect()
}

/// Builds wgflow as it is.
pub fn build(root: &Path, commit: &str) -> Result<PathBuf, String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["build", "--release", "--quiet", "--bin", "wgflow"]).env("WGFLOW_COMMIT", commit);
    succeed(&mut command, "cargo build")?;
    Ok(root.join(format!("target/release/wgflow{}", std::env::consts::EXE_SUFFIX)))
}

/// Runs a command that has to succeed.
fn succeed(command: &mut Command, name: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{name} cannot be started: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name} failed:\n{}", told.trim())) }
}

/// One kind of update on every program.
fn updates(work: Work, root: &Path, wgflow: &Path, options: &Options) -> Result<Comparison, String> {
    let own = |program: &Path| {
        let mut command = Command::new(program);
        command.args(peers::own(work, options)).args(["--seconds", &options.seconds.to_string()]);
        command
    };
    let about = match work {
        Work::Mlp => "one training step of a plain net (33 -> 4x512 -> 5, batch 256, squared loss, Adam)".to_owned(),
        _ => format!("one update of {} (obs 28, act 5, 4x512, batch 256, M = 10)", label(work)),
    };
    let lanes = if options.lanes == 1 { String::new() } else { format!(" of {} lanes at once", options.lanes) };
    let candidates = candidates((wgflow, &own), &[PLAIN, MIXED], peers::updates(work, options), root, options, options.seconds);
    compared(peers::name(work), format!("{about}{lanes}"), candidates, options)
}

const fn label(work: Work) -> &'static str {
    match work {
        Work::Fql => "FQL",
        Work::GfpActor => "GFP with target_agg actor",
        Work::GfpMean => "GFP with target_agg mean",
        Work::Mlp | Work::Act => "",
    }
}

/// Precisions of wgflow beside f32, and what it is called with them.
const PLAIN: (&str, &str) = ("plain", "wgflow, plain products");
const MIXED: (&str, &str) = ("mixed", "wgflow, mixed precision");

/// wgflow first, on the CPU at these other precisions too, then the peers. `own` is how a wgflow is started.
fn candidates(
    (wgflow, own): (&Path, &dyn Fn(&Path) -> Command),
    precisions: &[(&str, &'static str)],
    peers: Vec<Peer>,
    root: &Path,
    options: &Options,
    seconds: f64,
) -> Vec<Candidate> {
    let ours = |name: &'static str, command| Candidate { name: name.to_owned(), family: name, start: Ok(command) };
    let mut all = vec![ours("wgflow", own(wgflow))];
    for (precision, name) in precisions.iter().filter(|_| options.device == Device::Cpu) {
        let mut command = own(wgflow);
        command.args(["--precision", precision]);
        all.push(ours(name, command));
    }
    all.extend(options.before.as_deref().map(|before| ours("wgflow, before", own(before))));
    for peer in peers.into_iter().filter(|peer| options.peers.is_empty() || options.peers.contains(&peer.family)) {
        let start = peer.family.program(root, options).map(|program| {
            let mut command = Command::new(program);
            command.current_dir(root.join("benches/baselines")).args(&peer.arguments);
            if let Some(threads) = options.threads {
                command.env("RAYON_NUM_THREADS", threads.to_string());
            }
            // Libraries choose their kernels themselves: a choice made for an older OpenBLAS slows a new one down.
            command.args(["--seconds", &seconds.to_string()]).env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_L2_SIZE");
            command.env_remove(peers::VECTOR_BITS).envs(peer.environment.iter().copied());
            command
        });
        let absent = |reason| Absent { program: peer.name(), reason, remedy: peer.family.remedy() };
        all.push(Candidate { name: peer.name(), family: peer.group(), start: start.map_err(absent) });
    }
    all
}

/// Acting with policies that wgflow exported, at each size.
fn acting(root: &Path, wgflow: &Path, options: &Options) -> Result<Vec<Comparison>, String> {
    let folder = root.join("target/compare");
    let run = policies(&folder, root, wgflow, options)?;
    let all = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let seconds = options.seconds / 4.0;
    let mut comparisons = Vec::new();
    for threads in if all == 1 { vec![1] } else { vec![1, all] } {
        for policy in ["actor", "flow"] {
            for batch in [1, 16, 256] {
                let own = |program: &Path| {
                    let mut command = Command::new(program);
                    command.arg("bench-act").arg(&run).args(["--policy", policy, "--batch", &batch.to_string(), "--serve"]);
                    command.args(["--threads", &threads.to_string(), "--seconds", &seconds.to_string()]);
                    command
                };
                let others = peers::acting(&folder.join(policy), batch, threads);
                let candidates = candidates((wgflow, &own), &[MIXED], others, root, options, seconds);
                let what = if policy == "actor" { "the one-step actor (4x512)" } else { "the 10-step flow (4x512)" };
                let about = format!("one call of {what}, batch {batch}, {threads} thread{}", if threads == 1 { "" } else { "s" });
                let name = format!("act {policy} batch {batch} threads {threads}");
                comparisons.push(compared(name, about, candidates, options)?);
            }
        }
    }
    Ok(comparisons)
}

/// A run of the published size after one update, its policies exported to `folder`; returns the run's folder.
fn policies(folder: &Path, root: &Path, wgflow: &Path, options: &Options) -> Result<PathBuf, String> {
    let python = Family::Numpy.program(root, options).map_err(|reason| {
        format!("act needs numpy to make up a dataset ({reason}); what installs it: {}", Family::Numpy.remedy())
    })?;
    let (data, run) = (folder.join("cube-single-play-v0.slim.npz"), folder.join("run"));
    if run.exists() {
        std::fs::remove_dir_all(&run).map_err(|error| format!("{}: {error}", run.display()))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let script = root.join("benches/baselines/act_peer.py");
    succeed(Command::new(python).arg(script).arg(&data).arg("--dataset"), "act_peer.py --dataset")?;
    let mut train = Command::new(wgflow);
    train.args(["train", "--algo", "gfp", "--task", "2", "--steps", "1", "--engine", "cpu"]);
    succeed(train.arg("--data").arg(&data).arg("--out").arg(&run), "wgflow train")?;
    for policy in ["actor", "flow"] {
        for format in ["safetensors", "onnx"] {
            let mut export = Command::new(wgflow);
            export.arg("export").arg(&run).args(["--policy", policy, "--format", format, "--force", "--out"]);
            succeed(export.arg(folder.join(format!("{policy}.{format}"))), "wgflow export")?;
        }
    }
    Ok(run)
}

/// Starts every program, then times them in turn.
fn compared(work: String, about: String, candidates: Vec<Candidate>, options: &Options) -> Result<Comparison, String> {
    eprintln!("{work}: {about}");
    let (mut running, mut absent) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let started = candidate.start.and_then(|mut command| {
            eprintln!("  starting {}", candidate.name);
            let remedy = told(&command);
            let failed = |reason| Absent { program: candidate.name.clone(), reason, remedy };
            Program::start(&mut command, Duration::from_secs(options.patience)).map_err(failed)
        });
        match started {
            Ok((program, facts)) => running.push((program, row(candidate.name, candidate.family, facts))),
            Err(reason) if candidate.family == "wgflow" => return Err(format!("wgflow: {}", reason.reason)),
            Err(reason) => absent.push(reason),
        }
    }
    for round in 0..options.rounds as usize {
        if let Some(failure) = take_turns(&mut running, round, &mut absent) {
            return Err(failure);
        }
    }
    let rows = running.into_iter().map(|(_, row)| row).collect();
    Ok(Comparison { work, about, rows, absent })
}

fn row(program: String, family: &'static str, facts: Facts) -> Row {
    Row { program, family, facts, rounds_ms: Vec::new() }
}

/// One round, which begins with another program than the last. A program that fails is left out from then on; that wgflow
/// does is returned.
fn take_turns(running: &mut Vec<(Program, Row)>, round: usize, absent: &mut Vec<Absent>) -> Option<String> {
    let count = running.len();
    let mut failed = Vec::new();
    for turn in (0..count).map(|turn| (turn + round) % count) {
        let (program, row) = &mut running[turn];
        match program.round() {
            Ok(ms) => row.rounds_ms.push(ms),
            Err(reason) if row.family == "wgflow" => return Some(format!("wgflow: {reason}")),
            Err(reason) => failed.push((turn, reason)),
        }
    }
    failed.sort_by_key(|(turn, _)| std::cmp::Reverse(*turn));
    for (turn, reason) in failed {
        let (_, row) = running.remove(turn);
        absent.push(Absent { program: row.program, reason, remedy: "run it alone to see more".to_owned() });
    }
    let medians = running.iter().map(|(_, row)| format!("{} {:.4}", row.program, row.rounds_ms.last().unwrap_or(&f64::NAN)));
    eprintln!("  round {}: {} ms", round + 1, medians.collect::<Vec<_>>().join(" | "));
    None
}

/// How to start a program by hand, without the place where this repository lies.
fn told(command: &Command) -> String {
    let root = command.get_current_dir().and_then(Path::parent).and_then(Path::parent);
    let root = root.map_or_else(String::new, |root| format!("{}/", root.display()));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let inside = |word: &str| word.strip_prefix(&root).filter(|_| !root.is_empty()).map(str::to_owned);
    let words = words.map(|word| inside(&word).map_or(word, |inside| format!("../../{inside}")));
    let quoted = words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    format!("to see more, in benches/baselines: {}", quoted.collect::<Vec<_>>().join(" "))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A program that is ready at once and runs `script` for each round.
    fn fake(name: &str, family: &'static str, script: &str) -> Candidate {
        let script = format!("echo '{{\"ready\": true}}'; n=0; while read line; do n=$((n + 1)); {script}; done");
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        Candidate { name: name.to_owned(), family, start: Ok(command) }
    }

    fn timed(candidates: Vec<Candidate>) -> Result<Comparison, String> {
        let options = Options::parse_from(["compare", "--rounds", "3", "--patience", "20"]);
        compared("fql".to_owned(), "one update".to_owned(), candidates, &options)
    }

    #[test]
    fn programs_take_turns_and_each_round_begins_with_another() {
        let order = std::env::temp_dir().join(format!("wgflow-compare-{}", std::process::id()));
        let script = |name: &str| format!("echo {name} >> {}; echo \"{{\\\"ms\\\": $n}}\"", order.display());
        let comparison = timed(vec![fake("wgflow", "wgflow", &script("a")), fake("JAX", "JAX", &script("b"))]).unwrap();
        let seen = std::fs::read_to_string(&order).unwrap();
        std::fs::remove_file(&order).unwrap();
        assert_eq!(seen.split_whitespace().collect::<String>(), "abbaab");
        assert!(comparison.rows.iter().all(|row| row.rounds_ms == [1.0, 2.0, 3.0]), "{comparison:?}");
    }

    #[test]
    fn a_command_is_told_without_the_place_of_the_repository() {
        let mut command = Command::new("/home/me/wgflow/target/peers/jax/bin/python");
        command.current_dir("/home/me/wgflow/benches/baselines").args(["jax_peer.py", "--form", "scan merged"]);
        let expected = "in benches/baselines: ../../target/peers/jax/bin/python jax_peer.py --form 'scan merged'";
        assert!(told(&command).ends_with(expected), "{}", told(&command));
    }

    #[test]
    fn a_peer_that_fails_is_told_about_and_the_others_go_on() {
        let good = r#"echo '{"ms": 2}'"#;
        let dies = r#"if [ $n = 2 ]; then echo 'out of memory' >&2; exit 1; fi; echo '{"ms": 4}'"#;
        let missing = Absent { program: "Burn".to_owned(), reason: "not built".to_owned(), remedy: "cargo build".to_owned() };
        let mut peers = vec![fake("wgflow", "wgflow", good), fake("JAX", "JAX", dies), fake("PyTorch", "PyTorch", good)];
        peers.push(Candidate { name: "Burn".to_owned(), family: "Burn", start: Err(missing) });
        let comparison = timed(peers).unwrap();
        let rows: Vec<_> = comparison.rows.iter().map(|row| (row.program.as_str(), row.rounds_ms.len())).collect();
        assert_eq!(rows, [("wgflow", 3), ("PyTorch", 3)]);
        let absent: Vec<_> = comparison.absent.iter().map(|a| (a.program.as_str(), a.reason.as_str())).collect();
        assert_eq!(absent, [("Burn", "not built"), ("JAX", "out of memory")]);
        let failure = timed(vec![fake("wgflow", "wgflow", dies), fake("JAX", "JAX", good)]).unwrap_err();
        assert_eq!(failure, "wgflow: out of memory");
    }
}
