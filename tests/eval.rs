//! Environments in Python processes, and `wgflow eval`. The processes run the shipped program with a made-up Gymnasium
//! (`eval/gymnasium.py`), for which any Python 3 will do; without one those tests are reported as ignored. With
//! `WGFLOW_PYTHON` naming a Python that has OGBench, the real environments are checked too.

#[path = "eval/background.rs"]
mod background;
#[path = "eval/command.rs"]
mod command;
#[path = "eval/fake.rs"]
mod fake;
#[path = "eval/faults.rs"]
mod faults;
#[path = "common/folder.rs"]
mod folder;
#[path = "eval/real.rs"]
mod real;
#[path = "eval/serving.rs"]
mod serving;

use std::process::Command;

use libtest_mimic::{Arguments, Trial};

/// A test's name and body.
type Test = (&'static str, fn());

/// Reports the tests as ignored, by name, unless there is what they need.
fn trials(group: &'static str, tests: &'static [Test], possible: bool) -> impl Iterator<Item = Trial> {
    tests.iter().map(move |&(name, body)| {
        let run = move || {
            body();
            Ok(())
        };
        Trial::test(format!("{group}/{name}"), run).with_ignored_flag(!possible)
    })
}

fn main() {
    let python = fake::python().is_some();
    let has_ogbench = |python| Command::new(python).args(["-c", "import ogbench"]).status().is_ok_and(|status| status.success());
    let real = std::env::var_os("WGFLOW_PYTHON").is_some_and(has_ogbench);
    let trials = trials("here", background::TESTS, true)
        .chain(trials("here", command::TESTS, true))
        .chain(trials("python", serving::TESTS, python))
        .chain(trials("python", faults::TESTS, python))
        .chain(trials("python", command::PYTHON_TESTS, python))
        .chain(trials("WGFLOW_PYTHON", real::TESTS, real));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    fake::remove();
    conclusion.exit();
}
