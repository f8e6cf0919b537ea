//! The project's own commands.
//!
//! `cargo xtask test` is everything that a change must pass: format, lints, docs, every test. Where no Vulkan driver is
//! installed it installs Mesa's software driver with apt, so that the shaders run on any Debian machine.
//!
//! `cargo xtask compare` times wgflow and other frameworks doing the same work on this machine, in turn.
//!
//! `cargo xtask scale` times an update against each number that its cost depends on.
//!
//! `cargo xtask published FOLDER` turns the official tables of published figures into the project's own.

mod compare;
mod published;
mod scale;

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask test [--no-install]
       cargo xtask compare [WORK]... [--help]
       cargo xtask scale [--help]
       cargo xtask published FOLDER

  test          format, clippy, docs, and every test
  --no-install  do not install a software Vulkan driver; without one, GPU tests are reported as ignored
  compare       time wgflow, JAX, PyTorch, Burn, ... doing the same work, in turn; writes benches/results/
  scale         time an update against batch, width, Euler steps, lanes and transitions; writes benches/results/
  published     write data/published/presets.csv and scores.csv from FOLDER/hyperparameters.csv and scores.csv";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["test"] => test(true),
        ["test", "--no-install"] => test(false),
        ["compare", arguments @ ..] => compare::run(arguments),
        ["scale", arguments @ ..] => scale::run(arguments),
        ["published", folder] => published::generate(Path::new(folder)),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn test(may_install: bool) -> Result<(), String> {
    if may_install && !has_vulkan_driver() {
        install_software_driver()?;
    }
    println!("Vulkan driver: {}", if has_vulkan_driver() { "yes" } else { "NONE: GPU tests will be ignored" });
    cargo(&["fmt", "--all", "--check"])?;
    // Tests first: they build what the lints need too.
    cargo(&["test", "--release", "--workspace"])?;
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["doc", "--release", "--workspace", "--no-deps", "--document-private-items"])
}

/// Whether a Vulkan loader could find a driver.
fn has_vulkan_driver() -> bool {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some());
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    let holds_driver = |folder: &&str| Path::new(folder).read_dir().is_ok_and(|mut files| files.next().is_some());
    named || cfg!(not(target_os = "linux")) || folders.iter().any(holds_driver)
}

fn install_software_driver() -> Result<(), String> {
    println!("no Vulkan driver found: installing Mesa's software driver (mesa-vulkan-drivers) with apt");
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0"));
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.arg("apt-get");
        }
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().is_ok_and(|status| status.success())
    };
    if apt(&["update"]) && apt(&["install", "-y", "--no-install-recommends", "mesa-vulkan-drivers", "libvulkan1"]) {
        return Ok(());
    }
    Err("apt-get could not install mesa-vulkan-drivers and libvulkan1: install a Vulkan driver by hand, or run \
         `cargo xtask test --no-install`, which leaves the GPU tests out"
        .to_owned())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    println!("cargo {}", arguments.join(" "));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).env("RUSTDOCFLAGS", "-D warnings");
    // The tests' dispatches are tiny: waking Mesa's worker threads would cost more than their work.
    if std::env::var_os("LP_NUM_THREADS").is_none() {
        command.env("LP_NUM_THREADS", "0");
    }
    // Without a desktop Mesa complains about it on every start, in the middle of the tests' output.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    let status = command.status().map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", arguments.join(" "))) }
}
