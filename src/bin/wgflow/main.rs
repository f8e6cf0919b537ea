//! The command line of wgflow. One file per subcommand; what the examples need too is in `wgflow::cli`.

mod bench;
mod bench_act;
mod devices;
mod doctor;
mod download;
mod eval;
mod export;
mod inspect;
mod manual;
mod plan;
mod presets;
mod report;
mod setup;
mod train;
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use wgflow::bench::Work;
use wgflow::cli::{self, settings};
use wgflow::{Result, agents};

/// Trains and runs offline-RL flow policies with hand-written WGSL kernels, on any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "wgflow", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Report(report::ReportFlags),
    Export(export::Export),
    Presets(presets::Presets),
    Download(download::Download),
    Inspect(inspect::Inspect),
    Setup(setup::Setup),
    Plan(Box<plan::Plan>),
    Bench(Box<bench::Bench>),
    BenchAct(bench_act::BenchAct),
    Devices(devices::Devices),
    Doctor(doctor::Doctor),
    Completions(manual::Completions),
    Man(manual::Man),
}

fn main() -> ExitCode {
    widen_software_adapter();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match prepared(&arguments) {
        Ok((command, arguments, algorithm)) => {
            let whole = command.clone();
            cli::start_from(command, arguments, |matches| run(whole, algorithm, matches))
        }
        Err(error) => cli::finish(Err(error)),
    }
}

/// Lets Mesa's software driver work on vectors of 16 numbers, for which `Variant::Subgroup` is written, unless the user has told it
/// otherwise. It reads this when adapters are first looked for.
fn widen_software_adapter() {
    if std::env::var_os("LP_NATIVE_VECTOR_WIDTH").is_none() {
        // SAFETY: the process has no other thread yet.
        unsafe { std::env::set_var("LP_NATIVE_VECTOR_WIDTH", "512") };
    }
}

fn run(whole: clap::Command, algorithm: &str, matches: &ArgMatches) -> Result<()> {
    let parsed = Arguments::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    let own = matches.subcommand().map_or(matches, |(_, own)| own);
    match parsed.command {
        Command::Train(train) => train.run(algorithm, own),
        Command::Eval(eval) => eval.run(),
        Command::Report(report) => report.run(),
        Command::Export(export) => export.run(),
        Command::Presets(presets) => presets.run(),
        Command::Download(download) => download.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Setup(setup) => setup.run(),
        Command::Plan(plan) => plan.run(algorithm, own),
        Command::Bench(bench) => bench.run(algorithm, own),
        Command::BenchAct(bench) => bench.run(),
        Command::Devices(devices) => devices.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Completions(completions) => {
            completions.run(whole);
            Ok(())
        }
        Command::Man(man) => man.run(whole),
    }
}

/// What knows an algorithm's flags by its name.
type Find = fn(&str) -> Result<agents::NamedFlags>;

/// Subcommands that take an algorithm's flags.
const COMPLETED: [(&str, Find); 3] =
    [("train", |name| agents::find(name).map(|entry| (entry.name, entry.flags))), ("plan", Work::flags), ("bench", Work::flags)];

/// The whole command line, with the flags of the algorithm that the arguments choose; and that algorithm's name.
fn prepared(arguments: &[OsString]) -> Result<(clap::Command, Vec<OsString>, &'static str)> {
    let mut whole = Arguments::command();
    let (mut chosen, mut algorithm) = (arguments.to_vec(), "");
    for (name, find) in COMPLETED {
        let called = arguments.get(1).is_some_and(|given| given == name);
        let command = whole.find_subcommand(name).cloned().unwrap_or_default();
        let (command, completed, found) = settings::complete(command, if called { arguments } else { &[] }, find)?;
        whole = whole.mut_subcommand(name, |_| command);
        if called {
            (chosen, algorithm) = (completed, found);
        }
    }
    Ok((whole, chosen, algorithm))
}
