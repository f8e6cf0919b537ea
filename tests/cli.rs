//! The command line as a whole: help, the order in which settings win, completions, pages, exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use wgflow::agents::AgentConfig;
use wgflow::train::RunFolder;

#[path = "common/folder.rs"]
mod folder;

use folder::Folder;

const DATA: &str = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0.slim.npz";

const VALIDATION: &str = "data/pointmaze-medium-navigate/pointmaze-medium-navigate-v0-val.npz";

fn wgflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgflow")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Folder {
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn subcommands() -> Vec<String> {
    let help = text(&wgflow(&["--help"]).stdout);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_subcommand_explains_itself_with_an_example_and_every_flag() {
    let names = subcommands();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let output = wgflow(&[&name, "--help"]);
        let help = text(&output.stdout);
        assert!(output.status.success() && help.contains("Example"), "{name}: no example\n{help}");
        let flags = help.lines().filter(|line| line.trim_start().starts_with("--")).count();
        let explained = help
            .split("\n\n")
            .filter(|part| part.trim_start().starts_with("--"))
            .all(|part| part.lines().count() > 1 || part.split_whitespace().count() > 3);
        assert!(explained, "{name}: one of {flags} flags has no explanation\n{help}");
    }
}

fn trained(out: &Path, arguments: &[&str]) -> AgentConfig {
    let tiny = "train --engine cpu --steps 2 --hidden 8 --flow-steps 2 --eval-every 0 --episodes 1 --out";
    let tiny: Vec<&str> = tiny.split(' ').chain([out.to_str().unwrap()]).collect();
    let output = wgflow(&[&tiny, arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    RunFolder::open(out).unwrap().1.agent
}

#[test]
fn flags_win_over_the_settings_file_and_set_over_all() {
    let folder = Folder::new("order");
    let file = folder.file(
        "settings.toml",
        &format!(
            "data = \"{DATA}\"\ntask = 3\n[agent]\nalgorithm = \"fql\"\nalpha = [7.0]\n[agent.common]\nbatch = 16\ntau = [0.02]\n"
        ),
    );
    let of_file = trained(&folder.0.join("a"), &["--config", &file]);
    let AgentConfig::Fql(fql) = &of_file else { panic!("the file names fql: {of_file:?}") };
    assert_eq!((fql.alpha.as_slice(), fql.common.batch, fql.common.tau[0]), (&[7.0][..], 16, 0.02));
    let with_flag = trained(&folder.0.join("b"), &["--config", &file, "--alpha", "5", "--set", "agent.common.batch=24"]);
    let AgentConfig::Fql(fql) = &with_flag else { panic!("{with_flag:?}") };
    assert_eq!((fql.alpha.as_slice(), fql.common.batch), (&[5.0][..], 24));
    let set = trained(&folder.0.join("c"), &["--config", &file, "--alpha", "5", "--set", "alpha=4"]);
    let AgentConfig::Fql(fql) = &set else { panic!("{set:?}") };
    assert_eq!(fql.alpha, [4.0]);
    let again = folder.0.join("c/config.toml");
    assert_eq!(trained(&folder.0.join("d"), &["--config", again.to_str().unwrap()]), set, "a run's own settings start it anew");
}

#[test]
fn mistakes_in_settings_are_named_with_what_was_probably_meant() {
    let folder = Folder::new("mistakes");
    let file = folder.file("settings.toml", "[agent]\nalhpa = 3\n");
    let broken = folder.file("broken.toml", "[agent\n");
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--config", &file], 65, &["settings.toml", "alhpa", "alpha"]),
        (&["--config", &broken], 65, &["broken.toml", "TOML"]),
        (&["--config", "no/such.toml"], 74, &["no/such.toml"]),
        (&["--set", "agent.alhpa=3"], 64, &["--set", "alpha"]),
        (&["--set", "alpha"], 64, &["NAME=VALUE"]),
        (&["--algo", "sac"], 64, &["gfp", "fql", "sac"]),
        (&["--alhpa", "3"], 64, &["--alpha"]),
        (&[], 64, &["--data"]),
    ];
    for (arguments, code, words) in cases {
        let output = wgflow(&[&["train"], *arguments].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn completions_and_pages_know_every_subcommand() {
    let folder = Folder::new("pages");
    let names = subcommands();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = text(&wgflow(&["completions", shell]).stdout);
        assert!(names.iter().all(|name| script.contains(name.as_str())), "{shell}");
        assert!(script.contains("target-agg"), "{shell}: settings of the algorithm are missing");
    }
    assert!(wgflow(&["man", folder.0.to_str().unwrap()]).status.success());
    for name in names {
        let page = std::fs::read_to_string(folder.0.join(format!("wgflow-{name}.1"))).unwrap();
        assert!(page.contains(".SH"), "{name}");
    }
}

#[test]
fn a_dataset_is_named_as_it_was_downloaded() {
    const NAME: &str = "pointmaze-medium-navigate-v0";
    let home = Folder::new("named");
    let kept = home.join(".ogbench/data");
    std::fs::create_dir_all(&kept).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgflow"));
        command.args(arguments).env("HOME", home.path()).env_remove("XDG_CACHE_HOME");
        command.env_remove("WGFLOW_CACHE").stdin(Stdio::null()).output().unwrap()
    };
    for arguments in [&["inspect", NAME][..], &["plan", "--data", NAME]] {
        let output = run(arguments);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(&format!("wgflow download {NAME}")), "{arguments:?}: {told}");
    }
    for (from, to) in [(DATA, format!("{NAME}.npz")), (VALIDATION, format!("{NAME}-val.npz"))] {
        std::fs::copy(from, kept.join(to)).unwrap();
    }
    for arguments in [&["inspect", NAME][..], &["plan", "--data", NAME]] {
        let output = run(arguments);
        assert!(output.status.success() && text(&output.stdout).contains("200000"), "{arguments:?}: {}", text(&output.stderr));
    }
}
